/** Settings of a command: option, then environment, then config file, then default. */
import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { BackpackError, isBackpackError } from '../base/errors.ts';
import { readKeyBytes } from '../config/key-store.ts';
import { expandHome, type Folders, loadConfig, type Setting, userFolders } from '../config/load.ts';
import { limited } from '../extension/hooks.ts';
import type { Extensions } from '../extension/load.ts';
import { type KeyFile, parseKeyFile } from '../format/key-file.ts';
import { shortRepo } from '../format/names.ts';
import { noRepository, openRepository, type Repository, repositoryIdOf } from '../repo/repository.ts';
import type { Config, ConfigSet } from '../schema/index.ts';
import { openStorage, type StorageSpec } from '../storage/open.ts';
import type { Storage } from '../storage/storage.ts';
import type { CommonOptions, Context } from './context.ts';
import { type KeySource, keySource } from './key-source.ts';
import { mapped, type PickSetting, picker } from './pick.ts';
import { storageSpec } from './storage-settings.ts';

/** What was found. */
export interface Settings {
  readonly folders: Folders;
  readonly config: Config;
  readonly configPath: string;
  /** The same path, and who named it. */
  readonly configFrom: Setting<string>;
  readonly location: Setting<string>;
  /** Its key file, when one is named. */
  readonly key: Setting<string> | undefined;
  /** Where its key comes from, when that is named and no file. */
  readonly keyFrom: Setting<KeySource> | undefined;
  /** What extensions added. */
  readonly extensions: Extensions | undefined;
  readonly signal: AbortSignal;
  readonly threads: Setting<number> | undefined;
  /** What opens the storage of the location, here and in worker threads. */
  readonly spec: StorageSpec;
}

/** Gathers the settings of a command. @param set a named set of the config, whose values win over general ones */
export function readSettings(context: Context, options: CommonOptions, set?: ConfigSet): Settings {
  const folders = userFolders();
  const named = picker(
    context.env,
    '',
  )({
    option: options.config,
    flag: '--config',
    variables: ['BACKPACK_CONFIG'],
  });
  const configFrom: Setting<string> = named ?? {
    value: join(folders.config, 'config.json'),
    origin: 'default',
    source: 'your config folder',
  };
  const configPath = configFrom.value;
  const config = loadConfig(configPath, named !== undefined);
  const absolute = (location: string): string => placeOf(location, context.cwd);
  const pick = picker(context.env, configPath);
  const home = (file: string | undefined): string | undefined => file && expandHome(file);
  const location = pick({
    option: options.repo,
    flag: '--repo',
    variables: ['BACKPACK_REPOSITORY'],
    file: home(set?.repository ?? config.repository),
  }) ?? {
    value: join(folders.data, 'repository'),
    origin: 'default' as const,
    source: 'your data folder',
  };
  const keyFrom = keySource(context, options, config, set, configPath);
  const key =
    keyFrom === undefined
      ? pick({
          option: options.key,
          flag: '--key',
          variables: ['BACKPACK_KEY_FILE'],
          file: home(set?.key ?? config.key),
        })
      : undefined;
  return {
    folders,
    config,
    configPath,
    configFrom,
    location: { ...location, value: absolute(location.value) },
    key: mapped(key, (path) => resolve(context.cwd, path)),
    keyFrom,
    extensions: context.extensions,
    signal: context.signal,
    threads: threadsOf(pick, config),
    spec: storageSpec(context, options, config, absolute(location.value), folders.cache),
  };
}

function threadsOf(pick: PickSetting, { limits }: Config): Setting<number> | undefined {
  return mapped(pick({ variables: ['BACKPACK_THREADS'], file: limits?.threads }), parseThreads);
}

/** @throws BackpackError BP_USAGE */
export function parseThreads(text: string): number {
  const value = Number(text);
  if (Number.isInteger(value) && value >= 1 && value <= 256) return value;
  throw new BackpackError('BP_USAGE', `not a number of threads: ${text}`, {
    kind: 'usage',
    hint: 'give a number from 1 to 256',
  });
}

/**
 * A location in full. `me@nas:/backup`, `sftp:nas:/backup` and `s3:host/bucket` are places on other machines for other
 * programs: a folder of such a name is not made here by mistake.
 * @throws BackpackError BP_LOCATION
 */
function placeOf(location: string, cwd: string): string {
  if (location.includes('://')) return location;
  const path = resolve(cwd, location);
  if (!/^[^/]*:/.test(location) || existsSync(path)) return path;
  throw new BackpackError('BP_LOCATION', `${location} looks like a place on another machine`, {
    kind: 'usage',
    hint: `give tcp://HOST:PORT/NAME, s3://BUCKET/PREFIX, sftp://... with its extension, or ./${location} for a folder here`,
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
  /** Empty when the key is in no file. */
  readonly keyPath: string;
}

/**
 * Opens the repository of the settings.
 * @throws BackpackError BP_NO_REPOSITORY, BP_KEY_FILE, E_REPO, E_KEY
 */
export async function openFrom(settings: Settings): Promise<Opened> {
  const { spec } = settings;
  const storage = await openStorage(spec);
  const elsewhere = await keyElsewhere(settings, storage);
  if (elsewhere !== undefined) {
    const repository = await openRepository(spec, storage, elsewhere);
    return { repository, key: elsewhere, keyPath: '' };
  }
  const keyPath = settings.key?.value ?? (await findKey(settings, storage));
  // Without a repository the missing key is not what has to be told.
  if (!existsSync(keyPath) && (await repositoryIdOf(storage)) === undefined)
    throw noRepository(storage.location);
  const key = readKey(keyPath);
  const repository = await openRepository(spec, storage, key);
  return { repository, key, keyPath };
}

/** The key that is in no file: of a command or descriptor, or of an extension when no key is named at all. */
async function keyElsewhere(settings: Settings, storage: Storage): Promise<KeyFile | undefined> {
  const { keyFrom, key, extensions, signal } = settings;
  if (keyFrom !== undefined) {
    // Without a repository nobody should be asked for a passphrase.
    if ((await repositoryIdOf(storage)) === undefined) throw noRepository(storage.location);
    return parseKeyFrom(await keyFrom.value.read(), keyFrom.value.text);
  }
  const providers = key === undefined ? (extensions?.keyProviders ?? []) : [];
  if (providers.length === 0) return undefined;
  const repositoryId = await repositoryIdOf(storage);
  for (const { by, provider } of providers) {
    const { location } = storage;
    let bytes: Uint8Array | undefined;
    try {
      const ask = async (own: AbortSignal): Promise<Uint8Array | undefined> =>
        provider({ repositoryId, location, signal: own });
      bytes = await limited(ask, providerMs, signal);
    } catch (cause) {
      signal.throwIfAborted();
      const why = cause instanceof Error ? cause.message : String(cause);
      throw new BackpackError('BP_KEY_PROVIDER', `the extension ${by} could not provide the key: ${why}`, {
        kind: 'key',
        cause,
        hint: 'correct it, or give the key file with --key FILE',
      });
    }
    if (bytes !== undefined) return parseKeyFrom(bytes, `extension ${by}`);
  }
  return undefined;
}

/** Somebody may have to type a passphrase. */
const providerMs = 120_000;

/** @throws BackpackError E_KEY */
export function parseKeyFrom(bytes: Uint8Array, from: string): KeyFile {
  try {
    return parseKeyFile(Buffer.from(bytes));
  } catch (error) {
    throw isBackpackError(error) ? error.with({ tried: from }) : error;
  }
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
