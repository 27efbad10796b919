/** What wrappers add: when they try again, how long they wait, how fast they go, what they refuse. */
import { describe, expect, it } from 'vitest';
import { BackpackError, type Retry } from '../../../src/base/errors.ts';
import { createRateLimit } from '../../../src/base/rate-limiter.ts';
import {
  ForwardStorage,
  MemoryStorage,
  ReadOnlyStorage,
  RetryStorage,
  ThrottleStorage,
  TimeoutStorage,
} from '../../../src/storage/index.ts';
import { retrying } from '../../../src/storage/retry.ts';
import { codeOfAsync } from '../support.ts';

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
