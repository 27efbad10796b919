/** `backpack init`: makes repository, key file and recovery kit. */
import { existsSync, readFileSync } from 'node:fs';
import { BackpackError, isBackpackError, systemReason } from '../../base/errors.ts';
import { systemClock, systemRandom } from '../../base/ports.ts';
import { keyIdOf } from '../../codec/kdf.ts';
import { HeadStore } from '../../config/heads.ts';
import { readKeyBytes, replaceKey, writeNewKey } from '../../config/key-store.ts';
import { formatKeyFile, type KeyFile, parseKeyFile } from '../../format/key-file.ts';
import { shortRepo } from '../../format/names.ts';
import { checkFree, createRepository } from '../../repo/create.ts';
import { kitFiles, kitSum } from '../../repo/kit.ts';
import { openStorage } from '../../storage/open.ts';
import type { Storage } from '../../storage/storage.ts';
import { reaching, shell } from '../again.ts';
import { asTyped, type CommonOptions, type Context } from '../context.ts';
import { Voice } from '../render/output.ts';
import { safe } from '../render/text.ts';
import { defaultKeyPath, parseKeyFrom, readSettings, type Settings } from '../settings.ts';

/** Runs the command. @returns the exit code */
export async function init(
  context: Context,
  location: string | undefined,
  options: CommonOptions,
): Promise<number> {
  const voice = new Voice(context, options);
  const settings = readSettings(context, location === undefined ? options : { ...options, repo: location });
  const made = await makeRepository(settings);
  voice.event({
    type: 'summary',
    command: 'init',
    repositoryId: made.repo,
    keyId: made.keyid,
    location: made.location,
    keyFile: made.keyPath,
  });
  voice.result(
    `Created repository  ${shortRepo(made.repo)}  at ${safe(made.location)}\n` +
      `Secret key          ${safe(made.keyPath)}   without it nobody, including you, can read the backup\n` +
      `Recovery kit        ${safe(made.location)}/recover/   specification and scripts: restore without Backpack\n` +
      'Do now              copy the key file to a safe place that is not this machine\n' +
      `Next                ${asTyped(context, 'backpack backup PATH')} --repo ${shell(made.location)}${made.keyOption}${reaching(context, options)}\n`,
  );
  return 0;
}

/** What was made. */
export interface Made {
  readonly repo: string;
  readonly keyid: string;
  readonly location: string;
  readonly keyPath: string;
  /** ` --key FILE` when later commands need it. */
  readonly keyOption: string;
}

/**
 * Makes a repository at the location of the settings. The key is written, durable, before anything else.
 * @throws BackpackError BP_REPOSITORY_EXISTS, BP_LOCATION_IN_USE, BP_KEY_EXISTS, BP_KEY_NOT_VALID
 */
export async function makeRepository(settings: Settings): Promise<Made> {
  const location = settings.location.value;
  const storage = await openStorage(settings.spec);
  await checkFree(storage);
  const kit = kitSum(kitFiles().at(-1)!.bytes);
  const { keyFrom } = settings;
  if (keyFrom !== undefined) {
    const key = named(parseKeyFrom(await keyFrom.value.read(), keyFrom.value.text));
    await createRepository(storage, key, systemClock.now());
    new HeadStore(settings.folders.state).forget(key.repo, storage.location);
    const { repo, keyid } = key;
    const keyOption = keyFrom.source === '--key-command' ? ` --key-command ${shell(keyFrom.value.text)}` : '';
    return { repo, keyid, location, keyPath: keyFrom.value.text, keyOption };
  }
  const given = settings.key?.value;
  const existing = given !== undefined && existsSync(given) ? readValidKey(given) : undefined;
  const key = existing ?? newKey(kit);
  const keyPath = given ?? defaultKeyPath(settings.folders, key.repo);
  let takeBack = (): void => {};
  if (existing === undefined) takeBack = writeNewKey(keyPath, formatKeyFile(key));
  else if (existing.repoIsKnown && !existing.kit.includes(kit)) addKit(keyPath, kit);
  try {
    await createRepository(storage, key, systemClock.now());
  } catch (error) {
    // A key that somebody could use already is kept.
    if (!(await mayBeMade(storage))) takeBack();
    throw cannotMake(error, location);
  }
  new HeadStore(settings.folders.state).forget(key.repo, storage.location);
  return {
    repo: key.repo,
    keyid: key.keyid,
    location,
    keyPath,
    keyOption: given === undefined ? '' : ` --key ${shell(given)}`,
  };
}

