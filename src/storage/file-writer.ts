/**
 * A new file that is written from its beginning to its end. Whole pages from page boundaries of memory, which is how
 * packs come, go to the disk without passing the system's page cache (O_DIRECT): that cache gains nothing from data
 * that is written once, it would push out what other programs use, and copying into it is most of what a write costs.
 * Everything else, and everything where the filesystem cannot do it, is written as usual.
 */
import {
  close as closeCallback,
  constants,
  fsync as fsyncCallback,
  openSync,
  write,
  writeSync,
} from 'node:fs';
import { promisify } from 'node:util';

const fsync = promisify(fsyncCallback);
const close = promisify(closeCallback);
const pageBytes = 4096;
/** Shorter writes are not worth a second handle. */
const directMin: number = 1 << 20;

/** See the file's comment. After an error the file has to be given up: what it holds is not known. */
export class FileWriter {
  readonly #path: string;
  #fd: number;
  #direct: number | undefined;
  #tryDirect: boolean = constants.O_DIRECT !== undefined;
  #sizeBytes = 0;
  #last: Promise<void> = Promise.resolve();

  /** Makes the file, which must not exist. @throws Error of the system */
  constructor(path: string) {
    this.#path = path;
    this.#fd = openSync(path, 'wx', 0o600);
  }

  /** Whether there is a handle to write to. */
  get open(): boolean {
    return this.#fd >= 0;
  }

  /** Bytes appended so far. */
  get sizeBytes(): number {
    return this.#sizeBytes;
  }

  /** Writes pieces at the end. They may be used again when it resolves. Calls must not overlap. */
  append(pieces: readonly Uint8Array[]): Promise<void> {
    this.#last = this.#append(pieces);
    return this.#last;
  }

  async #append(pieces: readonly Uint8Array[]): Promise<void> {
    for (const piece of pieces) {
      if (!(await this.#appendDirect(piece))) writeAll(this.#fd, piece, this.#sizeBytes);
      this.#sizeBytes += piece.byteLength;
    }
  }

  /** Makes everything durable. A failed one must never be tried again. */
  sync(): Promise<void> {
    return fsync(this.#fd);
  }

  /** Closes the handles, as soon as no write uses them any more; nothing may follow. */
  async close(): Promise<void> {
    await this.#last.catch(() => {});
    const open = [this.#fd, this.#direct ?? -1].filter((fd) => fd >= 0);
    this.#fd = -1;
    this.#direct = undefined;
    for (const fd of open) await close(fd);
  }

  /** @returns whether the piece was written */
  async #appendDirect(piece: Uint8Array): Promise<boolean> {
    if (!this.#tryDirect || piece.byteLength < directMin || !isAligned(piece, this.#sizeBytes)) return false;
    try {
      this.#direct ??= openSync(this.#path, constants.O_WRONLY | constants.O_DIRECT);
      const written = await writeSome(this.#direct, piece, this.#sizeBytes);
      if (written < piece.byteLength) writeAll(this.#fd, piece.subarray(written), this.#sizeBytes + written);
      return true;
    } catch (error) {
      // The filesystem does not have it, or wants other boundaries than pages: nothing was written.
      if (!isRefusal(error)) throw error;
      this.#tryDirect = false;
      return false;
    }
  }
}

/** Whether memory, position and length are whole pages. Memory of WebAssembly begins on a page. */
function isAligned(piece: Uint8Array, position: number): boolean {
  return (piece.byteOffset | piece.byteLength | (position % pageBytes)) % pageBytes === 0;
}

function isRefusal(error: unknown): boolean {
  const { code } = error as NodeJS.ErrnoException;
  return code === 'EINVAL' || code === 'ENOTSUP' || code === 'EOPNOTSUPP';
}

/** One write, off this thread: while the disk works, the next bytes are being made. */
function writeSome(fd: number, bytes: Uint8Array, position: number): Promise<number> {
  return new Promise((resolve, reject) => {
    write(fd, bytes, 0, bytes.byteLength, position, (error, written) => {
      if (error === null) resolve(written);
      else reject(error);
    });
  });
}

/** A short write goes on with what is left, never with the bytes already written. */
function writeAll(fd: number, bytes: Uint8Array, position: number): void {
  for (let done = 0; done < bytes.byteLength; ) {
    done += writeSync(fd, bytes, done, bytes.byteLength - done, position + done);
  }
}
