/** Entry of the thread that counts the source. */
import { parentPort, workerData } from 'node:worker_threads';
import { Estimator, type OwnFiles } from './estimate.ts';
import { serveThread } from './worker-port.ts';

serveThread(parentPort!, async () => new Estimator(workerData as OwnFiles));
