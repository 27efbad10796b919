/**
 * What to back up, from the paths that a user named: sorted, one inside another only once, no two under one name
 * (SPEC, "Stored path"). Works for lists of millions of files.
 */
import { lstatSync } from 'node:fs';
import { type ByteString, byteStringToText, fromByteString } from '../base/bytes.ts';
import { BackpackError, systemReason } from '../base/errors.ts';
import { comparePaths } from '../format/path-rules.ts';
import { isBelow } from '../repo/entries.ts';
import { rootOfBytes, type SourceRoot } from '../source/walk.ts';

/** A path as it was given. */
export interface GivenPath {
  readonly path: ByteString;
  /** From a list: it need not be there any more, and rules apply to it. */
  readonly listed: boolean;
}

/** Roots, and named paths that lie inside another root. */
export interface Roots {
  readonly roots: readonly SourceRoot[];
  readonly inside: readonly ByteString[];
}

/** @param cwd working folder @throws BackpackError BP_SOURCE_MISSING, BP_ROOTS_COLLIDE */
export function gatherRoots(given: Iterable<GivenPath>, cwd: ByteString): Roots {
  const all: SourceRoot[] = [];
  for (const { path, listed } of given) {
    if (path === '')
      // A variable of a script that is not set, and not a wish to back up the working folder.
      throw new BackpackError('BP_USAGE', 'a path is an empty name', {
        kind: 'usage',
        hint: 'write . for the working folder; nothing was stored',
      });
    const root = rootOfBytes(path, cwd);
    if (!listed) mustExist(path, root);
    all.push(listed ? { ...root, listed } : root);
  }
  // What was named comes before the same path from a list.
  all.sort(
    (a, b) => comparePaths(a.stored, b.stored) || Number(a.listed ?? false) - Number(b.listed ?? false),
  );
  const roots: SourceRoot[] = [];
  const inside: ByteString[] = [];
  for (const root of all) {
    const outer = roots.at(-1);
    // Sorted like this, everything below a root follows it directly.
    if (outer === undefined || !(outer.stored === '' || isBelow(root.stored, outer.stored))) {
      roots.push(root);
    } else if (!covers(outer, root)) {
      throw collide(root.stored);
    } else if (root.listed !== true && root.real !== outer.real) inside.push(root.real);
  }
  return { roots, inside };
}

/** Whether what is below `outer` holds `inner` under its name. */
function covers(outer: SourceRoot, inner: SourceRoot): boolean {
  const below = outer.real === '/' || isBelow(inner.real, outer.real);
  const rest = inner.real.slice(outer.real === '/' ? 1 : outer.real.length + 1);
  const stored = [outer.stored, rest].filter((part) => part !== '').join('/');
  return below && stored === inner.stored;
}

function mustExist(path: ByteString, root: SourceRoot): void {
  try {
    const stat = lstatSync(fromByteString(root.real));
    if (root.stored === '' && !stat.isDirectory())
      throw new TypeError('a root without name must be a folder');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    const why = code === 'ENOENT' ? 'there is no such file or folder' : systemReason(error);
    throw new BackpackError('BP_SOURCE_MISSING', `cannot back up ${byteStringToText(path)}: ${why}`, {
      kind: 'source',
      cause: error,
      hint: 'check the path; nothing was stored',
    });
  }
}

function collide(stored: ByteString): BackpackError {
  return new BackpackError(
    'BP_ROOTS_COLLIDE',
    `two paths would be stored under the same name ${byteStringToText(stored)}`,
    { kind: 'usage', hint: 'give absolute paths, or back them up one by one' },
  );
}

/** A root as the user named it: an absolute path with its slash, which the path in the snapshot does not have. */
function namedAs({ real, stored }: SourceRoot): ByteString {
  return real === `/${stored}` ? real : stored;
}

const recordedMax = 1000;

/** What holds a path in any case. */
function top(path: ByteString): ByteString {
  return path.startsWith('/') ? '/' : '';
}

/** Stored paths of roots as a snapshot names them: of a long list of files, only the folders that hold them. */
export function recordedRoots(roots: readonly SourceRoot[]): ByteString[] {
  const all = roots.map(namedAs);
  let depth = all.reduce((most, path) => Math.max(most, path.split('/').length), 0);
  let found = all;
  for (; found.length > recordedMax && depth >= 0; depth -= 1) {
    found = [...new Set(found.map((path) => path.split('/').slice(0, depth).join('/') || top(path)))];
  }
  return found;
}
