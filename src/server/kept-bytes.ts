/** How much is kept in memory for objects that are to replace others: bounded for all, and for each user. */
import { BackpackError } from '../base/errors.ts';

/** See the file's comment. */
export class KeptBytes {
  readonly #max: number;
  readonly #perUserMax: number;
  readonly #ofUser = new Map<string, number>();
  #all = 0;

  constructor(max: number, perUserMax: number) {
    this.#max = max;
    this.#perUserMax = perUserMax;
  }

  /** @throws BackpackError BP_SERVER_BUSY when it would be too much */
  take(user: string, bytes: number): void {
    const own = (this.#ofUser.get(user) ?? 0) + bytes;
    if (own > this.#perUserMax || this.#all + bytes > this.#max) throw full();
    this.#ofUser.set(user, own);
    this.#all += bytes;
  }

  giveBack(user: string, bytes: number): void {
    const own = (this.#ofUser.get(user) ?? 0) - bytes;
    this.#all -= bytes;
    if (own > 0) this.#ofUser.set(user, own);
    else this.#ofUser.delete(user);
  }
}

function full(): BackpackError {
  return new BackpackError('BP_SERVER_BUSY', 'the server holds too much that is to replace other objects', {
    kind: 'network',
    retry: 'later',
    hint: 'run the command again in two minutes',
  });
}
