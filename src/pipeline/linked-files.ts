/**
 * Files with several names that are read: the other names take what the first one's reading gave. A memory of few of
 * them: a name that comes much later is read again, and found to be stored already.
 */
import { stampOfStat } from '../source/file-state.ts';
import { type FileStamp, sameStamp } from '../source/read-file.ts';
import type { SourceStat } from '../source/source-stat.ts';
import type { Waiting } from './file-batch.ts';
import type { FileResult } from './jobs.ts';

/** What reading gave. */
export interface ReadResult {
  readonly result: Omit<FileResult, 'extents'>;
  readonly extents: ArrayLike<number>;
}

/** A file with several names, in one state. */
export interface LinkedFile {
  readonly key: string;
  /** Its state when the first name was met. */
  readonly stamp: FileStamp;
  /** Names that were not met yet. */
  left: number;
  /** Other names, while the first one is read. */
  waiting: Waiting[];
  /** What reading gave; undefined while it is read. */
  read: ReadResult | undefined;
}

const filesMax = 16_384;
/** Numbers of extents in all results: 2 MiB. */
const numbersMax = 262_144;

/** See the file's comment. */
export class LinkedFiles {
  readonly #files = new Map<string, LinkedFile>();
  #numbers = 0;

  /** The file of a name, and whether this is the first name in its present state. */
  of(stat: SourceStat): { file: LinkedFile; isFirst: boolean } {
    const key = `${stat.dev}:${stat.ino}`;
    const stamp = stampOfStat(stat);
    const found = this.#files.get(key);
    if (found !== undefined) {
      if (sameStamp(found.stamp, stamp)) {
        found.left -= 1;
        if (found.left <= 0) this.forget(found);
        return { file: found, isFirst: false };
      }
      this.forget(found);
    }
    const file = { key, stamp, left: stat.nlink - 1, waiting: [], read: undefined };
    this.#files.set(key, file);
    this.#trim();
    return { file, isFirst: true };
  }

  /** Keeps what reading gave for names to come. @returns names that wait for it */
  done(file: LinkedFile, read: ReadResult): readonly Waiting[] {
    const { waiting } = file;
    file.waiting = [];
    if (this.#files.get(file.key) === file) {
      // A batch's numbers would be kept as a whole.
      file.read = { result: read.result, extents: Array.from(read.extents) };
      this.#numbers += read.extents.length;
      this.#trim();
    }
    return waiting;
  }

  /** Forgets a file: its next name is a first one. @returns names that wait for it */
  forget(file: LinkedFile): readonly Waiting[] {
    if (this.#files.get(file.key) === file) {
      this.#files.delete(file.key);
      this.#numbers -= file.read?.extents.length ?? 0;
    }
    return file.waiting;
  }

  #trim(): void {
    for (const file of this.#files.values()) {
      if (this.#files.size <= filesMax && this.#numbers <= numbersMax) return;
      this.forget(file);
    }
  }
}
