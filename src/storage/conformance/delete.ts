/** Deleting, and what holds for every call. */
import { BackpackError } from '../../base/errors.ts';
import { listAll } from '../storage.ts';
import { define, index, names, pack, type StorageCase, text } from './case.ts';
import { codeOf, expect } from './expect.ts';

/** See the file's comment. */
export const deleteCases: readonly StorageCase[] = [
  define('another client sees what was committed at once', async (storage, reopen) => {
    const other = await reopen();
    await storage.put(index(1), Buffer.from('x'));
    expect(await names(other, 'index/')).toEqual([index(1)]);
    await other.delete(index(1));
    expect(await storage.stat(index(1))).toBeUndefined();
    expect(await names(storage, '')).toEqual([]);
  }),
  define('a call whose signal is aborted ends with the reason of the signal', async (storage) => {
    await storage.put(index(1), Buffer.from('x'));
    const signal = AbortSignal.abort();
    const calls: (() => unknown)[] = [
      () => storage.put(index(2), Buffer.from('x'), { signal }),
      () => storage.get(index(1), { signal }),
      () => storage.stat(index(1), { signal }),
      () => listAll(storage, '', { signal }),
      () => storage.delete(index(1), { signal }),
      () => storage.create(index(3), { signal }),
    ];
    for (const call of calls) expect(await codeOf(call)).toBe('BP_CANCELED');
    const reason = new BackpackError('BP_CANCELED', 'the reason', { kind: 'canceled' });
    const thrown = await storage
      .stat(index(1), { signal: AbortSignal.abort(reason) })
      .catch((error: unknown) => error);
    expect(thrown).toBe(reason);
    expect(await names(storage, '')).toEqual([index(1)]);
  }),
  define('delete removes, and a missing object is no error', async (storage) => {
    await storage.delete(pack(1));
    await storage.put(pack(1), Buffer.from('x'));
    await storage.put(pack(2), Buffer.from('y'));
    await storage.delete(pack(1));
    await storage.delete(pack(1));
    expect(await storage.stat(pack(1))).toBeUndefined();
    expect(await codeOf(() => storage.get(pack(1)))).toBe('BP_OBJECT_MISSING');
    expect(await names(storage, '')).toEqual([pack(2)]);
    await storage.put(pack(1), Buffer.from('again'));
    expect(text(await storage.get(pack(1)))).toBe('again');
  }),
  define('capabilities and location are plain', async (storage, reopen) => {
    expect(structuredClone(storage.capabilities)).toEqual(storage.capabilities);
    expect(storage.capabilities.parallelMax).toBeAtLeast(1);
    expect(storage.capabilities.objectSizeMax).toBeAtLeast(512 * 1024 * 1024);
    expect(typeof storage.location).toBe('string');
    expect((await reopen()).location).toBe(storage.location);
  }),
];
