/** `backpack backup`: one snapshot of some paths. */
import { lstatSync, statSync } from 'node:fs';
import { hostname, userInfo } from 'node:os';
import { byteStringToText } from '../../base/bytes.ts';
import { BackpackError, isBackpackError } from '../../base/errors.ts';
import { HeadStore } from '../../config/heads.ts';
import { expandHome, ignoredSettings } from '../../config/load.ts';
import { shortId } from '../../format/names.ts';
import { comparePaths } from '../../format/path-rules.ts';
import {
  type BackupEvent,
  type BackupOptions,
  type BackupSummary,
  backup as runBackup,
} from '../../operations/backup.ts';
import { isBelow } from '../../repo/entries.ts';
import type { ConfigSet } from '../../schema/index.ts';
import { rootOf, type SourceRoot } from '../../source/walk.ts';
import { asTyped, type CommonOptions, type Context, exitCodes } from '../context.ts';
import { checkHead } from '../head.ts';
import { spelled } from '../render/names.ts';
import { Voice } from '../render/output.ts';
import { Progress } from '../render/progress.ts';
import { bytes, count, counted, duration, safe } from '../render/text.ts';
import { type Opened, openFrom, parseThreads, readSettings, type Settings } from '../settings.ts';
import { makeRepository, shell } from './init.ts';

/** Options of the command. */
export interface BackupCommandOptions extends CommonOptions {
  readonly set?: string;
  readonly tag?: readonly string[];
  readonly host?: string;
  readonly threads?: string;
  readonly withAtime?: boolean;
  readonly readAll?: boolean;
}

/** Runs the command. @returns the exit code */
export async function backup(
  context: Context,
  paths: readonly string[],
  options: BackupCommandOptions,
): Promise<number> {
  const voice = new Voice(context, options);
  const general = readSettings(context, options);
  const set = options.set === undefined ? undefined : general.config.sets?.[options.set];
  if (options.set !== undefined && set === undefined && paths.length === 0)
    throw unknownSet(options.set, general);
  const settings = readSettings(context, options, set);
  const threads = options.threads === undefined ? settings.threads?.value : parseThreads(options.threads);
  const given = paths.length > 0 ? paths : (set?.paths ?? []).map(expandHome);
  const roots = rootsOf(given, context.cwd);
  for (const name of ignoredSettings(settings.config, options.set)) {
    const message = `this version ignores the setting ${name} of ${settings.configPath}`;
    voice.event({ type: 'warning', code: 'BP_SETTING_IGNORED', message });
    voice.warn(`warning: ${safe(message)}\n`);
  }
  const { opened, first } = await openOrMake(settings, voice);
  const { repository } = opened;
  const heads = new HeadStore(settings.folders.state);
  await checkHead(repository, heads);
  const progress = new Progress(voice, { done: 'read', sent: 'sent', items: 'files' });
  const counts = { errors: 0, shown: 0 };
  let summary: BackupSummary;
  try {
    const names = options.set === undefined ? {} : { set: options.set };
    summary = await runBackup(
      repository,
      {
        roots,
        own: ownFiles(settings.location.value, opened.keyPath),
        estimate: voice.json || context.stderr.isTTY === true,
        host: options.host ?? set?.host ?? hostname(),
        user: userName(),
        ...names,
        tags: [...(set?.tags ?? []), ...(options.tag ?? [])],
        app: context.app,
        ...(threads === undefined ? {} : { threads }),
        withAtime: options.withAtime === true,
        readAll: options.readAll === true,
        signal: context.signal,
      },
      (event) => show(voice, progress, counts, event),
    );
  } finally {
    progress.done();
  }
  heads.remember(repository.repo, repository.storage.location, { id: summary.snapshotId, seq: summary.seq });
  const again = asTyped(context, `backpack restore ${shortId(summary.snapshotId)} --to restored`);
  report(voice, summary, first === undefined ? '' : firstRun(context, first), again + locate(settings, set));
  return exitCode(summary);
}

/** Roots of the given paths: sorted, one inside another dropped. @throws BackpackError BP_USAGE, BP_SOURCE_MISSING */
function rootsOf(paths: readonly string[], cwd: string): SourceRoot[] {
  if (paths.length === 0) {
    throw new BackpackError('BP_USAGE', 'nothing to back up: no path was given', {
      kind: 'usage',
      hint: 'backpack backup PATH...',
    });
  }
  const roots: SourceRoot[] = [];
  for (const path of paths) {
    const root = rootOf(path, cwd);
    try {
      lstatSync(Buffer.from(root.real, 'latin1'));
    } catch (error) {
      const { code, message } = error as NodeJS.ErrnoException;
      const why = code === 'ENOENT' ? 'there is no such file or folder' : message;
      throw new BackpackError('BP_SOURCE_MISSING', `cannot back up ${path}: ${why}`, {
        kind: 'source',
        cause: error,
        hint: 'check the path; nothing was stored',
      });
    }
    if (root.stored === '' && !lstatSync(Buffer.from(root.real, 'latin1')).isDirectory())
      throw new TypeError('a root without name must be a folder');
    roots.push(root);
  }
  const kept = roots.filter(
    (root, i) => !roots.some((other, j) => i !== j && covers(other, root) && (!covers(root, other) || j < i)),
  );
  const twice = kept.find((root, i) =>
    kept.some(
      (other, j) => i !== j && (isBelow(root.stored, other.stored) || isBelow(other.stored, root.stored)),
    ),
  );
  if (twice !== undefined) {
    throw new BackpackError(
      'BP_ROOTS_COLLIDE',
      `two paths would be stored under the same name ${byteStringToText(twice.stored)}`,
      {
        kind: 'usage',
        hint: 'give absolute paths, or back them up one by one',
      },
    );
  }
  return kept.sort((a, b) => comparePaths(a.stored, b.stored));
}

