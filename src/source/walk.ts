/**
 * Walks the source in the order of pages: depth first, the names of each folder sorted by their bytes. Names are
 * bytes. Nothing is opened but folders; symbolic links are never followed below a root.
 */
import { type BigIntStats, lstatSync, readdirSync, readlinkSync, statSync } from 'node:fs';
import { type ByteString, toFsPath, utf8ToByteString } from '../base/bytes.ts';
import type { Filter, FolderState } from './filter.ts';

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
    yield* visit(root.real, '', root.stored, filter, undefined, root.listed === true);
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
      const stat = statSync(toFsPath(real), { bigint: true });
      yield { real, stored, stat, link: undefined, ancestor: true };
    } catch (error) {
      yield problem(real, stored, error);
    }
  }
  return chain;
}

/** @param place where the folder is that holds it; undefined for a root */
function* visit(
  real: ByteString,
  name: ByteString,
  stored: ByteString,
  filter: Filter,
  place: Place | undefined,
  listed: boolean,
): Generator<SourceItem | SourceProblem> {
  let stat: BigIntStats;
  let link: ByteString | undefined;
  try {
    stat = lstatSync(toFsPath(real), { bigint: true });
    if (stat.isSymbolicLink()) link = readlinkSync(toFsPath(real), 'latin1');
  } catch (error) {
    yield problem(real, stored, error);
    return;
  }
  const verdict =
    place === undefined
      ? filter.root(real, stat, listed, stored)
      : filter.decide(place.state, real, name, stat, stored);
  let pending = place?.pending;
  if (verdict !== undefined && verdict.why !== 'mount' && !verdict.descend) {
    yield { real, stored, code: verdict.why === 'own' ? 'skipped' : 'excluded', message: verdict.reason };
    return;
  }
  const item: SourceItem = { real, stored, stat, link, ancestor: false };
  if (verdict?.why === 'rule') {
    pending = { item, above: pending, done: false };
  } else if (stored !== '') {
    yield* flush(pending);
    yield item;
  }
  if (verdict?.why === 'mount') yield { real, stored, code: 'skipped', message: verdict.reason };
  if (stat.isDirectory() && (verdict === undefined || verdict.descend)) {
    yield* visitFolder(item, name, filter, place, pending, listed);
  }
  if (verdict?.why === 'rule' && pending?.done === false)
    yield { real, stored, code: 'excluded', message: verdict.reason };
}

function* visitFolder(
  { real, stored, stat }: SourceItem,
  name: ByteString,
  filter: Filter,
  place: Place | undefined,
  pending: Pending | undefined,
  listed: boolean,
): Generator<SourceItem | SourceProblem> {
  let names: ByteString[];
  try {
    names = readdirSync(toFsPath(real), 'latin1').sort();
  } catch (error) {
    yield problem(real, stored, error);
    return;
  }
  const state =
    place === undefined
      ? filter.enterRoot(real, stat, names, listed)
      : filter.enter(place.state, real, name, stat, names);
  const inside: Place = { state, pending };
  const realBase = real === '/' ? '/' : `${real}/`;
  const storedBase = stored === '' ? '' : `${stored}/`;
  for (const one of names) yield* visit(realBase + one, one, storedBase + one, filter, inside, false);
}

/** The folders on the way to something that is stored. */
function* flush(pending: Pending | undefined): Generator<SourceItem> {
  if (pending === undefined || pending.done) return;
  pending.done = true;
  yield* flush(pending.above);
  yield pending.item;
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
