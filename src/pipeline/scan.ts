/**
 * A window of a file in the kernel's memory, and the cut candidates in it. The 64 bytes before the window are kept in
 * front of it, because the hash of a candidate looks back over them.
 */

import { KiB, MiB } from '../base/limits.ts';
import { type Candidates, chunkSizes } from '../codec/chunker.ts';
import type { Kernel } from '../kernel/kernel.ts';

/** Bytes of a file that one worker takes at a time. */
export const rangeBytes: number = 8 * MiB;
const lookBack = 64;
const stepBytes: number = MiB;
const listMax = 8 * KiB;

/** Candidates of one window, in file positions. */
class CandidateList implements Candidates {
  readonly positions: number[] = [];
  readonly flags: boolean[] = [];

  get count(): number {
    return this.positions.length;
  }

  at(index: number): number {
    return this.positions[index]!;
  }

  strict(index: number): boolean {
    return this.flags[index]!;
  }
}

/** One worker's window over a file. */
export class ScanWindow {
  /** Address of the first byte of the window. */
  readonly base: number;
  candidates: CandidateList = new CandidateList();
  /** File position of {@link base}. */
  from = 0;
  /** File position behind the last byte read. */
  end = 0;
  /** File position below which all candidates are known. */
  known = 0;
  readonly #kernel: Kernel;
  readonly #list: number;

  /** Bytes that the window needs of the kernel's memory. */
  static readonly bytes: number = lookBack + rangeBytes + chunkSizes.max + stepBytes + listMax * 8 + 1024;

  constructor(kernel: Kernel) {
    this.#kernel = kernel;
    this.base = kernel.reserve(lookBack + rangeBytes + chunkSizes.max + stepBytes) + lookBack;
    this.#list = kernel.reserve(listMax * 8);
  }

  /** Starts over at file position `from`. @returns where (address) and from which position reading must begin */
  reset(from: number): { address: number; position: number } {
    this.candidates = new CandidateList();
    this.from = from;
    this.end = from;
    this.known = Math.max(from, chunkSizes.min);
    const back = Math.min(lookBack, from);
    return { address: this.base - back, position: from - back };
  }

  /** Begins at file position `to` instead; what was read from there on is kept, and looked at anew. */
  slide(to: number): void {
    const { end } = this;
    const back = Math.min(lookBack, to);
    this.#kernel.bytes.copyWithin(this.base - back, this.address(to) - back, this.address(end));
    this.reset(to);
    this.end = end;
  }

  /** Address of a file position inside the window. */
  address(position: number): number {
    return this.base + position - this.from;
  }

  /** Lists the candidates up to {@link end}. */
  scan(): void {
    while (this.known < this.end) {
      const start = this.known;
      const count = this.#kernel.gearCandidates(
        this.address(start),
        this.address(this.end),
        this.#list,
        listMax,
      );
      const bytes = this.#kernel.bytes;
      for (let i = 0; i < count; i += 1) {
        this.candidates.positions.push(start + bytes.readUInt32LE(this.#list + i * 8));
        this.candidates.flags.push(bytes.readUInt32LE(this.#list + i * 8 + 4) === 1);
      }
      this.known = count < listMax ? this.end : this.candidates.positions[this.candidates.count - 1]! + 1;
    }
  }
}
