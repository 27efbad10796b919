/**
 * Questions that are asked before a restore writes anything: how much room it needs, and what is in the target that
 * the snapshot does not have.
 */
import { lstatSync, type Stats } from 'node:fs';
import type { Breath } from '../base/breath.ts';
import type { ByteString } from '../base/bytes.ts';
import { isBackpackError } from '../base/errors.ts';
import type { Entry } from '../format/entry-stream.ts';
import { hole } from '../format/extents.ts';
import type { Jail } from '../target/jail.ts';
import { legalName } from '../target/legal-name.ts';

/** What a restore takes of its target. */
export interface Need {
  bytes: number;
  files: number;
}

/** Room that entries need: holes take none, another name of a file takes none, and what they replace is given back. */
export async function roomFor(
  entries: AsyncIterable<Entry>,
  jail: Jail | undefined,
  blockBytes: number,
): Promise<Need> {
  const need: Need = { bytes: 0, files: 0 };
  const linked = new Set<string>();
  for await (const { path, type, json, extents } of entries) {
    if (json.hl !== undefined) {
      if (linked.has(json.hl)) continue;
      linked.add(json.hl);
    }
    let bytes = type === 'd' ? blockBytes : 0;
    for (const { pack, length } of extents) if (pack !== hole) bytes += length;
    const there = jail === undefined ? undefined : statInside(jail, path);
    const had = (there?.blocks ?? 0) * 512;
    need.bytes += Math.max(0, Math.ceil(bytes / blockBytes) * blockBytes - had);
    if (there === undefined) need.files += 1;
  }
  return need;
}

/** Something at a path of the target; undefined also when it would be reached through a link only. */
function statInside(jail: Jail, path: ByteString): Stats | undefined {
  try {
    return lstatSync(jail.at(path), { throwIfNoEntry: false });
  } catch (error) {
    if (isBackpackError(error)) return undefined;
    throw error;
  }
}

interface OpenFolder {
  readonly path: ByteString;
  /** Whether all of it was stored: not a folder that only leads to what was. */
  readonly whole: boolean;
  readonly names: Set<ByteString>;
}

/** What is spared although the snapshot does not have it. */
export interface Sparing {
  /** Whether the patterns choose a path: what they leave out is neither restored nor removed. */
  readonly wants: (path: ByteString, isFolder: boolean) => boolean;
  /** What the backup could not read. */
  readonly unread: ReadonlySet<ByteString>;
  /** Whether there is neither of them, so that nobody need look into what is removed. */
  readonly nothing: boolean;
  readonly breath: Breath;
}

/**
 * Names what is in the restored folders of the target and not in the snapshot; a folder stands for all that is in it.
 * @param entries all of the snapshot below what is restored, in order, with none missing
 */
export async function extrasOf(
  entries: AsyncIterable<Entry>,
  jail: Jail,
  spare: Sparing,
): Promise<ByteString[]> {
  const extras: ByteString[] = [];
  const open: OpenFolder[] = [];
  const close = async (): Promise<void> => {
    const { path, whole, names } = open.pop()!;
    if (!whole || (names.size === 0 && isMountPoint(jail, path))) return;
    for (const extra of extrasIn(jail, path, names)) extras.push(...(await notSpared(extra, jail, spare)));
  };
  for await (const { path, type, json } of entries) {
    const slash = path.lastIndexOf('/');
    const folder = path.slice(0, Math.max(0, slash));
    while (open.length > 0 && open.at(-1)!.path !== folder) await close();
    open.at(-1)?.names.add(path.slice(slash + 1));
    if (type === 'd') open.push({ path, whole: json.an !== 1, names: new Set() });
  }
  while (open.length > 0) await close();
  return extras;
}

/** An extra itself, or, when something in it is spared, the rest of what is in it. */
async function notSpared(path: ByteString, jail: Jail, spare: Sparing): Promise<ByteString[]> {
  const { wants, unread, nothing, breath } = spare;
  if (nothing) return [path];
  await breath.take();
  const isFolder = statInside(jail, path)?.isDirectory() ?? false;
  if (isUnread(path, unread)) return [];
  if (!isFolder) return wants(path, false) ? [path] : [];
  const inside: ByteString[] = [];
  let all = wants(path, true);
  for (const name of jail.names(path).sort()) {
    const child = `${path}/${name}`;
    const found = await notSpared(child, jail, spare);
    all &&= found.length === 1 && found[0] === child;
    inside.push(...found);
  }
  return all ? [path] : inside;
}

/** Whether the backup could not read something, or a folder above it. */
function isUnread(path: ByteString, unread: ReadonlySet<ByteString>): boolean {
  if (unread.size === 0) return false;
  for (let end = path.length; end > 0; end = path.lastIndexOf('/', end - 1))
    if (unread.has(path.slice(0, end))) return true;
  return false;
}

/** A backup that stays on its filesystem stores the folder where another one is mounted as an empty one. */
function isMountPoint(jail: Jail, path: ByteString): boolean {
  try {
    const slash = path.lastIndexOf('/');
    const above = jail.real(slash < 0 ? '' : path.slice(0, slash));
    return lstatSync(above).dev !== lstatSync(jail.real(path)).dev;
  } catch {
    // Not there, or nothing that anything is done through.
    return false;
  }
}

function extrasIn(jail: Jail, folder: ByteString, names: ReadonlySet<ByteString>): ByteString[] {
  let found: ByteString[];
  try {
    found = jail.names(folder);
  } catch (error) {
    // Not there yet, or a link that nothing is done through.
    if (isBackpackError(error)) return [];
    throw error;
  }
  return found
    .filter((name) => !names.has(name) && !isChangedName(name, names))
    .sort()
    .map((name) => `${folder}/${name}`);
}

/** Whether a name was made from one of these, which the target refuses. */
function isChangedName(name: ByteString, names: ReadonlySet<ByteString>): boolean {
  return /~[0-9a-f]{8}$/.test(name) && [...names].some((one) => legalName(one) === name);
}
