/**
 * A repository on a Backpack server: the storage contract over the protocol of docs/protocol.md. Each thread has a
 * storage of its own, with connections of its own.
 */
import { MiB } from '../../base/limits.ts';
import { frameType } from '../../net/frame.ts';
import type { AccessKey } from '../../net/handshake.ts';
import type { Channel } from '../../net/transport.ts';
import { checkObjectName, isReplaceable, type ObjectName } from '../object-name.ts';
import type { ByteRange, ObjectInfo, ObjectWriter, Storage, StorageCapabilities } from '../storage.ts';
import { ChunkPool } from './chunk-pool.ts';
import { infoOf } from './info.ts';
import { Link } from './link.ts';
import { RemoteUpload } from './remote-upload.ts';
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

/** Default of {@link RemoteOptions.timeoutMs}. */
export const defaultTimeoutMs = 60_000;

/** See the file's comment. */
export class RemoteStorage implements Storage {
  readonly capabilities: StorageCapabilities = { exclusivePut: true, parallelMax: 16 };
  readonly location: string;
  readonly #links: readonly Link[];
  readonly #pool: ChunkPool = new ChunkPool();
  readonly #keepBytes: number;

  constructor(options: RemoteOptions) {
    const { location, repository, dial, access, app = 'backpack' } = options;
    const { connections = 1, timeoutMs = defaultTimeoutMs, keepBytes = 16 * MiB } = options;
    this.location = location;
    this.#keepBytes = keepBytes;
    const link = (): Link => new Link({ dial, access, repository, location, app, timeoutMs });
    this.#links = Array.from({ length: connections }, link);
  }

  async put(
    name: ObjectName,
    bytes: Uint8Array,
    options: { readonly exclusive?: boolean } = {},
  ): Promise<ObjectInfo> {
    checkObjectName(name);
    const writer = this.#upload(name, options.exclusive !== true && isReplaceable(name));
    await writer.append([bytes]);
    return writer.commit();
  }

  async create(name: ObjectName): Promise<ObjectWriter> {
    checkObjectName(name);
    return this.#upload(name, false);
  }

  async get(
    name: ObjectName,
    options: { readonly range?: ByteRange; readonly into?: Uint8Array } = {},
  ): Promise<Uint8Array> {
    checkObjectName(name);
    const request = new GetRequest(name, this.location, options.range, options.into, isReplaceable(name));
    this.#link().run(request);
    return request.result;
  }

  async stat(name: ObjectName): Promise<ObjectInfo | undefined> {
    checkObjectName(name);
    const request = new SimpleRequest(frameType.stat, { name });
    this.#link().run(request);
    return infoOf(await request.result, name);
  }

  async *list(prefix: string): AsyncIterable<ObjectInfo> {
    const request = new ListRequest(prefix, undefined);
    const link = this.#link();
    link.run(request);
    try {
      for (let items = await request.next(); items !== undefined; items = await request.next()) {
        for (const [name, sizeBytes, timeMs] of items) yield { name, sizeBytes, timeMs };
      }
    } finally {
      link.drop(request);
    }
  }

  async delete(name: ObjectName): Promise<void> {
    checkObjectName(name);
    const request = new SimpleRequest(frameType.delete, { name });
    this.#link().run(request);
    await request.result;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const link of this.#links) link.close();
  }

  #upload(name: ObjectName, replace: boolean): RemoteUpload {
    const { location } = this;
    const link = this.#link();
    return new RemoteUpload({ link, pool: this.#pool, location, name, replace, keepBytes: this.#keepBytes });
  }

  /** The connection with the fewest requests. */
  #link(): Link {
    let best = this.#links[0]!;
    for (const link of this.#links) if (link.load < best.load) best = link;
    return best;
  }
}
