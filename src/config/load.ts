/** The config file, and where each setting comes from: option, then environment, then config file, then default. */
import { readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import envPaths from 'env-paths';
import { BackpackError, systemReason } from '../base/errors.ts';
import { type Config, isConfig, schemaError, unknownConfigKey } from '../schema/index.ts';

/** Where a setting came from. */
export type Origin = 'option' | 'environment' | 'file' | 'default';

/** A setting and where it came from. */
export interface Setting<T> {
  readonly value: T;
  readonly origin: Origin;
  /** The option, variable or file. */
  readonly source: string;
}

/** Folders of this user. */
export interface Folders {
  readonly config: string;
  readonly data: string;
  readonly state: string;
  readonly cache: string;
}

/** The user's folders (XDG on Linux). */
export function userFolders(): Folders {
  const paths = envPaths('backpack', { suffix: '' });
  return { config: paths.config, data: paths.data, state: join(paths.data, 'state'), cache: paths.cache };
}

const bytesMax = 1024 * 1024;

/**
 * Reads the config file.
 * @param required whether the user named it: then it must be there
 * @throws BackpackError BP_CONFIG
 */
export function loadConfig(path: string, required: boolean): Config {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT' && !required) return {};
    throw configError(`cannot read ${path}: ${systemReason(error)}`, 'give another file with --config FILE');
  }
  if (text.length > bytesMax) throw configError(`${path} is larger than 1 MiB`, 'is it a config file?');
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw configError(`${path} is not JSON: ${(error as Error).message}`, 'correct the file');
  }
  if (isConfig(value)) return value;
  const unknown = unknownConfigKey();
  if (unknown === undefined) throw configError(`${path}: ${schemaError('config')}`, 'correct the file');
  throw configError(`${path}: unknown setting ${unknown.path}/${unknown.key}`, nearest(unknown.key));
}

const known = [
  'repository',
  'key',
  'sets',
  'limits',
  'compression',
  'threads',
  'memory',
  'readRate',
  'writeRate',
  'connections',
  'uploadRate',
  'downloadRate',
  'timeout',
  'accessKey',
  'cache',
  's3',
  'paths',
  'tags',
  'host',
  'keyCommand',
  'hooks',
  'extensions',
  'command',
  'onFailure',
  'module',
  'options',
  ...['backup', 'restore', 'prune', 'check'].flatMap((name) =>
    ['before', 'after', 'failed', 'finally'].map((moment) => `${name}.${moment}`),
  ),
  'exclude',
  'iexclude',
  'excludeFiles',
  'iexcludeFiles',
  'include',
  'iinclude',
  'excludeCaches',
  'excludeIfPresent',
  'excludeLargerThan',
  'excludeNodump',
  'ignoreFiles',
  'oneFileSystem',
  'filesFrom',
  'filesFromNul',
  'skipIfUnchanged',
  'command',
  'stdinName',
];

function nearest(key: string): string {
  const best = known
    .map((name) => ({ name, distance: distance(name, key) }))
    .sort((a, b) => a.distance - b.distance)[0]!;
  return best.distance <= 3 ? `did you mean ${best.name}?` : `settings are ${known.slice(0, 5).join(', ')}`;
}

/**
 * Settings that the file may hold and that this version does not use yet: a user must not believe that they work.
 */
export function ignoredSettings(config: Config): string[] {
  return 'retention' in config ? ['retention'] : [];
}

/** Levenshtein distance. */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i += 1) {
    const next = [i];
    for (let j = 1; j <= b.length; j += 1) {
      next[j] = Math.min(row[j]! + 1, next[j - 1]! + 1, row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1));
    }
    row = next;
  }
  return row[b.length]!;
}

/** A path of the config file: `~` is the home folder. */
export function expandHome(path: string): string {
  if (path === '~') return homedir();
  return path.startsWith('~/') ? join(homedir(), path.slice(2)) : path;
}

function configError(message: string, hint: string): BackpackError {
  return new BackpackError('BP_CONFIG', message, { kind: 'config', hint });
}
