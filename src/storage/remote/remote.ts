/**
 * A repository on a Backpack server: the storage contract over the protocol of docs/protocol.md. Each thread has a
 * storage of its own, with connections of its own.
 */
import { containerMax, MiB } from '../../base/limits.ts';
import { frameType } from '../../net/frame.ts';
import type { AccessKey } from '../../net/handshake.ts';
import type { Channel } from '../../net/transport.ts';
import { checkObjectName, isReplaceable, type ObjectName } from '../object-name.ts';
import type {
  CallOptions,
  GetOptions,
  ListOptions,
  ObjectInfo,
  ObjectWriter,
  PutOptions,
  Storage,
  StorageCapabilities,
} from '../storage.ts';
import { canceled, throwIfCanceled } from '../storage-errors.ts';
import { ChunkPool } from './chunk-pool.ts';
import { infoOf } from './info.ts';
import { Link, type Request } from './link.ts';
import { RemoteUpload, windowMax } from './remote-upload.ts';
import { GetRequest, ListRequest, SimpleRequest } from './requests.ts';

/** What a remote storage is made with. */
export interface RemoteOptions {
  /** For people, and the name under which this machine remembers the repository. */
  readonly location: string;
  readonly repository: string;
  /** Makes a connection, within the time. */
  readonly dial: (timeoutMs: number) => Promise<Channel>;
  readonly access?: AccessKey;
  /** Connections of this storage. */
  readonly connections?: number;
  /** How long the server may be silent, ms; nothing takes longer to fail than twice this. */
  readonly timeoutMs?: number;
  /** Objects of up to this length are kept until the server has stored them. */
  readonly keepBytes?: number;
  /** Name and version of the program. */
  readonly app?: string;
}

/** Default of {@link RemoteOptions.keepBytes}. */
const keepMax: number = 16 * MiB;
/** What an upload keeps at most: what was kept whole until now, and what is on its way. */
const keptMax: number = keepMax + windowMax;
/** Default of {@link RemoteOptions.timeoutMs}. */
const defaultTimeoutMs = 60_000;

/** See the file's comment. */
export class RemoteStorage implements Storage {
  readonly capabilities: StorageCapabilities = {
    exclusivePut: 'atomic',
    listing: 'strong',
    timestamps: 'storage',
    retention: false,
    parallelMax: 16,
    objectSizeMax: containerMax,
    partSize: keptMax,
    // Measured with the connection and its buffers: nothing worth counting.
    clientBytes: 0,
  };
  readonly location: string;
  readonly #links: readonly Link[];
  readonly #pool: ChunkPool = new ChunkPool();
  readonly #keepBytes: number;

  constructor(options: RemoteOptions) {
    const { location, repository, dial, access, app = 'backpack' } = options;
    const { connections = 1, timeoutMs = defaultTimeoutMs, keepBytes = keepMax } = options;
    this.location = location;
    this.#keepBytes = keepBytes;
    const link = (): Link => new Link({ dial, access, repository, location, app, timeoutMs });
    this.#links = Array.from({ length: connections }, link);
  }

  async put(name: ObjectName, bytes: Uint8Array, options: PutOptions = {}): Promise<ObjectInfo> {
    checkObjectName(name);
    throwIfCanceled(options.signal);
    const writer = this.#upload(name, options.exclusive !== true && isReplaceable(name), options.signal);
    try {
      await writer.append([bytes]);
      return await writer.commit();
    } finally {
      await writer.abort();
    }
  }

  async create(name: ObjectName, { signal }: CallOptions = {}): Promise<ObjectWriter> {
    checkObjectName(name);
    throwIfCanceled(signal);
    return this.#upload(name, false, signal);
  }

  async get(name: ObjectName, { range, into, signal }: GetOptions = {}): Promise<Uint8Array> {
    checkObjectName(name);
    const request = new GetRequest(name, this.location, range, into, isReplaceable(name));
    return this.#run(request, request.result, signal);
  }

  async stat(name: ObjectName, { signal }: CallOptions = {}): Promise<ObjectInfo | undefined> {
    checkObjectName(name);
    const request = new SimpleRequest(frameType.stat, { name });
    return infoOf(await this.#run(request, request.result, signal), name);
  }

  async *list(prefix: string, { after, signal }: ListOptions = {}): AsyncIterable<ObjectInfo> {
    throwIfCanceled(signal);
    const request = new ListRequest(prefix, after);
    const link = this.#link();
    const cancel = (): void => request.fail(canceled(signal!));
    signal?.addEventListener('abort', cancel);
    link.run(request);
    try {
      for (let items = await request.next(); items !== undefined; items = await request.next()) {
        for (const [name, sizeBytes, timeMs] of items) {
          throwIfCanceled(signal);
          yield { name, sizeBytes, timeMs };
        }
      }
    } finally {
      signal?.removeEventListener('abort', cancel);
      link.drop(request);
    }
  }

  async delete(name: ObjectName, { signal }: CallOptions = {}): Promise<void> {
    checkObjectName(name);
    const request = new SimpleRequest(frameType.delete, { name });
    await this.#run(request, request.result, signal);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const link of this.#links) link.close();
  }

  #upload(name: ObjectName, replace: boolean, signal: AbortSignal | undefined): RemoteUpload {
    const { location } = this;
    const link = this.#link();
    const keepBytes = this.#keepBytes;
    return new RemoteUpload({ link, pool: this.#pool, location, name, replace, keepBytes, signal });
  }

  /** Runs a request until its end or its signal. */
  async #run<R>(request: Request, result: Promise<R>, signal: AbortSignal | undefined): Promise<R> {
    throwIfCanceled(signal);
    const link = this.#link();
    if (signal === undefined) {
      link.run(request);
      return result;
    }
    const cancel = (): void => {
      link.drop(request);
      request.fail(canceled(signal));
    };
    signal.addEventListener('abort', cancel);
    try {
      link.run(request);
      return await result;
    } finally {
      signal.removeEventListener('abort', cancel);
    }
  }

  /** The connection with the fewest requests. */
  #link(): Link {
    let best = this.#links[0]!;
    for (const link of this.#links) if (link.load < best.load) best = link;
    return best;
  }
}
