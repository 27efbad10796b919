/** One repository as all sessions of a server share it: its storage, and how much of its quota is taken. */
import { BackpackError } from '../base/errors.ts';
import { KiB, MiB } from '../base/limits.ts';
import type { ObjectWriter, Storage } from '../storage/index.ts';
import type { KeptBytes } from './kept-bytes.ts';
import { Usage } from './quota.ts';

/** See the file's comment. */
export interface Served {
  readonly storage: Storage;
  readonly usage: Usage;
  /** Resolves when what is there already is part of {@link usage}. */
  counted(): Promise<void>;
  /** For an object on its way in, which stays although its session may go; it calls {@link leave}, too. */
  stay(): void;
  /** Works on the objects of one name one after the other: what is given back is given back once. */
  alone<R>(name: string, work: () => Promise<R>): Promise<R>;
  /** A session is gone, or an object that {@link stay} was called for. */
  leave(): void;
}

/** The repositories that sessions use now. */
export class ServedRepositories {
  readonly #open: (repository: string) => Promise<Storage>;
  readonly #places = new Map<string, { readonly made: Promise<Served>; users: number }>();

  constructor(open: (repository: string) => Promise<Storage>) {
    this.#open = open;
  }

  /** Opens a repository, or joins those who have it open. */
  async join(repository: string): Promise<Served> {
    let place = this.#places.get(repository);
    if (place === undefined) {
      place = { made: this.#make(repository), users: 0 };
      this.#places.set(repository, place);
    }
    place.users += 1;
    try {
      return await place.made;
    } catch (error) {
      this.#places.delete(repository);
      throw error;
    }
  }

  async #make(repository: string): Promise<Served> {
    const storage = await this.#open(repository);
    const usage = new Usage();
    let counted: Promise<void> | undefined;
    return {
      storage,
      usage,
      counted: () => {
        counted ??= usage.count(storage).catch((error: unknown) => {
          counted = undefined;
          throw error;
        });
        return counted;
      },
      stay: () => {
        // Whoever calls this is in there.
        this.#places.get(repository)!.users += 1;
      },
      leave: () => this.#leave(repository),
      alone: oneAfterTheOther(),
    };
  }

  #leave(repository: string): void {
    const place = this.#places.get(repository);
    if (place === undefined) return;
    place.users -= 1;
    if (place.users > 0) return;
    this.#places.delete(repository);
    void place.made.then(({ storage }) => storage[Symbol.asyncDispose]());
  }
}

function oneAfterTheOther(): Served['alone'] {
  const busy = new Map<string, Promise<void>>();
  return (name, work) => {
    const result = (busy.get(name) ?? Promise.resolve()).then(work);
    const settled = result.then(
      () => {},
      () => {},
    );
    busy.set(name, settled);
    void settled.then(() => {
      if (busy.get(name) === settled) busy.delete(name);
    });
    return result;
  };
}

/** Longest object that replaces another one, bytes: those of the recovery kit are small. */
const replacingMax: number = 16 * MiB;
/** Memory for one at first, bytes. */
const gatheredMin: number = 64 * KiB;

/** A writer whose commit replaces what is there: the bytes are gathered, as far as `kept` allows, then put. */
export function replacingWriter(
  { storage, usage, alone }: Served,
  name: string,
  user: string,
  kept: KeptBytes,
): ObjectWriter {
  // One piece of memory: a piece for each frame would cost a hundred times the bytes of short ones.
  let gathered: Buffer = Buffer.alloc(0);
  let sizeBytes = 0;
  const drop = (): void => {
    kept.giveBack(user, sizeBytes);
    gathered = Buffer.alloc(0);
    sizeBytes = 0;
  };
  return {
    append: (more) => {
      for (const piece of more) {
        const end = sizeBytes + piece.byteLength;
        if (end > replacingMax) throw tooLarge(name);
        kept.take(user, piece.byteLength);
        if (end > gathered.length) {
          const most = Math.max(gatheredMin, end, 2 * gathered.length);
          const larger = Buffer.allocUnsafeSlow(Math.min(replacingMax, most));
          gathered.copy(larger, 0, 0, sizeBytes);
          gathered = larger;
        }
        // The sender uses its memory again when this has returned.
        gathered.set(piece, sizeBytes);
        sizeBytes = end;
      }
    },
    commit: () =>
      alone(name, async () => {
        const before = await storage.stat(name);
        const info = await storage.put(name, gathered.subarray(0, sizeBytes));
        usage.giveBack(before?.sizeBytes ?? 0);
        return info;
      }).finally(drop),
    abort: async () => drop(),
  };
}

function tooLarge(name: string): BackpackError {
  return new BackpackError(
    'BP_NOT_AS_SENT',
    `${name} was refused by the server: it is too large to replace another`,
    {
      kind: 'storage',
      context: { object: name },
      hint: 'an object of the recovery kit has less than 16 MiB',
    },
  );
}
