/**
 * A writer that was committed or aborted kept using the number of its closed handle, which may belong to another file
 * by then; the storage in memory published an empty object after an abort, and replaced objects that are written once.
 */
import { expect, it } from 'vitest';
import { FsStorage, MemoryStorage, type Storage } from '../../src/storage/index.ts';
import { codeOfAsync, idOf, temporaryFolder } from '../unit/support.ts';

const name = `index/${idOf(1)}.bpk`;
const makers: [string, () => Storage][] = [
  ['memory', () => new MemoryStorage()],
  ['fs', () => new FsStorage(temporaryFolder())],
];

it.each(makers)('%s: a writer ends once', async (_name, make) => {
  const storage = make();
  const writer = await storage.create(name);
  await writer.abort();
  expect(await codeOfAsync(async () => writer.append([Buffer.from('x')]))).toBe('BP_INTERNAL');
  expect(await codeOfAsync(() => writer.commit())).toBe('BP_INTERNAL');
  expect(await storage.stat(name)).toBeUndefined();
});

it.each(makers)('%s: what is written once stays', async (_name, make) => {
  const storage = make();
  await storage.put(name, Buffer.from('old'));
  expect(await codeOfAsync(() => storage.put(name, Buffer.from('new')))).toBe('BP_OBJECT_EXISTS');
});
