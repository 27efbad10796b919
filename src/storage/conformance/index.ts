/**
 * The conformance suite: what every storage promises (SPEC, "Duties of the storage"; src/storage/storage.ts), as cases
 * that any storage can be put through, in any test framework or in none.
 */

import type { StorageCase, StorageFactory } from './case.ts';
import { createCases } from './create.ts';
import { deleteCases } from './delete.ts';
import { faultsCases } from './faults.ts';
import { getCases } from './get.ts';
import { listCases } from './list.ts';
import { namesCases } from './names.ts';
import { putCases } from './put.ts';

export type { FaultKind, Fixture, StorageCase, StorageFactory } from './case.ts';

/** All cases. */
export const storageCases: readonly StorageCase[] = [
  ...namesCases,
  ...putCases,
  ...createCases,
  ...getCases,
  ...listCases,
  ...deleteCases,
  ...faultsCases,
];

/** What {@link storageConformance} needs. */
export interface ConformanceOptions {
  /** The `test` or `it` of a framework: is told a name and an async function that rejects on failure. */
  readonly test: (name: string, run: () => Promise<void>) => unknown;
  readonly factory: StorageFactory;
  /** Whether the factory gives a `fault`; cases that need it are not registered otherwise. */
  readonly faults?: boolean;
}

/** Registers every case with a test framework. */
export function storageConformance({ test, factory, faults = false }: ConformanceOptions): void {
  for (const one of storageCases) {
    if (one.needsFaults && !faults) continue;
    test(one.name, async () => {
      if (!(await one.run(factory))) throw new TypeError('the factory gives no fault()');
    });
  }
}
