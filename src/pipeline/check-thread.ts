/** Entry of a check worker thread. */
import { parentPort, workerData } from 'node:worker_threads';
import { Keyring } from '../container/keyring.ts';
import { ReaderMemory } from '../container/reader-memory.ts';
import { openStorage } from '../storage/open.ts';
import { CheckWorker, type CheckWorkerOptions } from './check-worker.ts';
import { ObjectChecker } from './object-checker.ts';
import { serveThread } from './worker-port.ts';

const options = workerData as CheckWorkerOptions;
serveThread(parentPort!, async () => {
  const storage = await openStorage(options.storage);
  const keyring = new Keyring(options.keyring);
  return new CheckWorker(new ObjectChecker({ storage, keyring, memory: new ReaderMemory() }));
});
