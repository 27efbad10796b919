/**
 * Paths in snapshots (SPEC, "Pages"): order, and which paths are allowed.
 */
import type { ByteString } from '../base/bytes.ts';
import { componentMax, pathMax } from '../base/limits.ts';
import { reject } from './reject.ts';

/**
 * Compares two paths as bytes with `/` below every other byte: the order of a depth-first walk in which the names of
 * each directory are sorted by their bytes.
 */
export function comparePaths(a: ByteString, b: ByteString): number {
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i += 1) {
    const x = a.charCodeAt(i);
    const y = b.charCodeAt(i);
    if (x !== y) {
      if (x === 47) return -1;
      if (y === 47) return 1;
      return x - y;
    }
  }
  return a.length - b.length;
}

/**
 * Checks that a path may stand in a snapshot.
 * @throws BackpackError E_PATH, E_LIMIT
 */
export function checkPath(path: ByteString): void {
  if (path.length > pathMax) throw reject('E_LIMIT', 'a path is longer than 65,535 bytes');
  if (path.length === 0) throw reject('E_PATH', 'a path is empty');
  if (path.includes('\0')) throw reject('E_PATH', 'a path has a NUL byte');
  let from = 0;
  for (;;) {
    const slash = path.indexOf('/', from);
    const end = slash < 0 ? path.length : slash;
    const length = end - from;
    const dot = length > 0 && length <= 2 && path.startsWith('..'.slice(0, length), from);
    if (length === 0 || dot)
      throw reject('E_PATH', `not an allowed path: ${JSON.stringify(path.slice(0, 200))}`);
    if (length > componentMax) throw reject('E_LIMIT', 'a name in a path is longer than 1,024 bytes');
    if (slash < 0) return;
    from = slash + 1;
  }
}

/** Checks the target of a symbolic link. @throws BackpackError E_PATH, E_LIMIT */
export function checkTarget(target: ByteString): void {
  if (target.length > pathMax) throw reject('E_LIMIT', 'the target of a link is longer than 65,535 bytes');
  if (target.length === 0 || target.includes('\0'))
    throw reject('E_PATH', 'the target of a link is empty or has a NUL byte');
}

/** The path of the folder that holds `path`, or undefined at the top. */
export function parentOf(path: ByteString): ByteString | undefined {
  const slash = path.lastIndexOf('/');
  return slash < 0 ? undefined : path.slice(0, slash);
}
