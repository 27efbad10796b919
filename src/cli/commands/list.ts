/** `backpack list`: the snapshots. */
import { HeadStore } from '../../config/heads.ts';
import { type NameJson, nameFromJson } from '../../format/name-json.ts';
import { shortId } from '../../format/names.ts';
import { type CommonOptions, type Context, exitCodes } from '../context.ts';
import { checkHead } from '../head.ts';
import { tellCopy } from '../render/copy.ts';
import { spelled } from '../render/names.ts';
import { Voice } from '../render/output.ts';
import { bytes, count, counted, isoTime, safe, table, when } from '../render/text.ts';
import { openFrom, readSettings } from '../settings.ts';

/** Runs the command. @returns the exit code */
export async function list(context: Context, options: CommonOptions): Promise<number> {
  const voice = new Voice(context, options);
  const settings = readSettings(context, options);
  const { repository } = await openFrom(settings);
  const found = await checkHead(repository, new HeadStore(settings.folders.state));
  const hasSet = found.snapshots.some(({ root }) => root.set !== undefined);
  const hasTags = found.snapshots.some(({ root }) => (root.tags ?? []).length > 0);
  // Who uses neither sets nor tags has no columns for them.
  const columns = (set: string, tags: string): string[] => [
    ...(hasSet ? [set] : []),
    ...(hasTags ? [tags] : []),
  ];
  const rows: string[][] = [['ID', 'TIME', 'HOST', ...columns('SET', 'TAGS'), 'FILES', 'SIZE', 'PATHS']];
  for (const { id, root, copy } of found.snapshots) {
    voice.event({
      type: 'snapshot',
      snapshotId: id,
      shortId: shortId(id),
      seq: root.seq,
      time: isoTime(root.time),
      host: root.host,
      ...(root.set === undefined ? {} : { set: root.set }),
      tags: root.tags ?? [],
      roots: root.roots,
      partial: root.partial,
      sourceErrors: root.stats.errors ?? 0,
      files: root.stats.files,
      bytes: root.stats.bytes,
      stored: root.stats.stored,
      ...(copy === undefined ? {} : { copy: copy.pack.name }),
    });
    const roots = root.roots.map((name) => spelled(nameFromJson(name as NameJson)) || '.').join(' ');
    const unread = root.stats.errors ?? 0;
    const notes = [
      ...(root.partial ? ['partial'] : []),
      ...(copy === undefined ? [] : ['damaged, read from its copy']),
      ...(unread > 0 ? [`${counted(unread, 'file or folder', 'files or folders')} not read`] : []),
    ]
      .map((note) => ` [${note}]`)
      .join('');
    rows.push([
      shortId(id),
      when(root.time),
      safe(root.host),
      ...columns(safe(root.set ?? ''), safe((root.tags ?? []).join(','))),
      count(root.stats.files),
      bytes(root.stats.bytes),
      roots + safe(notes),
    ]);
  }
  for (const { name, error, copy } of found.unreadable) {
    if (copy !== undefined) {
      const { code, message } = error;
      tellCopy(voice, { object: name, code, message, copy: copy.pack.name });
      continue;
    }
    voice.event({ type: 'damage', code: error.code, object: name, message: error.message });
    voice.warn(`cannot read ${name}: ${safe(error.message)} (${error.code})\n`);
  }
  if (found.snapshots.length === 0)
    voice.say('The repository has no snapshot yet. backpack backup PATH makes one.\n');
  else voice.result(table(rows));
  voice.event({ type: 'summary', command: 'list', snapshots: found.snapshots.length });
  if (found.unreadable.length === 0) return exitCodes.ok;
  const onlyUnread = found.unreadable.every(
    ({ error, copy }) => error.kind === 'storage' && copy === undefined,
  );
  return onlyUnread ? exitCodes.storage : exitCodes.damaged;
}
