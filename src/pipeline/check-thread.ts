/** Entry of a check worker thread. */
import { parentPort, workerData } from 'node:worker_threads';
import { CheckWorker, type CheckWorkerOptions } from './check-worker.ts';
import { serveThread } from './worker-port.ts';

serveThread(parentPort!, () => new CheckWorker(workerData as CheckWorkerOptions));
