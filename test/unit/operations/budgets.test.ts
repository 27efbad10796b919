/**
 * Limits and compression of a backup. Times have a lower bound only: a busy machine is slow, but nothing may be faster
 * than its limit.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { createRateLimit } from '../../../src/base/rate-limiter.ts';
import { listAll } from '../../../src/storage/storage.ts';
import { codeOfAsync, temporaryFolder } from '../support.ts';
import { backUp, describeTree, newRepository, noise, restoreTo } from './tree.ts';

function source(): string {
  const folder = temporaryFolder();
  writeFileSync(join(folder, 'large'), noise(9_000_000, 1));
  mkdirSync(join(folder, 'small'));
  for (let i = 0; i < 100; i += 1) writeFileSync(join(folder, 'small', `${i}`), noise(10_000, i + 2));
  return folder;
}

async function timed(work: () => Promise<unknown>): Promise<number> {
  const begin = performance.now();
  await work();
  return (performance.now() - begin) / 1000;
}

it('reads no faster than the limit on reading', async () => {
  const folder = source();
  const repository = await newRepository();
  const seconds = await timed(() => backUp(repository, folder, { readLimit: createRateLimit(5_000_000) }));
  // Within the tenth that a limit is honoured to.
  expect(seconds).toBeGreaterThanOrEqual((0.9 * 10_000_000) / 5_000_000);
  expect(describeTree((await restoreTo(repository)).target)).toEqual(describeTree(folder));
});

it('writes no faster than the limit on writing, lists and snapshot included', async () => {
  const folder = source();
  const repository = await newRepository();
  const limit = createRateLimit(5_000_000);
  let stored = 0;
  const seconds = await timed(async () => {
    stored = (await backUp(repository, folder, { writeLimit: limit })).bytesStored;
  });
  expect(stored).toBeGreaterThan(10_000_000);
  expect(seconds).toBeGreaterThanOrEqual(stored / 5_000_000);
  expect(describeTree((await restoreTo(repository)).target)).toEqual(describeTree(folder));
});

it('does not wait for its turn when it is stopped', { timeout: 30_000 }, async () => {
  const folder = source();
  const repository = await newRepository();
  const stop = new AbortController();
  setTimeout(() => stop.abort(new Error('enough')), 300);
  // At this rate the limit would take more than an hour.
  const options = { writeLimit: createRateLimit(2000), signal: stop.signal };
  await expect(backUp(repository, folder, options)).rejects.toThrowError('enough');
});

it('stores raw, fast or small, and everything comes back', async () => {
  const folder = temporaryFolder();
  const words = Array.from({ length: 300 }, (_, i) => noise(4 + (i % 9), i + 1).toString('hex'));
  const order = noise(600_000, 5);
  const text = Array.from(order.subarray(0, 150_000), (n, i) => words[(n * 7 + order[i + 1]!) % 300]).join(
    ' ',
  );
  writeFileSync(join(folder, 'text'), text);
  writeFileSync(join(folder, 'noise'), noise(500_000, 9));
  const sizes: Record<string, number> = {};
  for (const compression of ['none', 'fast', 'high'] as const) {
    const repository = await newRepository();
    await backUp(repository, folder, { compression });
    const packs = await listAll(repository.storage, 'packs/');
    sizes[compression] = packs.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
    expect(describeTree((await restoreTo(repository)).target)).toEqual(describeTree(folder));
  }
  expect(sizes['none']).toBeGreaterThan(text.length + 500_000);
  expect(sizes['fast']).toBeLessThan(0.9 * sizes['none']!);
  expect(sizes['high']! - 500_000).toBeLessThan(0.95 * (sizes['fast']! - 500_000));
});

it('refuses a budget of memory in which nothing runs', async () => {
  const repository = await newRepository();
  const options = { memoryMax: 1 << 20 };
  expect(await codeOfAsync(() => backUp(repository, temporaryFolder(), options))).toBe('BP_MEMORY_BUDGET');
});
