/** A worker that is started by the first call: an unchanged run starts none. */
import type { WorkerPort } from './worker-port.ts';

/** A port over `start`; {@link LazyPort.started} tells whether there is a worker. */
export interface LazyPort extends WorkerPort {
  readonly started: boolean;
}

/** Delays `start` until the first call. */
export function lazyPort(start: () => WorkerPort): LazyPort {
  let port: WorkerPort | undefined;
  return {
    get started(): boolean {
      return port !== undefined;
    },
    call: (method, argument) => {
      port ??= start();
      return port.call(method, argument);
    },
    close: async () => port?.close(),
  };
}
