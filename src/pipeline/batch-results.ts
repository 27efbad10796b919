/** What became of a batch of files, gathered field by field (see {@link FilesResult}). */

import { TextBuffer } from '../base/text-buffer.ts';
import type { ChunkPlace } from './catalog.ts';
import { type FileResult, type FilesResult, noHash } from './jobs.ts';

/** See the file's comment. Results come in the order of the batch. */
export class BatchResults {
  readonly #hashes = new TextBuffer(4096);
  readonly #counts: Uint32Array;
  readonly #extents: number[] = [];
  readonly #odd: [number, Omit<FileResult, 'x' | 'extents'>][] = [];
  #files = 0;

  /** @param files how many there will be at most */
  constructor(files: number) {
    this.#counts = new Uint32Array(files);
  }

  /** Adds any file. */
  add({ x, extents, ...rest }: FileResult): void {
    this.#hashes.add(x === '' ? noHash : x);
    for (const number of extents) this.#extents.push(number);
    this.#counts[this.#files] = extents.length;
    this.#files += 1;
    const { extras = '', ...other } = rest;
    if (extras !== '' || Object.keys(other).length > 0) this.odd(rest);
  }

  /** Adds a file of one chunk. @param hash 8 bytes */
  addSmall(hash: Uint8Array, place: Readonly<ChunkPlace>, length: number): void {
    this.#hashes.addHex(hash);
    this.#extents.push(place.pack, place.record, 1, length, place.whole ? -1 : place.offset);
    this.#counts[this.#files] = 5;
    this.#files += 1;
  }

  /** What else there is to say of the file that was added last. */
  odd(rest: Omit<FileResult, 'x' | 'extents'>): void {
    this.#odd.push([this.#files - 1, rest]);
  }

  /** All of it. */
  take(): FilesResult {
    const x = this.#hashes.view.toString('latin1');
    return { x, extents: new Float64Array(this.#extents), counts: this.#counts, odd: this.#odd };
  }
}
