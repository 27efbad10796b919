/** Entry of a backup worker thread. */
import { parentPort, workerData } from 'node:worker_threads';
import { BackupWorker, type BackupWorkerOptions } from './backup-worker.ts';
import { serveThread } from './worker-port.ts';

serveThread(parentPort!, () => new BackupWorker(workerData as BackupWorkerOptions));
