/** Entry of a backup worker thread. */
import { parentPort, workerData } from 'node:worker_threads';
import { openStorage } from '../storage/open.ts';
import { BackupWorker, type BackupWorkerOptions } from './backup-worker.ts';
import { serveThread } from './worker-port.ts';

const options = workerData as BackupWorkerOptions;
serveThread(parentPort!, async () => new BackupWorker(options, await openStorage(options.storage)));
