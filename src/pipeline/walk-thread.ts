/** Entry of the thread that walks the source. */
import { parentPort, workerData } from 'node:worker_threads';
import { Walker, type WalkerOptions } from './walker.ts';
import { serveThread } from './worker-port.ts';

serveThread(parentPort!, async () => new Walker(workerData as WalkerOptions));
