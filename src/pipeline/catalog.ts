/**
 * The dedup catalog: identity of a chunk to its place, in shared memory, used by all workers without locks. It is a
 * cache: a miss only stores a chunk twice. Identities are compared whole, never by a truncated form.
 *
 * It consists of levels of doubling size, each an open-addressing table. Inserts go to the newest level; when that is
 * nearly full, the next one is used. Levels not yet used cost no memory, because nobody has touched their pages.
 * A slot is claimed (one winner), then written, then published: an identity is never visible before its location is,
 * and its location is published only after the record it names has been handed to its pack.
 */

/** Words of a slot: state, length, XXH64 (2), g (4), pack, record, offset. */
const slotWords = 11;
const stateWord = 0;
const packWord = 8;
const recordWord = 9;
const offsetWord = 10;
/** Words of an identity: length, XXH64, g. */
const identityWords = 7;

const empty = 0;
const claimed = 1;
/** Written, waiting for its record; owner + pendingBase tells whose it is. */
const pendingBase = 2;
const published = -1;

/** Offset word of a chunk that is a whole record. */
const wholeRecord = -1;
const levelsMax = 16;
const fillMax = 0.75;

/** Where a chunk lies. */
export interface ChunkPlace {
  /** Index in the run's list of packs. */
  pack: number;
  record: number;
  offset: number;
  /** Whether the chunk is the whole record. */
  whole: boolean;
}

/** The shared memory of a catalog; can be posted to a worker. */
export interface CatalogMemory {
  readonly levels: readonly SharedArrayBuffer[];
  /** Entries per level, then the index of the level in use. */
  readonly counters: SharedArrayBuffer;
}

/**
 * Makes the memory of a catalog.
 * @param firstLevelBytes size of the smallest level (1 MiB makes tests grow it)
 * @param maxBytes size of all levels together; beyond it identities are forgotten
 */
export function createCatalogMemory(firstLevelBytes: number, maxBytes: number): CatalogMemory {
  const levels: SharedArrayBuffer[] = [];
  let size = firstLevelBytes;
  let total = 0;
  while (levels.length < levelsMax && (levels.length === 0 || total + size <= maxBytes)) {
    levels.push(new SharedArrayBuffer(Math.floor(size / (slotWords * 4)) * slotWords * 4));
    total += size;
    size *= 2;
  }
  return { levels, counters: new SharedArrayBuffer((levels.length + 1) * 4) };
}

/** A catalog as one thread sees it. */
export class Catalog {
  readonly #levels: readonly Int32Array[];
  readonly #slots: readonly number[];
  readonly #counters: Int32Array;
  readonly #owner: number;

  /** @param owner number of this thread, from 0 */
  constructor(memory: CatalogMemory, owner: number) {
    this.#levels = memory.levels.map((level) => new Int32Array(level));
    this.#slots = this.#levels.map((level) => level.length / slotWords);
    this.#counters = new Int32Array(memory.counters);
    this.#owner = owner;
  }

