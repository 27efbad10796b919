/**
 * A connection after the handshake: sends and receives frames over any byte stream (TCP, TLS, in-process). Frames are
 * handled one after the other, and while one is being handled nothing more is read: that bounds what a peer can make
 * this side hold. It knows frames, not what they mean.
 */
import type { KeyObject } from 'node:crypto';
import type { Duplex } from 'node:stream';
import { BackpackError, toBackpackError } from '../base/errors.ts';
import { KiB, MiB } from '../base/limits.ts';
import { type Frame, FrameDecoder, sealFrame } from './frame.ts';

/** A frame that began must arrive at this rate at least, bytes per second, after a time of grace. */
const rateMin: number = KiB;
/** Above this many bytes that wait to be sent, a sender waits. */
const sendHigh: number = MiB;
/** What a piece of memory costs beside its bytes. */
const pieceBytes: number = KiB / 2;

/** What a connection is made with. */
export interface ConnectionOptions {
  readonly sendKey: KeyObject;
  readonly receiveKey: KeyObject;
  /** Handles a frame; the next one waits for its promise. What it throws ends the connection. */
  readonly onFrame: (frame: Frame) => void | Promise<void>;
  /** Called once, when the connection is gone. */
  readonly onClose: (error: BackpackError) => void;
  /** Frames that wait to be sent; beyond it nothing more is read until half of them have gone. Default: no limit. */
  readonly unsentMax?: number;
  /** How long bytes may wait to be sent without any of them going, ms. */
  readonly stallMs: number;
  /** How long a frame may take beyond what its length explains, ms. */
  readonly graceMs: number;
}

/** See the file's comment. */
export class Connection {
  readonly #wire: Duplex;
  readonly #o: ConnectionOptions;
  readonly #decoder: FrameDecoder;
  readonly #queue: Frame[] = [];
  #sendCounter = 0;
  #working = false;
  #closed = false;
  #waiting: (() => void)[] = [];
  /** Who waits for bytes to be gone, by the number of the last frame. */
  #going: { readonly frame: number; readonly resolve: () => void }[] = [];
  #framesSent = 0;
  #sendingBytes = 0;
  #sentAt = 0;
  #frameSince = 0;
  #receivedAt: number = performance.now();

  constructor(wire: Duplex, options: ConnectionOptions) {
    this.#wire = wire;
    this.#o = options;
    this.#decoder = new FrameDecoder(options.receiveKey);
    wire.on('data', (bytes: Buffer) => this.#receive(bytes));
    wire.on('error', (error) => this.destroy(lost(error)));
    wire.on('end', () => this.destroy(lost(undefined)));
    wire.on('close', () => this.destroy(lost(undefined)));
    if (wire.destroyed) queueMicrotask(() => this.destroy(lost(undefined)));
    else wire.resume();
  }

  /** Bytes this side holds for the peer: of a frame that is not complete, and waiting to be sent. */
  get heldBytes(): number {
    const unsent = this.#sendingBytes + this.#unsent * pieceBytes;
    return this.#decoder.pendingBytes + this.#decoder.pendingPieces * pieceBytes + unsent;
  }

  /** When a byte was last received, on the clock of `performance.now()`. */
  get receivedAt(): number {
    return this.#receivedAt;
  }

  /** Frames that wait to be sent. */
  get #unsent(): number {
    return this.#sendCounter - this.#framesSent;
  }

