/** `backpack backup`: one snapshot of some paths. */
import { existsSync } from 'node:fs';
import { hostname, userInfo } from 'node:os';
import { byteStringToText, utf8ToByteString } from '../../base/bytes.ts';
import { BackpackError, isBackpackError } from '../../base/errors.ts';
import { HeadStore } from '../../config/heads.ts';
import { ignoredSettings } from '../../config/load.ts';
import { shortId } from '../../format/names.ts';
import { backup as runBackup } from '../../operations/backup.ts';
import type { BackupOptions, BackupSummary } from '../../operations/backup-options.ts';
import { gatherRoots } from '../../operations/roots.ts';
import type { Config } from '../../schema/index.ts';
import type { FilterOptions, OwnFile } from '../../source/filter.ts';
import { stat } from '../../source/source-stat.ts';
import { locating, shell } from '../again.ts';
import { type BudgetOptions, readBudget } from '../budget-settings.ts';
import { type ChoosingOptions, filterOptions, givenPaths, namesPaths } from '../choosing.ts';
import { asTyped, type CommonOptions, type Context } from '../context.ts';
import { checkHead } from '../head.ts';
import { Voice } from '../render/output.ts';
import { Progress } from '../render/progress.ts';
import { safe } from '../render/text.ts';
import { type Opened, openFrom, parseThreads, readSettings, type Settings } from '../settings.ts';
import { streamFile } from '../stream.ts';
import { parseTimeOption } from '../when.ts';
import { previewBackup } from './backup-preview.ts';
import { exitCodeOf, report, type Shown, show } from './backup-report.ts';
import { makeRepository } from './init.ts';

/** Options of the command. */
export interface BackupCommandOptions extends CommonOptions, ChoosingOptions, BudgetOptions {
  readonly set?: string;
  readonly tag?: readonly string[];
  readonly host?: string;
  readonly threads?: string;
  readonly time?: string;
  readonly dryRun?: boolean;
  readonly skipIfUnchanged?: boolean;
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
  if (options.set !== undefined && set === undefined && !namesPaths(paths, options))
    throw unknownSet(options.set, general);
  const settings = readSettings(context, options, set);
  const threads = options.threads === undefined ? settings.threads?.value : parseThreads(options.threads);
  const budget = readBudget(context, options, settings.config, set);
  const timeMs = options.time === undefined ? undefined : parseTimeOption(options.time);
  const filter = filterOptions(options, set, context.cwd);
  const cwd = utf8ToByteString(context.cwd);
  const stream = streamFile(context, paths, options, set);
  const ofSet = set?.paths ?? set?.filesFrom ?? set?.filesFromNul;
  if (stream === undefined && !namesPaths(paths, options) && ofSet === undefined)
    throw nothingGiven(general, options.set);
  await context.begun?.();
  const { roots, inside } =
    stream === undefined
      ? gatherRoots(givenPaths(paths, options, set, context.cwd), cwd)
      : { roots: [{ real: stream.stored, stored: stream.stored }], inside: [] };
  if (roots.length === 0) throw emptyList();
  for (const name of ignoredSettings(settings.config)) {
    const message = `this version ignores the setting ${name} of ${settings.configPath}`;
    voice.event({ type: 'warning', code: 'BP_SETTING_IGNORED', message });
    voice.warn(`warning: ${safe(message)}\n`);
  }
  const host = options.host ?? set?.host ?? hostname();
  const named = options.set === undefined ? {} : { set: options.set };
  const ownOf = (keyPath: string): FilterOptions => ({
    ...filter,
    named: inside,
    own: ownFiles(settings.location.value, keyPath),
  });
  const heads = new HeadStore(settings.folders.state);
  if (options.dryRun === true) {
    const opened = await openIfThere(settings);
    if (opened !== undefined) await checkHead(opened.repository, heads);
    return previewBackup(voice, opened?.repository, {
      roots,
      filter: ownOf(opened?.keyPath ?? ''),
      host,
      ...named,
      readAll: options.readAll === true,
      withAtime: options.withAtime === true,
      ...decideOf(context),
      signal: context.signal,
    });
  }
  const { opened, first } = await openOrMake(settings, voice);
  const { repository } = opened;
  await checkHead(repository, heads);
  const progress = new Progress(voice, { read: 'read', sent: 'sent', items: 'files' });
  const shown: Shown = { errors: 0 };
  let summary: BackupSummary;
  try {
    summary = await runBackup(
      repository,
      {
        roots,
        filter: ownOf(opened.keyPath),
        estimate: voice.json || context.stderr.isTTY === true,
        host,
        user: userName(),
        ...named,
        ...(timeMs === undefined ? {} : { timeMs }),
        ...(stream === undefined
          ? { skipIfUnchanged: options.skipIfUnchanged ?? set?.skipIfUnchanged ?? false }
          : { stream }),
        tags: [...(set?.tags ?? []), ...(options.tag ?? [])],
        app: context.app,
        ...(threads === undefined ? {} : { threads }),
        withAtime: options.withAtime === true,
        readAll: options.readAll === true,
        ...decideOf(context),
        ...budget,
        signal: context.signal,
      },
      (event) => show(voice, progress, shown, event),
    );
  } finally {
    progress.done();
  }
  if (!summary.unchanged)
    heads.remember(repository.repo, repository.storage.location, {
      id: summary.snapshotId,
      seq: summary.seq,
    });
  const again = asTyped(context, `backpack restore ${shortId(summary.snapshotId)} --to restored`);
  report(
    voice,
    summary,
    first === undefined ? '' : firstRun(context, first),
    again + locating(context, options, settings, set),
  );
  return exitCodeOf(summary);
}

