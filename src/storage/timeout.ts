/** A limit on the time of each call: a peer that says nothing must not hold a backup for ever. */
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
import { timedOut } from './storage-errors.ts';

/** See the file's comment. The limit is for one call, one step of a listing, one append. */
export class TimeoutStorage extends ForwardStorage {
  readonly #ms: number;

  constructor(inner: Storage, timeoutMs: number) {
    super(inner);
    this.#ms = timeoutMs;
  }

  override put(name: ObjectName, bytes: Uint8Array, options: PutOptions = {}): Promise<ObjectInfo> {
    return this.#limit(name, options, (signal) => this.inner.put(name, bytes, { ...options, signal }));
  }

  override async create(name: ObjectName, options: CallOptions = {}): Promise<ObjectWriter> {
    const stop = new AbortController();
    const signal = anySignal(options.signal, stop.signal);
    const limited = <T>(action: () => T | Promise<T>): Promise<T> =>
      this.#race(name, stop, async () => action());
    const writer = await limited(() => this.inner.create(name, { ...options, signal }));
    return {
      append: (pieces) => {
        const done = writer.append(pieces);
        return done === undefined ? undefined : limited(() => done);
      },
      commit: () => limited(() => writer.commit()),
      abort: () => limited(() => writer.abort()).catch(() => {}),
    };
  }

  override get(name: ObjectName, options: GetOptions = {}): Promise<Uint8Array> {
    return this.#limit(name, options, (signal) => this.inner.get(name, { ...options, signal }));
  }

  override stat(name: ObjectName, options: CallOptions = {}): Promise<ObjectInfo | undefined> {
    return this.#limit(name, options, (signal) => this.inner.stat(name, { ...options, signal }));
  }

  override async *list(prefix: string, options: ListOptions = {}): AsyncIterable<ObjectInfo> {
    const stop = new AbortController();
    const signal = anySignal(options.signal, stop.signal);
    const listing = this.inner.list(prefix, { ...options, signal })[Symbol.asyncIterator]();
    let ended = false;
    try {
      for (;;) {
        const next = await this.#race(prefix, stop, () => listing.next());
        if (next.done === true) {
          ended = true;
          return;
        }
        yield next.value;
      }
    } finally {
      // A listing that hangs would not return either.
      if (!ended) void Promise.resolve(listing.return?.()).catch(() => {});
    }
  }

  override delete(name: ObjectName, options: CallOptions = {}): Promise<void> {
    return this.#limit(name, options, (signal) => this.inner.delete(name, { ...options, signal }));
  }

  #limit<T>(name: string, options: CallOptions, call: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const stop = new AbortController();
    return this.#race(name, stop, () => call(anySignal(options.signal, stop.signal)));
  }

  /** The call's signal is aborted when its time is over, and nobody waits for it any longer. */
  async #race<T>(name: string, stop: AbortController, call: () => Promise<T>): Promise<T> {
    let timer: NodeJS.Timeout | undefined;
    const over = new Promise<never>((_, reject) => {
      timer = setTimeout(() => {
        const error = timedOut(this.location, name, this.#ms);
        reject(error);
        stop.abort(error);
      }, this.#ms);
    });
    const result = call();
    result.catch(() => {});
    try {
      return await Promise.race([result, over]);
    } finally {
      clearTimeout(timer);
    }
  }
}

function anySignal(a: AbortSignal | undefined, b: AbortSignal): AbortSignal {
  return a === undefined ? b : AbortSignal.any([a, b]);
}
