/** What wrappers add: when they try again, how long they wait, how fast they go, what they refuse. */
import { mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { BackpackError, type Retry } from '../../../src/base/errors.ts';
import { createRateLimit } from '../../../src/base/rate-limiter.ts';
import {
  CacheStorage,
  ForwardStorage,
  MemoryStorage,
  ReadOnlyStorage,
  RetryStorage,
  ThrottleStorage,
  TimeoutStorage,
} from '../../../src/storage/index.ts';
import { retrying } from '../../../src/storage/retry.ts';
import { codeOfAsync, temporaryFolder } from '../support.ts';

const index = (n: number): string => `index/019b76daa8${n.toString(16).padStart(30, '0')}.bpk`;
const failure = (retry: Retry): BackpackError =>
  new BackpackError('BP_STORAGE_IO', 'x', { kind: 'storage', retry });

describe('retrying', () => {
  it.each<[Retry, number]>([
    ['now', 3],
    ['later', 1],
    ['never', 1],
  ])('an error that says %s is met %i times', async (retry, attempts) => {
    let calls = 0;
    const storage = new (class extends ForwardStorage {
      override async stat(): Promise<undefined> {
        calls += 1;
        if (calls < 3) throw failure(retry);
      }
    })(new MemoryStorage());
    await new RetryStorage(storage, { pauseMs: 1 }).stat(index(1)).catch(() => {});
    expect(calls).toBe(attempts);
  });

  it('pauses grow, are random, and end with the time', async () => {
    let now = 0;
    const times: number[] = [];
    const policy = { forMs: 5000, pauseMs: 4, pauseMaxMs: 16, random: () => 0.5, now: () => now };
    const error = await retrying(policy, undefined, async () => {
      times.push(now);
      now += 1000;
      throw failure('now');
    }).catch((e: unknown) => e as BackpackError);
    expect(times).toEqual([0, 1000, 2000, 3000, 4000, 5000]);
    expect((error as BackpackError).context['attempts']).toBe(6);
  });

  it('ends when the signal is aborted in a pause', async () => {
    const stop = new AbortController();
    setTimeout(() => stop.abort(), 10);
    const policy = { forMs: 60_000, pauseMs: 30_000, pauseMaxMs: 30_000, random: () => 1, now: () => 0 };
    const code = await codeOfAsync(() => retrying(policy, stop.signal, () => Promise.reject(failure('now'))));
    expect(code).toBe('BP_CANCELED');
  });
});

describe('timeout', () => {
  const silent = new (class extends ForwardStorage {
    override stat(): Promise<undefined> {
      return new Promise(() => {});
    }
    override async *list(): AsyncIterable<never> {
      await new Promise(() => {});
    }
  })(new MemoryStorage());

  it('ends calls and listings that say nothing', async () => {
    const storage = new TimeoutStorage(silent, 30);
    expect(await codeOfAsync(() => storage.stat(index(1)))).toBe('BP_STORAGE_TIMEOUT');
    expect(
      await codeOfAsync(async () => {
        for await (const _ of storage.list('')) throw new TypeError('nothing is listed');
      }),
    ).toBe('BP_STORAGE_TIMEOUT');
  });
});

describe('throttle', () => {
  it('sends and receives no faster than its limits, all copies together', async () => {
    const inner = new MemoryStorage();
    const limits = { upload: createRateLimit(4_000_000), download: createRateLimit(4_000_000) };
    const storages = [new ThrottleStorage(inner, limits), new ThrottleStorage(inner, limits)];
    const started = performance.now();
    await Promise.all(
      storages.map(async (storage, i) => {
        const writer = await storage.create(index(i));
        await writer.append([Buffer.alloc(1_000_000)]);
        await writer.commit();
      }),
    );
    const sent = performance.now() - started;
    expect(sent).toBeGreaterThan(400);
    expect(sent).toBeLessThan(1500);
    await Promise.all(storages.map((s, i) => s.get(index(i), { range: { offset: 0, length: 1_000_000 } })));
    expect(performance.now() - started - sent).toBeGreaterThan(400);
  });
});

describe('read-only', () => {
  it('refuses every write and reads on', async () => {
    const inner = new MemoryStorage();
    await inner.put(index(1), Buffer.from('x'));
    const storage = new ReadOnlyStorage(inner);
    const calls = [
      () => storage.put(index(2), Buffer.from('x')),
      () => storage.create(index(2)),
      () => storage.delete(index(1)),
    ];
    for (const call of calls)
      expect(await codeOfAsync(call as () => Promise<unknown>)).toBe('BP_STORAGE_DENIED');
    expect(Buffer.from(await storage.get(index(1))).toString()).toBe('x');
    expect([...inner.objects.keys()]).toEqual([index(1)]);
  });
});

describe('cache', () => {
  const snapshot = 'snapshots/20260101T000000Z-019b76daa8000000000000000000000000000001.bpk';

  /** Counts what is asked of the storage. */
  class Counting extends ForwardStorage {
    reads = 0;
    override get(...args: Parameters<ForwardStorage['get']>): Promise<Uint8Array> {
      this.reads += 1;
      return super.get(...args);
    }
  }

  async function setup(limits = {}): Promise<{ inner: Counting; folder: string; cache: () => CacheStorage }> {
    const inner = new Counting(new MemoryStorage());
    await inner.put(snapshot, Buffer.from('0123456789'));
    await inner.put(index(1), Buffer.from('not kept'));
    const folder = join(temporaryFolder(), 'a', 'b');
    return { inner, folder, cache: () => new CacheStorage(inner, folder, limits) };
  }

  it('asks for a snapshot once, for other objects each time', async () => {
    const { inner, cache } = await setup();
    for (let i = 0; i < 3; i += 1) {
      const found = await cache().get(snapshot, { range: { offset: 2, length: 3 } });
      expect(Buffer.from(found).toString()).toBe('234');
    }
    expect(inner.reads).toBe(1);
    await cache().get(index(1));
    await cache().get(index(1));
    expect(inner.reads).toBe(3);
  });

  it('a copy that was changed or cut is asked for again', async () => {
    const { inner, folder, cache } = await setup();
    await cache().get(snapshot);
    const path = join(folder, snapshot.replace('/', '+'));
    const good = readFileSync(path);
    for (const bad of [good.subarray(0, 20), good.subarray(0, -1), Buffer.concat([good, Buffer.from('x')])]) {
      writeFileSync(path, bad);
      expect(Buffer.from(await cache().get(snapshot)).toString()).toBe('0123456789');
    }
    expect(inner.reads).toBe(4);
  });

  it('keeps nothing that is too long, and no more than its room', async () => {
    const small = await setup({ objectMax: 5 });
    await small.cache().get(snapshot);
    await small.cache().get(snapshot);
    expect(small.inner.reads).toBe(2);
    const { inner, folder, cache } = await setup({ totalMax: 100 });
    for (let i = 2; i < 6; i += 1) {
      const name = snapshot.replace(/1\.bpk$/, `${i}.bpk`);
      await inner.put(name, Buffer.from('0123456789'));
      await cache().get(name);
    }
    expect(readdirSync(folder).length).toBeLessThanOrEqual(2);
  });

  it('does without a folder that is a link to elsewhere', async () => {
    const { inner, folder } = await setup();
    const elsewhere = temporaryFolder();
    mkdirSync(join(folder, '..'), { recursive: true });
    symlinkSync(elsewhere, folder);
    const cache = new CacheStorage(inner, folder);
    expect(Buffer.from(await cache.get(snapshot)).toString()).toBe('0123456789');
    expect(readdirSync(elsewhere)).toEqual([]);
  });
});