/** @param named the set that was named, which says of nothing what to back up */
function nothingGiven({ config, configPath }: Settings, named: string | undefined): BackpackError {
  const [first, ...others] = setNames(config);
  const more = others.length === 0 ? '' : ` (or: ${others.join(', ')})`;
  const message =
    named !== undefined
      ? `nothing to back up: the set ${named} of ${configPath} has no path`
      : first === undefined
        ? 'nothing to back up: no path was given'
        : `nothing to back up: neither a path nor one of the sets of ${configPath} was given`;
  const hint =
    named !== undefined || first === undefined
      ? 'backpack backup PATH...'
      : `backpack backup --set ${first}${more}, or backpack backup PATH...`;
  return new BackpackError('BP_USAGE', message, { kind: 'usage', hint });
}

function emptyList(): BackpackError {
  return new BackpackError('BP_USAGE', 'nothing to back up: the lists name no path', {
    kind: 'usage',
    hint: 'did what made the list fail? Nothing was stored',
  });
}

function setNames({ sets }: Config): string[] {
  return Object.keys(sets ?? {}).filter((key) => !key.startsWith('//'));
}

/** What extensions are told of types; the others are `other`. */
const kinds: Readonly<Record<string, 'file' | 'folder' | 'link'>> = { f: 'file', d: 'folder', l: 'link' };

/** What extensions leave out; nothing when none wants to, so that the walk asks nobody. */
function decideOf({ extensions }: Context): Pick<BackupOptions, 'decide'> {
  const hook = extensions?.hooks.entry;
  if (hook === undefined || hook.noop) return {};
  return {
    decide: (stored, stat) =>
      hook.decide({
        path: byteStringToText(stored),
        kind: kinds[stat.type] ?? 'other',
        sizeBytes: stat.size,
        mtimeMs: stat.mtimeSec * 1000 + Math.floor(stat.mtimeNsec / 1e6),
      }),
  };
}

/** The repository and the key file, which are never stored. */
function ownFiles(location: string, keyPath: string): OwnFile[] {
  const candidates = [
    ...(location.includes('://') ? [] : [[location, 'it is the repository'] as const]),
    [keyPath, 'it is the key file'] as const,
  ];
  return candidates.flatMap(([path, reason]) => {
    if (!existsSync(path)) return [];
    const found = stat(path);
    return [{ device: found.dev, inode: found.ino, reason }];
  });
}

/** Opens the repository; undefined when it is the default one and the very first backup would make it. */
async function openIfThere(settings: Settings): Promise<Opened | undefined> {
  try {
    return await openFrom(settings);
  } catch (error) {
    const missing = isBackpackError(error) && error.code === 'BP_NO_REPOSITORY';
    if (!missing || settings.location.origin !== 'default') throw error;
    // Only the very first backup makes it: one that was there and is gone must be told, not replaced without a word.
    if (new HeadStore(settings.folders.state).knows(settings.location.value))
      throw repositoryGone(settings.location.value);
    return undefined;
  }
}

/** Opens the repository; the default one is made by the very first call. */
async function openOrMake(
  settings: Settings,
  voice: Voice,
): Promise<{ opened: Opened; first: Opened | undefined }> {
  const found = await openIfThere(settings);
  if (found !== undefined) return { opened: found, first: undefined };
  const made = await makeRepository(settings);
  voice.event({
    type: 'warning',
    code: 'BP_FIRST_RUN',
    message: `made the default repository at ${made.location}, its key is ${made.keyPath}`,
  });
  const opened = await openFrom(settings);
  return { opened, first: opened };
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

function userName(): string {
  try {
    return userInfo().username;
  } catch {
    return String(process.getuid?.() ?? 'unknown');
  }
}

function unknownSet(name: string, settings: Settings): BackpackError {
  const names = setNames(settings.config);
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
