/** Entry of the thread that counts the source. */
import { parentPort, workerData } from 'node:worker_threads';
import type { FilterOptions } from '../source/filter.ts';
import { Estimator } from './estimate.ts';
import { serveThread } from './worker-port.ts';

serveThread(parentPort!, async () => new Estimator(workerData as FilterOptions));
