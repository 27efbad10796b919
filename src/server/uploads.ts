/**
 * Objects on their way in. An unfinished one outlives its connection for a while, so that the client can go on where
 * the server has got to; it is known by user, repository, name and a random token. Nothing of it is visible before its
 * commit, and nothing remains of one that nobody comes back for.
 */
import { BackpackError } from '../base/errors.ts';
import type { ObjectInfo, ObjectWriter } from '../storage/index.ts';
import type { BlockPool } from './block-pool.ts';
import type { ServerLimits } from './limits.ts';
import type { Usage } from './quota.ts';
import type { Receipt } from './receipt.ts';
import { StagedWriter } from './staged-writer.ts';

/** What an upload is made with. */
export interface UploadOptions {
  readonly name: string;
  readonly writer: ObjectWriter;
  readonly pool: BlockPool;
  readonly receipt: Receipt;
  readonly usage: Usage;
  readonly quotaBytes: number | undefined;
  /** Called once, when it is stored or given up. */
  readonly ended: () => void;
  /** Called when an object is stored, before it is acknowledged. */
  readonly stored: (info: ObjectInfo) => void;
}

/** One object on its way in. */
export class Upload {
  readonly #o: UploadOptions;
  readonly #staged: StagedWriter;
  #taken = 0;
  #last: Promise<unknown> = Promise.resolve();
  #outcome: Promise<ObjectInfo> | undefined;
  #ended = false;

  constructor(options: UploadOptions) {
    this.#o = options;
    this.#staged = new StagedWriter(options.writer, options.pool);
  }

  get name(): string {
    return this.#o.name;
  }

  /** Bytes received and handed to the storage. */
  get receivedBytes(): number {
    return this.#o.receipt.sizeBytes;
  }

  /** The result of {@link commit}, when it has been called. */
  get outcome(): Promise<ObjectInfo> | undefined {
    return this.#outcome;
  }

  /** Takes the next bytes. @throws BackpackError BP_NO_SPACE, or what the storage throws; nothing remains then */
  receive(bytes: Buffer): void | Promise<void> {
    const { usage, quotaBytes, receipt } = this.#o;
    usage.take(bytes.length, quotaBytes);
    this.#taken += bytes.length;
    receipt.update(bytes);
    const done = this.#staged.write(bytes);
    if (done === undefined) return;
    this.#last = done.catch(() => {});
    return done;
  }

  /** Resolves when bytes that are being written have been. */
  async settled(): Promise<void> {
    await this.#last;
  }

  /** Checks and publishes. @throws BackpackError BP_NOT_AS_SENT, or what the storage throws */
  commit(sizeBytes: number, xxh64: string | undefined): Promise<ObjectInfo> {
    this.#outcome ??= this.#commit(sizeBytes, xxh64);
    this.#outcome.catch(() => {});
    return this.#outcome;
  }

  /** Gives up; nothing remains, unless it is being committed already: then waits for that. */
  async abort(): Promise<void> {
    if (this.#outcome === undefined) await this.#discard();
    else await this.#outcome.catch(() => {});
  }

  async #commit(sizeBytes: number, xxh64: string | undefined): Promise<ObjectInfo> {
    await this.#last;
    try {
      this.#o.receipt.check(sizeBytes, xxh64);
      await this.#staged.flush();
      await this.#staged.release();
      const info = await this.#o.writer.commit();
      this.#ended = true;
      this.#o.usage.keep(this.#taken);
      this.#o.ended();
      this.#o.stored(info);
      return info;
    } catch (error) {
      await this.#discard();
      throw error;
    }
  }

  async #discard(): Promise<void> {
    if (this.#ended) return;
    this.#ended = true;
    await this.#last;
    await this.#staged.release();
    await this.#o.writer.abort();
    this.#o.usage.drop(this.#taken);
    this.#o.ended();
  }
}

/** An upload and the connection that feeds it. */
interface Place {
  readonly upload: Upload;
  readonly user: string;
  /** Ends the connection that feeds it. */
  drop: ((error: BackpackError) => void) | undefined;
  parkedAt: number;
}

/** What bounds the files that are open for clients. */
type UploadLimits = Pick<ServerLimits, 'parkMs' | 'parkedMax' | 'uploadsMax' | 'uploadsPerUserMax'>;

/** All objects on their way in. */
export class Uploads {
  readonly #places = new Map<string, Place>();
  readonly #limits: UploadLimits;

  constructor(limits: UploadLimits) {
    this.#limits = limits;
  }

  get size(): number {
    return this.#places.size;
  }

  /** @throws BackpackError BP_SERVER_BUSY when another one of this user would be too many: each has a file open */
  checkRoom(user: string): void {
    const { uploadsMax, uploadsPerUserMax } = this.#limits;
    let own = 0;
    for (const place of this.#places.values()) if (place.user === user) own += 1;
    if (own < (user === '' ? uploadsMax : uploadsPerUserMax) && this.#places.size < uploadsMax) return;
    throw new BackpackError('BP_SERVER_BUSY', 'the server has too many unfinished objects', {
      kind: 'network',
      retry: 'later',
      hint: 'run the command again in two minutes',
    });
  }

  /** Adds one. @param drop ends its connection, when another one takes over */
  add(key: string, user: string, upload: Upload, drop: (error: BackpackError) => void): void {
    this.#places.set(key, { upload, user, drop, parkedAt: 0 });
  }

  has(key: string): boolean {
    return this.#places.has(key);
  }

  /** Takes one over from a connection that is gone, or that its client believes to be gone. */
  async take(
    key: string,
    drop: (error: BackpackError) => void,
    reason: BackpackError,
  ): Promise<Upload | undefined> {
    const place = this.#places.get(key);
    if (place === undefined) return undefined;
    place.drop?.(reason);
    place.drop = drop;
    place.parkedAt = 0;
    await place.upload.settled();
    return place.upload;
  }

  /** Keeps one whose connection is gone, for a while; also one that is being committed, for its result. */
  park(key: string, upload: Upload, now: number): void {
    const place = this.#places.get(key);
    if (place?.upload !== upload) return;
    place.drop = undefined;
    place.parkedAt = now;
  }

  /** Forgets one: acknowledged, failed or given up. */
  remove(key: string, upload: Upload): void {
    if (this.#places.get(key)?.upload === upload) this.#places.delete(key);
  }

  /** Drops what nobody came back for. */
  sweep(now: number): void {
    const parked = [...this.#places].filter(([, place]) => place.parkedAt > 0);
    for (const [i, [key, place]] of parked.entries()) {
      const tooMany = parked.length - i > this.#limits.parkedMax;
      if (!tooMany && now - place.parkedAt < this.#limits.parkMs) continue;
      this.#places.delete(key);
      void place.upload.abort();
    }
  }

  /** Drops everything. */
  async close(): Promise<void> {
    const all = [...this.#places.values()];
    this.#places.clear();
    await Promise.all(all.map(({ upload }) => upload.abort()));
  }
}