function covers(outer: SourceRoot, inner: SourceRoot): boolean {
  const below = outer.real === '/' || isBelow(inner.real, outer.real);
  const rest = inner.real.slice(outer.real === '/' ? 1 : outer.real.length + 1);
  const stored = [outer.stored, rest].filter((part) => part !== '').join('/');
  return below && stored === inner.stored;
}

/** The repository and the key file, which are never stored. */
function ownFiles(location: string, keyPath: string): BackupOptions['own'] {
  const candidates = [
    ...(location.includes('://') ? [] : [[location, 'it is the repository'] as const]),
    [keyPath, 'it is the key file'] as const,
  ];
  return candidates.flatMap(([path, reason]) => {
    const found = statSync(path, { bigint: true, throwIfNoEntry: false });
    return found === undefined ? [] : [{ device: found.dev, inode: found.ino, reason }];
  });
}

/** Opens the repository; the default one is made by the very first call. */
async function openOrMake(
  settings: Settings,
  voice: Voice,
): Promise<{ opened: Opened; first: Opened | undefined }> {
  try {
    return { opened: await openFrom(settings), first: undefined };
  } catch (error) {
    const missing = isBackpackError(error) && error.code === 'BP_NO_REPOSITORY';
    if (!missing || settings.location.origin !== 'default') throw error;
  }
  // Only the very first backup makes it: one that was there and is gone must be told, not replaced without a word.
  if (new HeadStore(settings.folders.state).knows(settings.location.value))
    throw repositoryGone(settings.location.value);
  const made = await makeRepository(settings);
  voice.event({
    type: 'warning',
    code: 'BP_FIRST_RUN',
    message: `made the default repository at ${made.location}, its key is ${made.keyPath}`,
  });
  const opened = await openFrom(settings);
  return { opened, first: opened };
}

/** Options that a later command needs to find the same repository and key. */
function locate({ location, key }: Settings, set: ConfigSet | undefined): string {
  const repo = location.origin === 'option' || (location.origin === 'file' && set?.repository !== undefined);
  const file = key?.origin === 'option' || (key?.origin === 'file' && set?.key !== undefined);
  return (repo ? ` --repo ${shell(location.value)}` : '') + (file ? ` --key ${shell(key?.value ?? '')}` : '');
}

function firstRun(context: Context, { repository, keyPath }: Opened): string {
  return (
    '\nThis was the first backup, so a repository was made:\n' +
    `  repository  ${safe(repository.storage.location)}\n` +
    `  secret key  ${safe(keyPath)}\n` +
    '  Keep a copy of the key somewhere else: without it nobody, including you, can read the backup.\n' +
    '  A backup on the same disk is only a start. For one elsewhere: ' +
    `${asTyped(context, 'backpack init /mnt/usb/backup')}\n`
  );
}

function show(
  voice: Voice,
  progress: Progress,
  counts: { errors: number; shown: number },
  event: BackupEvent,
): void {
  if (event.type === 'progress') {
    const { bytesStored, files, bytesDone, totals } = event;
    progress.show({
      bytesDone,
      bytesSent: bytesStored,
      filesDone: files,
      bytesTotal: totals?.bytes ?? null,
      filesTotal: totals?.files ?? null,
    });
  } else if (event.type === 'source-error') {
    counts.errors += 1;
    voice.event({
      type: 'source-error',
      path: byteStringToText(event.path),
      code: event.code,
      message: event.message,
    });
    if (counts.errors <= errorsShown || voice.verbose) {
      progress.done();
      voice.warn(`cannot read ${spelled(event.path)} (${event.code})\n`);
    } else if (counts.errors === errorsShown + 1) {
      voice.warn('more files could not be read; --verbose names them all\n');
    }
  } else if (event.type === 'skipped') {
    const text = byteStringToText(event.path);
    voice.event({ type: 'warning', code: 'BP_SKIPPED', message: `left out: ${event.reason}`, path: text });
    progress.done();
    voice.say(`left out ${spelled(event.path)}: ${event.reason}\n`);
  } else if (event.type === 'checkpoint') {
    const { snapshotId, seq } = event;
    voice.event({ type: 'checkpoint', snapshotId, shortId: shortId(snapshotId), seq });
    progress.done();
    voice.say(`kept what is done so far as partial snapshot ${shortId(snapshotId)}\n`);
  } else if (event.type === 'key-file') {
    const message = 'is a key file of a repository: whoever can read this backup can read that repository';
    voice.event({ type: 'warning', code: 'BP_KEY_IN_SOURCE', message, path: byteStringToText(event.path) });
    progress.done();
    voice.warn(`warning: ${spelled(event.path)} ${message}\n`);
  } else {
    progress.done();
    warn(voice, event);
  }
}

