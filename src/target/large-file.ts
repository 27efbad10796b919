/**
 * One large file that several workers write at once, each at its own places. Whole pages go to the disk past the
 * system's page cache (O_DIRECT) where the memory they come from begins on a page boundary: copying gigabytes into that
 * cache costs more processor time than opening and decoding them, and pushes out of it what other programs use.
 */
import { closeSync, constants, openSync, writeSync } from 'node:fs';
import type { ByteString } from '../base/bytes.ts';
import { MiB } from '../base/limits.ts';
import type { Jail } from './jail.ts';
import { writeAll } from './write-file.ts';

const { O_WRONLY, O_NOFOLLOW } = constants;
/** What is written directly begins and ends on such boundaries, in memory and in the file. */
export const pageBytes = 4096;
/** Less than this is not worth waiting for the disk. */
const directMin: number = MiB;
/** Longest single write. */
const pieceBytes: number = 8 * MiB;

/** See the file's comment. */
export class LargeFile {
  /** For what is not whole pages. */
  readonly fd: number;
  readonly #direct: number;
  #isDirect: boolean;

  /** Opens a file that is there, and no link. @throws Error of the system */
  constructor(jail: Jail, path: ByteString) {
    this.fd = openSync(jail.at(path), O_WRONLY | O_NOFOLLOW);
    this.#direct = openDirect(this.fd);
    this.#isDirect = this.#direct >= 0;
  }

  /** Writes all bytes at a position of the file, which has its length already. */
  write(bytes: Uint8Array, position: number): void {
    const head = (pageBytes - (position % pageBytes)) % pageBytes;
    const middle = Math.floor((bytes.byteLength - head) / pageBytes) * pageBytes;
    const fits = (bytes.byteOffset + head) % pageBytes === 0;
    if (!this.#isDirect || !fits || middle < directMin) {
      writeAll(this.fd, bytes, position);
      return;
    }
    writeAll(this.fd, bytes.subarray(0, head), position);
    const done = head + this.#writePages(bytes.subarray(head, head + middle), position + head);
    writeAll(this.fd, bytes.subarray(done), position + done);
  }

  /** Closes the handles. */
  close(): void {
    closeSync(this.fd);
    if (this.#direct >= 0) closeSync(this.#direct);
  }

  /** @returns how many bytes were written */
  #writePages(pages: Uint8Array, position: number): number {
    let done = 0;
    try {
      // A short write that ends within a page leaves the rest to the other handle.
      while (done < pages.byteLength && done % pageBytes === 0) {
        const length = Math.min(pieceBytes, pages.byteLength - done);
        done += writeSync(this.#direct, pages, done, length, position + done);
      }
    } catch (error) {
      if (!isRefusal(error)) throw error;
      this.#isDirect = false;
    }
    return done;
  }
}

/** A second handle of an open file: not by its name, which may lead to another one by now. */
function openDirect(fd: number): number {
  if (constants.O_DIRECT === undefined) return -1;
  try {
    return openSync(`/proc/self/fd/${fd}`, O_WRONLY | constants.O_DIRECT);
  } catch {
    // The filesystem does not have it, or the process may not have more open files: the other handle does as well.
    return -1;
  }
}

/** The filesystem does not write this way, or wants other boundaries than pages. */
function isRefusal(error: unknown): boolean {
  const { code } = error as NodeJS.ErrnoException;
  return code === 'EINVAL' || code === 'ENOTSUP' || code === 'EOPNOTSUPP';
}
