/**
 * Trying again. Only errors that say `retry: 'now'` are tried again, with growing, random pauses, for a limited time
 * after the first failure. What is known to have failed for good (a failed fsync, a refusal) is never repeated. A write
 * whose answer was lost may have happened: then the object that is there is compared with what was to be written.
 */
import { type BackpackError, isBackpackError } from '../base/errors.ts';
import { ForwardStorage } from './forward.ts';
import type { ObjectName } from './object-name.ts';
import type {
  CallOptions,
  GetOptions,
  ListOptions,
  ObjectInfo,
  ObjectWriter,
  PutOptions,
  Storage,
} from './storage.ts';
import { canceled, throwIfCanceled } from './storage-errors.ts';

/** How long and how often to try. */
export interface RetryPolicy {
  /** No attempt begins later than this after the first failure, ms. */
  readonly forMs: number;
  /** Longest pause before the second attempt, ms; it doubles with each one. */
  readonly pauseMs: number;
  readonly pauseMaxMs: number;
  /** From 0 to 1. */
  readonly random: () => number;
  /** Monotonic, ms. */
  readonly now: () => number;
}

/** Retries for a minute. */
const defaultRetry: RetryPolicy = {
  forMs: 60_000,
  pauseMs: 200,
  pauseMaxMs: 10_000,
  random: Math.random,
  now: () => performance.now(),
};

/**
 * Calls `attempt` until it succeeds, fails for good, or the time is over.
 * @param attempt gets the number of failures so far
 * @throws the last error
 */
export async function retrying<T>(
  policy: RetryPolicy,
  signal: AbortSignal | undefined,
  attempt: (failures: number) => Promise<T>,
): Promise<T> {
  let until: number | undefined;
  for (let failures = 0; ; failures += 1) {
    try {
      return await attempt(failures);
    } catch (error) {
      if (!isBackpackError(error) || error.retry !== 'now') throw error;
      until ??= policy.now() + policy.forMs;
      const longest = Math.min(policy.pauseMaxMs, policy.pauseMs * 2 ** Math.min(failures, 16));
      // Between half and all of it: clients that failed together do not come back together.
      const pause = longest * (0.5 + policy.random() / 2);
      if (policy.now() + pause > until) throw gaveUp(error, failures + 1);
      await sleep(pause, signal);
    }
  }
}

function gaveUp(error: BackpackError, attempts: number): BackpackError {
  return error.with({ attempts });
}

/** Waits. @throws BackpackError when the signal is aborted meanwhile */
function sleep(ms: number, signal?: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(canceled(signal));
    const stop = (): void => {
      clearTimeout(timer);
      reject(canceled(signal!));
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', stop);
      resolve();
    }, ms);
    signal?.addEventListener('abort', stop, { once: true });
  });
}

/** Whether the outcome of a write that failed so is not known: it was sent, and no answer came. */
export function isUnsure(error: unknown): boolean {
  return isBackpackError(error) && error.retry === 'now';
}

/** Tries again what may succeed; see the file's comment. */
export class RetryStorage extends ForwardStorage {
  readonly #policy: RetryPolicy;

  constructor(inner: Storage, policy: Partial<RetryPolicy> = {}) {
    super(inner);
    this.#policy = { ...defaultRetry, ...policy };
  }

  override put(name: ObjectName, bytes: Uint8Array, options: PutOptions = {}): Promise<ObjectInfo> {
    let unsure = false;
    return retrying(this.#policy, options.signal, async () => {
      try {
        return await this.inner.put(name, bytes, options);
      } catch (error) {
        const ours = unsure && isBackpackError(error) && error.code === 'BP_OBJECT_EXISTS';
        const found = ours ? await this.#same(name, bytes, options.signal) : undefined;
        if (found !== undefined) return found;
        unsure ||= isUnsure(error);
        throw error;
      }
    });
  }

  /** Beginning is tried again; what was appended cannot be, unless the storage keeps it. */
  override create(name: ObjectName, options: CallOptions = {}): Promise<ObjectWriter> {
    return this.#retry(options, () => this.inner.create(name, options));
  }

  override get(name: ObjectName, options: GetOptions = {}): Promise<Uint8Array> {
    return this.#retry(options, () => this.inner.get(name, options));
  }

  override stat(name: ObjectName, options: CallOptions = {}): Promise<ObjectInfo | undefined> {
    return this.#retry(options, () => this.inner.stat(name, options));
  }

  /** Goes on behind the last name that was seen. */
  override async *list(prefix: string, options: ListOptions = {}): AsyncIterable<ObjectInfo> {
    let after = options.after ?? '';
    for (;;) {
      const page = await this.#retry(options, async () => {
        const listing = this.inner.list(prefix, { ...options, after })[Symbol.asyncIterator]();
        return { listing, first: await listing.next() };
      });
      let next: IteratorResult<ObjectInfo> | undefined = page.first;
      try {
        while (next?.done === false) {
          after = next.value.name;
          yield next.value;
          next = await page.listing.next().catch((error: unknown) => {
            if (!isUnsure(error)) throw error;
            return undefined;
          });
        }
      } finally {
        if (next?.done !== true) await page.listing.return?.();
      }
      if (next?.done === true) return;
      throwIfCanceled(options.signal);
    }
  }

  override delete(name: ObjectName, options: CallOptions = {}): Promise<void> {
    return this.#retry(options, () => this.inner.delete(name, options));
  }

  #retry<T>(options: CallOptions, attempt: () => Promise<T>): Promise<T> {
    return retrying(this.#policy, options.signal, attempt);
  }

  /** What is there, when it is byte for byte what was to be written. */
  async #same(
    name: ObjectName,
    bytes: Uint8Array,
    signal: AbortSignal | undefined,
  ): Promise<ObjectInfo | undefined> {
    const info = await this.inner.stat(name, { signal });
    if (info?.sizeBytes !== bytes.byteLength) return undefined;
    return Buffer.compare(await this.inner.get(name, { signal }), bytes) === 0 ? info : undefined;
  }
}
