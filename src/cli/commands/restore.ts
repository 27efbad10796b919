/** `backpack restore`: files of a snapshot below a folder. */
import { resolve } from 'node:path';
import { BackpackError } from '../../base/errors.ts';
import { HeadStore } from '../../config/heads.ts';
import { shortId } from '../../format/names.ts';
import { type RestoreEvent, restore as runRestore } from '../../operations/restore.ts';
import { type CommonOptions, type Context, exitCodes } from '../context.ts';
import { checkHead } from '../head.ts';
import { Voice } from '../render/output.ts';
import { Progress } from '../render/progress.ts';
import { bytes, counted, duration, safe } from '../render/text.ts';
import { openFrom, parseThreads, readSettings } from '../settings.ts';
import { splitWanted } from './ls.ts';

/** Options of the command. */
export interface RestoreCommandOptions extends CommonOptions {
  readonly to?: string;
  readonly threads?: string;
}

/** Runs the command. @returns the exit code */
export async function restore(
  context: Context,
  wanted: string,
  options: RestoreCommandOptions,
): Promise<number> {
  const voice = new Voice(context, options);
  if (options.to === undefined) {
    throw new BackpackError('BP_USAGE', 'no target was given', {
      kind: 'usage',
      hint: `backpack restore ${wanted} --to DIR`,
    });
  }
  const settings = readSettings(context, options);
  const threads = options.threads === undefined ? settings.threads?.value : parseThreads(options.threads);
  const { repository } = await openFrom(settings);
  await checkHead(repository, new HeadStore(settings.folders.state));
  const { snapshot, path } = splitWanted(wanted);
  const progress = new Progress(voice, { done: 'wrote', sent: 'verified', items: 'files' });
  let problems = 0;
  const show = (event: RestoreEvent): void => {
    if (event.type === 'progress') {
      const total = path === '' ? event : { bytesTotal: null, filesTotal: null };
      const { bytesTotal, filesTotal } = total;
      progress.show({
        bytesDone: event.bytes,
        bytesSent: event.bytes,
        filesDone: event.files,
        bytesTotal,
        filesTotal,
      });
      return;
    }
    if (event.type === 'entry') return;
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
        ? `not restored: ${safe(event.path || 'a page')}: ${safe(message)} (${code}${place})\n`
        : `${safe(message)} (${code})\n`,
    );
  };
  try {
    const target = resolve(context.cwd, options.to);
    const extra = { signal: context.signal, ...(threads === undefined ? {} : { threads }) };
    const s = await runRestore(repository, { snapshot, path, target, ...extra }, show);
    progress.done();
    if (problems > problemsShown && !voice.verbose)
      voice.warn(`and ${problems - problemsShown} more; --verbose names them all\n`);
    const exitCode = s.damaged > 0 ? exitCodes.damaged : s.failed > 0 ? exitCodes.incomplete : exitCodes.ok;
    const bad = s.damaged > 0 ? `${counted(s.damaged, 'file')} NOT restored: data is damaged\n` : '';
    const left =
      s.failed > 0 ? `Not restored, or there already: ${counted(s.failed, 'entry', 'entries')}\n` : '';
    voice.result(
      `${bad}${left}Restored snapshot ${shortId(s.snapshotId)}: ${counted(s.files, 'file')}, ${bytes(s.bytes)}, every byte verified, ` +
        `in ${duration(s.elapsedMs)}\nto ${safe(s.target)}\n`,
    );
    const { snapshotId, files, bytes: restored, damaged, failed, elapsedMs } = s;
    voice.event({
      type: 'summary',
      command: 'restore',
      snapshotId,
      files,
      bytes: restored,
      damaged,
      skipped: failed,
      elapsedMs,
      exitCode,
    });
    return exitCode;
  } finally {
    progress.done();
  }
}

const problemsShown = 20;
