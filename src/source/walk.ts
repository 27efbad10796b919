/**
 * Walks the source in the order of pages: depth first, the names of each folder sorted by their bytes. Names are
 * bytes. Nothing is opened but folders; symbolic links are never followed below a root.
 */
import { readdirSync, readlinkSync } from 'node:fs';
import { type ByteString, utf8ToByteString } from '../base/bytes.ts';
import { pathMax } from '../base/limits.ts';
import type { Filter, FolderState, Verdict } from './filter.ts';
import { reach } from './reach.ts';
import { lstat, type SourceStat, stat as statOf } from './source-stat.ts';

/** A path to back up: where it is, and how it is called in the snapshot (empty: its content is the top). */
export interface SourceRoot {
  readonly real: ByteString;
  readonly stored: ByteString;
  /** It came from a list of files (--files-from): rules may leave it out, as if the walk had found it. */
  readonly listed?: boolean;
}

/** Something found by the walk. */
export interface SourceItem {
  readonly real: ByteString;
  readonly stored: ByteString;
  readonly stat: SourceStat;
  /** Target of a symbolic link. */
  readonly link: ByteString | undefined;
  /** A folder above a root. */
  readonly ancestor: boolean;
}

/** Something that could not be looked at, or that is left out on purpose. */
export interface SourceProblem {
  readonly stored: ByteString;
  readonly real: ByteString;
  /**
   * The system's error code; `excluded`: a rule of the user leaves it out; `skipped`: it is never stored, or is stored
   * as an empty folder because it is another filesystem.
   */
  readonly code: string;
  readonly message: string;
}

/** A folder that is left out, and stored all the same when something in it is not. */
interface Pending {
  readonly item: SourceItem;
  readonly above: Pending | undefined;
  done: boolean;
}

/** Where the walk is. */
interface Place {
  readonly state: FolderState;
  readonly pending: Pending | undefined;
}

/** Yields everything below the roots, which must be sorted and must not overlap. */
export function* walk(roots: readonly SourceRoot[], filter: Filter): Generator<SourceItem | SourceProblem> {
  let above: ByteString[] = [];
  for (const root of roots) {
    above = yield* ancestorsOf(root, above);
    yield* visit(root.real, root.stored, filter, root.listed === true);
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
      const stat = reach(real, statOf);
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
  readonly place: Place;
  /** It is left out, unless something in it is not; and why. */
  readonly leftOut: { readonly pending: Pending; readonly reason: string } | undefined;
  next: number;
}

/** A loop, not a recursion: a path of 65,535 bytes can have 32,767 folders. */
function* visit(
  root: ByteString,
  storedRoot: ByteString,
  filter: Filter,
  listed: boolean,
): Generator<SourceItem | SourceProblem> {
  const levels: Level[] = [];
  let real = root;
  let stored = storedRoot;
  let name: ByteString = '';
  let place: Place | undefined;
  for (;;) {
    const found = lookAt(real, stored);
    if ('code' in found) {
      yield found;
    } else {
      const { stat } = found;
      const verdict =
        place === undefined
          ? filter.root(real, stat, listed, stored)
          : filter.decide(place.state, real, name, stat, stored);
      if (verdict === undefined && stat.type !== 'd') {
        if (place?.pending !== undefined) yield* flush(place.pending);
        yield found;
      } else {
        const level = yield* visitFolder(found, name, filter, place, listed, verdict);
        if (level !== undefined) levels.push(level);
      }
    }
    let level = levels.at(-1);
    while (level !== undefined && level.next === level.names.length) {
      const { leftOut } = level;
      if (leftOut?.pending.done === false) yield excluded(leftOut.pending.item, leftOut.reason);
      levels.pop();
      level = levels.at(-1);
    }
    if (level === undefined) return;
    name = level.names[level.next++]!;
    real = level.real + name;
    stored = level.stored + name;
    place = level.place;
  }
}

/** A folder, or anything that the filter has something to say of. @returns what is in it, to be visited next */
function* visitFolder(
  item: SourceItem,
  name: ByteString,
  filter: Filter,
  place: Place | undefined,
  listed: boolean,
  verdict: Verdict | undefined,
): Generator<SourceItem | SourceProblem, Level | undefined> {
  const { real, stored, stat } = item;
  let pending = place?.pending;
  if (verdict !== undefined && verdict.why !== 'mount' && !verdict.descend) {
    yield verdict.why === 'own' ? skipped(item, verdict.reason) : excluded(item, verdict.reason);
    return undefined;
  }
  if (verdict?.why === 'rule') {
    pending = { item, above: pending, done: false };
  } else if (stored !== '') {
    yield* flush(pending);
    yield item;
  }
  if (verdict?.why === 'mount') yield skipped(item, verdict.reason);
  const leftOut = verdict?.why === 'rule' ? { pending: pending!, reason: verdict.reason } : undefined;
  const descend = stat.type === 'd' && (verdict === undefined || verdict.descend);
  const names = descend ? namesIn(real, stored) : [];
  if ('code' in names) yield names;
  if ('code' in names || !descend) {
    if (leftOut?.pending.done === false) yield excluded(item, leftOut.reason);
    return undefined;
  }
  const state =
    place === undefined
      ? filter.enterRoot(real, stat, names, listed)
      : filter.enter(place.state, real, name, stat, names);
  return {
    real: real === '/' ? '/' : `${real}/`,
    stored: stored === '' ? '' : `${stored}/`,
    names,
    place: { state, pending },
    leftOut,
    next: 0,
  };
}

function excluded({ real, stored }: SourceItem, message: string): SourceProblem {
  return { real, stored, code: 'excluded', message };
}

function skipped({ real, stored }: SourceItem, message: string): SourceProblem {
  return { real, stored, code: 'skipped', message };
}

/** What is at a path. */
function lookAt(real: ByteString, stored: ByteString): SourceItem | SourceProblem {
  try {
    if (stored.length > pathMax)
      throw Object.assign(new Error('a snapshot has no place for a path this long'), {
        code: 'ENAMETOOLONG',
      });
    const stat = reach(real, lstat);
    const link = stat.type === 'l' ? reach(real, (path) => readlinkSync(path, 'latin1')) : undefined;
    return { real, stored, stat, link, ancestor: false };
  } catch (error) {
    return problem(real, stored, error);
  }
}

/** The names in a folder, in order. */
function namesIn(real: ByteString, stored: ByteString): ByteString[] | SourceProblem {
  try {
    return reach(real, (path) => readdirSync(path, 'latin1')).sort();
  } catch (error) {
    return problem(real, stored, error);
  }
}

/** The folders on the way to something that is stored, the outermost first. */
function* flush(pending: Pending | undefined): Generator<SourceItem> {
  const items: SourceItem[] = [];
  for (let one = pending; one !== undefined && !one.done; one = one.above) {
    one.done = true;
    items.push(one.item);
  }
  yield* items.reverse();
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
  return rootOfBytes(utf8ToByteString(path), utf8ToByteString(cwd));
}

/** {@link rootOf} for a path of bytes. */
export function rootOfBytes(given: ByteString, cwd: ByteString): SourceRoot {
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
  if (!leaves) return { real: clean === '' ? cwd : joinPath(cwd, clean), stored: clean };
  return rootOfBytes(`${cwd}/${given}`, cwd);
}

function joinPath(base: ByteString, rest: ByteString): ByteString {
  return base === '/' ? `/${rest}` : `${base}/${rest}`;
}
