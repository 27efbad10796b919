/**
 * Memory through which content passes, used again and again: first touch of fresh memory is dear. It begins on pages
 * and has whole pages, so that a file may be written from it past the system's page cache. There is only so much of it;
 * who gets none goes on without.
 */
import { MiB } from '../base/limits.ts';

/** Bytes of a block. */
export const blockBytes: number = MiB;
const pageBytes = 65_536;

/** See the file's comment. */
export class BlockPool {
  readonly #max: number;
  readonly #free: Buffer[] = [];
  #memory: Buffer | undefined;
  #made = 0;

  /** @param max blocks at most */
  constructor(max: number) {
    this.#max = max;
  }

  take(): Buffer | undefined {
    const free = this.#free.pop();
    if (free !== undefined || this.#made === this.#max) return free;
    // Memory of WebAssembly begins on a page, and what was not touched yet costs nothing.
    const pages = (this.#max * blockBytes) / pageBytes;
    this.#memory ??= Buffer.from(new WebAssembly.Memory({ initial: pages, maximum: pages }).buffer);
    this.#made += 1;
    return this.#memory.subarray((this.#made - 1) * blockBytes, this.#made * blockBytes);
  }

  giveBack(block: Buffer): void {
    this.#free.push(block);
  }
}
