/** What S3 has beyond the contract: options of requests, credentials that may not delete, faults on a schedule. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { isBackpackError } from '../../../src/base/errors.ts';
import { listAll, openStorage, type S3Options, type Storage } from '../../../src/storage/index.ts';
import { type Fault, S3Stub } from '../../stubs/s3-stub.ts';
import { codeOfAsync } from '../support.ts';

const id = (n: number): string => `019b76daa8${n.toString(16).padStart(30, '0')}`;
const pack = (n: number): string => `packs/019b7/${id(n)}.bpk`;
const index = (n: number): string => `index/${id(n)}.bpk`;
const MiB = 1024 * 1024;

let stub: S3Stub;
let endpoint: string;
beforeAll(async () => {
  stub = new S3Stub();
  endpoint = await stub.listen();
});
afterAll(() => stub.close());
beforeEach(() => {
  vi.stubEnv('AWS_ACCESS_KEY_ID', 'TESTKEY');
  vi.stubEnv('AWS_SECRET_ACCESS_KEY', 'TESTSECRET');
});
afterEach(() => {
  vi.unstubAllEnvs();
  stub.fault = () => undefined;
  stub.mayDelete = true;
  stub.profile = 'aws';
  stub.objects.clear();
  stub.uploads.clear();
  stub.log.length = 0;
});

const open = (s3: S3Options = {}, timeoutMs = 10_000): Promise<Storage> =>
  openStorage({ location: 's3://bucket/a/b', s3: { endpoint, ...s3 }, timeoutMs, connections: 3 });

async function writePack(storage: Storage, n: number, bytes: Buffer): Promise<void> {
  const writer = await storage.create(pack(n));
  for (let at = 0; at < bytes.length; at += 3 * MiB) await writer.append([bytes.subarray(at, at + 3 * MiB)]);
  await writer.commit();
}

describe('requests', () => {
  it('put objects below the prefix of the location', async () => {
    await (await open()).put(index(1), Buffer.from('x'));
    expect([...stub.objects.keys()]).toEqual([`a/b/${index(1)}`]);
  });

  it('carry storage class (packs only), encryption and retention', async () => {
    const storage = await open({
      storageClass: 'STANDARD_IA',
      encryption: { algorithm: 'aws:kms', kmsKeyId: 'key-1' },
      retention: { mode: 'COMPLIANCE', days: 30 },
    });
    expect(storage.capabilities.retention).toBe(true);
    for (const name of [pack(1), index(1), 'README.txt']) await storage.put(name, Buffer.from('x'));
    const headers = (name: string): Readonly<Record<string, string>> =>
      stub.objects.get(`a/b/${name}`)!.headers;
    expect(headers(pack(1))['x-amz-storage-class']).toBe('STANDARD_IA');
    expect(headers(index(1))['x-amz-storage-class']).toBeUndefined();
    expect(headers(index(1))['x-amz-server-side-encryption']).toBe('aws:kms');
    expect(headers(index(1))['x-amz-server-side-encryption-aws-kms-key-id']).toBe('key-1');
    expect(headers(pack(1))['x-amz-object-lock-mode']).toBe('COMPLIANCE');
    const until = Date.parse(headers(pack(1))['x-amz-object-lock-retain-until-date']!);
    expect(Math.abs(until - Date.now() - 30 * 24 * 3600 * 1000)).toBeLessThan(60_000);
    expect(headers('README.txt')['x-amz-object-lock-mode']).toBeUndefined();
  });

  it('go to bucket.host with virtual addressing', async () => {
    const { S3Requests } = await import('../../../src/storage/s3-client.ts');
    const sdk = await import('@aws-sdk/client-s3');
    const seen: string[] = [];
    const requests = new S3Requests(sdk, {
      location: 's3://bucket/a',
      timeoutMs: 500,
      s3: { endpoint: 'http://storage.invalid', addressing: 'virtual' },
    });
    const command = new sdk.HeadObjectCommand({ Bucket: 'bucket', Key: 'k' });
    const look = (next: (args: never) => unknown) => (args: { request: { hostname: string } }) => {
      seen.push(args.request.hostname);
      return next(args as never);
    };
    command.middlewareStack.add(look as never, { step: 'finalizeRequest' });
    await requests.send(command as never, 'k', undefined).catch(() => {});
    expect(seen).toEqual(['bucket.storage.invalid']);
    requests.close();
  });

  it('send packs in parts of 8 MiB and commits whole', async () => {
    const storage = await open();
    const bytes = Buffer.alloc(20 * MiB, 'abcdefg');
    await writePack(storage, 1, bytes);
    await storage.put(`snapshots/20260101T000000Z-${id(1)}.bpk`, Buffer.alloc(9 * MiB));
    const parts = stub.log.filter((line) => line.includes('partNumber='));
    expect(parts).toHaveLength(3);
    expect(stub.log.filter((line) => line.includes('?uploads='))).toHaveLength(1);
    expect(stub.objects.get(`a/b/${pack(1)}`)!.bytes.equals(bytes)).toBe(true);
  });

  it('never name the credentials in a location or an error', async () => {
    vi.stubEnv('AWS_ACCESS_KEY_ID', 'OTHERKEY');
    const error = await (await open()).stat(index(1)).catch((e: unknown) => e);
    expect(isBackpackError(error) && error.code).toBe('BP_STORAGE_DENIED');
    expect(JSON.stringify(error)).not.toMatch(/TESTSECRET|OTHERKEY/);
  });

  it.each([
    's3://',
    's3://B',
    's3://key:secret@bucket',
    's3://bucket/a/../b',
    's3://bucket//a',
    's3://bucket/a\nb',
  ])('refuse the location %j', async (location) => {
    expect(await codeOfAsync(() => openStorage({ location, s3: { endpoint } }))).toBe('BP_LOCATION');
  });

  it('tell a missing bucket from an empty one', async () => {
    const storage = await openStorage({ location: 's3://nobucket', s3: { endpoint }, timeoutMs: 2000 });
    expect(await codeOfAsync(() => listAll(storage, ''))).toBe('BP_BUCKET_MISSING');
  });
});

describe('exclusive creation', () => {
  it.each([
    ['aws', 'atomic'],
    ['rgw', 'atomic'],
    ['swift', 'none'],
    ['naive', 'none'],
  ] as const)('is found out by trying: a server like %s is %s', async (profile, expected) => {
    stub.profile = profile;
    const storage = await open();
    await storage.put(index(1), Buffer.from('x'), { exclusive: true });
    expect(storage.capabilities.exclusivePut).toBe(expected);
    expect(await codeOfAsync(() => storage.put(index(1), Buffer.from('y'), { exclusive: true }))).toBe(
      'BP_OBJECT_EXISTS',
    );
    expect(stub.objects.get(`a/b/${index(1)}`)!.bytes.toString()).toBe('x');
  });
});

describe('credentials that may not delete', () => {
  it('write, read and list; an upload that is given up is left to a rule of the bucket', async () => {
    stub.mayDelete = false;
    const storage = await open();
    await storage.put(index(1), Buffer.from('x'), { exclusive: true });
    await writePack(storage, 1, Buffer.alloc(9 * MiB));
    const writer = await storage.create(pack(2));
    await writer.append([Buffer.alloc(9 * MiB)]);
    await writer.abort();
    expect((await listAll(storage, '')).map(({ name }) => name)).toEqual([index(1), pack(1)]);
    expect(await codeOfAsync(() => storage.delete(index(1)))).toBe('BP_STORAGE_DENIED');
    expect(stub.uploads.size).toBe(1);
  });

  it('an unfinished upload is swept after a day, not before', async () => {
    const storage = await open();
    stub.mayDelete = false;
    const writer = await storage.create(pack(2));
    await writer.append([Buffer.alloc(9 * MiB)]);
    await writer.abort();
    stub.mayDelete = true;
    await storage.sweep?.(Date.now());
    expect(stub.uploads.size).toBe(1);
    await storage.sweep?.(Date.now() + 25 * 3600 * 1000);
    expect(stub.uploads.size).toBe(0);
  });
});

describe('faults', () => {
  const kinds: readonly Fault[] = [
    'error-500',
    'error-503',
    'error-429',
    'applied-500',
    'applied-reset',
    'reset',
    'reset-body',
    'short-body',
    'bad-xml',
  ];

  /** The same numbers for the same seed. */
  const random = (seed: number): (() => number) => {
    let state = seed;
    return () => {
      state = (Math.imul(state ^ (state >>> 15), 2_246_822_519) + 0x9e3779b9) >>> 0;
      return ((state ^ (state >>> 13)) >>> 0) / 2 ** 32;
    };
  };

  it.each(Array.from({ length: process.env['SLOW'] === '1' ? 100 : 6 }, (_, i) => i + 1))(
    'on a schedule from seed %i: nothing is lost, nothing is half visible',
    async (seed) => {
      const next = random(seed);
      const rate = [0.1, 0.3, 0.5][seed % 3]!;
      stub.profile = (['aws', 'rgw', 'swift', 'naive'] as const)[seed % 4]!;
      stub.pageSize = 3;
      stub.fault = () => (next() < rate ? kinds[Math.floor(next() * kinds.length)] : undefined);
      const timeoutMs = 2000;
      const storage = await open({}, timeoutMs);
      const acknowledged = new Map<string, Buffer>();
      const attempted = new Map<string, Buffer>();
      const step = async (name: string, bytes: Buffer, write: () => Promise<unknown>): Promise<void> => {
        attempted.set(name, bytes);
        const started = performance.now();
        try {
          await write();
          acknowledged.set(name, bytes);
        } catch (error) {
          if (!isBackpackError(error)) throw error;
          expect(['BP_STORAGE_BUSY', 'BP_STORAGE_NETWORK', 'BP_STORAGE_TIMEOUT']).toContain(error.code);
          expect(error.hint).toBeDefined();
        }
        // A pack has several requests, each of which may take twice the timeout at most.
        expect(performance.now() - started).toBeLessThan(5 * 2 * timeoutMs);
      };
      for (let i = 0; i < 8; i += 1) {
        const small = Buffer.from(`content ${seed} ${i}`);
        await step(index(i), small, () => storage.put(index(i), small, { exclusive: true }));
      }
      const large = Buffer.alloc(9 * MiB, `pack ${seed}`);
      await step(pack(1), large, () => writePack(storage, 1, large));
      stub.fault = () => undefined;
      const listed = await listAll(storage, '');
      for (const [name, bytes] of acknowledged) {
        expect(listed.find((info) => info.name === name)?.sizeBytes).toBe(bytes.length);
        expect(Buffer.compare(await storage.get(name), bytes)).toBe(0);
      }
      // What was not acknowledged is there whole or not at all.
      for (const { name } of listed)
        expect(Buffer.compare(await storage.get(name), attempted.get(name)!)).toBe(0);
      await storage[Symbol.asyncDispose]();
    },
  );

  it.each<[Fault, (storage: Storage) => Promise<unknown>]>([
    ['hang', (storage) => storage.get(index(1))],
    ['hang', (storage) => storage.put(index(2), Buffer.from('x'))],
    ['hang', (storage) => listAll(storage, '')],
    ['slow', (storage) => storage.get(index(1))],
    ['slow', (storage) => listAll(storage, '')],
    ['error-503', (storage) => storage.stat(index(1))],
    ['reset', (storage) => storage.get(index(1), { range: { offset: 0, length: 4 } })],
    ['short-body', (storage) => storage.get(index(1))],
  ])('%s for ever ends with a clear error within twice the timeout', async (fault, call) => {
    const timeoutMs = 1000;
    const storage = await open({}, timeoutMs);
    await storage.put(index(1), Buffer.alloc(100_000, 'x'));
    stub.fault = () => fault;
    const started = performance.now();
    const code = await codeOfAsync(() => call(storage));
    expect(code).toMatch(/^BP_STORAGE_(?:TIMEOUT|NETWORK|BUSY)$/);
    expect(performance.now() - started).toBeLessThan(2 * timeoutMs + 200);
    await storage[Symbol.asyncDispose]();
  });

  it('a canceled call ends at once, and the upload is ended too', async () => {
    const storage = await open({}, 30_000);
    const stop = new AbortController();
    const writer = await storage.create(pack(1), { signal: stop.signal });
    await writer.append([Buffer.alloc(9 * MiB)]);
    stub.fault = ({ method }) => (method === 'DELETE' ? undefined : 'hang');
    const started = performance.now();
    setTimeout(() => stop.abort(), 50);
    expect(await codeOfAsync(() => writer.commit())).toBe('BP_CANCELED');
    expect(performance.now() - started).toBeLessThan(3000);
    expect(stub.uploads.size).toBe(0);
  });

  it('listings that lag behind hide nothing from stat and get', async () => {
    const storage = await open();
    stub.listingLagMs = 60_000;
    await storage.put(index(1), Buffer.from('x'), { exclusive: true });
    expect(await listAll(storage, '')).toEqual([]);
    expect((await storage.stat(index(1)))?.sizeBytes).toBe(1);
    expect(await codeOfAsync(() => storage.put(index(1), Buffer.from('x')))).toBe('BP_OBJECT_EXISTS');
    stub.listingLagMs = 0;
  });
});
