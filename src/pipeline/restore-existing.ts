/** Compares files that are in the target with those of a snapshot: by their bytes, never by their times. */
import { closeSync, constants, fstatSync, openSync, readSync, type Stats } from 'node:fs';
import type { ByteString } from '../base/bytes.ts';
import { MiB } from '../base/limits.ts';
import type { Kernel } from '../kernel/kernel.ts';
import type { Jail } from '../target/jail.ts';

const { O_RDONLY, O_NOFOLLOW, O_NONBLOCK } = constants;
/** Reads from the disk, not from what the system still has in memory; 0 where there is no such thing. */
const fromDisk: number = constants.O_DIRECT ?? 0;
const pageBytes = 4096;
const pieceBytes: number = MiB;

/** A file that is there, opened, and its state before its bytes were read. */
export interface ExistingFile {
  readonly fd: number;
  readonly stat: Stats;
}

/** See the file's comment. */
export class ExistingFiles {
  readonly #kernel: Kernel;
  readonly #jail: Jail;
  readonly #piece: number;
  readonly #state: number;

  /** Bytes that this reserves from the kernel. */
  static readonly bytes: number = pieceBytes + pageBytes + MiB / 64;

  constructor(kernel: Kernel, jail: Jail) {
    this.#kernel = kernel;
    this.#jail = jail;
    this.#piece = kernel.reserve(pieceBytes, pageBytes);
    this.#state = kernel.reserve(kernel.hashStateBytes);
  }

  /**
   * Opens the file at `path` if it is a regular one that holds exactly these bytes; the caller closes it.
   * @param x XXH64 of the bytes, 16 hex; empty for none
   */
  open(path: ByteString, sizeBytes: number, x: string): ExistingFile | undefined {
    let fd: number;
    try {
      // Does not block on a FIFO. A link ends here (ELOOP), and so does what may not be read: it is not the same.
      fd = openSync(this.#jail.at(path), O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === 'ELOOP' || code === 'EACCES' || code === 'EPERM' || code === 'ENXIO') return undefined;
      throw error;
    }
    let same = false;
    try {
      const stat = fstatSync(fd);
      same = stat.isFile() && stat.size === sizeBytes && this.#hash(fd, sizeBytes) === x;
      return same ? { fd, stat } : undefined;
    } finally {
      if (!same) closeSync(fd);
    }
  }

  /** Whether the file at `path` holds exactly these bytes, read from the disk where the system can do that. */
  isOnDisk(path: ByteString, sizeBytes: number, x: string): boolean {
    const at = this.#jail.at(path);
    const flags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK;
    let fd: number;
    try {
      fd = openSync(at, flags | fromDisk);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EINVAL') throw error;
      fd = openSync(at, flags);
    }
    try {
      const stat = fstatSync(fd);
      return stat.isFile() && stat.size === sizeBytes && this.#hash(fd, sizeBytes) === x;
    } finally {
      closeSync(fd);
    }
  }

  /** XXH64 of a file's first bytes; undefined when it is shorter. */
  #hash(fd: number, sizeBytes: number): string | undefined {
    if (sizeBytes === 0) return '';
    this.#kernel.hashInit(this.#state);
    for (let done = 0; done < sizeBytes; ) {
      // Whole pieces are asked for, because reading from the disk goes by blocks.
      const read = readSync(fd, this.#kernel.bytes, this.#piece, pieceBytes, done);
      const got = Math.min(read, sizeBytes - done);
      if (got === 0) return undefined;
      this.#kernel.hashUpdate(this.#state, this.#piece, got);
      done += got;
    }
    return this.#kernel.hashHex(this.#state);
  }
}
