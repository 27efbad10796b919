/**
 * One authenticated connection: takes its frames apart and answers them (docs/protocol.md, "Requests"). Uploads are
 * handled in the order of their frames, everything else at once, up to the limit of streams. It holds no key of any
 * backup and looks at nothing but names, lengths and the readable ends of containers.
 */
import { BackpackError, isBackpackError } from '../base/errors.ts';
import type { Connection } from '../net/connection.ts';
import { formatError } from '../net/error-message.ts';
import { type Frame, frameType, protocolError } from '../net/frame.ts';
import {
  countOf,
  flagOf,
  formatMessage,
  formatOffset,
  type Message,
  optionalObjectOf,
  optionalTextOf,
  parseMessage,
  textOf,
} from '../net/messages.ts';
import { checkObjectName, isReplaceable, type ObjectInfo } from '../storage/index.ts';
import { type Account, isRepositoryName, mayUse } from './accounts.ts';
import { Acks } from './acks.ts';
import type { BlockPool } from './block-pool.ts';
import type { KeptBytes } from './kept-bytes.ts';
import type { ServerLimits } from './limits.ts';
import type { Metrics } from './metrics.ts';
import { Receipt } from './receipt.ts';
import { type Action, denied, may } from './rights.ts';
import { sameObject } from './same-object.ts';
import { type Listing, type ListingPlaces, sendListing } from './send-listing.ts';
import { sendObject } from './send-object.ts';
import { replacingWriter, type Served } from './served.ts';
import { Upload, type Uploads } from './uploads.ts';

/** What a session shares with the others of its server. */
export interface SessionShared {
  readonly limits: ServerLimits;
  readonly metrics: Metrics;
  readonly uploads: Uploads;
  readonly pool: BlockPool;
  readonly listings: ListingPlaces;
  readonly kept: KeptBytes;
  readonly checkContainers: boolean;
  readonly quotaBytes: number | undefined;
  /** The repository of a name; the same for all its sessions. */
  open(repository: string): Promise<Served>;
  log(event: string, fields: Readonly<Record<string, unknown>>): void;
}

/** A request that runs. */
interface Running extends Listing {
  upload?: { readonly key: string; readonly upload: Upload };
  /** When the client was last told that it is in work. */
  waitedAt: number;
}

const nameMax = 300;

/** See the file's comment. */
export class Session {
  readonly account: Account;
  readonly peer: string;
  readonly #shared: SessionShared;
  readonly #streams = new Map<number, Running>();
  /** Requests in work: also those that were given up and have not ended. */
  #busy = 0;
  #ended: (() => void) | undefined;
  readonly #since: number = performance.now();
  connection!: Connection;
  readonly #acks: Acks;
  #lastStream = 0;
  #repository = '';
  #served: Served | undefined;
  #sending: Promise<void> = Promise.resolve();

  constructor(shared: SessionShared, account: Account, peer: string) {
    this.#shared = shared;
    const acknowledge = (stream: number, { receivedBytes }: Upload): void =>
      this.connection.send(frameType.ack, stream, [formatOffset(receivedBytes)]);
    this.#acks = new Acks(acknowledge, shared.limits.windowBytes);
    this.account = account;
    this.peer = peer;
  }

  /** Requests that run. */
  get running(): number {
    return this.#streams.size;
  }

