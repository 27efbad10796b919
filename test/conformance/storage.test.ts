/** The storages that come with the program, and every wrapper, keep the promises of the storage contract. */
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { createRateLimit } from '../../src/base/rate-limiter.ts';
import { CacheStorage } from '../../src/storage/cache.ts';
import {
  type FaultKind,
  type StorageFactory,
  storageCases,
  storageConformance,
} from '../../src/storage/conformance/index.ts';
import { ForwardStorage } from '../../src/storage/forward.ts';
import { FsStorage, MemoryStorage, openStorage, type Storage } from '../../src/storage/index.ts';
import { RetryStorage } from '../../src/storage/retry.ts';
import { ThrottleStorage } from '../../src/storage/throttle.ts';
import { TimeoutStorage } from '../../src/storage/timeout.ts';
import { FaultyStorage } from '../stubs/faulty-storage.ts';
import { type Fault, type Profile, S3Stub, type Seen } from '../stubs/s3-stub.ts';
import { temporaryFolder } from '../unit/support.ts';

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

function wrapped(wrap: (inner: Storage) => Storage): StorageFactory {
  return {
    create: async () => {
      const inner = new MemoryStorage();
      return { storage: wrap(inner), reopen: async () => wrap(inner) };
    },
  };
}

const retrying: StorageFactory = {
  create: async () => {
    const inner = new MemoryStorage();
    const faulty = new FaultyStorage(inner);
    return {
      storage: new RetryStorage(faulty, { pauseMs: 1 }),
      reopen: async () => new RetryStorage(inner),
      fault: (kind) => {
        faulty.next = kind;
      },
    };
  },
};

describe.each<[string, StorageFactory, boolean]>([
  ['memory', memory, false],
  ['fs', fs, false],
  ['fs, new folder', newFolder, false],
  ['forward', wrapped((inner) => new ForwardStorage(inner)), false],
  [
    'throttle',
    wrapped(
      (inner) =>
        new ThrottleStorage(inner, { upload: createRateLimit(2 ** 40), download: createRateLimit(2 ** 40) }),
    ),
    false,
  ],
  ['cache', wrapped((inner) => new CacheStorage(inner, temporaryFolder())), false],
  ['timeout', wrapped((inner) => new TimeoutStorage(inner, 10_000)), false],
  ['retry', retrying, true],
])('%s', (_name, factory, faults) => {
  storageConformance({ test: it, factory, faults });
});

describe.each<Profile>(['aws', 'rgw', 'swift', 'naive'])('s3, a server like %s', (profile) => {
  let stub: S3Stub;
  let endpoint: string;
  beforeAll(async () => {
    stub = new S3Stub();
    stub.profile = profile;
    stub.pageSize = 7;
    endpoint = await stub.listen();
  });
  afterAll(() => stub.close());

  let prefix = 0;
  const factory: StorageFactory = {
    create: async () => {
      prefix += 1;
      const location = `s3://bucket/repo-${prefix}`;
      const open = (): Promise<Storage> =>
        openStorage({ location, s3: { endpoint }, timeoutMs: 10_000, connections: 3 });
      process.env['AWS_ACCESS_KEY_ID'] = 'TESTKEY';
      process.env['AWS_SECRET_ACCESS_KEY'] = 'TESTSECRET';
      onTestFinished(() => {
        stub.fault = () => undefined;
        stub.objects.clear();
        // A test that leaves an upload behind leaves costs behind.
        expect([...stub.uploads.values()].map(({ key }) => key)).toEqual([]);
      });
      return {
        storage: await open(),
        reopen: open,
        fault: (kind) => {
          const [fault, fits] = stubFaults[kind];
          let done = false;
          stub.fault = (seen) => {
            if (done || !fits(seen)) return undefined;
            done = true;
            return fault;
          };
        },
      };
    },
  };
  // Two of the profiles differ from the others in what they do with conditions, and in nothing else.
  const full = profile === 'aws' || profile === 'swift';
  storageConformance({
    test: (name, run) => {
      if (full || /put|create|commit|at once|answer/.test(name)) it(name, run);
    },
    factory,
    faults: true,
  });
});

const stubFaults: Record<FaultKind, readonly [Fault, (seen: Seen) => boolean]> = {
  'lost-answer': ['applied-reset', ({ method }) => method === 'PUT' || method === 'DELETE'],
  busy: ['error-503', () => true],
  'broken-read': ['short-body', ({ method, key }) => method === 'GET' && key !== ''],
  'broken-list': [
    'bad-xml',
    ({ method, key, query }) => method === 'GET' && key === '' && query.has('continuation-token'),
  ],
};

it('has at least 60 cases, each with a name of its own', () => {
  expect(storageCases.length).toBeGreaterThanOrEqual(60);
  expect(new Set(storageCases.map(({ name }) => name)).size).toBe(storageCases.length);
});
