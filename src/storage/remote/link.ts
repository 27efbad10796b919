/**
 * One connection to a server, kept for as long as there are requests: when it is lost, it is made again and the requests
 * go on where they were. A request fails when the server says so, or when nothing has moved for twice the timeout.
 * Between requests the connection keeps no process alive, and may be closed by either side.
 */
import type { Duplex } from 'node:stream';
import { type BackpackError, isBackpackError, toBackpackError } from '../../base/errors.ts';
import { systemRandom } from '../../base/ports.ts';
import { Connection, lost, timedOut } from '../../net/connection.ts';
import { parseError } from '../../net/error-message.ts';
import { type Frame, frameType, protocolError } from '../../net/frame.ts';
import { type AccessKey, greetServer, type Terms } from '../../net/handshake.ts';
import { formatMessage, parseMessage } from '../../net/messages.ts';
import type { Channel } from '../../net/transport.ts';

/** How a link gets its connection. */
export interface LinkOptions {
  /** Connects, within the time. */
  readonly dial: (timeoutMs: number) => Promise<Channel>;
  readonly access: AccessKey | undefined;
  readonly repository: string;
  /** For messages. */
  readonly location: string;
  /** Name and version of the program. */
  readonly app: string;
  /** How long the server may be silent while a request waits, ms. */
  readonly timeoutMs: number;
}

/** What a request may do with the connection it runs on. */
export interface Line {
  readonly terms: Terms;
  /** Sends a frame of the request. */
  send(type: number, pieces?: readonly Uint8Array[]): void;
  /** Resolves when the connection takes more. */
  flushed(): Promise<void> | undefined;
}

/** A request: begins anew, or goes on, on each connection. */
export interface Request {
  /** Sends what has to be sent on a fresh connection. @param again whether an earlier connection was lost */
  begin(line: Line, again: boolean): void;
  /** Takes an answer. @returns true when it was the last one. @throws BackpackError what ends the request */
  answer(frame: Frame): boolean;
  /** It failed. */
  fail(error: BackpackError): void;
}

interface Running {
  readonly request: Request;
  stream: number;
  begun: boolean;
  /** When it last got an answer that was more than "still in work". */
  answeredAt: number;
}

/** How long a server may say that a request is still in work, ms. */
const workMax = 15 * 60_000;

/** Requests that run at once on one connection; the rest wait. */
const streamsWanted = 32;
const silenceCheckMs = 250;
/** Answers that bring a request on. */
const moves: ReadonlySet<number> = new Set([
  frameType.ack,
  frameType.data,
  frameType.items,
  frameType.done,
  frameType.error,
  frameType.wait,
]);
const backoffMs = [50, 200, 800, 2000, 5000] as const;

