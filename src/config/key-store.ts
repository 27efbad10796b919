/** Key files on disk: read strictly, written once, never overwritten. */
import { randomBytes } from 'node:crypto';
import {
  chmodSync,
  closeSync,
  constants,
  fstatSync,
  fsyncSync,
  lstatSync,
  openSync,
  readFileSync,
  renameSync,
  unlinkSync,
  writeSync,
} from 'node:fs';
import { dirname } from 'node:path';
import { BackpackError, systemReason } from '../base/errors.ts';
import { makeFolders, unmakeFolders } from '../base/folders.ts';
import { keyFileMax } from '../base/limits.ts';

/** Bytes of a key file. @throws BackpackError BP_KEY_FILE when it is missing, readable by others, or too large */
export function readKeyBytes(path: string): Buffer {
  let fd: number;
  try {
    // Does not block: a FIFO is refused below, not waited for.
    fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch (error) {
    const missing = (error as NodeJS.ErrnoException).code === 'ENOENT';
    throw keyFileError(missing ? `no key file at ${path}` : `cannot read the key file ${path}`, error, path);
  }
  try {
    const found = fstatSync(fd);
    if (!found.isFile()) throw keyFileError(`${path} is not a file`, undefined, path);
    if (found.size > keyFileMax) throw keyFileError(`${path} is too large for a key file`, undefined, path);
    if (process.platform !== 'win32' && (found.mode & 0o077) !== 0) {
      throw new BackpackError('BP_KEY_MODE', `other users may read the key file ${path}`, {
        kind: 'key',
        context: { path, mode: (found.mode & 0o777).toString(8) },
        hint: `chmod 600 ${path}`,
      });
    }
    return readFileSync(fd);
  } finally {
    closeSync(fd);
  }
}

/**
 * Writes a new key file, durable, mode 0600.
 * @returns takes the file back, and the folders made for it, when nothing was encrypted with the key
 * @throws BackpackError BP_KEY_EXISTS, BP_KEY_FILE
 */
export function writeNewKey(path: string, text: string): () => void {
  const made: string[] = [];
  try {
    makeFolders(dirname(path), 0o700, made);
    writeDurably(path, text, 'wx');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST' && lstatSync(path, { throwIfNoEntry: false })) {
      throw new BackpackError(
        'BP_KEY_EXISTS',
        `there is a file at ${path} already; key files are never overwritten`,
        {
          kind: 'conflict',
          hint: 'give another path with --key FILE',
        },
      );
    }
    throw new BackpackError('BP_KEY_FILE', `cannot write the key file ${path}: ${systemReason(error)}`, {
      kind: 'key',
      context: { path },
      cause: error,
      hint: 'give a place that you may write to with --key FILE; no repository was made',
    });
  }
  syncFolder(dirname(path));
  return () => takeBack(path, made);
}

/** @param made the folders that were made for the file */
function takeBack(path: string, made: readonly string[]): void {
  try {
    unlinkSync(path);
  } catch {
    return;
  }
  unmakeFolders(made);
}

/** Replaces a key file by one with more lines: written beside it, then renamed, so that it is never half there. */
export function replaceKey(path: string, text: string): void {
  const temporary = `${path}.${randomBytes(6).toString('hex')}.new`;
  writeDurably(temporary, text, 'wx');
  chmodSync(temporary, 0o600);
  renameSync(temporary, path);
  syncFolder(dirname(path));
}

function writeDurably(path: string, text: string, flags: 'wx'): void {
  const fd = openSync(path, flags, 0o600);
  try {
    writeSync(fd, text);
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

function syncFolder(folder: string): void {
  const fd = openSync(folder, 'r');
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

function keyFileError(message: string, cause: unknown, path: string): BackpackError {
  return new BackpackError('BP_KEY_FILE', message, {
    kind: 'key',
    context: { path },
    cause,
    hint: 'give the key file of the repository with --key FILE',
  });
}
