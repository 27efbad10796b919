/** `backpack ls`: what is in a snapshot. */
import type { ByteString } from '../../base/bytes.ts';
import { HeadStore } from '../../config/heads.ts';
import { type NameJson, nameFromJson } from '../../format/name-json.ts';
import { noPath } from '../../operations/no-path.ts';
import { entriesOf, isBelow } from '../../repo/entries.ts';
import { damagedOrThrow, findSnapshot, loadSnapshot, PageReader } from '../../repo/snapshots.ts';
import type { PageEntry } from '../../schema/index.ts';
import { type CommonOptions, type Context, exitCodes } from '../context.ts';
import { checkHead } from '../head.ts';
import { tellCopy } from '../render/copy.ts';
import { spelled, unspelled } from '../render/names.ts';
import { Voice } from '../render/output.ts';
import { safe, when } from '../render/text.ts';
import { openFrom, readSettings } from '../settings.ts';

/** Runs the command. @returns the exit code */
export async function ls(
  context: Context,
  wanted: string,
  options: CommonOptions & { readonly long?: boolean },
): Promise<number> {
  const voice = new Voice(context, options);
  const settings = readSettings(context, options);
  const { repository } = await openFrom(settings);
  const { snapshot: name, path } = splitWanted(wanted);
  const info = findSnapshot(await checkHead(repository, new HeadStore(settings.folders.state)), name);
  const snapshot = await loadSnapshot(repository, info);
  let entries = 0;
  let damaged = 0;
  const { copy, damage } = snapshot;
  if (copy !== undefined && damage !== undefined) {
    damaged += 1;
    const { code, message } = damage;
    tellCopy(voice, { object: info.object.name, code, message, copy: copy.pack.name });
  }
  const onPageError = (error: unknown): void => {
    const found = damagedOrThrow(error);
    damaged += 1;
    voice.event({
      type: 'damage',
      code: found.code,
      object: String(found.context['object'] ?? ''),
      message: found.message,
    });
    voice.warn(`a page cannot be read: ${safe(found.message)} (${found.code})\n`);
  };
  for await (const { path: at, json, type } of entriesOf(
    new PageReader(repository, snapshot.writer),
    snapshot,
    path,
    onPageError,
  )) {
    if (context.signal.aborted) throw context.signal.reason;
    if (!isBelow(at, path)) continue;
    entries += 1;
    const line = { path: json.p, kind: type, mtime: json.m ?? '0.000000000', mode: json.o ?? '0000' };
    voice.event({ type: 'entry', ...line, ...detailsOf(json) });
    voice.result(`${row(at, type, json, options.long === true)}\n`);
  }
  if (entries === 0 && path !== '') throw noPath(path, info, spelled);
  voice.event({ type: 'summary', command: 'ls', snapshotId: info.id, entries });
  return damaged > 0 ? exitCodes.damaged : exitCodes.ok;
}

/** A time has colons of its own. */
const time = /^@\d{4}(?:-\d\d){0,2}(?:[T ]\d\d(?::\d\d){0,2})?Z?/;

/** `SNAPSHOT[:PATH]`; a path may begin with `/` or `./`, as it was given to backup, and is spelled as ls spells it. */
export function splitWanted(wanted: string): { snapshot: string; path: string } {
  const colon = wanted.indexOf(':', time.exec(wanted)?.[0].length);
  if (colon < 0) return { snapshot: wanted, path: '' };
  const parts = wanted.slice(colon + 1).split('/');
  const path = parts.filter((part) => part !== '' && part !== '.').join('/');
  return { snapshot: wanted.slice(0, colon) || 'latest', path: unspelled(path) };
}

/** What an event of --json says beyond kind, mode and time. */
function detailsOf({ s, u, un, g, gn, rd, xa, fl, hl, l, x }: PageEntry): Record<string, unknown> {
  return defined({
    size: s,
    uid: u,
    gid: g,
    owner: un,
    group: gn,
    device: rd,
    xattrs: xa?.map(([name]) => name),
    flags: fl,
    hardLink: hl,
    target: l,
    xxh64: x,
  });
}

/** @param long with owner and group, which can be of any length: columns are not known before the last entry is */
function row(path: ByteString, type: string, json: PageEntry, long: boolean): string {
  const { un, u, gn, g, xa, rd } = json;
  const letter = type === 'f' ? '-' : type;
  const owners = [un ?? u ?? '?', gn ?? g ?? '?'].map((who) => ` ${safe(String(who)).padEnd(8)}`).join('');
  // As ls(1): what has more to it than its mode says (a label of SELinux, which everything has, is a dot); and of a
  // device, its numbers in the place of a size.
  const labelOnly = xa?.every(([name]) => name === 'security.selinux') === true;
  const more = xa === undefined ? ' ' : labelOnly ? '.' : '+';
  const size = (rd?.join(', ') ?? String(json.s ?? '')).padStart(14);
  const target = json.l === undefined ? '' : ` -> ${spelled(nameFromJson(json.l as NameJson))}`;
  return `${letter}${rights(json.o ?? '0000')}${more}${long ? owners : ''}${size}  ${when(json.m ?? '0')}  ${spelled(path)}${target}`;
}

/** As ls(1) shows them: s and t stand for x with setuid, setgid and the sticky bit, S and T without it. */
function rights(mode: string): string {
  const bits = Number.parseInt(mode, 8);
  const special = ['s', 's', 't'];
  return [6, 3, 0]
    .map((shift, i) => {
      const three = bits >> shift;
      const x = (three & 1) !== 0;
      const letter = special[i]!;
      const last = (bits >> (11 - i)) & 1 ? (x ? letter : letter.toUpperCase()) : x ? 'x' : '-';
      return `${three & 4 ? 'r' : '-'}${three & 2 ? 'w' : '-'}${last}`;
    })
    .join('');
}

function defined(values: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined));
}
