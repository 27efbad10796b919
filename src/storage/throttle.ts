/** A limit on what is sent to and received from a storage, shared by all threads of a run. */
import { type RateLimit, RateLimiter } from '../base/rate-limiter.ts';
import { ForwardStorage } from './forward.ts';
import type { ObjectName } from './object-name.ts';
import type { CallOptions, GetOptions, ObjectInfo, ObjectWriter, PutOptions, Storage } from './storage.ts';
import { throwIfCanceled } from './storage-errors.ts';

/** Limits that may be given; see base/rate-limiter.ts. */
export interface StorageLimits {
  readonly upload?: RateLimit;
  readonly download?: RateLimit;
}

/** One step: a long write waits in between, so that the rate is even. */
const stepBytes = 256 * 1024;

/** See the file's comment. Names and listings are not counted. */
export class ThrottleStorage extends ForwardStorage {
  readonly #upload: RateLimiter | undefined;
  readonly #download: RateLimiter | undefined;

  constructor(inner: Storage, limits: StorageLimits) {
    super(inner);
    this.#upload = RateLimiter.of(limits.upload);
    this.#download = RateLimiter.of(limits.download);
  }

  override async put(name: ObjectName, bytes: Uint8Array, options: PutOptions = {}): Promise<ObjectInfo> {
    await take(this.#upload, bytes.byteLength, options.signal);
    return this.inner.put(name, bytes, options);
  }

  override async create(name: ObjectName, options: CallOptions = {}): Promise<ObjectWriter> {
    const writer = await this.inner.create(name, options);
    const limiter = this.#upload;
    if (limiter === undefined) return writer;
    return {
      append: async (pieces) => {
        let bytes = 0;
        for (const piece of pieces) bytes += piece.byteLength;
        await take(limiter, bytes, options.signal);
        await writer.append(pieces);
      },
      commit: () => writer.commit(),
      abort: () => writer.abort(),
    };
  }

  override async get(name: ObjectName, options: GetOptions = {}): Promise<Uint8Array> {
    const { range, signal } = options;
    if (range !== undefined) await take(this.#download, range.length, signal);
    const bytes = await this.inner.get(name, options);
    // How long a whole object is, is known afterwards: the next call waits for it.
    if (range === undefined) await take(this.#download, bytes.byteLength, signal);
    return bytes;
  }
}

async function take(
  limiter: RateLimiter | undefined,
  bytes: number,
  signal: AbortSignal | undefined,
): Promise<void> {
  if (limiter === undefined) return;
  for (let left = bytes; left > 0; left -= stepBytes) {
    throwIfCanceled(signal);
    await limiter.take(Math.min(left, stepBytes));
  }
}