  /** Why the session has to end, if it has to; also tells the client about requests that take long. */
  late(now: number): string | undefined {
    const { openMs, idleMs, waitMs } = this.#shared.limits;
    if (this.#served === undefined && now - this.#since > openMs) return 'it does not say what it wants';
    if (now - this.connection.receivedAt > idleMs && !this.#atWork()) return 'it is idle';
    for (const [stream, running] of this.#streams) {
      if (waitsForClient(running) || now - running.waitedAt < waitMs) continue;
      running.waitedAt = now;
      this.connection.send(frameType.wait, stream);
    }
    return this.connection.late(now);
  }

  /** Whether a request is in work that does not wait for the client. */
  #atWork(): boolean {
    for (const running of this.#streams.values()) if (!waitsForClient(running)) return true;
    return false;
  }

  /** Handles a frame. Anything thrown here is a breach of the protocol and ends the connection. */
  handle(frame: Frame): void | Promise<void> {
    const { type, stream } = frame;
    if (type === frameType.data) return this.#data(frame);
    if (stream === 0) return this.#onConnection(frame);
    if (this.#served === undefined) throw protocolError('a request before the first one');
    const running = this.#streams.get(stream);
    if (running === undefined && stream > this.#lastStream) return this.#begin(frame, this.#served);
    // What was sent before the client heard of an error.
    if (running === undefined) return;
    if (type === frameType.end) this.#end(stream, running, parseMessage(frame));
    else if (type === frameType.abort) return this.#abort(stream, running);
    else if (type === frameType.next && running.next !== undefined) running.next();
    else throw protocolError(`a frame of type ${type} in the middle of a request`);
  }

  /** The connection is gone: what was on its way in waits for its client. */
  closed(): void {
    const now = performance.now();
    for (const running of this.#streams.values()) {
      if (running.upload !== undefined) {
        this.#shared.uploads.park(running.upload.key, running.upload.upload, now);
      }
      running.next?.();
    }
    this.#streams.clear();
    this.#served?.leave();
  }

  async #onConnection(frame: Frame): Promise<void> {
    if (frame.type === frameType.ping) {
      if (frame.payload.length > 8) throw protocolError('a ping that is too long');
      this.connection.send(frameType.pong, 0, [Buffer.from(frame.payload)]);
      return;
    }
    if (frame.type !== frameType.open || this.#served !== undefined) throw protocolError('no request');
    const message = parseMessage(frame);
    const repository = textOf(message, 'repository', 200);
    const app = optionalTextOf(message, 'app', 100);
    if (!isRepositoryName(repository) || !mayUse(this.account, repository)) {
      // One answer for what is not there and what is not for this client.
      const error = new BackpackError('BP_STORAGE_DENIED', 'this access key is not for this repository', {
        kind: 'storage',
        hint: 'check the name behind the address; backpack serve user list shows who may use what',
      });
      this.#shared.log('denied', { peer: this.peer, user: this.account.user, repository });
      this.connection.send(frameType.error, 0, [formatMessage(formatError(error))]);
      return;
    }
    this.#repository = repository;
    const served = await this.#shared.open(repository);
    if (this.connection.closed) {
      served.leave();
      return;
    }
    this.#served = served;
    this.#shared.log('opened', { peer: this.peer, user: this.account.user, repository, app });
    const { role } = this.account;
    this.connection.send(frameType.opened, 0, [formatMessage({ role, timeMs: Date.now() })]);
  }

  #begin(frame: Frame, served: Served): void | Promise<void> {
    const { stream, type } = frame;
    const { streamsMax } = this.#shared.limits;
    if (this.#streams.size >= streamsMax) throw protocolError('too many requests at once');
    // Giving requests up is no way to have more of them.
    if (this.#busy >= streamsMax) {
      const copy = { ...frame, payload: Buffer.from(frame.payload) };
      // Meanwhile the connection may have gone, and with it the right to begin anything.
      return this.#oneEnded().then(() => (this.connection.closed ? undefined : this.#begin(copy, served)));
    }
    const message = parseMessage(frame);
    this.#lastStream = stream;
    const now = performance.now();
    const running: Running = { waitedAt: now, blocked: false };
    this.#streams.set(stream, running);
    this.#shared.metrics.add('requests_total');
    // The frames that follow belong to the upload, so they wait for it.
    if (type === frameType.put) return this.#put(stream, running, message, served);
    this.#answer(stream, () => this.#request(type, stream, running, message, served));
  }

  /** Runs a request beside the others; its answer is `done` or `error`. */
  #answer(stream: number, work: () => Promise<Message>): void {
    this.#busy += 1;
    work()
      .then(
        (result) => this.#finish(stream, frameType.done, result),
        (error: unknown) => this.#fail(stream, error),
      )
      .finally(() => {
        this.#busy -= 1;
        this.#ended?.();
      });
  }

  #oneEnded(): Promise<void> {
    return new Promise((resolve) => {
      this.#ended = resolve;
    });
  }

  #finish(stream: number, type: number, message: Message): void {
    if (!this.#streams.delete(stream)) return;
    this.#acks.drop(stream);
    this.connection.send(type, stream, [formatMessage(message)]);
  }

  #fail(stream: number, error: unknown): void {
    const { metrics, log } = this.#shared;
    metrics.add('requests_failed_total');
    const fields = { peer: this.peer, user: this.account.user, repository: this.#repository };
    const known = isBackpackError(error) && error.kind !== 'internal';
    if (isBackpackError(error) && error.code === 'BP_PROTOCOL') {
      this.connection.destroy(error);
      return;
    }
    if (!known || !['not-found', 'exists'].includes(error.kind)) {
      log('failed', { ...fields, code: known ? error.code : undefined, message: (error as Error).message });
    }
    this.#finish(stream, frameType.error, formatError(error));
  }

  async #request(
    type: number,
    stream: number,
    running: Running,
    message: Message,
    served: Served,
  ): Promise<Message> {
    const { storage } = served;
    const { connection } = this;
    const active = (): boolean => this.#streams.get(stream) === running;
    if (type === frameType.list) {
      const places = this.#shared.listings;
      const { user } = this.account;
      await sendListing({ connection, storage, stream, places, user, active }, message, running);
      return {};
    }
    const name = textOf(message, 'name', nameMax);
    checkObjectName(name);
    if (type === frameType.stat) return { info: infoMessage(await storage.stat(name)) };
    if (type === frameType.get) {
      const sent = (bytes: number): void => this.#shared.metrics.add('sent_bytes_total', bytes);
      const { role } = this.account;
      const { pool } = this.#shared;
      const context = { connection, storage, stream, role, pool, active, sent, turn: this.#turn };
      await sendObject(context, name, message);
      return {};
    }
    if (type !== frameType.delete) throw protocolError(`a frame of type ${type} begins no request`);
    this.#allow('delete', name);
    const found = await served.alone(name, async () => {
      const before = await storage.stat(name);
      await storage.delete(name);
      served.usage.giveBack(before?.sizeBytes ?? 0);
      return before;
    });
    if (found !== undefined) {
      this.#shared.metrics.add('objects_deleted_total');
      this.#shared.log('deleted', { user: this.account.user, repository: this.#repository, name });
    }
    return {};
  }

  async #put(stream: number, running: Running, message: Message, served: Served): Promise<void> {
    served.stay();
    try {
      const name = textOf(message, 'name', nameMax);
      checkObjectName(name);
      const token = textOf(message, 'token', 32);
      if (!/^[0-9a-f]{32}$/.test(token)) throw protocolError('token is wrong');
      const replace = flagOf(message, 'replace') && isReplaceable(name);
      this.#allow('create', name);
      const key = JSON.stringify([this.account.user, this.#repository, name, token, replace]);
      if (flagOf(message, 'resume')) {
        if (await this.#resume(stream, running, key, message, name, served)) return;
      } else if (this.#shared.uploads.has(key)) throw protocolError('a token is used twice');
      if (replace && this.account.role !== 'admin' && (await served.storage.stat(name)) !== undefined) {
        throw denied(this.account.role, 'replace', name);
      }
      const upload = await this.#newUpload(name, replace, served);
      if (this.connection.closed || this.#shared.uploads.has(key)) {
        await upload.abort();
        throw protocolError('a token is used twice');
      }
      running.upload = { key, upload };
      this.#shared.uploads.add(key, this.account.user, upload, this.#drop);
      this.connection.send(frameType.accept, stream, [formatOffset(0)]);
    } catch (error) {
      this.#refused(stream, error);
    } finally {
      served.leave();
    }
  }

  /** Goes on with an upload of a lost connection. @returns false when it has to begin anew */
  async #resume(
    stream: number,
    running: Running,
    key: string,
    message: Message,
    name: string,
    served: Served,
  ): Promise<boolean> {
    const reason = protocolError('another connection goes on with its upload');
    const upload = await this.#shared.uploads.take(key, this.#drop, reason);
    if (upload !== undefined) {
      running.upload = { key, upload };
      // Gone while it was waited for.
      if (this.connection.closed) this.#shared.uploads.park(key, upload, performance.now());
      else if (upload.outcome === undefined) {
        this.connection.send(frameType.accept, stream, [formatOffset(upload.receivedBytes)]);
      } else this.#commit(stream, key, upload, upload.outcome);
      return true;
    }
    const end = optionalObjectOf(message, 'end');
    if (end === undefined) return false;
    // All of it was sent before the connection was lost: it may be there already, without the client knowing.
    const found = await sameObject(
      served.storage,
      name,
      countOf(end, 'sizeBytes'),
      optionalTextOf(end, 'xxh64', 16),
    );
    if (found === undefined) return false;
    this.#finish(stream, frameType.done, { info: infoMessage(found) });
    return true;
  }

  async #newUpload(name: string, replace: boolean, served: Served): Promise<Upload> {
    const { storage, usage } = served;
    const { metrics, checkContainers, kept } = this.#shared;
    const { user } = this.account;
    const receipt = new Receipt(name, checkContainers);
    const quotaBytes = this.account.quotaBytes ?? this.#shared.quotaBytes;
    this.#shared.uploads.checkRoom(user);
    if (quotaBytes !== undefined) await served.counted();
    const writer = replace ? replacingWriter(served, name, user, kept) : await storage.create(name);
    const stored = (info: ObjectInfo): void => {
      metrics.add('objects_stored_total');
      this.#shared.log('stored', { user, repository: this.#repository, name, sizeBytes: info.sizeBytes });
    };
    served.stay();
    const ended = (): void => served.leave();
    return new Upload({ name, writer, pool: this.#shared.pool, receipt, usage, quotaBytes, stored, ended });
  }

  #data(frame: Frame): void | Promise<void> {
    const { stream } = frame;
    const running = this.#streams.get(stream);
    if (running === undefined && stream <= this.#lastStream && stream > 0) return;
    const { upload, key } = running?.upload ?? {};
    if (upload === undefined || upload.outcome !== undefined)
      throw protocolError('data that nobody waits for');
    this.#shared.metrics.add('received_bytes_total', frame.payload.length);
    const { length } = frame.payload;
    const acknowledge = (): void => this.#acks.add(stream, upload, length);
    const failed = async (error: unknown): Promise<void> => {
      this.#shared.uploads.remove(key!, upload);
      await upload.abort();
      this.#refused(stream, error);
    };
    try {
      const done = upload.receive(frame.payload);
      if (done !== undefined) return done.then(acknowledge, failed);
      acknowledge();
    } catch (error) {
      return failed(error);
    }
  }

  #end(stream: number, running: Running, message: Message): void {
    const { upload, key } = running.upload ?? {};
    if (upload === undefined || upload.outcome !== undefined) throw protocolError('an end without beginning');
    running.waitedAt = performance.now();
    const outcome = upload.commit(countOf(message, 'sizeBytes'), optionalTextOf(message, 'xxh64', 16));
    this.#commit(stream, key!, upload, outcome);
  }

  #commit(stream: number, key: string, upload: Upload, outcome: Promise<ObjectInfo>): void {
    outcome.then(
      (info) => {
        // A client that is gone comes back for the answer.
        if (this.#streams.has(stream)) this.#shared.uploads.remove(key, upload);
        this.#finish(stream, frameType.done, { info: infoMessage(info) });
      },
      (error: unknown) => {
        if (this.#streams.has(stream)) this.#shared.uploads.remove(key, upload);
        this.#refused(stream, error);
      },
    );
  }

  async #abort(stream: number, running: Running): Promise<void> {
    this.#streams.delete(stream);
    this.#acks.drop(stream);
    running.next?.();
    if (running.upload === undefined) return;
    this.#shared.uploads.remove(running.upload.key, running.upload.upload);
    // Also when it is being committed: giving up is no way to have more of them at once.
    await running.upload.upload.abort();
  }

  #refused(stream: number, error: unknown): void {
    if (this.#streams.has(stream)) this.#shared.metrics.add('objects_refused_total');
    this.#fail(stream, error);
  }

  #allow(action: Action, name: string): void {
    if (!may(this.account.role, action, name)) throw denied(this.account.role, action, name);
  }

  readonly #drop = (error: BackpackError): void => this.connection.destroy(error);

  /** Answers with content are sent in turn, so that a client that does not read makes the server hold little. */
  readonly #turn = <R>(work: () => Promise<R>): Promise<R> => {
    const result = this.#sending.then(work);
    this.#sending = result.then(
      () => {},
      () => {},
    );
    return result;
  };
}

function waitsForClient({ upload, blocked }: Running): boolean {
  return blocked || (upload !== undefined && upload.upload.outcome === undefined);
}

function infoMessage(info: ObjectInfo | undefined): Message | null {
  return info === undefined ? null : { name: info.name, sizeBytes: info.sizeBytes, timeMs: info.timeMs };
}
