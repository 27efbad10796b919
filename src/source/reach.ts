/**
 * Paths longer than the kernel takes (4,096 bytes): the folders on the way are opened one after the other, and what
 * is left of the path is used relative to the last handle (/proc/self/fd/N). Short paths are used as they are.
 */
import { closeSync, constants, openSync } from 'node:fs';
import { type ByteString, toFsPath } from '../base/bytes.ts';

/** PATH_MAX with its NUL, less what `/proc/self/fd/N/` takes. */
const pathBytesMax = 4000;
/** O_PATH: a handle to begin from, which needs no right to read the folder. Node has no name for it. */
const openPath: number = process.platform === 'linux' ? 0o10000000 : 0;
const folderFlags: number = constants.O_RDONLY | constants.O_DIRECTORY | openPath;

/** Whether the kernel takes a path as it is. */
export function isShort(path: ByteString): boolean {
  return path.length <= pathBytesMax;
}

/** Calls `use` with something that file functions take for `path`; it is good until `use` returns. */
export function reach<T>(path: ByteString, use: (path: string | Buffer) => T): T {
  if (isShort(path)) return use(toFsPath(path));
  let rest = path;
  let fd = -1;
  try {
    while (rest.length > pathBytesMax) {
      const cut = rest.lastIndexOf('/', pathBytesMax);
      // One name of more than 4,000 bytes: the kernel says what it thinks of it.
      if (cut <= 0) break;
      const next = openSync(below(fd, rest.slice(0, cut)), folderFlags);
      if (fd >= 0) closeSync(fd);
      fd = next;
      rest = rest.slice(cut + 1);
    }
    return use(below(fd, rest));
  } finally {
    if (fd >= 0) closeSync(fd);
  }
}

function below(fd: number, rest: ByteString): string | Buffer {
  return toFsPath(fd < 0 ? rest : `/proc/self/fd/${fd}/${rest}`);
}
