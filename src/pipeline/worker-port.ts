/**
 * A worker as the main thread sees it: named calls that run one after the other. The worker lives in a thread, or
 * inline for tests and small jobs; both behave the same.
 */
import { Worker } from 'node:worker_threads';
import { BackpackError, type ErrorJson, toBackpackError } from '../base/errors.ts';
import { tooManyFiles } from '../base/open-files.ts';

/** An object whose async methods can be called from another thread. */
export type Callable = object;

/** Calls to one worker. */
export interface WorkerPort {
  /** Calls a method. Calls are carried out in order, one at a time. */
  call<R>(method: string, argument: unknown): Promise<R>;
  /** Ends the thread. */
  close(): Promise<void>;
}

/** What is posted to a thread and back. */
export type Request = { readonly id: number; readonly method: string; readonly argument: unknown };
export type Reply = { readonly id: number; readonly value?: unknown; readonly error?: ErrorJson };

/** A worker that runs in this thread. */
export function inlinePort(worker: Callable): WorkerPort {
  let last: Promise<unknown> = Promise.resolve();
  return {
    call: <R>(method: string, argument: unknown): Promise<R> => {
      const run = last.then(() => invoke(worker, method, argument) as Promise<R>);
      last = run.catch(() => {});
      return run;
    },
    close: async () => {},
  };
}

/** Calls a worker's method by name. */
function invoke(worker: Callable, method: string, argument: unknown): Promise<unknown> {
  const found = (worker as Record<string, unknown>)[method];
  if (typeof found !== 'function') throw new TypeError(`a worker has no method ${method}`);
  return (found as (argument: unknown) => Promise<unknown>).call(worker, argument);
}

/** Pieces of ciphertext die young: a small nursery keeps a worker's memory small and costs nothing measurable. */
const ordinaryNurseryMb = 8;

/** What a thread does in its own way. */
interface ThreadHabits {
  /** How much garbage, and with it memory outside the heap, may wait to be collected; MB. */
  readonly nurseryMb?: number;
  /** Whether it closes all files itself, also those that Node does not know of. */
  readonly closesFiles?: boolean;
}

/**
 * Starts a worker thread.
 * @param script the module it runs, which calls serveThread
 * @param options given to the worker's factory; KeyObjects and SharedArrayBuffers are allowed
 * @param environment what of the environment the thread gets: what its storage needs
 * @param habits what is different from other threads
 */
export function threadPort(
  script: URL,
  options: unknown,
  environment: Readonly<Record<string, string>> = {},
  { nurseryMb = ordinaryNurseryMb, closesFiles = false }: ThreadHabits = {},
): WorkerPort {
  // The environment may hold secrets that no worker needs.
  const worker = new Worker(script, {
    workerData: options,
    env: environment,
    resourceLimits: { maxYoungGenerationSizeMb: nurseryMb },
    trackUnmanagedFds: !closesFiles,
  });
  const waiting = new Map<number, { resolve(value: never): void; reject(error: Error): void }>();
  let nextId = 0;
  let dead: BackpackError | undefined;
  const fail = (error: unknown): void => {
    if (/\b(?:EMFILE|ENFILE)\b/.test(error instanceof Error ? error.message : ''))
      dead ??= tooManyFiles('a worker thread could not be started', error);
    dead ??= new BackpackError(
      'BP_WORKER',
      `a worker thread ended: ${error instanceof Error ? error.message : error}`,
      {
        kind: 'internal',
        cause: error,
      },
    );
    for (const { reject } of waiting.values()) reject(dead);
    waiting.clear();
  };
  worker.on('error', fail);
  worker.on('exit', (code) => fail(`exit code ${code}`));
  worker.on('message', (reply: Reply) => {
    const call = waiting.get(reply.id);
    waiting.delete(reply.id);
    if (reply.error !== undefined) call?.reject(BackpackError.fromJSON(reply.error));
    else call?.resolve(reply.value as never);
  });
  return {
    call: <R>(method: string, argument: unknown): Promise<R> =>
      new Promise<R>((resolve, reject) => {
        if (dead !== undefined) return reject(dead);
        const id = nextId++;
        waiting.set(id, { resolve: resolve as (value: never) => void, reject });
        worker.postMessage({ id, method, argument } satisfies Request);
      }),
    close: async () => {
      worker.removeAllListeners('exit');
      await worker.terminate();
    },
  };
}

/** Serves calls in a worker thread, one after the other. */
export function serveThread(
  port: {
    on(event: 'message', listener: (request: Request) => void): unknown;
    postMessage(value: unknown): void;
  },
  make: () => Promise<Callable>,
): void {
  let worker: Callable | undefined;
  let last: Promise<unknown> = Promise.resolve();
  port.on('message', ({ id, method, argument }) => {
    last = last.then(async () => {
      try {
        worker ??= await make();
        port.postMessage({ id, value: await invoke(worker, method, argument) } satisfies Reply);
      } catch (error) {
        port.postMessage({ id, error: toBackpackError(error).toJSON() } satisfies Reply);
      }
    });
  });
}
