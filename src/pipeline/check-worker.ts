/** One worker of a check: looks at the objects it is given, one after the other. */
import type { KeyringData } from '../container/keyring.ts';
import type { StorageSpec } from '../storage/open.ts';
import type { CheckJob, ObjectReport } from './check-jobs.ts';
import type { ObjectChecker } from './object-checker.ts';

/** What a worker is made with; can be posted to a thread. */
export interface CheckWorkerOptions {
  readonly storage: StorageSpec;
  /** Names the repository, so that an object of another one is refused also by a raw key. */
  readonly keyring: KeyringData;
}

/** See the file's comment. Calls must not overlap. */
export class CheckWorker {
  readonly #checker: ObjectChecker;

  /** @param checker reads the worker's own storage */
  constructor(checker: ObjectChecker) {
    this.#checker = checker;
  }

  /** Checks one object. Never throws for what is wrong with it. */
  object(job: CheckJob): Promise<ObjectReport> {
    return this.#checker.check(job);
  }
}
