/** An open repository: where it is, and the keys. */
import { BackpackError } from '../base/errors.ts';
import { blockBytes } from '../base/limits.ts';
import { xxh64 } from '../codec/xxhash.ts';
import { ContainerReader, type ReadContext } from '../container/container-reader.ts';
import { Keyring } from '../container/keyring.ts';
import { ReaderMemory } from '../container/reader-memory.ts';
import { parseHeader } from '../format/header.ts';
import { parseLine } from '../format/json-lines.ts';
import type { KeyFile } from '../format/key-file.ts';
import { shortRepo } from '../format/names.ts';
import type { StorageSpec } from '../storage/open.ts';
import type { Storage } from '../storage/storage.ts';

/** Features of the format that this version knows; the list is empty in v1. */
const knownFeatures: readonly string[] = [];

/** See the file's comment. */
export interface Repository {
  readonly spec: StorageSpec;
  readonly storage: Storage;
  readonly keyring: Keyring;
  /** 32 hex. */
  readonly repo: string;
  readonly read: ReadContext;
  /** What is wrong with backpack.json, if anything: it is only a hint. */
  readonly hintProblem: string | undefined;
}

/**
 * Opens a repository with a key file.
 * @throws BackpackError BP_NO_REPOSITORY, E_REPO, E_KEY, E_NEED, errors of the storage
 */
export async function openRepository(spec: StorageSpec, storage: Storage, key: KeyFile): Promise<Repository> {
  const keyring = Keyring.of(key);
  const read: ReadContext = { storage, keyring, memory: new ReaderMemory(), mend: true };
  const hint = await readHint(storage);
  let repo = key.repo;
  let hintProblem: string | undefined;
  if (hint === undefined) {
    if (!(await looksLikeRepository(storage))) throw noRepository(storage.location);
    hintProblem = 'backpack.json is missing';
  } else if (typeof hint === 'string') {
    hintProblem = hint;
  } else {
    checkHint(hint, keyring, repo, storage.location);
    repo ??= hint.repo;
  }
  repo ??= await repoFromHeaders(read);
  if (repo === undefined) throw noRepository(storage.location);
  return { spec, storage, keyring, repo, read, hintProblem };
}

interface Hint {
  readonly repo: string;
  readonly keys: readonly string[];
  readonly incompat: readonly string[];
}

/** backpack.json as far as it can be used; a text says what is wrong with it. */
async function readHint(storage: Storage): Promise<Hint | string | undefined> {
  const info = await storage.stat('backpack.json');
  if (info === undefined) return undefined;
  if (info.sizeBytes > 65_536) return 'backpack.json is larger than 64 KiB';
  const bytes = await storage.get('backpack.json');
  if (!hintIsIntact(bytes)) return 'backpack.json is damaged';
  let value: Record<string, unknown>;
  try {
    value = parseLine(Buffer.from(bytes).toString('utf8').trimEnd()) as Record<string, unknown>;
  } catch {
    return 'backpack.json is not readable';
  }
  const { repo, keys, features, v } = value;
  if (value['backpack'] !== 'repository' || typeof repo !== 'string' || !Array.isArray(keys))
    return 'backpack.json is damaged';
  const incompat = (features as { incompat?: unknown } | undefined)?.incompat;
  if (v !== 1 || !Array.isArray(incompat)) {
    if (typeof v === 'number' && v > 1) return { repo, keys: [], incompat: [`format ${v}`] };
    return 'backpack.json is damaged';
  }
  return { repo, keys: keys as string[], incompat: incompat as string[] };
}

/**
 * The repository id that backpack.json or, without it, any container's header names; not yet verified with a key.
 * @returns undefined when there is no repository
 */
