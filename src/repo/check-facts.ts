/** What is known about packs while pages are compared with them: bounded memory, read again when let go. */
import { packName } from '../format/names.ts';
import type { ObjectReport, PackFacts } from '../pipeline/check-jobs.ts';

const bytesMax: number = 256 * 1024 * 1024;

/** See the file's comment. */
export class FactsCache {
  readonly #open: (pack: string) => Promise<ObjectReport>;
  readonly #kept = new Map<string, PackFacts>();
  readonly #broken = new Set<string>();
  #bytes = 0;

  /** @param open looks at the pack again */
  constructor(open: (pack: string) => Promise<ObjectReport>) {
    this.#open = open;
  }

  /** Keeps what a check found; without facts the pack cannot be used. */
  set(pack: string, facts: PackFacts | undefined): void {
    if (facts === undefined) {
      this.#broken.add(pack);
      return;
    }
    this.#kept.set(pack, facts);
    this.#bytes += sizeOf(facts);
    for (const [oldest, old] of this.#kept) {
      if (this.#bytes <= bytesMax || oldest === pack) break;
      this.#kept.delete(oldest);
      this.#bytes -= sizeOf(old);
    }
  }

  /** Facts that are in memory. */
  peek(pack: string): PackFacts | undefined {
    return this.#kept.get(pack);
  }

  /** Facts of a pack that was checked; undefined when it cannot be opened. */
  async get(pack: string): Promise<PackFacts | undefined> {
    const kept = this.#kept.get(pack);
    if (kept !== undefined || this.#broken.has(pack)) return kept;
    const { facts } = await this.#open(packName(pack));
    this.set(pack, facts);
    return facts;
  }
}

function sizeOf(facts: PackFacts): number {
  const { lengths, firstChunks, chunkOffsets, chunkLengths } = facts;
  return (
    256 + lengths.byteLength + firstChunks.byteLength + chunkOffsets.byteLength + chunkLengths.byteLength
  );
}

/**
 * Whether a range of a record is exactly some of its chunks, without gaps: only then are all its bytes under an
 * XXH64 (SPEC, "Integrity" L5).
 */
export function coversChunks(facts: PackFacts, record: number, offset: number, length: number): boolean {
  const { firstChunks, chunkOffsets, chunkLengths } = facts;
  const end = firstChunks[record + 1]!;
  let low = firstChunks[record]!;
  for (let high = end; low < high; ) {
    const middle = (low + high) >>> 1;
    if (chunkOffsets[middle]! < offset) low = middle + 1;
    else high = middle;
  }
  let at = offset;
  for (; low < end && chunkOffsets[low] === at && at < offset + length; low += 1) at += chunkLengths[low]!;
  return at === offset + length;
}
