/**
 * What fits into a budget of memory: worker threads, and the catalog. A worker's memory is fixed (see WriterMemory), so
 * the peak can be told before the run; the figures are measured (docs/performance.md).
 */
import { BackpackError } from '../base/errors.ts';
import { MiB } from '../base/limits.ts';

/** The process with its main thread and one worker, catalog aside. */
export const baseBytes: number = 140 * MiB;
/** Each worker after the first. */
export const workerBytes: number = 68 * MiB;
/** A catalog below this forgets too much to be of use: 100,000 chunks. */
const catalogMin: number = 6 * MiB;
export const catalogMax: number = 2048 * MiB;

/** What a run may use. */
export interface MemoryPlan {
  readonly threads: number;
  readonly catalogBytes: number;
}

/**
 * @param budget bytes for the whole process; undefined: no limit
 * @param threads wanted; fewer are used where they do not fit
 * @throws BackpackError BP_MEMORY_BUDGET when not even one worker fits
 */
export function planMemory(budget: number | undefined, threads: number): MemoryPlan {
  if (budget === undefined) return { threads, catalogBytes: catalogMax };
  const least = baseBytes + catalogMin;
  if (budget < least) {
    throw new BackpackError('BP_MEMORY_BUDGET', `${Math.floor(budget / MiB)} MiB of memory are not enough`, {
      kind: 'config',
      hint: `give at least ${Math.ceil(least / MiB)} MiB`,
      context: { leastBytes: least },
    });
  }
  const more = Math.floor((budget - least) / workerBytes);
  const used = Math.min(threads, 1 + more);
  const rest = budget - baseBytes - Math.max(0, used - 1) * workerBytes;
  return { threads: used, catalogBytes: Math.min(catalogMax, rest) };
}
