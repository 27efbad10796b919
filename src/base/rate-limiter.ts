/**
 * A limit on bytes per second that any number of threads share, without locks and without a thread that hands out
 * tokens. The shared state is one moment: when everything granted so far will have been paid for. Who wants to move
 * bytes adds their price to that moment and waits until it has come. A thread that was woken late, or had nothing to
 * do, may catch up for a quarter of a second, no more. Without a limit there is no limiter, so nothing is paid.
 */

/** A limit as it is given to other threads: plain data that can be posted. */
export interface RateLimit {
  readonly bytesPerSecond: number;
  readonly state: SharedArrayBuffer;
}

/** The clock that all threads of a process see alike, in nanoseconds. */
export type MonotonicClock = () => bigint;

/** How far behind the limit a run may fall and still make up for it. */
const catchUpNs = 250_000_000n;
const nsPerSecond = 1e9;
/** An asynchronous wait looks this often whether the limit was lifted. */
const sliceMs = 100;

const paidWord = 0;
const liftedWord = 2;

/** A new limit; a rate below 1 byte per second counts as 1. */
export function createRateLimit(bytesPerSecond: number): RateLimit {
  return { bytesPerSecond: Math.max(1, bytesPerSecond), state: new SharedArrayBuffer(16) };
}

/** One thread's view of a limit. */
export class RateLimiter {
  readonly #nsPerByte: number;
  readonly #paid: BigInt64Array;
  readonly #words: Int32Array;
  readonly #clock: MonotonicClock;

  constructor({ bytesPerSecond, state }: RateLimit, clock: MonotonicClock = process.hrtime.bigint) {
    this.#nsPerByte = nsPerSecond / bytesPerSecond;
    this.#paid = new BigInt64Array(state);
    this.#words = new Int32Array(state);
    this.#clock = clock;
  }

  /** A limiter, or nothing when there is no limit: callers write `limiter?.take(n)`. */
  static of(limit: RateLimit | undefined): RateLimiter | undefined {
    return limit === undefined ? undefined : new RateLimiter(limit);
  }

  /** Takes the price of `bytes` out of the future. @returns milliseconds to wait before they may be moved */
  reserve(bytes: number): number {
    if (this.lifted) return 0;
    const price = BigInt(Math.ceil(bytes * this.#nsPerByte));
    for (;;) {
      const now = this.#clock();
      const before = Atomics.load(this.#paid, paidWord);
      const oldest = before === 0n ? now : now - catchUpNs;
      const after = (before > oldest ? before : oldest) + price;
      if (Atomics.compareExchange(this.#paid, paidWord, before, after) === before)
        return after > now ? Number(after - now) / 1e6 : 0;
    }
  }

  /** Waits until `bytes` may be moved, and lets other work of this thread go on. */
  async take(bytes: number): Promise<void> {
    let wait = this.reserve(bytes);
    const until = performance.now() + wait;
    while (wait > 0 && !this.lifted) {
      const ms = Math.min(wait, sliceMs);
      await new Promise((resolve) => setTimeout(resolve, Math.ceil(ms)));
      wait = until - performance.now();
    }
  }

  /** The same for code that cannot be interrupted. In worker threads only: it stops the whole thread. */
  takeSync(bytes: number): void {
    const wait = this.reserve(bytes);
    if (wait > 0) Atomics.wait(this.#words, liftedWord, 0, wait);
  }

  /** Whether the limit was lifted. */
  get lifted(): boolean {
    return Atomics.load(this.#words, liftedWord) !== 0;
  }

  /** Ends all waiting, in all threads, for good: a run that is being stopped must not wait for its turn. */
  lift(): void {
    Atomics.store(this.#words, liftedWord, 1);
    Atomics.notify(this.#words, liftedWord);
  }
}
