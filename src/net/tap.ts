/**
 * Sockets whose bytes are read straight to memory of whoever takes them. A stream of Node.js hands out 64 KiB of fresh
 * memory with each read; what that costs, and its collection, was a third of a server's processor time.
 */
import { type OnReadOpts, Socket, type SocketConstructorOpts } from 'node:net';
import type { Duplex } from 'node:stream';

/** Who takes the bytes of a connection. */
export interface Intake {
  /** Memory for the next read, never empty. */
  space(): Buffer;
  /** Takes bytes that have arrived, in the memory of some call of `space`, or elsewhere. */
  take(bytes: Uint8Array): void;
}

const taps = new WeakMap<Duplex, Tap>();
/** A handshake fits; nothing else comes before the intake. */
const firstBytes = 1024;

/** Makes a socket, or another one out of a socket, whose bytes an {@link Intake} can take. */
export class Tap {
  readonly onread: OnReadOpts;
  #socket: Socket | undefined;
  #intake: Intake | undefined;

  constructor() {
    const first = Buffer.alloc(firstBytes);
    this.onread = {
      buffer: () => this.#intake?.space() ?? first,
      callback: (count, bytes) => this.#arrived(bytes.subarray(0, count)),
    };
  }

  /** Ties it to the socket that was made with its `onread`. */
  attach(socket: Socket): Socket {
    this.#socket = socket;
    taps.set(socket, this);
    return socket;
  }

  /** From now on, bytes are taken by the intake; what came before is given to it first. */
  begin(intake: Intake): void {
    this.#intake = intake;
    const early: Uint8Array | null = this.#socket!.read();
    if (early !== null) intake.take(early);
  }

  /**
   * Lets go of the memory for the next read and asks for other one. Node.js asks only after a read, so that who says
   * nothing any more would keep it. Where a read may be under way in it (Windows) it stays.
   */
  renew(): void {
    const socket = this.#socket as unknown as Record<symbol, unknown> & {
      readonly _handle: { useUserBuffer?: (memory: Buffer) => void } | null;
    };
    const held = Object.getOwnPropertySymbols(socket).find(({ description }) => description === 'kBuffer');
    const handle = socket._handle;
    if (held === undefined || typeof handle?.useUserBuffer !== 'function' || process.platform === 'win32')
      return;
    const memory = this.#intake!.space();
    socket[held] = memory;
    handle.useUserBuffer(memory);
  }

  /** @returns whether the socket shall go on reading */
  #arrived(bytes: Uint8Array): boolean {
    if (this.#intake === undefined) return this.#socket!.push(Buffer.from(bytes));
    this.#intake.take(bytes);
    return true;
  }
}

/** The tap of a stream, if it has one. */
export function tapOf(wire: Duplex): Tap | undefined {
  return taps.get(wire);
}

/**
 * A socket with a tap in place of one that a server has accepted and not read from. Node.js lets a client say how it
 * reads, a server not; so the handle gets another socket, and the first one ends with it. Where there is no such handle
 * the socket stays as it is.
 */
export function tapAccepted(socket: Socket): Socket {
  const accepted = socket as unknown as { _handle: { readStart?: unknown; useUserBuffer?: unknown } | null };
  const handle = accepted._handle;
  if (typeof handle?.readStart !== 'function' || typeof handle.useUserBuffer !== 'function') {
    socket.resume();
    return socket;
  }
  const tap = new Tap();
  accepted._handle = null;
  const made = tap.attach(new Socket({ handle, onread: tap.onread } as SocketConstructorOpts));
  // The listener counts the first one.
  made.once('close', () => socket.destroy());
  return made;
}
