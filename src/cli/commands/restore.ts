/** `backpack restore`: files of a snapshot below a folder. */
import { existsSync, realpathSync, statSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { type ByteString, byteStringToText } from '../../base/bytes.ts';
import { BackpackError } from '../../base/errors.ts';
import { HeadStore } from '../../config/heads.ts';
import { nameToJson } from '../../format/name-json.ts';
import { shortId } from '../../format/names.ts';
import {
  type RestoreEvent,
  type RestoreOptions,
  type RestoreSummary,
  restore as runRestore,
} from '../../operations/restore.ts';
import { overwritePolicies } from '../../target/existing.ts';
import { type RuleArgument, restoreRules } from '../choosing.ts';
import { type CommonOptions, type Context, exitCodes } from '../context.ts';
import { checkHead } from '../head.ts';
import { tellCopy } from '../render/copy.ts';
import { Voice } from '../render/output.ts';
import { Progress } from '../render/progress.ts';
import { bytes, counted, duration, safe } from '../render/text.ts';
import { openFrom, parseThreads, readSettings } from '../settings.ts';
import { splitWanted } from './ls.ts';

/** Options of the command. */
export interface RestoreCommandOptions extends CommonOptions {
  readonly to?: string;
  readonly rules?: readonly RuleArgument[];
  readonly intoOriginal?: boolean;
  readonly overwrite?: string;
  readonly delete?: boolean;
  readonly yes?: boolean;
  readonly verify?: boolean;
  readonly dryRun?: boolean;
  readonly sparse?: boolean;
  /** False: --no-space-check. */
  readonly spaceCheck?: boolean;
  readonly numericOwner?: boolean;
  /** False: --no-owner. */
  readonly owner?: boolean;
  /** False: --no-special. */
  readonly special?: boolean;
  readonly threads?: string;
}

/** Runs the command. @returns the exit code */
export async function restore(
  context: Context,
  wanted: string,
  options: RestoreCommandOptions,
): Promise<number> {
  const voice = new Voice(context, options);
  const settings = readSettings(context, options);
  const threads = options.threads === undefined ? settings.threads?.value : parseThreads(options.threads);
  const { snapshot, path } = splitWanted(wanted);
  const target = targetOf(context, wanted, options);
  const dryRun = options.dryRun === true;
  const wishes = wishesOf(options);
  const rules = restoreRules(options.rules ?? [], byteStringToText(path), context.cwd);
  await context.begun?.();
  const { repository } = await openFrom(settings);
  refuseRepository(settings.location.value, target, wanted);
  const list = await checkHead(repository, new HeadStore(settings.folders.state));
  const progress = new Progress(voice, { read: 'wrote', items: 'files' });
  let problems = 0;
  const show = (event: RestoreEvent): void => {
    if (event.type === 'progress') {
      const total = path === '' && rules.length === 0 ? event : { bytesTotal: null, filesTotal: null };
      const { bytesTotal, filesTotal } = total;
      progress.show({
        bytesDone: event.bytes,
        bytesRead: event.bytes,
        bytesSent: event.bytes,
        filesDone: event.files,
        bytesTotal,
        filesTotal,
      });
      return;
    }
    if (event.type === 'entry') {
      const { path: at, kind, action, sizeBytes } = event;
      voice.event({ type: 'action', action, path: JSON.parse(nameToJson(at)), kind, size: sizeBytes });
      if (action !== 'keep' || voice.verbose)
        voice.result(`${action.padEnd(7)} ${safe(byteStringToText(at))}\n`);
      return;
    }
    if (event.type === 'copy') {
      progress.done();
      tellCopy(voice, event);
      return;
    }
    problems += 1;
    const { code, message, object, record } = event;
    if (event.damaged) {
      voice.event({
        type: 'damage',
        code,
        message,
        object: object ?? 'unknown',
        ...(record === undefined ? {} : { record }),
        paths: [event.path],
      });
    } else {
      voice.event({ type: 'warning', code, message, path: event.path });
    }
    if (problems > problemsShown && !voice.verbose) return;
    progress.done();
    const place = object === undefined ? '' : `, ${object}${record === undefined ? '' : ` record ${record}`}`;
    voice.warn(
      event.damaged
        ? `not restored: ${safe(event.path || partOf(object))}: ${safe(message)} (${code}${place})\n`
        : `${safe(message)} (${code})\n`,
    );
  };
  try {
    const s = await runRestore(
      repository,
      {
        snapshot,
        path,
        target,
        intoOriginal: options.intoOriginal === true,
        rules,
        ...wishes,
        signal: context.signal,
        list,
        ...(threads === undefined ? {} : { threads }),
        ...(options.delete ? { confirmDelete: confirmDelete(voice, options) } : {}),
      },
      show,
    );
    progress.done();
    if (problems > problemsShown && !voice.verbose)
      voice.warn(`and ${problems - problemsShown} more; --verbose names them all\n`);
    const incomplete = s.failed + s.renamed > 0;
    const exitCode =
      s.damaged > 0 || s.fromCopy ? exitCodes.damaged : incomplete ? exitCodes.incomplete : exitCodes.ok;
    voice.result(inWords(s, dryRun, options.verify === true));
    const { snapshotId, files, bytes: restored, kept, replaced, deleted, renamed, damaged, failed } = s;
    voice.event({
      type: 'summary',
      command: 'restore',
      snapshotId,
      files,
      bytes: restored,
      kept,
      replaced,
      deleted,
      renamed,
      damaged,
      skipped: failed,
      sourceErrors: s.unread,
      partial: s.partial,
      dryRun,
      elapsedMs: s.elapsedMs,
      exitCode,
    });
    return exitCode;
  } finally {
    progress.done();
  }
}

const problemsShown = 20;

/** What is damaged, when it is not one path. */
function partOf(object = ''): string {
  if (object.startsWith('snapshots/')) return 'a snapshot, perhaps a later one';
  return object.startsWith('drop/') ? 'a list of forgotten snapshots' : 'a page';
}

/** Where to. */
function targetOf(context: Context, wanted: string, { to, intoOriginal }: RestoreCommandOptions): string {
  if (to !== undefined && intoOriginal) throw usage('give --to DIR or --into-original, not both', wanted);
  if (intoOriginal) return '/';
  if (to === undefined) throw usage('no target was given', wanted);
  if (to === '') throw usage('the target is an empty name; . is the working folder', wanted);
  return resolve(context.cwd, to);
}

/** What is restored into the folder of a repository would be taken for a part of it. @throws BackpackError BP_USAGE */
function refuseRepository(location: string, target: string, wanted: string): void {
  const repository = location.includes('://') ? undefined : statSync(location, { throwIfNoEntry: false });
  if (repository === undefined) return;
  let at = target;
  while (!existsSync(at) && dirname(at) !== at) at = dirname(at);
  for (at = realpathSync(at); ; at = dirname(at)) {
    const { dev, ino } = statSync(at);
    if (dev === repository.dev && ino === repository.ino)
      throw usage('the target is in the folder of the repository', wanted);
    if (dirname(at) === at) return;
  }
}

function usage(message: string, wanted: string): BackpackError {
  return new BackpackError('BP_USAGE', message, {
    kind: 'usage',
    hint: `backpack restore ${wanted} --to DIR`,
  });
}

/** How it is restored, from the options. */
function wishesOf(
  o: RestoreCommandOptions,
): Pick<RestoreOptions, 'overwrite' | 'metadata' | 'verify' | 'dryRun' | 'sparse' | 'noSpaceCheck'> {
  const overwrite = overwritePolicies.find((policy) => policy === (o.overwrite ?? 'never'));
  if (overwrite === undefined)
    throw new BackpackError('BP_USAGE', `no such way to overwrite: ${o.overwrite}`, {
      kind: 'usage',
      hint: `give one of ${overwritePolicies.join(', ')}`,
    });
  const owners = o.owner === false ? 'none' : o.numericOwner ? 'numbers' : 'names';
  return {
    overwrite,
    metadata: { owners, special: o.special !== false },
    verify: o.verify === true,
    dryRun: o.dryRun === true,
    sparse: o.sparse === true,
    noSpaceCheck: o.spaceCheck === false,
  };
}

/** Prints what would be removed; on a terminal somebody is asked. */
function confirmDelete(
  voice: Voice,
  { yes }: RestoreCommandOptions,
): (extras: readonly ByteString[]) => Promise<boolean> {
  return async (extras) => {
    for (const path of extras) {
      voice.event({
        type: 'action',
        action: 'delete',
        path: JSON.parse(nameToJson(path)),
        kind: '',
        size: 0,
      });
      voice.warn(`delete  ${safe(byteStringToText(path))}\n`);
    }
    if (yes === true) return true;
    const { ask } = voice.context;
    if (ask === undefined || voice.json) return false;
    return /^y(es)?$/i.test(
      await ask(`Delete ${counted(extras.length, 'entry', 'entries')} for good? [y/N] `),
    );
  };
}

function inWords(s: RestoreSummary, dryRun: boolean, verified: boolean): string {
  const line = (count: number, text: string): string => (count > 0 ? `${text}\n` : '');
  const entries = (count: number): string => counted(count, 'entry', 'entries');
  const numbers = `${counted(s.files, 'file')}, ${bytes(s.bytes)}`;
  const parts = [
    line(s.damaged, `${counted(s.damaged, 'file')} NOT restored: data is damaged`),
    line(s.failed, `Not restored, or there already: ${entries(s.failed)}`),
    line(
      s.unread,
      `Not in the snapshot, because the backup could not read it: ${counted(s.unread, 'file or folder', 'files or folders')}`,
    ),
    line(Number(s.partial), 'The snapshot is partial: the backup that made it did not come to its end'),
    line(s.renamed, `Under another name, because the target refuses their own: ${entries(s.renamed)}`),
  ];
  const detail = [
    s.kept > 0 ? `there already with the same content: ${entries(s.kept)}` : '',
    s.replaced > 0 ? `replaced: ${entries(s.replaced)}` : '',
    s.deleted > 0 ? `deleted: ${entries(s.deleted)}` : '',
  ].filter((text) => text !== '');
  const details = detail.join(', ').replace(/^./, (first) => first.toUpperCase());
  if (dryRun)
    return `${parts.join('')}Would restore snapshot ${shortId(s.snapshotId)}: ${numbers}\n${line(detail.length, details)}to ${safe(s.target)}\n`;
  const again = verified ? ', read back from the disk' : '';
  return (
    `${parts.join('')}Restored snapshot ${shortId(s.snapshotId)}: ${numbers}, every byte verified${again}, ` +
    `in ${duration(s.elapsedMs)}\n${line(detail.length, details)}to ${safe(s.target)}\n`
  );
}