/** Whether backpack.json, which comes last, may be there although an error came back. */
async function mayBeMade(storage: Storage): Promise<boolean> {
  return storage.stat('backpack.json').then(
    (found) => found !== undefined,
    () => true,
  );
}

/**
 * A folder that cannot be made (as below /proc) is not an object that is missing, and one that may not be written to is
 * no matter of credentials.
 */
function cannotMake(error: unknown, location: string): unknown {
  if (!isBackpackError(error)) return error;
  if (error.code === 'BP_STORAGE_DENIED' && !location.includes('://')) return mayNotWrite(error, location);
  if (error.code !== 'BP_OBJECT_MISSING') return error;
  const why = error.cause instanceof Error ? `: ${error.cause.message}` : '';
  return new BackpackError('BP_LOCATION', `no repository can be made at ${location}${why}`, {
    kind: 'conflict',
    cause: error,
    hint: 'give a new folder on a disk that can be written to; nothing was made',
  });
}

function mayNotWrite(error: BackpackError, location: string): BackpackError {
  let cause: unknown = error;
  while (isBackpackError(cause) && cause.cause !== undefined) ({ cause } = cause);
  const readOnly = (cause as NodeJS.ErrnoException).code === 'EROFS';
  return new BackpackError(
    'BP_STORAGE_DENIED',
    `no repository can be made at ${location}: ${systemReason(cause)}`,
    {
      kind: 'storage',
      context: { location },
      cause: error,
      hint: readOnly
        ? 'nothing was made; give another folder, or mount this one for writing'
        : `nothing was made; give another folder, or make this one yours: sudo install -d -o "$(id -un)" ${shell(location)}`,
    },
  );
}

type Named = KeyFile & { readonly repo: string; readonly repoIsKnown: boolean };

function newKey(kit: string): Named {
  const root = systemRandom.bytes(32);
  const repo = systemRandom.bytes(16).toString('hex');
  return {
    repo,
    keyid: keyIdOf(root),
    root,
    kit: [kit],
    old: [],
    dedup: undefined,
    chunk: undefined,
    repoIsKnown: true,
  };
}

/** A raw key names no repository, so this is its first. */
function named(key: KeyFile): Named {
  const repo = key.repo ?? systemRandom.bytes(16).toString('hex');
  return { ...key, repo, repoIsKnown: key.repo !== undefined };
}

/** A valid key in an existing file is used; anything else there is left alone. */
function readValidKey(path: string): Named {
  try {
    return named(parseKeyFile(readKeyBytes(path)));
  } catch (error) {
    if (isBackpackError(error) && error.code === 'BP_KEY_MODE' && holdsKey(path)) throw error;
    throw new BackpackError('BP_KEY_NOT_VALID', `${path} exists and is not a key file; it was left alone`, {
      kind: 'conflict',
      cause: error,
      hint: 'give another path with --key FILE',
    });
  }
}

/** Whether a file that others may read would be a key file otherwise. */
function holdsKey(path: string): boolean {
  try {
    parseKeyFile(readFileSync(path));
    return true;
  } catch {
    return false;
  }
}

/** Adds the hash of this version's kit to a key file in text form. */
function addKit(path: string, kit: string): void {
  const text = readKeyBytes(path).toString('latin1');
  const end = text.includes('\r\n') ? '\r\n' : '\n';
  replaceKey(path, `${text}${text.endsWith('\n') ? '' : end}kit=${kit}${end}`);
}
