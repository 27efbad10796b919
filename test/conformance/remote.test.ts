/** A storage behind a server keeps the promises of the storage contract, over TCP too, and through two servers. */
import { describe, it, onTestFinished } from 'vitest';
import { dial } from '../../src/net/transport.ts';
import { FsStorage, MemoryStorage, type Storage } from '../../src/storage/index.ts';
import { RemoteStorage } from '../../src/storage/remote/remote.ts';
import { makeClient, makeServer } from '../unit/server/rig.ts';
import { temporaryFolder } from '../unit/support.ts';
import { type StorageFactory, storageSuite } from './storage-suite.ts';

/** One storage for all repositories of a server, as contract tests need no receipt check. */
function served(storage: Storage): Awaited<ReturnType<StorageFactory['create']>> {
  const server = makeServer({ storage });
  return { storage: makeClient(server), reopen: async () => makeClient(server) };
}

const memory: StorageFactory = { create: async () => served(new MemoryStorage()) };
const fs: StorageFactory = { create: async () => served(new FsStorage(temporaryFolder())) };
const chain: StorageFactory = { create: async () => served(makeClient(makeServer())) };

const tcp: StorageFactory = {
  create: async () => {
    const server = makeServer({ storage: new FsStorage(temporaryFolder()) });
    const address = { host: '127.0.0.1', port: 0, tls: undefined };
    const port = await server.listen(address);
    const reopen = async (): Promise<Storage> => {
      const storage = new RemoteStorage({
        location: `tcp://127.0.0.1:${port}/repo`,
        repository: 'repo',
        connections: 2,
        timeoutMs: 5000,
        dial: (limitMs) => dial({ ...address, port }, limitMs),
      });
      onTestFinished(() => storage[Symbol.asyncDispose]());
      return storage;
    };
    return { storage: await reopen(), reopen };
  },
};

describe.each([
  ['loopback, memory', memory],
  ['loopback, fs', fs],
  ['through two servers', chain],
  ['tcp, fs', tcp],
])('%s', (_name, factory) => {
  for (const { name, run } of storageSuite) it(name, () => run(factory));
});
