/** Small files on their way to a worker and back: a batch at a time. */
import type { ByteString } from '../base/bytes.ts';
import { KiB, MiB } from '../base/limits.ts';
import type { KeptEntry, NewEntry } from '../format/page-builder.ts';
import { StampList, stampNumbers } from '../source/file-state.ts';
import type { SourceItem } from '../source/walk.ts';
import type { FilesTask } from './jobs.ts';
import type { LinkedFile } from './linked-files.ts';

/** Where a file that is read is counted. */
export type FileCounter = 'newFiles' | 'changedFiles' | 'unchangedFiles' | 'rereadFiles';

/** An entry on its way to the pages; results arrive out of order. */
export interface Slot {
  /** undefined: not there yet; null: leaves no entry. */
  entry: NewEntry | KeptEntry | null | undefined;
}

/** A file that is with a worker. Thousands are at once: it holds no more than its result needs. */
export interface Waiting {
  readonly slot: Slot;
  readonly path: ByteString;
  readonly real: ByteString;
  readonly size: number;
  readonly prefix: string;
  /** Its entry in a parent, when lstat shows no change. */
  readonly kept: KeptEntry | NewEntry | undefined;
  readonly counter: FileCounter;
  /** Whether the parent would have been believed. */
  readonly trusted: boolean;
  /** The file that this is the first name of, when it has others. */
  readonly first?: LinkedFile;
}

const batchFiles = 256;
const batchBytes: number = 4 * MiB;

/** Gathers a batch. */
export class FileBatch {
  readonly files: Waiting[] = [];
  readonly #stamps = new StampList(new Float64Array(stampNumbers * batchFiles));
  #bytes = 0;

  /** @returns whether it is full */
  add(file: Waiting, { stat }: SourceItem): boolean {
    this.#stamps.set(this.files.length, stat);
    this.files.push(file);
    this.#bytes += file.size + 4 * KiB;
    return this.files.length >= batchFiles || this.#bytes >= batchBytes;
  }

  /** What a worker is told of it. */
  task(): FilesTask {
    return {
      paths: this.files.map((file) => file.real).join('\0'),
      stored: this.files.map((file) => file.path).join('\0'),
      stamps: this.#stamps.numbers,
    };
  }
}
