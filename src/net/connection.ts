/**
 * A connection after the handshake: sends and receives frames over any byte stream (TCP, TLS, in-process). Frames are
 * handled one after the other, and while one is being handled nothing more is read: that bounds what a peer can make
 * this side hold. It knows frames, not what they mean.
 */
import type { KeyObject } from 'node:crypto';
import type { Duplex } from 'node:stream';
import { BackpackError, toBackpackError } from '../base/errors.ts';
import { KiB, MiB } from '../base/limits.ts';
import { type Frame, FrameReader, sealFrame } from './frame.ts';
import { tapOf } from './tap.ts';

/** A frame that began must arrive at this rate at least, bytes per second, after a time of grace. */
const rateMin: number = KiB;
/** Above this many bytes that wait to be sent, a sender waits. */
const sendHigh: number = MiB;
/** What a piece of memory costs beside its bytes. */
const pieceBytes: number = KiB / 2;
/** Without bytes for so long, a connection gives the memory of its reader back, ms. */
const restMs = 1000;

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
  readonly #reader: FrameReader;
  #sendCounter = 0;
  #working = false;
  #paused = false;
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
    this.#reader = new FrameReader(options.receiveKey);
    wire.on('error', (error) => this.destroy(lost(error)));
    wire.on('end', () => this.destroy(lost(undefined)));
    wire.on('close', () => this.destroy(lost(undefined)));
    if (wire.destroyed) queueMicrotask(() => this.destroy(lost(undefined)));
    else queueMicrotask(() => this.#begin());
  }

  /** Bytes this side holds for the peer: of a frame that is not complete, and waiting to be sent. */
  get heldBytes(): number {
    return this.#reader.heldBytes + this.#sendingBytes + this.#unsent * pieceBytes;
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
    const frame = this.#reader.pendingBytes > 0 && !this.#working ? this.#frameSince : Infinity;
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
    const pending = this.#reader.pendingBytes;
    if (this.#working) return undefined;
    if (pending === 0) {
      if (now - this.#receivedAt > restMs && this.#reader.rest()) tapOf(this.#wire)?.renew();
      return undefined;
    }
    const overdue = now - this.#frameSince - this.#o.graceMs;
    return overdue > 0 && pending < (overdue / 1000) * rateMin ? 'it sends too slowly' : undefined;
  }

  /** Ends the connection at once; what was not sent is dropped. */
  destroy(error: BackpackError): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#wire.destroy();
    this.#wake();
    for (const { resolve } of this.#going.splice(0)) resolve();
    this.#o.onClose(error);
  }

  #begin(): void {
    if (this.#closed) return;
    const take = (bytes: Uint8Array): void => this.#receive(bytes);
    const tap = tapOf(this.#wire);
    if (tap === undefined) this.#wire.on('data', take);
    else tap.begin({ space: () => this.#reader.space(), take });
    if (!this.#paused) this.#wire.resume();
  }

  #receive(bytes: Uint8Array): void {
    if (this.#closed) return;
    this.#receivedAt = performance.now();
    if (this.#reader.pendingBytes === 0) this.#frameSince = this.#receivedAt;
    this.#reader.take(bytes);
    if (this.#working) return;
    this.#work().catch((error: unknown) => this.destroy(toBackpackError(error)));
  }

  /** Handles the frames that are there. */
  async #work(): Promise<void> {
    this.#working = true;
    const { unsentMax = Infinity } = this.#o;
    for (let frame = this.#reader.next(); frame !== undefined; frame = this.#reader.next()) {
      const handled = this.#o.onFrame(frame);
      if (handled !== undefined || this.#unsent > unsentMax) {
        if (!this.#paused) this.#wire.pause();
        this.#paused = true;
        await handled;
        // Who does not take its answers is not listened to: else every request could cost memory.
        if (this.#unsent > unsentMax) await this.#until(() => this.#unsent <= unsentMax / 2);
      }
      if (this.#closed) return;
      this.#frameSince = performance.now();
    }
    this.#working = false;
    if (this.#paused) this.#wire.resume();
    this.#paused = false;
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