  /** Number of identities. */
  get size(): number {
    let sum = 0;
    for (let i = 0; i < this.#levels.length; i += 1) sum += Atomics.load(this.#counters, i);
    return sum;
  }

  /**
   * Looks an identity up.
   * @param identity 7 words: length, XXH64, g
   * @param place receives the location
   * @returns whether it is there and published (or pending, but this thread's own)
   */
  find(identity: Int32Array, place: ChunkPlace): boolean {
    // A level that another thread has only just begun to use may be missed: it has next to nothing in it.
    for (let i = this.#counters[this.#levels.length]!; i >= 0; i -= 1) {
      if (this.#findIn(i, identity, place)) return true;
    }
    return false;
  }

  /**
   * Adds an identity that {@link find} did not find. Another thread may add the same one at the same time: then
   * both are stored, which costs space and nothing else.
   * @returns a token for {@link publish}, or -1 when the catalog is full and forgets it
   */
  add(identity: Int32Array, place: Readonly<ChunkPlace>): number {
    const last = this.#levels.length - 1;
    const level = Atomics.load(this.#counters, last + 1);
    const table = this.#levels[level]!;
    const slots = this.#slots[level]!;
    if (Atomics.load(this.#counters, level) >= slots * fillMax) {
      if (level === last) return -1;
      Atomics.compareExchange(this.#counters, last + 1, level, level + 1);
      return this.add(identity, place);
    }
    let slot = startOf(identity, slots);
    for (let tries = 0; tries < slots; tries += 1, slot = slot + 1 === slots ? 0 : slot + 1) {
      const at = slot * slotWords;
      if (Atomics.compareExchange(table, at + stateWord, empty, claimed) !== empty) continue;
      table.set(identity, at + 1);
      table[at + packWord] = place.pack;
      table[at + recordWord] = place.record;
      table[at + offsetWord] = place.whole ? wholeRecord : place.offset;
      Atomics.store(table, at + stateWord, pendingBase + this.#owner);
      Atomics.add(this.#counters, level, 1);
      return level * 2 ** 32 + slot;
    }
    // Other threads took the last slots before they counted them; a small level can be full. One chunk is forgotten.
    return -1;
  }

  /** Makes an added identity visible to all: its record has been handed to its pack. */
  publish(token: number): void {
    if (token < 0) return;
    const level = Math.floor(token / 2 ** 32);
    Atomics.store(this.#levels[level]!, (token % 2 ** 32) * slotWords + stateWord, published);
  }

  #findIn(level: number, identity: Int32Array, place: ChunkPlace): boolean {
    const table = this.#levels[level]!;
    const slots = this.#slots[level]!;
    let slot = startOf(identity, slots);
    for (let tries = 0; tries < slots; tries += 1, slot = slot + 1 === slots ? 0 : slot + 1) {
      const at = slot * slotWords;
      // Most looks end here, at a slot that nobody uses; what is in use is only read after it is published.
      if (table[at + stateWord] === empty) return false;
      const state = Atomics.load(table, at + stateWord);
      if (state !== published && state !== pendingBase + this.#owner) continue;
      if (!sameIdentity(table, at + 1, identity)) continue;
      const offset = table[at + offsetWord]!;
      place.pack = table[at + packWord]!;
      place.record = table[at + recordWord]! >>> 0;
      place.whole = offset === wholeRecord;
      place.offset = place.whole ? 0 : offset;
      return true;
    }
    return false;
  }
}

function sameIdentity(table: Int32Array, at: number, identity: Int32Array): boolean {
  for (let i = 0; i < identityWords; i += 1) if (table[at + i] !== identity[i]) return false;
  return true;
}

/** g is uniformly distributed, so its first word chooses the slot. */
function startOf(identity: Int32Array, slots: number): number {
  return (identity[3]! >>> 0) % slots;
}

/** Fills the 7 words of an identity. @param xxh64 16 hex digits, @param g 16 bytes */
export function setIdentity(identity: Int32Array, length: number, xxh64: string, g: Buffer): void {
  identity[0] = length;
  identity[1] = Number.parseInt(xxh64.slice(0, 8), 16);
  identity[2] = Number.parseInt(xxh64.slice(8), 16);
  for (let i = 0; i < 4; i += 1) identity[3 + i] = g.readInt32BE(i * 4);
}

/** {@link setIdentity} without text. @param xxh64 8 bytes */
export function setIdentityBytes(
  identity: Int32Array,
  length: number,
  xxh64: Uint8Array,
  g: Uint8Array,
): void {
  identity[0] = length;
  for (let i = 0; i < 2; i += 1) identity[1 + i] = wordAt(xxh64, i * 4);
  for (let i = 0; i < 4; i += 1) identity[3 + i] = wordAt(g, i * 4);
}

/** 32 bits, big endian. */
function wordAt(bytes: Uint8Array, at: number): number {
  return (bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!;
}
