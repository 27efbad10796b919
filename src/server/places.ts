/**
 * A number of places that many want. Who finds none free waits; users come one after the other, and each of them for
 * those who wait for him in turn, so that nobody has to wait behind the hundreds of another one.
 */

/** See the file's comment. */
export class Places {
  #free: number;
  /** Who waits, by user; the user at the beginning comes next. */
  readonly #waiting = new Map<string, (() => void)[]>();

  constructor(count: number) {
    this.#free = count;
  }

  /** Whether somebody waits. */
  get wanted(): boolean {
    return this.#waiting.size > 0;
  }

  /** Waits for a place. */
  async take(user: string): Promise<void> {
    if (this.#free > 0) {
      this.#free -= 1;
      return;
    }
    await new Promise<void>((resolve) => {
      const own = this.#waiting.get(user);
      if (own === undefined) this.#waiting.set(user, [resolve]);
      else own.push(resolve);
    });
  }

  /** Runs work when a place is free. */
  async within<R>(user: string, work: () => Promise<R>): Promise<R> {
    await this.take(user);
    try {
      return await work();
    } finally {
      this.giveBack();
    }
  }

  giveBack(): void {
    const [next] = this.#waiting;
    if (next === undefined) {
      this.#free += 1;
      return;
    }
    const [user, own] = next;
    const first = own.shift()!;
    this.#waiting.delete(user);
    if (own.length > 0) this.#waiting.set(user, own);
    first();
  }
}
