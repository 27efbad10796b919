/** Several at a time, never more than wanted, in order, and no call is left behind by a failure. */
import { expect, it } from 'vitest';
import { inParallel } from '../../../src/base/in-parallel.ts';

const wait = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

it('keeps the order, and its limit', async () => {
  let now = 0;
  let most = 0;
  const results = await inParallel([5, 1, 4, 2, 3, 0], 3, async (ms) => {
    now += 1;
    most = Math.max(most, now);
    await wait(ms);
    now -= 1;
    return ms * 2;
  });
  expect(results).toEqual([10, 2, 8, 4, 6, 0]);
  expect(most).toBe(3);
  expect(await inParallel([], 3, async () => 1)).toEqual([]);
});

it('begins nothing after a failure, and ends when what was begun has ended', async () => {
  const begun: number[] = [];
  let ended = 0;
  const call = inParallel([1, 2, 3, 4, 5], 2, async (item) => {
    begun.push(item);
    await wait(item === 1 ? 1 : 10);
    ended += 1;
    if (item === 1) throw new RangeError('one');
  });
  await expect(call).rejects.toThrow(RangeError);
  expect(begun).toEqual([1, 2]);
  expect(ended).toBe(2);
});

it('throws what failed first', async () => {
  const call = inParallel([30, 1], 2, async (ms) => {
    await wait(ms);
    throw new RangeError(`after ${ms}`);
  });
  await expect(call).rejects.toThrow('after 1');
});
