/** `backpack check`: is everything there, is it what was written, would it restore. */
import { BackpackError } from '../../base/errors.ts';
import { HeadStore } from '../../config/heads.ts';
import { shortId } from '../../format/names.ts';
import { type CheckEvent, type CheckOptions, check as runCheck } from '../../operations/check.ts';
import { type CommonOptions, type Context, exitCodes } from '../context.ts';
import { checkHead } from '../head.ts';
import { Voice } from '../render/output.ts';
import { Progress } from '../render/progress.ts';
import { bytes, counted, duration, safe } from '../render/text.ts';
import { openFrom, parseThreads, readSettings } from '../settings.ts';
import { withoutCache } from '../storage-settings.ts';

/** Options of the command. */
export interface CheckCommandOptions extends CommonOptions {
  /** true, or `5%`, or `1/30`. */
  readonly readData?: boolean | string;
  readonly threads?: string;
}

/** Runs the command. @returns the exit code */
export async function check(context: Context, options: CheckCommandOptions): Promise<number> {
  const voice = new Voice(context, options);
  const readData = options.readData === undefined ? {} : { readData: parseReadData(options.readData) };
  const settings = readSettings(context, options);
  const threads = options.threads === undefined ? settings.threads?.value : parseThreads(options.threads);
  await context.begun?.();
  const { repository, key } = await openFrom({ ...settings, spec: withoutCache(settings.spec) });
  await checkHead(repository, new HeadStore(settings.folders.state));
  const progress = new Progress(voice, { read: 'read', items: 'objects' });
  try {
    const extra = { kitSums: key.kit, signal: context.signal, ...(threads === undefined ? {} : { threads }) };
    const s = await runCheck(repository, { ...readData, ...extra }, (event) => show(voice, progress, event));
    progress.done();
    const exitCode = s.damaged > 0 ? exitCodes.damaged : s.unreadable > 0 ? exitCodes.storage : exitCodes.ok;
    voice.result(verdict(s.damaged, s.unreadable));
    voice.say(
      `Checked ${counted(s.snapshots, 'snapshot')} and ${counted(s.objects, 'object')}, ${counted(s.records, 'record')} read, ` +
        `${bytes(s.bytesRead)} in ${duration(s.elapsedMs)}\n`,
    );
    if (options.readData === undefined)
      voice.say('The content of files was not read: check --read-data does that\n');
    const { snapshots, objects, records, bytesRead, damaged, elapsedMs } = s;
    voice.event({
      type: 'summary',
      command: 'check',
      snapshots,
      objects,
      records,
      bytesRead,
      damaged,
      unreadable: s.unreadable,
      elapsedMs,
      exitCode,
    });
    return exitCode;
  } finally {
    progress.done();
  }
}

function verdict(damaged: number, unreadable: number): string {
  if (damaged > 0) return `DAMAGE in ${counted(damaged, 'place')}: what is not named above can be restored\n`;
  if (unreadable > 0)
    return `${counted(unreadable, 'object')} could not be read from the storage; no damage in the others\n`;
  return 'No damage found\n';
}

/** @throws BackpackError BP_USAGE */
function parseReadData(value: boolean | string): NonNullable<CheckOptions['readData']> {
  if (typeof value === 'boolean') return value;
  const percent = /^(\d{1,3}(?:\.\d+)?)%$/.exec(value);
  if (percent !== null && Number(percent[1]) > 0 && Number(percent[1]) <= 100)
    return { percent: Number(percent[1]) };
  const fraction = /^(\d{1,6})\/(\d{1,6})$/.exec(value);
  const [part, of] = [Number(fraction?.[1]), Number(fraction?.[2])];
  if (part >= 1 && part <= of) return { fraction: [part, of] };
  throw new BackpackError('BP_USAGE', `not a part of the data: ${value}`, {
    kind: 'usage',
    hint: 'give a percentage (5%) or a part (1/30)',
  });
}

const pathsShown = 10;

function show(voice: Voice, progress: Progress, event: CheckEvent): void {
  if (event.type === 'progress') {
    const { objects, objectsTotal, bytesRead, bytesTotal } = event;
    progress.show({
      bytesDone: bytesRead,
      bytesRead,
      bytesSent: bytesRead,
      filesDone: objects,
      bytesTotal,
      filesTotal: objectsTotal,
    });
    return;
  }
  progress.done();
  if (event.type === 'warning') {
    const { code, message, objects } = event;
    voice.event({ type: 'warning', code, message, objects });
    voice.warn(`warning: ${safe(message)} (${code})\n`);
    if (voice.verbose) for (const object of objects) voice.warn(`  ${safe(object)}\n`);
    return;
  }
  const { code, object, record, message, snapshots, paths, pathsTotal, hint } = event;
  const place = record === undefined ? {} : { record };
  if (event.type === 'damage')
    voice.event({ type: 'damage', code, object, ...place, message, snapshots, paths });
  else voice.event({ type: 'warning', code, message, object });
  const what = event.type === 'damage' ? 'damage' : 'unreadable';
  voice.warn(
    `${what}: ${safe(object)}${record === undefined ? '' : ` record ${record}`}: ${safe(message)} (${code})\n`,
  );
  if (snapshots.length > 0) voice.warn(`  affects snapshots ${snapshots.map(shortId).join(', ')}\n`);
  for (const path of voice.verbose ? paths : paths.slice(0, pathsShown))
    voice.warn(`  affects ${safe(path)}\n`);
  const more = pathsTotal - (voice.verbose ? paths.length : Math.min(pathsShown, paths.length));
  if (more > 0) voice.warn(`  and ${counted(more, 'more path')}\n`);
  if (hint !== undefined) voice.warn(`  next: ${safe(hint)}\n`);
}