/** See the file's comment. */
export class Link {
  readonly #o: LinkOptions;
  readonly #requests = new Set<Running>();
  readonly #streams = new Map<number, Running>();
  #connection: Connection | undefined;
  #wire: Duplex | undefined;
  #terms: Terms | undefined;
  #opened = false;
  #everOpened = false;
  #connecting = false;
  #closed = false;
  #nextStream = 1;
  #progressAt = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: LinkOptions) {
    this.#o = options;
  }

  /** Requests that run or wait. */
  get load(): number {
    return this.#requests.size;
  }

  /** Runs a request. Its end is told to itself. */
  run(request: Request): void {
    const now = performance.now();
    const running = { request, stream: 0, begun: false, answeredAt: now };
    if (this.#closed) {
      request.fail(lost(new Error('the storage is closed')));
      return;
    }
    if (this.#requests.size === 0) this.#awake();
    this.#requests.add(running);
    if (this.#opened) {
      this.#progressAt = now;
      this.#start(running);
    } else this.#connect();
  }

  /** Forgets a request that its owner gives up; the server is told. */
  drop(request: Request): void {
    for (const running of this.#requests) {
      if (running.request !== request) continue;
      if (running.stream !== 0) this.#connection?.send(frameType.abort, running.stream);
      this.#remove(running);
    }
  }

  /** Keeps the connection in use while an object is on its way and nothing is sent. */
  ping(): void {
    if (this.#opened) this.#connection?.send(frameType.ping, 0);
  }

  /** Ends the connection; requests that run fail. */
  close(): void {
    this.#closed = true;
    this.#failAll(lost(new Error('the storage is closed')));
    this.#connection?.destroy(lost(undefined));
  }

  #awake(): void {
    this.#progressAt = performance.now();
    this.#timer ??= setInterval(() => this.#watch(), Math.min(silenceCheckMs, this.#o.timeoutMs / 8));
    ref(this.#wire, true);
  }

  #rest(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
    ref(this.#wire, false);
  }

  #remove(running: Running): void {
    this.#requests.delete(running);
    this.#streams.delete(running.stream);
    if (this.#requests.size === 0) this.#rest();
    else if (this.#opened) this.#startWaiting();
  }

  #startWaiting(): void {
    const max = Math.min(streamsWanted, this.#terms?.streamsMax ?? 1);
    for (const running of this.#requests) {
      if (this.#streams.size >= max || !this.#opened) return;
      if (running.stream === 0) this.#start(running);
    }
  }

  #start(running: Running): void {
    if (this.#streams.size >= Math.min(streamsWanted, this.#terms!.streamsMax)) return;
    const connection = this.#connection!;
    const stream = this.#nextStream;
    this.#nextStream += 1;
    running.stream = stream;
    this.#streams.set(stream, running);
    const again = running.begun;
    running.begun = true;
    const line: Line = {
      terms: this.#terms!,
      send: (type, pieces) => connection.send(type, stream, pieces),
      flushed: () => connection.flushed(),
    };
    running.request.begin(line, again);
  }

  #connect(): void {
    if (this.#connecting || this.#connection !== undefined) return;
    this.#connecting = true;
    this.#connectUntilOpen().then(
      () => {
        this.#connecting = false;
        // It may have been lost in the moment it was there.
        if (!this.#opened && !this.#closed && this.#requests.size > 0) this.#connect();
      },
      (error: unknown) => {
        this.#connecting = false;
        this.#failAll(toBackpackError(error));
      },
    );
  }

  async #connectUntilOpen(): Promise<void> {
    const { timeoutMs } = this.#o;
    for (let attempt = 0; ; attempt += 1) {
      const left = this.#progressAt + 2 * timeoutMs - performance.now();
      try {
        await this.#connectOnce(Math.max(1, Math.min(timeoutMs, left)));
        return;
      } catch (caught) {
        const error = toBackpackError(caught);
        if (this.#closed || this.#requests.size === 0) return;
        // A first connection that fails is a wrong address more often than a short outage.
        const first = !this.#everOpened && (error.retry === 'later' || error.code === 'BP_PROTOCOL');
        if (error.retry === 'never' || first) throw error;
        const pause = backoffMs[Math.min(attempt, backoffMs.length - 1)]! * (0.5 + Math.random() / 2);
        if (performance.now() + pause > this.#progressAt + 2 * timeoutMs) throw error;
        await new Promise((resolve) => setTimeout(resolve, pause));
      }
    }
  }

  async #connectOnce(limitMs: number): Promise<void> {
    const until = performance.now() + limitMs;
    const { wire, binding } = await this.#o.dial(limitMs);
    wire.on('error', () => {});
    let late = false;
    const timer = setTimeout(
      () => {
        late = true;
        wire.destroy();
      },
      Math.max(1, until - performance.now()),
    );
    try {
      const { keys, terms } = await greetServer(wire, this.#o.access, binding, systemRandom);
      await this.#open(wire, keys, terms);
      this.#startWaiting();
    } catch (error) {
      wire.destroy();
      throw late ? timedOut('no handshake') : error;
    } finally {
      clearTimeout(timer);
    }
  }

  /** Says which repository is wanted; resolves when the server agrees. */
  #open(wire: Duplex, keys: { clientFrames: KeyLike; serverFrames: KeyLike }, terms: Terms): Promise<void> {
    const { repository, app, timeoutMs, location } = this.#o;
    return new Promise((resolve, reject) => {
      const connection = new Connection(wire, {
        sendKey: keys.clientFrames,
        receiveKey: keys.serverFrames,
        stallMs: timeoutMs,
        graceMs: Math.min(10_000, timeoutMs / 2),
        onFrame: (frame) => {
          if (this.#connection === connection) this.#receive(frame);
          else if (frame.type === frameType.opened && frame.stream === 0) {
            this.#connection = connection;
            this.#wire = wire;
            ref(wire, this.#requests.size > 0);
            this.#terms = terms;
            this.#opened = true;
            this.#everOpened = true;
            this.#nextStream = 1;
            resolve();
          } else if (frame.type === frameType.error) reject(parseError(parseMessage(frame), location));
          else if (frame.type === frameType.goodbye) reject(lost(new Error('the server stops')));
          else throw protocolError('no answer to the first request');
        },
        onClose: (error) => {
          reject(error);
          if (this.#connection === connection) this.#lost(error);
        },
      });
      connection.send(frameType.open, 0, [formatMessage({ repository, app })]);
    });
  }

  #receive(frame: Frame): void {
    if (frame.type === frameType.pong) return;
    const now = performance.now();
    // A server that takes a request over and over, and never gets on with it, makes no progress.
    if (moves.has(frame.type)) this.#progressAt = now;
    if (frame.stream === 0) {
      if (frame.type === frameType.goodbye) this.#connection?.destroy(lost(new Error('the server stops')));
      else throw protocolError('an answer to no request');
      return;
    }
    const running = this.#streams.get(frame.stream);
    if (running === undefined) {
      // What was on its way when a request was dropped.
      if (frame.stream < this.#nextStream) return;
      throw protocolError('an answer to no request');
    }
    if (frame.type === frameType.wait) {
      if (now - running.answeredAt < workMax) return;
      this.#remove(running);
      running.request.fail(timedOut('it has been at work for too long'));
      return;
    }
    running.answeredAt = now;
    let last: boolean;
    try {
      if (frame.type === frameType.error) throw parseError(parseMessage(frame), this.#o.location);
      last = running.request.answer(frame);
    } catch (error) {
      if (isBackpackError(error) && error.code === 'BP_PROTOCOL') throw error;
      this.#remove(running);
      running.request.fail(toBackpackError(error));
      return;
    }
    if (last) this.#remove(running);
  }

  #lost(error: BackpackError): void {
    if (!this.#waits()) this.#progressAt = performance.now();
    this.#connection = undefined;
    this.#wire = undefined;
    this.#opened = false;
    this.#streams.clear();
    for (const running of this.#requests) running.stream = 0;
    // A server that breaks the protocol will do so again.
    if (error.code === 'BP_PROTOCOL' || this.#closed) this.#failAll(error);
    else if (this.#requests.size > 0) this.#connect();
  }

  #watch(): void {
    const now = performance.now();
    const connection = this.#connection;
    if (connection === undefined) return;
    if (this.#opened && !this.#waits()) this.#progressAt = now;
    // Connections that come and go with nothing moving are no better than none.
    if (now - this.#progressAt > 2 * this.#o.timeoutMs) {
      this.#failAll(timedOut('nothing has moved'));
      connection.destroy(timedOut('nothing has moved'));
      return;
    }
    const silent = now - Math.max(connection.receivedAt, this.#progressAt) > this.#o.timeoutMs;
    const late = silent && this.#streams.size > 0 && this.#waits() ? 'it is silent' : connection.late(now);
    if (late !== undefined) connection.destroy(timedOut(late));
  }

  /** Whether any request waits for the server; an object that grows may wait for its own side. */
  #waits(): boolean {
    for (const { request } of this.#streams.values()) {
      if (!('idle' in request && (request as { idle: boolean }).idle)) return true;
    }
    return false;
  }

  #failAll(error: BackpackError): void {
    const all = [...this.#requests];
    this.#requests.clear();
    this.#streams.clear();
    this.#rest();
    for (const { request } of all) request.fail(error);
  }
}

type KeyLike = import('node:crypto').KeyObject;

function ref(wire: Duplex | undefined, on: boolean): void {
  const socket = wire as { ref?(): void; unref?(): void } | undefined;
  if (on) socket?.ref?.();
  else socket?.unref?.();
}
