/** The storages that come with the program keep the promises of the storage contract. */
import { join } from 'node:path';
import { describe, it } from 'vitest';
import { FsStorage, MemoryStorage } from '../../src/storage/index.ts';
import { temporaryFolder } from '../unit/support.ts';
import { type StorageFactory, storageSuite } from './storage-suite.ts';

const memory: StorageFactory = {
  create: async () => {
    const storage = new MemoryStorage();
    return { storage, reopen: async () => storage };
  },
};

const fs: StorageFactory = {
  create: async () => {
    const folder = temporaryFolder();
    return { storage: new FsStorage(folder), reopen: async () => new FsStorage(folder) };
  },
};

/** A folder that does not exist yet, below another that does not exist. */
const newFolder: StorageFactory = {
  create: async () => {
    const folder = join(temporaryFolder(), 'a', 'b');
    const storage = new FsStorage(folder);
    await storage.put('README.txt', Buffer.from('x'));
    await storage.delete('README.txt');
    return { storage, reopen: async () => new FsStorage(folder) };
  },
};

describe.each([
  ['memory', memory],
  ['fs', fs],
  ['fs, new folder', newFolder],
])('%s', (_name, factory) => {
  for (const { name, run } of storageSuite) it(name, () => run(factory));
});
