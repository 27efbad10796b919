/**
 * Opens and reads regular files of the source. FIFOs, sockets and devices are never opened for reading: the caller
 * has seen a regular file with lstat, the open refuses links and does not block, and fstat looks once more.
 */
import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs';
import { type ByteString, byteStringToText, toFsPath } from '../base/bytes.ts';
import { BackpackError } from '../base/errors.ts';
import { isTooManyFiles, tooManyFiles } from '../base/open-files.ts';
import { isShort, reach } from './reach.ts';

/** What identifies the state of a file: when any part differs, the file has changed. */
export interface FileStamp {
  readonly size: number;
  readonly mtimeNs: bigint;
  readonly ctimeNs: bigint;
  readonly ino: bigint;
  /** Whether it takes less space than its length: it may have holes. Tells nothing about its state. */
  readonly sparse?: boolean;
}

const flags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
/** O_NOATIME: reading leaves no trace. Only the owner and the superuser may ask for it. Node has no name for it. */
const noAtime: number = process.platform === 'linux' ? 0o1000000 : 0;

/** Opens a regular file. @throws BackpackError BP_SOURCE_READ */
export function openSource(path: ByteString): number {
  try {
    return reach(path, (real) => {
      try {
        return openSync(real, flags | noAtime);
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'EPERM' || noAtime === 0) throw error;
        return openSync(real, flags);
      }
    });
  } catch (error) {
    throw sourceError(error, path);
  }
}

/** {@link openSource} without a word of why not: -1 when it cannot be opened at once. */
export function openQuietly(path: ByteString): number {
  if (!isShort(path)) return -1;
  try {
    return openSync(toFsPath(path), flags | noAtime);
  } catch {
    return -1;
  }
}

/** The state of an open file. @throws BackpackError BP_SOURCE_TYPE when it is not a regular file any more */
export function stampOf(fd: number, path: ByteString): FileStamp {
  const found = fstatSync(fd, { bigint: true });
  if (!found.isFile()) {
    throw new BackpackError('BP_SOURCE_TYPE', `${byteStringToText(path)} is no longer a regular file`, {
      kind: 'source',
      context: { errno: 'ETYPE' },
    });
  }
  const { size, mtimeNs, ctimeNs, ino, blocks } = found;
  return { size: Number(size), mtimeNs, ctimeNs, ino, sparse: blocks * 512n < size };
}

/** Whether two stamps are of one state. */
export function sameStamp(a: FileStamp, b: FileStamp): boolean {
  return a.size === b.size && a.mtimeNs === b.mtimeNs && a.ctimeNs === b.ctimeNs && a.ino === b.ino;
}

/**
 * Reads up to `length` bytes at `offset` into `bytes` at `at`.
 * @returns bytes read; fewer only at the end of the file
 * @throws BackpackError BP_SOURCE_READ
 */
export function readAt(
  fd: number,
  bytes: Uint8Array,
  at: number,
  length: number,
  offset: number,
  path: ByteString,
): number {
  let got = 0;
  try {
    while (got < length) {
      const count = readSync(fd, bytes, at + got, length - got, offset + got);
      if (count === 0) break;
      got += count;
    }
  } catch (error) {
    throw sourceError(error, path);
  }
  return got;
}

/** Closes a file of the source; an error on close of a read-only file means nothing. */
export function closeSource(fd: number): void {
  try {
    closeSync(fd);
  } catch {
    // nothing was written through it
  }
}

/** An error while reading the source; `context.errno` holds the system's code. */
function sourceError(error: unknown, path: ByteString): BackpackError {
  // Not the file's fault, and true for every other one: it ends the run instead of leaving files out.
  if (isTooManyFiles(error)) return tooManyFiles(byteStringToText(path), error);
  const { code } = error as NodeJS.ErrnoException;
  return new BackpackError('BP_SOURCE_READ', `${byteStringToText(path)}: ${(error as Error).message}`, {
    kind: 'source',
    context: { errno: code ?? 'EUNKNOWN' },
    cause: error,
  });
}
