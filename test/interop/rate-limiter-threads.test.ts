/** One limit, several real threads: together they are never faster than it. (Slower they may be, on a busy machine.) */
import { Worker } from 'node:worker_threads';
import { expect, it } from 'vitest';
import { createRateLimit, RateLimiter } from '../../src/base/rate-limiter.ts';

const module = new URL('../../dist/base/rate-limiter.js', import.meta.url).href;
const program = `
  const { parentPort, workerData } = require('node:worker_threads');
  import(workerData.module).then(async ({ RateLimiter }) => {
    const limiter = RateLimiter.of(workerData.limit);
    for (let i = 0; i < workerData.calls; i += 1) {
      if (workerData.sync) limiter.takeSync(workerData.bytes);
      else await limiter.take(workerData.bytes);
    }
    parentPort.postMessage('done');
  });`;

it('three threads share a limit', async () => {
  const [calls, bytes, rate] = [40, 50_000, 8_000_000];
  const limit = createRateLimit(rate);
  const begin = process.hrtime.bigint();
  await Promise.all(
    [true, true, false].map(async (sync) => {
      const worker = new Worker(program, {
        eval: true,
        workerData: { module, limit, calls, bytes, sync },
      });
      await new Promise((resolve, reject) => worker.once('message', resolve).once('error', reject));
      await worker.terminate();
    }),
  );
  const seconds = Number(process.hrtime.bigint() - begin) / 1e9;
  expect(seconds).toBeGreaterThanOrEqual((3 * calls * bytes) / rate);
  // All of it was counted in one place: the next one pays from where the three have come to.
  expect(new RateLimiter(limit).reserve(rate)).toBeGreaterThan(700);
});
