/**
 * `backpack storage test`: puts a location through the conformance suite. It works only where there is nothing yet, so
 * that no object of a repository is ever touched, and removes what it makes.
 */
import { BackpackError, isBackpackError } from '../../base/errors.ts';
import { type StorageFactory, storageCases } from '../../storage/conformance/index.ts';
import { openStorage, type StorageSpec } from '../../storage/open.ts';
import { listAll, type Storage } from '../../storage/storage.ts';
import { type CommonOptions, type Context, exitCodes } from '../context.ts';
import { Voice } from '../render/output.ts';
import { counted, duration, safe } from '../render/text.ts';
import { readSettings } from '../settings.ts';

/** Runs the command. @returns the exit code */
export async function storageTest(
  context: Context,
  location: string,
  options: CommonOptions,
): Promise<number> {
  const voice = new Voice(context, options);
  const { spec } = readSettings(context, { ...options, repo: location });
  const storage = await openStorage(spec);
  await refuseUsed(storage);
  const started = performance.now();
  const opened: Storage[] = [storage];
  const factory = emptied(spec, opened);
  const count = { passed: 0, failed: 0 };
  for (const one of storageCases) {
    if (one.needsFaults) continue;
    context.signal.throwIfAborted();
    try {
      await one.run(factory);
      count.passed += 1;
      if (voice.verbose) voice.say(`ok      ${one.name}\n`);
    } catch (error) {
      count.failed += 1;
      const message = error instanceof Error ? error.message : String(error);
      voice.event({ type: 'error', code: codeOf(error), message: `${one.name}: ${message}` });
      voice.result(`FAILED  ${one.name}\n        ${safe(message)}\n`);
    }
  }
  const left = await removeAll(storage);
  await storage[Symbol.asyncDispose]();
  // Some storages learn by writing what they can do.
  const atomic = opened.some(({ capabilities }) => capabilities.exclusivePut === 'atomic');
  const elapsedMs = Math.round(performance.now() - started);
  voice.event({ type: 'summary', command: 'storage test', ...count, left, elapsedMs });
  voice.result(
    `${counted(count.passed, 'case')} passed, ${count.failed} failed, in ${duration(elapsedMs)}   ${safe(storage.location)}\n` +
      `exclusive creation: ${atomic ? 'atomic' : 'none'}, listings: ${storage.capabilities.listing}\n`,
  );
  if (left > 0) voice.warn(`warning: ${counted(left, 'object')} could not be removed\n`);
  return count.failed > 0 ? exitCodes.storage : exitCodes.ok;
}

/** A storage for each case that is as empty as the location was. */
function emptied(spec: StorageSpec, opened: Storage[]): StorageFactory {
  const open = async (): Promise<Storage> => {
    const storage = await openStorage(spec);
    opened.push(storage);
    return storage;
  };
  return {
    create: async () => {
      const storage = await open();
      if ((await removeAll(storage)) > 0)
        throw new TypeError('what a case made cannot be removed, so no other can run');
      return { storage, reopen: open };
    },
  };
}

/** @throws BackpackError BP_LOCATION_IN_USE */
async function refuseUsed(storage: Storage): Promise<void> {
  const entries = (await storage.entries?.()) ?? [];
  const objects = await listAll(storage, '').catch((error: unknown) => {
    if (isBackpackError(error) && error.code === 'BP_OBJECT_MISSING') return [];
    throw error;
  });
  const found = [...entries, ...objects.map(({ name }) => name)];
  if (found.length === 0) return;
  throw new BackpackError('BP_LOCATION_IN_USE', `${storage.location} is not empty: it holds ${found[0]}`, {
    kind: 'conflict',
    context: { location: storage.location },
    hint: 'give a new folder or prefix beside it; nothing was changed',
  });
}

/** Deletes every object. The location held none before the test. @returns how many are left */
async function removeAll(storage: Storage): Promise<number> {
  try {
    for (const { name } of await listAll(storage, '')) await storage.delete(name);
    return (await listAll(storage, '')).length;
  } catch (error) {
    if (isBackpackError(error) && error.code === 'BP_OBJECT_MISSING') return 0;
    if (isBackpackError(error) && error.code === 'BP_STORAGE_DENIED') return 1;
    throw error;
  }
}

function codeOf(error: unknown): string {
  return isBackpackError(error) ? error.code : 'BP_NOT_CONFORMING';
}
