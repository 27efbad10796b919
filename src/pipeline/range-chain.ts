/**
 * Shared state of one large file that several workers read in ranges. Ranges are taken from a counter; the cuts are
 * chosen and the file's hash is continued strictly in order, each worker waiting for its turn and handing on where
 * the next chunk begins and the state of the hash.
 */

const counterWord = 0;
const turnWord = 1;
const failedWord = 2;
/** Where the next chunk begins, a double. */
const startDouble = 2;
const stateByte = 24;

/** Bytes of shared memory for one file. */
export function chainBytes(hashStateBytes: number): number {
  return stateByte + Math.ceil(hashStateBytes / 8) * 8;
}

/** One worker's view of the chain. */
export class RangeChain {
  readonly #words: Int32Array;
  readonly #doubles: Float64Array;
  /** The state of the file's hash. */
  readonly state: Uint8Array;

  constructor(memory: SharedArrayBuffer) {
    const whole = Math.floor(memory.byteLength / 8) * 8;
    this.#words = new Int32Array(memory, 0, 4);
    this.#doubles = new Float64Array(memory, 0, whole / 8);
    this.state = new Uint8Array(memory, stateByte);
  }

  /** Takes the next range. @returns its number; the caller stops when it is beyond the file */
  take(): number {
    return Atomics.add(this.#words, counterWord, 1);
  }

  /** Waits until all ranges before `range` have had their turn. @returns false when another worker failed */
  async turn(range: number): Promise<boolean> {
    for (;;) {
      if (this.failed) return false;
      const current = Atomics.load(this.#words, turnWord);
      if (current === range) return true;
      const wait = Atomics.waitAsync(this.#words, turnWord, current, 1000);
      if (wait.async) await wait.value;
    }
  }

  /** Where the chunk begins that the worker whose turn it is has to cut first. */
  get start(): number {
    return this.#doubles[startDouble]!;
  }

  /** Ends the turn. @param start where the next chunk begins */
  pass(range: number, start: number): void {
    this.#doubles[startDouble] = start;
    Atomics.store(this.#words, turnWord, range + 1);
    Atomics.notify(this.#words, turnWord);
  }

  /** Whether this file was given up. */
  get failed(): boolean {
    return Atomics.load(this.#words, failedWord) !== 0;
  }

  /** Tells all workers to stop with this file. */
  fail(): void {
    Atomics.store(this.#words, failedWord, 1);
    Atomics.notify(this.#words, turnWord);
  }
}
