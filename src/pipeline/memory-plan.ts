/**
 * What fits into a budget of memory: worker threads, and the catalog. A worker's memory is fixed (see WriterMemory), so
 * the peak can be told before the run; the figures are measured (docs/performance.md).
 */
import { BackpackError } from '../base/errors.ts';
import { MiB } from '../base/limits.ts';
import type { StorageCapabilities } from '../storage/index.ts';

/** The process with its main thread and one worker, catalog aside. */
export const baseBytes: number = 140 * MiB;
/** Each worker after the first. */
export const workerBytes: number = 68 * MiB;
/** A catalog below this forgets too much to be of use: 100,000 chunks. */
const catalogMin: number = 6 * MiB;
export const catalogMax: number = 2048 * MiB;

/** What the client of a storage that keeps what it sends takes in each thread, unless it says otherwise. */
const clientBytes: number = 20 * MiB;

/** What the storage says of its memory. */
type Kept = Pick<StorageCapabilities, 'partSize' | 'clientBytes'>;

/** What a run may use. */
export interface MemoryPlan {
  readonly threads: number;
  readonly catalogBytes: number;
}

/**
 * @param budget bytes for the whole process; undefined: no limit
 * @param threads wanted; fewer are used where they do not fit
 * @param kept what the storage keeps in memory; each worker has one of its own
 * @throws BackpackError BP_MEMORY_BUDGET when not even one worker fits
 */
export function planMemory(
  budget: number | undefined,
  threads: number,
  kept: Kept = { partSize: 0 },
): MemoryPlan {
  if (budget === undefined) return { threads, catalogBytes: catalogMax };
  const client = kept.clientBytes ?? (kept.partSize === 0 ? 0 : clientBytes);
  const base = baseBytes + 2 * client + kept.partSize;
  const worker = workerBytes + client + kept.partSize;
  const least = base + catalogMin;
  if (budget < least) {
    throw new BackpackError('BP_MEMORY_BUDGET', `${Math.floor(budget / MiB)} MiB of memory are not enough`, {
      kind: 'config',
      hint: `give at least ${Math.ceil(least / MiB)} MiB`,
      context: { leastBytes: least },
    });
  }
  const more = Math.floor((budget - least) / worker);
  const used = Math.min(threads, 1 + more);
  const rest = budget - base - Math.max(0, used - 1) * worker;
  return { threads: used, catalogBytes: Math.min(catalogMax, rest) };
}
