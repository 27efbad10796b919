/** The packs of one run, in shared memory: a number for each pack id, given out without locks. */

const idBytes = 20;

/** Shared memory of a list of `max` packs; can be posted to a worker. */
export interface PackListMemory {
  readonly ids: SharedArrayBuffer;
  readonly count: SharedArrayBuffer;
}

/** Memory for up to `max` packs; pages that are not used cost nothing. */
export function createPackListMemory(max: number): PackListMemory {
  return { ids: new SharedArrayBuffer(max * idBytes), count: new SharedArrayBuffer(4) };
}

/** Numbers for pack ids. A number is only used by another thread after it was published with a chunk. */
export class PackList {
  readonly #ids: Uint8Array;
  readonly #count: Int32Array;
  readonly #known: string[] = [];

  constructor(memory: PackListMemory) {
    this.#ids = new Uint8Array(memory.ids);
    this.#count = new Int32Array(memory.count);
  }

  /** Adds a pack. @returns its number @throws RangeError when the list is full */
  add(id: string): number {
    const number = Atomics.add(this.#count, 0, 1);
    if ((number + 1) * idBytes > this.#ids.byteLength) throw new RangeError('too many packs in one run');
    this.#ids.set(Buffer.from(id, 'hex'), number * idBytes);
    return number;
  }

  /** The id of a pack, 40 hex. */
  get(number: number): string {
    this.#known[number] ??= Buffer.from(
      this.#ids.subarray(number * idBytes, (number + 1) * idBytes),
    ).toString('hex');
    return this.#known[number];
  }
}
