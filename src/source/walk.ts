/**
 * Walks the source in the order of pages: depth first, the names of each folder sorted by their bytes. Names are
 * bytes. Nothing is opened but folders; symbolic links are never followed below a root.
 */
import { type BigIntStats, lstatSync, readdirSync, readlinkSync, statSync } from 'node:fs';
import { type ByteString, utf8ToByteString } from '../base/bytes.ts';
import { pathMax } from '../base/limits.ts';
import { reach } from './reach.ts';

/** A path to back up: where it is, and how it is called in the snapshot (empty: its content is the top). */
export interface SourceRoot {
  readonly real: ByteString;
  readonly stored: ByteString;
}

/** Something found by the walk. */
export interface SourceItem {
  readonly real: ByteString;
  readonly stored: ByteString;
  readonly stat: BigIntStats;
  /** Target of a symbolic link. */
  readonly link: ByteString | undefined;
  /** A folder above a root. */
  readonly ancestor: boolean;
}

/** Something that could not be looked at, or that is left out on purpose. */
export interface SourceProblem {
  readonly stored: ByteString;
  readonly real: ByteString;
  /** The system's error code, or `skipped`. */
  readonly code: string;
  readonly message: string;
}

/** Decides what is left out: a reason, or undefined to keep it. */
export type Skip = (stat: BigIntStats) => string | undefined;

/** Yields everything below the roots, which must be sorted and must not overlap. */
export function* walk(roots: readonly SourceRoot[], skip: Skip): Generator<SourceItem | SourceProblem> {
  let above: ByteString[] = [];
  for (const root of roots) {
    above = yield* ancestorsOf(root, above);
    yield* visit(root.real, root.stored, skip, root.stored === '');
  }
}

/** The folders above a root, but for those that the root before it has yielded. */
function* ancestorsOf(
  root: SourceRoot,
  seen: ByteString[],
): Generator<SourceItem | SourceProblem, ByteString[]> {
  const parts = root.stored.split('/').slice(0, -1);
  const chain: ByteString[] = [];
  for (let i = 0; i < parts.length; i += 1) {
    const stored = parts.slice(0, i + 1).join('/');
    chain.push(stored);
    if (seen[i] === stored) continue;
    const up = parts.length - i;
    const real = root.real.split('/').slice(0, -up).join('/') || '/';
    try {
      const stat = reach(real, (path) => statSync(path, { bigint: true }));
      yield { real, stored, stat, link: undefined, ancestor: true };
    } catch (error) {
      yield problem(real, stored, error);
    }
  }
  return chain;
}

/** A folder on the way: its names, and how far the walk has come. */
interface Level {
  readonly real: string;
  readonly stored: string;
  readonly names: readonly ByteString[];
  next: number;
}

/** A loop, not a recursion: a path of 65,535 bytes can have 32,767 folders. */
function* visit(
  root: ByteString,
  storedRoot: ByteString,
  skip: Skip,
  top: boolean,
): Generator<SourceItem | SourceProblem> {
  const levels: Level[] = [];
  let real = root;
  let stored = storedRoot;
  for (;;) {
    const found = lookAt(real, stored, skip);
    if ('code' in found || !top || levels.length > 0) yield found;
    if (!('code' in found) && found.stat.isDirectory()) {
      const level = levelOf(real, stored);
      if ('code' in level) yield level;
      else levels.push(level);
    }
    let level = levels[levels.length - 1];
    while (level !== undefined && level.next === level.names.length) {
      levels.pop();
      level = levels[levels.length - 1];
    }
    if (level === undefined) return;
    const name = level.names[level.next++]!;
    real = level.real + name;
    stored = level.stored + name;
  }
}

/** What is at a path. */
function lookAt(real: ByteString, stored: ByteString, skip: Skip): SourceItem | SourceProblem {
  try {
    if (stored.length > pathMax)
      throw Object.assign(new Error('a snapshot has no place for a path this long'), {
        code: 'ENAMETOOLONG',
      });
    const stat = reach(real, (path) => lstatSync(path, { bigint: true }));
    const link = stat.isSymbolicLink() ? reach(real, (path) => readlinkSync(path, 'latin1')) : undefined;
    const reason = skip(stat);
    if (reason !== undefined) return { real, stored, code: 'skipped', message: reason };
    return { real, stored, stat, link, ancestor: false };
  } catch (error) {
    return problem(real, stored, error);
  }
}

/** The names in a folder, in order. */
function levelOf(real: ByteString, stored: ByteString): Level | SourceProblem {
  try {
    const names = reach(real, (path) => readdirSync(path, 'latin1')).sort();
    return {
      real: real === '/' ? '/' : `${real}/`,
      stored: stored === '' ? '' : `${stored}/`,
      names,
      next: 0,
    };
  } catch (error) {
    return problem(real, stored, error);
  }
}

function problem(real: ByteString, stored: ByteString, error: unknown): SourceProblem {
  const { code, message } = error as NodeJS.ErrnoException;
  return { real, stored, code: code ?? 'EUNKNOWN', message };
}

/**
 * Roots from the paths a user gave (SPEC, "Stored path"): cleaned lexically, absolute ones without the leading `/`,
 * `.` at the top, relative ones that leave the working folder made absolute.
 * @param cwd absolute path of the working folder
 */
export function rootOf(path: string, cwd: string): SourceRoot {
  const given = utf8ToByteString(path);
  const base = utf8ToByteString(cwd);
  const absolute = given.startsWith('/');
  const parts: ByteString[] = [];
  let leaves = false;
  for (const part of given.split('/')) {
    if (part === '' || part === '.') continue;
    if (part !== '..') parts.push(part);
    else if (parts.length > 0) parts.pop();
    else leaves = true;
  }
  const clean = parts.join('/');
  if (absolute) return { real: `/${clean}`, stored: clean };
  if (!leaves) return { real: clean === '' ? base : joinPath(base, clean), stored: clean };
  return rootOf(`${cwd}/${path}`, cwd);
}

function joinPath(base: ByteString, rest: ByteString): ByteString {
  return base === '/' ? `/${rest}` : `${base}/${rest}`;
}
