/** Entry of a restore worker thread. */
import { parentPort, workerData } from 'node:worker_threads';
import { RestoreWorker, type RestoreWorkerOptions } from './restore-worker.ts';
import { serveThread } from './worker-port.ts';

serveThread(parentPort!, () => new RestoreWorker(workerData as RestoreWorkerOptions));
