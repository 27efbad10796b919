/** What fits into a budget of memory. */
import { expect, it } from 'vitest';
import { MiB } from '../../../src/base/limits.ts';
import { baseBytes, catalogMax, planMemory, workerBytes } from '../../../src/pipeline/memory-plan.ts';
import { codeOf } from '../support.ts';

it('uses everything without a budget', () => {
  expect(planMemory(undefined, 8)).toEqual({ threads: 8, catalogBytes: catalogMax });
});

it('gives up threads, then catalog, and never goes beyond the budget', () => {
  for (let budget = baseBytes + 6 * MiB; budget < 4096 * MiB; budget += 61 * MiB) {
    for (const wanted of [1, 2, 8, 64]) {
      const { threads, catalogBytes } = planMemory(budget, wanted);
      expect(threads).toBeGreaterThanOrEqual(1);
      expect(threads).toBeLessThanOrEqual(wanted);
      expect(catalogBytes).toBeGreaterThanOrEqual(6 * MiB);
      expect(baseBytes + (threads - 1) * workerBytes + catalogBytes).toBeLessThanOrEqual(budget);
      // Not one thread less than fits.
      if (threads < wanted) expect(budget - baseBytes - threads * workerBytes).toBeLessThan(6 * MiB);
    }
  }
});

it('refuses what is not enough, and says how much is', () => {
  expect(codeOf(() => planMemory(baseBytes, 1))).toBe('BP_MEMORY_BUDGET');
  expect(() => planMemory(10 * MiB, 2)).toThrowError(/10 MiB of memory are not enough/);
  expect(planMemory(baseBytes + 6 * MiB, 0)).toEqual({ threads: 0, catalogBytes: 6 * MiB });
});

it('counts what the storage keeps, in every worker', () => {
  const kept = 32 * MiB;
  const storage = { partSize: kept };
  const least = (): number => {
    for (let budget = 0; ; budget += MiB)
      if (codeOf(() => planMemory(budget, 1, storage)) !== 'BP_MEMORY_BUDGET') return budget;
  };
  const alone = least();
  expect(alone).toBeGreaterThanOrEqual(baseBytes + 6 * MiB + kept);
  expect(planMemory(alone + workerBytes, 2, storage).threads).toBe(1);
  expect(planMemory(alone + workerBytes + 2 * kept, 2, storage).threads).toBe(2);
  // One that knows what its client takes is believed.
  const exact = { partSize: kept, clientBytes: 0 };
  expect(planMemory(baseBytes + workerBytes + 2 * kept + 6 * MiB, 2, exact).threads).toBe(2);
  expect(planMemory(baseBytes + workerBytes + 2 * kept + 5 * MiB, 2, exact).threads).toBe(1);
});
