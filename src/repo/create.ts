/** Makes a repository: kit, README.txt, and backpack.json last, which makes it one. */
import { BackpackError, isBackpackError } from '../base/errors.ts';
import type { KeyFile } from '../format/key-file.ts';
import { formatMs } from '../format/time.ts';
import { listAll, type Storage } from '../storage/storage.ts';
import { kitFiles } from './kit.ts';
import { formatHint } from './repository.ts';

/**
 * Checks that a location is empty, or holds only what an interrupted init left behind.
 * @throws BackpackError BP_REPOSITORY_EXISTS, BP_LOCATION_IN_USE
 */
export async function checkFree(storage: Storage): Promise<void> {
  // First: it tells best why a location cannot be used.
  const entries = (await storage.entries?.()) ?? [];
  const objects = await listAll(storage, '').catch((error: unknown) => {
    if ((error as BackpackError).code === 'BP_OBJECT_MISSING') return [];
    throw error;
  });
  const { location } = storage;
  const isRepository = objects.some(
    ({ name }) => name === 'backpack.json' || /^(packs|snapshots)\//.test(name),
  );
  if (isRepository) {
    throw new BackpackError('BP_REPOSITORY_EXISTS', `there is a repository at ${location} already`, {
      kind: 'conflict',
      hint: `backpack backup PATH --repo ${location}`,
    });
  }
  const left = entries.filter((name) => !['recover', 'README.txt'].includes(name));
  if (left.length > 0) {
    throw new BackpackError(
      'BP_LOCATION_IN_USE',
      `${location} is not empty: it holds ${left.slice(0, 3).join(', ')}`,
      {
        kind: 'conflict',
        hint: 'give an empty or new folder',
      },
    );
  }
}

/**
 * Writes everything that makes an empty location a repository of this key.
 * @throws BackpackError BP_STORAGE_DENIED when these credentials may not; they may still be good for backups
 */
export async function createRepository(
  storage: Storage,
  key: KeyFile & { readonly repo: string },
  nowMs: number,
): Promise<void> {
  try {
    for (const { name, bytes } of kitFiles()) await storage.put(name, bytes);
    const hint = formatHint({ repo: key.repo, keys: [key.keyid], made: formatMs(nowMs) });
    await storage.put('backpack.json', Buffer.from(hint, 'utf8'));
  } catch (error) {
    throw isBackpackError(error) && error.code === 'BP_STORAGE_DENIED' ? mayNotCreate(storage, error) : error;
  }
}

function mayNotCreate({ location }: Storage, error: BackpackError): BackpackError {
  return new BackpackError(
    'BP_STORAGE_DENIED',
    `a repository cannot be made at ${location}: ${error.message}`,
    {
      kind: 'storage',
      hint: /^(?:tcp|tls):/.test(location)
        ? 'make it once with an access key of the role admin, or with backpack init in the folder on the server; for backups this access key is enough (docs/server.md)'
        : 'check what the credentials may write: init also writes README.txt, recover/ and backpack.json',
      context: error.context,
      cause: error,
    },
  );
}
