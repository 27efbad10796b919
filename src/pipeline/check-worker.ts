/** One worker of a check: looks at the objects it is given, one after the other. */
import { Keyring, type KeyringData } from '../container/keyring.ts';
import { ReaderMemory } from '../container/reader-memory.ts';
import { openStorage, type StorageSpec } from '../storage/open.ts';
import type { CheckJob, ObjectReport } from './check-jobs.ts';
import { ObjectChecker } from './object-checker.ts';

/** What a worker is made with; can be posted to a thread. */
export interface CheckWorkerOptions {
  readonly storage: StorageSpec;
  /** Names the repository, so that an object of another one is refused also by a raw key. */
  readonly keyring: KeyringData;
}

/** See the file's comment. Calls must not overlap. */
export class CheckWorker {
  readonly #checker: ObjectChecker;

  /** @param checker used instead of one that opens the location */
  constructor(options: CheckWorkerOptions, checker?: ObjectChecker) {
    this.#checker =
      checker ??
      new ObjectChecker({
        storage: openStorage(options.storage),
        keyring: new Keyring(options.keyring),
        memory: new ReaderMemory(),
      });
  }

  /** Checks one object. Never throws for what is wrong with it. */
  object(job: CheckJob): Promise<ObjectReport> {
    return this.#checker.check(job);
  }
}