export async function repositoryIdOf(storage: Storage): Promise<string | undefined> {
  const hint = await readHint(storage);
  if (typeof hint === 'object') return hint.repo;
  for (const prefix of ['snapshots/', 'packs/']) {
    try {
      for await (const { name, sizeBytes } of storage.list(prefix)) {
        if (sizeBytes < blockBytes) continue;
        try {
          return parseHeader(await storage.get(name, { range: { offset: 0, length: blockBytes } })).repo;
        } catch {
          // A damaged header says nothing; the next one may.
        }
      }
    } catch (error) {
      if ((error as BackpackError).code !== 'BP_OBJECT_MISSING') throw error;
    }
  }
  return undefined;
}

/** Text of backpack.json: its last key is the XXH64 of everything before it, so that damage is found. */
export function formatHint(hint: { repo: string; keys: readonly string[]; made: string }): string {
  const features = { incompat: [], roCompat: [], compat: [] };
  const start = JSON.stringify({
    backpack: 'repository',
    v: 1,
    repo: hint.repo,
    features,
    keys: hint.keys,
    made: hint.made,
  });
  const body = start.slice(0, -1);
  return `${body},"xxh64":"${xxh64(Buffer.from(body, 'utf8'))}"}\n`;
}

/** Whether backpack.json is what was written. */
export function hintIsIntact(bytes: Uint8Array): boolean {
  const text = Buffer.from(bytes).toString('latin1');
  const at = text.lastIndexOf(',"xxh64":"');
  return at > 0 && text.slice(at) === `,"xxh64":"${xxh64(bytes.subarray(0, at))}"}\n`;
}

function checkHint(hint: Hint, keyring: Keyring, repo: string | undefined, location: string): void {
  const unknown = hint.incompat.filter((feature) => !knownFeatures.includes(feature));
  if (unknown.length > 0) {
    throw new BackpackError(
      'E_NEED',
      `the repository at ${location} uses ${unknown.join(', ')}, which this version does not know`,
      {
        kind: 'unsupported',
        hint: 'use a newer Backpack; nothing was changed',
      },
    );
  }
  const fits = (repo === undefined || repo === hint.repo) && hint.keys.some((id) => keyring.has(id));
  if (fits) return;
  // A damaged hint must not lock anyone out, so the containers decide; see repoFromHeaders and every header read.
  if (repo !== undefined && repo === hint.repo) return;
  throw keyMismatch(location, hint.repo, repo, keyring.keyid);
}

/** E_REPO, or E_KEY when only the key id differs: the key does not open this repository. */
export function keyMismatch(
  location: string,
  there: string,
  key: string | undefined,
  keyid: string,
): BackpackError {
  const another = key !== undefined && key !== there;
  const belongs = !another ? `its key id is ${keyid}` : `it belongs to repository ${shortRepo(key)}`;
  return new BackpackError(
    another ? 'E_REPO' : 'E_KEY',
    `wrong key for repository ${shortRepo(there)} at ${location}: ${belongs}`,
    {
      kind: 'key',
      context: { location, keyid },
      hint: 'give the key file of this repository with --key FILE',
    },
  );
}

/** BP_NO_REPOSITORY */
export function noRepository(location: string): BackpackError {
  return new BackpackError('BP_NO_REPOSITORY', `no repository at ${location}`, {
    kind: 'not-found',
    context: { location, repository: true },
    hint: `backpack init ${location}`,
  });
}

async function looksLikeRepository(storage: Storage): Promise<boolean> {
  for (const prefix of ['snapshots/', 'packs/']) {
    try {
      for await (const _ of storage.list(prefix)) return true;
    } catch (error) {
      if ((error as BackpackError).code !== 'BP_OBJECT_MISSING') throw error;
    }
  }
  return false;
}

/** The repository id that the first container with an authentic header names. */
async function repoFromHeaders(read: ReadContext): Promise<string | undefined> {
  for (const prefix of ['snapshots/', 'packs/']) {
    for await (const { name, sizeBytes } of read.storage.list(prefix)) {
      try {
        return (await ContainerReader.open(read, name, { sizeBytes })).header.repo;
      } catch {
        // A damaged one says nothing; the next one may.
      }
    }
  }
  return undefined;
}