function warn(
  voice: Voice,
  event: Extract<BackupEvent, { type: 'warning' | 'silent-change' | 'without-extras' }>,
): void {
  if (event.type === 'without-extras') {
    const message =
      `extended attributes, ACLs and file flags of ${counted(event.entries, 'entry', 'entries')} are not stored: ` +
      'they cannot be read here without the optional package koffi';
    voice.event({ type: 'warning', code: 'BP_NO_EXTRAS', message });
    voice.warn(`warning: ${message}\n`);
    return;
  }
  const path = byteStringToText(event.path);
  const say = (code: string, message: string, details = ''): void => {
    voice.event({ type: 'warning', code, message: message + details, path });
    voice.warn(`${message}: ${spelled(event.path)}\n`);
  };
  if (event.type === 'silent-change') {
    say('BP_SILENT_CHANGE', 'the content changed, but neither its size nor any of its times');
    return;
  }
  const { warnings } = event;
  if (warnings.includes('torn')) say('BP_TORN', 'changed while it was read', `: ${warnings.join(', ')}`);
  if (warnings.includes('xattrs'))
    say(
      'BP_XATTRS',
      'extended attributes are missing, because they could not be read or are more than 512 KiB',
    );
}

const errorsShown = 10;

function report(voice: Voice, s: BackupSummary, first: string, again: string): void {
  const unread =
    s.sourceErrors === 0
      ? ''
      : `${counted(s.sourceErrors, 'file or folder', 'files or folders')} could not be read\n`;
  const smaller =
    s.bytesRead > 0 && s.bytesStored > 0 && s.bytesRead > s.bytesStored
      ? ` (${(s.bytesRead / s.bytesStored).toFixed(1)}x smaller)`
      : '';
  const reread = s.rereadFiles === 0 ? '' : `, read again to be sure ${count(s.rereadFiles)}`;
  voice.say(
    `${unread}${counted(s.files, 'file')}, ${bytes(s.bytes)}: new ${count(s.newFiles)}, changed ${count(s.changedFiles)}, unchanged ${count(s.unchangedFiles)}${reread}\n` +
      `Read ${bytes(s.bytesRead)}, stored ${bytes(s.bytesStored)}${smaller} in ${duration(s.elapsedMs)}\n${first}` +
      `Restore with: ${again}\n`,
  );
  voice.result(`Snapshot ${shortId(s.snapshotId)}\n`);
  voice.event({
    type: 'summary',
    command: 'backup',
    snapshotId: s.snapshotId,
    shortId: shortId(s.snapshotId),
    files: s.files,
    filesNew: s.newFiles,
    filesChanged: s.changedFiles,
    filesUnchanged: s.unchangedFiles,
    filesReread: s.rereadFiles,
    bytes: s.bytes,
    bytesRead: s.bytesRead,
    stored: s.bytesStored,
    sourceErrors: s.sourceErrors,
    elapsedMs: s.elapsedMs,
    exitCode: exitCode(s),
  });
}

/** What is not there as it was is said with the exit code, too: files that were not read, torn ones, attributes. */
function exitCode(s: BackupSummary): number {
  return s.sourceErrors + s.tornFiles + s.incompleteEntries > 0 ? exitCodes.incomplete : exitCodes.ok;
}

function userName(): string {
  try {
    return userInfo().username;
  } catch {
    return String(process.getuid?.() ?? 'unknown');
  }
}

function unknownSet(name: string, settings: Settings): BackpackError {
  const names = Object.keys(settings.config.sets ?? {}).filter((key) => !key.startsWith('//'));
  return new BackpackError('BP_SET_UNKNOWN', `no set ${name} in ${settings.configPath}`, {
    kind: 'config',
    hint:
      names.length > 0 ? `sets are: ${names.join(', ')}` : 'give paths, or add the set to the config file',
  });
}

function repositoryGone(location: string): BackpackError {
  return new BackpackError(
    'BP_REPOSITORY_GONE',
    `the repository at ${location} is gone: this machine has backed up to it`,
    {
      kind: 'not-found',
      context: { location, repository: true },
      hint: `bring it back or mount its disk, or begin anew with: backpack init ${shell(location)}`,
    },
  );
}
