/**
 * The server: takes connections from any transport, limits and times them, and serves the objects of a folder of
 * storages. It has no key, no database and no state that a restart would lose, but for unfinished objects.
 */
import { createSecretKey, type KeyObject } from 'node:crypto';
import type { Server as Listener, Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { toBackpackError } from '../base/errors.ts';
import { type Random, systemRandom } from '../base/ports.ts';
import { Connection, timedOut } from '../net/connection.ts';
import { frameType } from '../net/frame.ts';
import { type Gate, greetClient, refuseBusy } from '../net/handshake.ts';
import { type Address, type Channel, listen } from '../net/transport.ts';
import { channelFrom, type TransportChannel, type TransportListener } from '../net/transport-module.ts';
import type { Storage } from '../storage/index.ts';
import type { Account } from './accounts.ts';
import { BlockPool } from './block-pool.ts';
import { KeptBytes } from './kept-bytes.ts';
import { defaultLimits, type ServerLimits } from './limits.ts';
import { Metrics } from './metrics.ts';
import { Places } from './places.ts';
import type { ListingPlaces } from './send-listing.ts';
import { ServedRepositories } from './served.ts';
import { Session, type SessionShared } from './session.ts';
import { Uploads } from './uploads.ts';

/** Told of everything worth a line in a log. Values may come from clients: they have to be escaped. */
export type ServerLog = (event: string, fields: Readonly<Record<string, unknown>>) => void;

/** What a server is made with. */
export interface ServerOptions {
  /** Opens the storage of a repository; its name has been checked. */
  readonly open: (repository: string) => Promise<Storage>;
  /** The account of a user; undefined for one that is not known. The empty name is that of clients without a key. */
  readonly find: (user: string) => Promise<Account | undefined>;
  /** Whether objects that should be containers are checked on receipt; off only in tests of the storage contract. */
  readonly checkContainers?: boolean;
  /** Largest size of a repository, bytes; an account may have its own. */
  readonly quotaBytes?: number;
  readonly limits?: Partial<ServerLimits>;
  readonly log?: ServerLog;
}

/** Time between looks at all connections, ms. */
const sweepMs = 50;

/** See the file's comment. */
export class Server {
  readonly metrics: Metrics = new Metrics();
  readonly #o: ServerOptions;
  readonly #limits: ServerLimits;
  readonly #log: ServerLog;
  readonly #random: Random = systemRandom;
  readonly #decoy: KeyObject = createSecretKey(systemRandom.bytes(32));
  readonly #pending = new Map<Duplex, number>();
  readonly #sessions = new Set<Session>();
  readonly #listeners: Listener[] = [];
  readonly #others: TransportListener[] = [];
  readonly #uploads: Uploads;
  readonly #pool: BlockPool;
  readonly #listings: ListingPlaces;
  readonly #kept: KeptBytes;
  readonly #repositories: ServedRepositories;
  readonly #timer: NodeJS.Timeout;
  #accountsAt: number = performance.now();
  #stopping = false;

  constructor(options: ServerOptions) {
    this.#o = options;
    this.#limits = { ...defaultLimits, ...options.limits };
    this.#log = options.log ?? (() => {});
    this.#uploads = new Uploads(this.#limits);
    this.#pool = new BlockPool(this.#limits.blocksMax);
    const { listingsMax, replacingBytesMax, replacingBytesPerUserMax } = this.#limits;
    this.#kept = new KeptBytes(replacingBytesMax, replacingBytesPerUserMax);
    // As many as the system reads at once.
    const reading = new Places(Math.min(4, listingsMax));
    this.#listings = { reading, live: new Places(listingsMax) };
    this.#repositories = new ServedRepositories(options.open);
    this.#timer = setInterval(() => this.#sweep(performance.now()), sweepMs);
  }

  /** Listens; resolves with the port. */
  async listen(address: Address): Promise<number> {
    const listener = await listen(
      address,
      (socket) => this.#arrive(socket),
      (channel) => void this.serve(channel),
    );
    listener.on('error', (error) => this.#log('listener', { message: error.message }));
    this.#listeners.push(listener);
    return (listener.address() as { port: number }).port;
  }

  /** Listens by a transport of an extension. @param start makes the listener; it gets what takes connections */
  async listenThrough(
    scheme: string,
    start: (accept: (channel: TransportChannel) => void) => Promise<TransportListener>,
  ): Promise<void> {
    const accept = (made: TransportChannel): void => {
      try {
        void this.serve(channelFrom(scheme, made));
      } catch (error) {
        this.#log('listener', { message: (error as Error).message });
      }
    };
    this.#others.push(await start(accept));
  }

  /** Serves one connection until it ends; for transports that do not listen. */
  async serve(channel: Channel): Promise<void> {
    const { wire, binding, peer } = channel;
    if (!this.#pending.has(wire)) this.#arrive(wire);
    // Errors are noticed by whoever reads; without a listener they would end the process.
    wire.on('error', () => {});
    try {
      if (this.#stopping || !this.#hasRoom()) {
        refuseBusy(wire, this.#random, this.#terms());
        throw new Error('no room');
      }
      const greeted = await greetClient(wire, this.#gate(), binding, this.#random);
      const account = await this.#o.find(greeted.user);
      if (account === undefined || wire.destroyed) throw new Error('the user is gone');
      if (this.#ofUser(greeted.user) >= this.#limits.sessionsPerUserMax) throw new Error('too many sessions');
      this.#begin(wire, new Session(this.#shared(), account, peer), greeted.keys);
    } catch (error) {
      this.metrics.add('connections_refused_total');
      this.#log('refused', { peer, message: toBackpackError(error).message });
      // A last word is on its way; the sweep ends what does not end by itself.
      if (wire.writableEnded) return;
      wire.destroy();
    }
    this.#pending.delete(wire);
  }

  /** Ends everything: takes no more, lets what is being committed finish, drops the rest. */
  async stop(graceMs = 5000): Promise<void> {
    if (this.#stopping) return;
    this.#stopping = true;
    const closed = this.#listeners.map((listener) => new Promise((resolve) => listener.close(resolve)));
    const others = this.#others.map(async (listener) => listener.close());
    for (const wire of this.#pending.keys()) wire.destroy();
    for (const { connection } of this.#sessions) connection.send(frameType.goodbye, 0);
    const timer = new Promise<void>((resolve) => setTimeout(resolve, graceMs).unref());
    await Promise.race([timer, this.#uploads.close()]);
    await Promise.race([timer, Promise.all([...this.#sessions].map(({ connection }) => connection.empty()))]);
    for (const { connection } of [...this.#sessions]) connection.destroy(timedOut('the server stops'));
    clearInterval(this.#timer);
    await Promise.all(closed);
    // What an extension's listener says of its end changes nothing, and nobody waits for it longer than for clients.
    await Promise.race([timer, Promise.allSettled(others)]);
  }

  #terms(): Gate['terms'] {
    const { streamsMax, windowBytes, idleMs } = this.#limits;
    return { streamsMax, windowBytes, idleMs };
  }

  #gate(): Gate {
    const keyOf = async (user: string): Promise<KeyObject | undefined> => (await this.#o.find(user))?.key;
    return { terms: this.#terms(), keyOf, decoy: this.#decoy };
  }

  #shared(): SessionShared {
    return {
      limits: this.#limits,
      metrics: this.metrics,
      uploads: this.#uploads,
      pool: this.#pool,
      listings: this.#listings,
      kept: this.#kept,
      checkContainers: this.#o.checkContainers ?? true,
      quotaBytes: this.#o.quotaBytes,
      open: (repository) => this.#repositories.join(repository),
      log: this.#log,
    };
  }

  /** A connection, from its first moment. The oldest that has proved nothing makes room: an honest one is fast. */
  #arrive(wire: Duplex | Socket): void {
    this.metrics.add('connections_total');
    wire.on('error', () => {});
    wire.once('close', () => this.#pending.delete(wire));
    this.#pending.set(wire, performance.now());
    if (this.#pending.size <= this.#limits.pendingMax) return;
    const [oldest] = this.#pending.keys();
    this.#pending.delete(oldest!);
    this.metrics.add('connections_refused_total');
    oldest!.destroy();
  }

  #begin(wire: Duplex, session: Session, keys: { serverFrames: KeyObject; clientFrames: KeyObject }): void {
    const { peer, account } = session;
    const since = performance.now();
    session.connection = new Connection(wire, {
      sendKey: keys.serverFrames,
      receiveKey: keys.clientFrames,
      stallMs: this.#limits.stallMs,
      unsentMax: this.#limits.unsentMax,
      graceMs: this.#limits.graceMs,
      onFrame: (frame) => session.handle(frame),
      onClose: (error) => {
        this.#sessions.delete(session);
        session.closed();
        if (error.code !== 'BP_CONNECTION') this.metrics.add('sessions_dropped_total');
        const seconds = Math.round(performance.now() - since) / 1000;
        this.#log('closed', { peer, user: account.user, seconds, message: error.message });
      },
    });
    this.#sessions.add(session);
    this.#log('connected', { peer, user: account.user });
  }

  #ofUser(user: string): number {
    let count = 0;
    if (user !== '') for (const { account } of this.#sessions) if (account.user === user) count += 1;
    return count;
  }

  /** Whether another session fits; one that does nothing makes room, since its client comes back when it has to. */
  #hasRoom(): boolean {
    if (this.#sessions.size < this.#limits.sessionsMax) return true;
    let idle: Session | undefined;
    for (const session of this.#sessions) {
      const older = idle === undefined || session.connection.receivedAt < idle.connection.receivedAt;
      if (session.running === 0 && older) idle = session;
    }
    if (idle === undefined || performance.now() - idle.connection.receivedAt < 1000) return false;
    idle.connection.destroy(timedOut('it is idle and others need the place'));
    return true;
  }

  #sweep(now: number): void {
    for (const [wire, since] of this.#pending) {
      if (now - since > this.#limits.handshakeMs) {
        this.#pending.delete(wire);
        wire.destroy();
      }
    }
    let held = 0;
    for (const session of [...this.#sessions]) {
      const late = session.late(now);
      if (late === undefined) held += session.connection.heldBytes;
      else session.connection.destroy(timedOut(late));
    }
    while (held > this.#limits.heldBytesMax) held -= this.#dropSlowest();
    this.#uploads.sweep(now);
    this.metrics.set('held_bytes', held);
    this.metrics.set('sessions', this.#sessions.size);
    this.metrics.set('pending', this.#pending.size);
    this.metrics.set('uploads', this.#uploads.size);
    if (now - this.#accountsAt > this.#limits.accountsMs) {
      this.#accountsAt = now;
      void this.#dropRemoved();
    }
  }

  /** Ends the connection that has kept the server waiting longest. @returns bytes it held */
  #dropSlowest(): number {
    let slowest: Session | undefined;
    for (const session of this.#sessions) {
      if (session.connection.heldBytes === 0) continue;
      if (slowest === undefined || session.connection.owingSince < slowest.connection.owingSince)
        slowest = session;
    }
    if (slowest === undefined) return Infinity;
    const held = slowest.connection.heldBytes;
    slowest.connection.destroy(timedOut('others need the memory'));
    return held;
  }

  /** Ends the sessions of users that were removed or changed. */
  async #dropRemoved(): Promise<void> {
    const users = new Set([...this.#sessions].map(({ account }) => account.user));
    for (const user of users) {
      const account = await this.#o.find(user).catch(() => undefined);
      for (const session of [...this.#sessions]) {
        if (session.account.user !== user || (account && sameAccount(account, session.account))) continue;
        session.connection.destroy(timedOut('the user was removed or changed'));
      }
    }
  }
}

function sameAccount(a: Account, b: Account): boolean {
  const same = a.role === b.role && a.quotaBytes === b.quotaBytes && a.key.equals(b.key);
  return same && `${a.repositories}` === `${b.repositories}`;
}
