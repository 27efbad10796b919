/** Entry of a restore worker thread. */
import { parentPort, workerData } from 'node:worker_threads';
import { openStorage } from '../storage/open.ts';
import { RestoreWorker, type RestoreWorkerOptions } from './restore-worker.ts';
import { serveThread } from './worker-port.ts';

const options = workerData as RestoreWorkerOptions;
serveThread(parentPort!, async () => new RestoreWorker(options, await openStorage(options.storage)));