  /** Since when the peer has owed bytes or kept this side waiting; Infinity when it has not. */
  get owingSince(): number {
    const frame = this.#decoder.pendingBytes > 0 && !this.#working ? this.#frameSince : Infinity;
    return Math.min(frame, this.#sendingBytes > 0 ? this.#sentAt : Infinity);
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** Sends a frame. The pieces must not change until it has been sent; {@link flushed} holds senders back. */
  send(type: number, stream: number, pieces: readonly Uint8Array[] = []): void {
    if (this.#closed) return;
    const sealed = sealFrame(this.#o.sendKey, this.#sendCounter, type, stream, pieces);
    this.#sendCounter += 1;
    let bytes = 0;
    for (const piece of sealed) bytes += piece.byteLength;
    if (this.#sendingBytes === 0) this.#sentAt = performance.now();
    this.#sendingBytes += bytes;
    // One system call for the whole frame.
    this.#wire.cork();
    const last = sealed.length - 1;
    for (const [i, piece] of sealed.entries()) {
      if (i === last) this.#wire.write(piece, () => this.#sent(bytes));
      else if (piece.byteLength > 0) this.#wire.write(piece);
    }
    this.#wire.uncork();
  }

  /** Resolves when few bytes wait to be sent, or the connection is gone. */
  flushed(): Promise<void> | undefined {
    if (this.#closed || this.#sendingBytes <= sendHigh) return undefined;
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  /** Resolves when all that was sent so far has gone, or the connection has: then its memory is free again. */
  gone(): Promise<void> {
    if (this.#closed || this.#framesSent === this.#sendCounter) return Promise.resolve();
    return new Promise((resolve) => this.#going.push({ frame: this.#sendCounter, resolve }));
  }

  /** Resolves when nothing waits to be sent, or the connection is gone. */
  empty(): Promise<void> {
    return this.#until(() => this.#sendingBytes === 0);
  }

  /** What is late, if anything; the owner of the connection asks from time to time and then destroys it. */
  late(now: number): string | undefined {
    if (this.#sendingBytes > 0 && now - this.#sentAt > this.#o.stallMs) return 'it takes nothing more';
    const pending = this.#decoder.pendingBytes;
    if (pending === 0 || this.#working) return undefined;
    const overdue = now - this.#frameSince - this.#o.graceMs;
    return overdue > 0 && pending < (overdue / 1000) * rateMin ? 'it sends too slowly' : undefined;
  }

  /** Ends the connection at once; what was not sent is dropped. */
  destroy(error: BackpackError): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#queue.length = 0;
    this.#wire.destroy();
    this.#wake();
    for (const { resolve } of this.#going.splice(0)) resolve();
    this.#o.onClose(error);
  }

  #receive(bytes: Buffer): void {
    if (this.#closed) return;
    const now = performance.now();
    this.#receivedAt = now;
    const began = this.#decoder.pendingBytes === 0;
    const queued = this.#queue.length;
    try {
      this.#decoder.push(bytes, (frame) => this.#queue.push(frame));
    } catch (error) {
      this.destroy(toBackpackError(error));
      return;
    }
    if (began || this.#queue.length > queued) this.#frameSince = now;
    if (this.#queue.length > 0 && !this.#working) {
      this.#work().catch((error: unknown) => this.destroy(toBackpackError(error)));
    }
  }

  async #work(): Promise<void> {
    this.#working = true;
    const { unsentMax = Infinity } = this.#o;
    let paused = false;
    for (let frame = this.#queue.shift(); frame !== undefined; frame = this.#queue.shift()) {
      const handled = this.#o.onFrame(frame);
      if (handled !== undefined || this.#unsent > unsentMax) {
        if (!paused) this.#wire.pause();
        paused = true;
        await handled;
        // Who does not take its answers is not listened to: else every request could cost memory.
        if (this.#unsent > unsentMax) await this.#until(() => this.#unsent <= unsentMax / 2);
      }
      if (this.#closed) return;
    }
    this.#working = false;
    this.#frameSince = performance.now();
    if (paused) this.#wire.resume();
  }

  #sent(bytes: number): void {
    this.#sendingBytes -= bytes;
    this.#framesSent += 1;
    while (this.#going[0] !== undefined && this.#going[0].frame <= this.#framesSent)
      this.#going.shift()!.resolve();
    this.#sentAt = performance.now();
    if (this.#sendingBytes <= sendHigh / 2) this.#wake();
  }

  async #until(condition: () => boolean): Promise<void> {
    while (!this.#closed && !condition()) {
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
  }

  #wake(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const resolve of waiting) resolve();
  }
}

/** BP_CONNECTION: the stream ended or failed. */
export function lost(cause: unknown): BackpackError {
  const why = cause instanceof Error ? cause.message : 'the other side closed it';
  return new BackpackError('BP_CONNECTION', `the connection was lost: ${why}`, {
    kind: 'network',
    retry: 'now',
    cause,
    hint: 'check the network and the server, then run the command again; what is stored is used again',
  });
}

/** BP_TIMEOUT: the peer was late. */
export function timedOut(why: string): BackpackError {
  return new BackpackError('BP_TIMEOUT', `the other side does not answer in time: ${why}`, {
    kind: 'network',
    retry: 'now',
    hint: 'check the network and the server, then run the command again; what is stored is used again',
  });
}
