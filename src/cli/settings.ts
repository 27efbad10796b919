/** Settings of a command: option, then environment, then config file, then default. */
import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { BackpackError, isBackpackError } from '../base/errors.ts';
import { readKeyBytes } from '../config/key-store.ts';
import { expandHome, type Folders, loadConfig, type Setting, userFolders } from '../config/load.ts';
import { type KeyFile, parseKeyFile } from '../format/key-file.ts';
import { shortRepo } from '../format/names.ts';
import { noRepository, openRepository, type Repository, repositoryIdOf } from '../repo/repository.ts';
import type { Config, ConfigSet } from '../schema/index.ts';
import { openStorage, type StorageSpec } from '../storage/open.ts';
import type { Storage } from '../storage/storage.ts';
import type { CommonOptions, Context } from './context.ts';
import { storageSpec } from './storage-settings.ts';

/** What was found. */
export interface Settings {
  readonly folders: Folders;
  readonly config: Config;
  readonly configPath: string;
  readonly location: Setting<string>;
  readonly key: Setting<string> | undefined;
  readonly threads: Setting<number> | undefined;
  /** What opens the storage of the location, here and in worker threads. */
  readonly spec: StorageSpec;
}

/** Gathers the settings of a command. @param set a named set of the config, whose values win over general ones */
export function readSettings(context: Context, options: CommonOptions, set?: ConfigSet): Settings {
  const folders = userFolders();
  const named = options.config ?? context.env['BACKPACK_CONFIG'];
  const configPath = named ?? join(folders.config, 'config.json');
  const config = loadConfig(configPath, named !== undefined);
  const absolute = (location: string): string =>
    location.includes('://') ? location : resolve(context.cwd, location);
  const pick = (
    option: string | undefined,
    flag: string,
    variable: string,
    file: string | undefined,
  ): Setting<string> | undefined => {
    if (option !== undefined) return { value: option, origin: 'option', source: flag };
    const env = context.env[variable];
    if (env !== undefined && env !== '') return { value: env, origin: 'environment', source: variable };
    return file === undefined ? undefined : { value: expandHome(file), origin: 'file', source: configPath };
  };
  const location = pick(
    options.repo,
    '--repo',
    'BACKPACK_REPOSITORY',
    set?.repository ?? config.repository,
  ) ?? {
    value: join(folders.data, 'repository'),
    origin: 'default' as const,
    source: 'your data folder',
  };
  const key = pick(options.key, '--key', 'BACKPACK_KEY_FILE', set?.key ?? config.key);
  return {
    folders,
    config,
    configPath,
    location: { ...location, value: absolute(location.value) },
    key: key && { ...key, value: resolve(context.cwd, key.value) },
    threads: threadsOf(context, config, configPath),
    spec: storageSpec(context, options, config, absolute(location.value), folders.cache),
  };
}

function threadsOf(context: Context, config: Config, configPath: string): Setting<number> | undefined {
  const env = context.env['BACKPACK_THREADS'];
  if (env !== undefined && env !== '') {
    return { value: parseThreads(env), origin: 'environment', source: 'BACKPACK_THREADS' };
  }
  const { threads } = config.limits ?? {};
  return threads === undefined ? undefined : { value: threads, origin: 'file', source: configPath };
}

/** @throws BackpackError BP_USAGE */
export function parseThreads(text: string): number {
  const value = Number(text);
  if (Number.isInteger(value) && value >= 0 && value <= 256) return value;
  throw new BackpackError('BP_USAGE', `not a number of threads: ${text}`, {
    kind: 'usage',
    hint: 'give a number from 1 to 256',
  });
}

/** Where the key of a repository is kept when nobody says otherwise. */
export function defaultKeyPath(folders: Folders, repo: string): string {
  return join(folders.config, shortRepo(repo), 'key.bin');
}

/** An opened repository and the key that opened it. */
export interface Opened {
  readonly repository: Repository;
  readonly key: KeyFile;
  readonly keyPath: string;
}

/**
 * Opens the repository of the settings.
 * @throws BackpackError BP_NO_REPOSITORY, BP_KEY_FILE, E_REPO, E_KEY
 */
export async function openFrom(settings: Settings): Promise<Opened> {
  const { spec } = settings;
  const storage = await openStorage(spec);
  const keyPath = settings.key?.value ?? (await findKey(settings, storage));
  // Without a repository the missing key is not what has to be told.
  if (!existsSync(keyPath) && (await repositoryIdOf(storage)) === undefined)
    throw noRepository(storage.location);
  const key = readKey(keyPath);
  const repository = await openRepository(spec, storage, key);
  return { repository, key, keyPath };
}

function readKey(path: string): KeyFile {
  try {
    return parseKeyFile(readKeyBytes(path));
  } catch (error) {
    throw isBackpackError(error) ? error.with({ path }) : error;
  }
}

/** The key file in the user's config folder that belongs to the repository. */
async function findKey(settings: Settings, storage: Storage): Promise<string> {
  const repo = await repositoryIdOf(storage);
  if (repo === undefined) throw noRepository(storage.location);
  const path = defaultKeyPath(settings.folders, repo);
  if (existsSync(path)) return path;
  throw new BackpackError('BP_KEY_FILE', `no key for repository ${shortRepo(repo)} at ${storage.location}`, {
    kind: 'key',
    context: { tried: path },
    hint: 'give its key file with --key FILE',
  });
}
