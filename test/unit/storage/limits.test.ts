/** Limits on what is sent and received hold within a tenth, over TCP and to S3, for all threads of a run together. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createRateLimit } from '../../../src/base/rate-limiter.ts';
import { FsStorage, openStorage, type StorageSpec } from '../../../src/storage/index.ts';
import { S3Stub } from '../../stubs/s3-stub.ts';
import { makeServer } from '../server/rig.ts';
import { temporaryFolder } from '../support.ts';

const stub = new S3Stub();
let endpoint: string;
beforeAll(async () => {
  process.env['AWS_ACCESS_KEY_ID'] = 'TESTKEY';
  process.env['AWS_SECRET_ACCESS_KEY'] = 'TESTSECRET';
  endpoint = await stub.listen();
});
afterAll(() => stub.close());

const toTcp = async (): Promise<StorageSpec> => {
  const server = makeServer({ storage: new FsStorage(temporaryFolder()) });
  const port = await server.listen({ host: '127.0.0.1', port: 0, tls: undefined });
  return { location: `tcp://127.0.0.1:${port}/repo` };
};
const toS3 = async (): Promise<StorageSpec> => ({
  location: 's3://bucket/limits',
  s3: { endpoint, region: 'us-east-1' },
});

const rate = 4 * 1024 * 1024;
const clients = 2;
const bytesEach = 10 * 1024 * 1024;
const step = 256 * 1024;
const readStep = 2 * 1024 * 1024;
const ideal = (clients * bytesEach) / rate;
const name = (n: number): string => `index/019b76daa8${n.toString(16).padStart(30, '0')}.bpk`;
/** Names that this file has used: nothing is ever written twice. */
let used = 0;

async function secondsOf(work: (client: number) => Promise<void>): Promise<number> {
  const from = performance.now();
  await Promise.all(Array.from({ length: clients }, (_, i) => work(i)));
  return (performance.now() - from) / 1000;
}

describe.each([
  ['tcp', toTcp],
  ['s3', toS3],
])('%s', (_name, specOf) => {
  // A machine that does something else for a while is slower than any limit.
  it('keeps to its limits, and makes use of them', { retry: 3, timeout: 60_000 }, async () => {
    const limits = { upload: createRateLimit(rate), download: createRateLimit(rate) };
    const spec = { ...(await specOf()), limits };
    const storages = await Promise.all(Array.from({ length: clients }, () => openStorage(spec)));
    // Connections are there, and what is imported when it is used has been.
    await Promise.all(storages.map((storage) => storage.stat(name(0))));
    const first = used + 1;
    used += clients;
    const sent = await secondsOf(async (i) => {
      const writer = await storages[i]!.create(name(first + i));
      for (let at = 0; at < bytesEach; at += step) await writer.append([Buffer.alloc(step, i)]);
      await writer.commit();
    });
    const received = await secondsOf(async (i) => {
      for (let offset = 0; offset < bytesEach; offset += readStep)
        await storages[i]!.get(name(first + i), { range: { offset, length: readStep } });
    });
    for (const storage of storages) await storage[Symbol.asyncDispose]();
    for (const seconds of [sent, received]) {
      expect(seconds).toBeGreaterThan(ideal * 0.9);
      expect(seconds).toBeLessThan(ideal * 1.1);
    }
  });
});
