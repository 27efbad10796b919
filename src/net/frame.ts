/**
 * Frames on a byte stream (docs/protocol.md, "Frames"): 12 bytes of header, payload, 16 bytes of GMAC over both.
 * The length is compared with the limit of the frame's type before anything is kept, and no frame is handed on before
 * its tag was found right.
 */
import { type KeyObject, timingSafeEqual } from 'node:crypto';
import { BackpackError } from '../base/errors.ts';
import { KiB, MiB, tagBytes } from '../base/limits.ts';
import { FrameMac } from '../codec/aead.ts';

/** Bytes of a frame's header: length (u32be), type (u8), three zeros, stream (u32be). */
const frameHeaderBytes = 12;
/** Longest payload of a `data` frame, bytes. */
const dataMax: number = MiB;
/** Longest payload of any other frame, bytes. */
const controlMax: number = 64 * KiB;

/** Types of frames. Those from 32 on are sent by servers only. */
export const frameType = {
  open: 1,
  put: 2,
  data: 3,
  end: 4,
  abort: 5,
  get: 6,
  stat: 7,
  list: 8,
  delete: 9,
  next: 10,
  ping: 11,
  opened: 32,
  accept: 33,
  ack: 34,
  size: 35,
  items: 36,
  done: 37,
  error: 38,
  pong: 39,
  wait: 40,
  goodbye: 41,
} as const;

const known: ReadonlySet<number> = new Set(Object.values(frameType));

/** One frame. */
export interface Frame {
  readonly type: number;
  readonly stream: number;
  /** What the frame brings; its memory is used again when the frame has been handled. */
  readonly payload: Buffer;
}

/** A frame as it is sent: pieces to write one after the other. */
export function sealFrame(
  key: KeyObject,
  counter: number,
  type: number,
  stream: number,
  pieces: readonly Uint8Array[],
): Uint8Array[] {
  const header = Buffer.alloc(frameHeaderBytes);
  let length = 0;
  for (const piece of pieces) length += piece.byteLength;
  header.writeUInt32BE(length, 0);
  header.writeUInt8(type, 4);
  header.writeUInt32BE(stream, 8);
  const mac = new FrameMac(key, counter);
  mac.update(header);
  for (const piece of pieces) mac.update(piece);
  return [header, ...pieces, mac.tag()];
}

/** Memory of a reader at first, and again when it has nothing to do, bytes. */
const memoryMin: number = 64 * KiB;
/** With less memory free than this, a read is not worth a system call. */
const spaceMin: number = 64 * KiB;

/**
 * Takes frames out of the bytes that arrive on one direction of a connection. Bytes are gathered in memory of its own,
 * best by being read to {@link FrameReader.space}. It grows as bytes arrive, whatever a peer announces, and is used
 * again and again: fresh memory for every read costs more than all that is done with the bytes.
 */
export class FrameReader {
  readonly #key: KeyObject;
  #counter = 0;
  #memory: Buffer = Buffer.allocUnsafeSlow(memoryMin);
  /** Frames before it have been handed out. */
  #start = 0;
  #fill = 0;
  /** Most that this memory has held: what was never touched is no memory yet. */
  #touched = 0;
  /** Whether a frame that was handed out may still be in use. */
  #lent = false;
  /** Where bytes go when there is no space behind a frame that is in use. */
  #spare: Buffer | undefined;

  constructor(key: KeyObject) {
    this.#key = key;
  }

  /** Bytes that belong to no complete frame yet: 0 between frames. */
  get pendingBytes(): number {
    return this.#fill - this.#start;
  }

  /** Bytes of memory that this reader takes. */
  get heldBytes(): number {
    return this.#memory.length > memoryMin ? this.#touched : this.pendingBytes;
  }

  /** Memory for the next bytes, never empty. They have to be given to {@link take} afterwards. */
  space(): Buffer {
    if (!this.#lent) this.#makeRoom(spaceMin);
    if (this.#fill < this.#memory.length) return this.#memory.subarray(this.#fill);
    this.#spare ??= Buffer.allocUnsafeSlow(memoryMin);
    return this.#spare;
  }

  /** Takes bytes that have arrived, in any memory; those in the last {@link space} are not copied. */
  take(bytes: Uint8Array): void {
    const { length } = bytes;
    const inPlace =
      bytes.buffer === this.#memory.buffer && bytes.byteOffset === this.#memory.byteOffset + this.#fill;
    if (!inPlace) {
      this.#makeRoom(length);
      this.#memory.set(bytes, this.#fill);
    }
    this.#fill += length;
    this.#touched = Math.max(this.#touched, this.#fill);
  }

  /**
   * The next frame, once all of it is there. It can be used until the next call.
   * @throws BackpackError BP_PROTOCOL for a frame that is too long, of an unknown type, or not what was sent
   */
  next(): Frame | undefined {
    this.#lent = false;
    const memory = this.#memory.subarray(this.#start, this.#fill);
    if (memory.length < frameHeaderBytes) return undefined;
    const length = memory.readUInt32BE(0);
    const type = memory.readUInt8(4);
    if (!known.has(type) || memory.readUIntBE(5, 3) !== 0)
      throw protocolError(`a frame of unknown type ${type}`);
    const max = type === frameType.data ? dataMax : controlMax;
    if (length > max) throw protocolError(`a frame of ${length} bytes, the limit is ${max}`);
    const end = frameHeaderBytes + length;
    if (memory.length < end + tagBytes) return undefined;
    const mac = new FrameMac(this.#key, this.#counter);
    this.#counter += 1;
    mac.update(memory.subarray(0, end));
    if (!timingSafeEqual(mac.tag(), memory.subarray(end, end + tagBytes))) {
      throw protocolError('a frame is not what was sent: its tag is wrong');
    }
    this.#start += end + tagBytes;
    this.#lent = true;
    return { type, stream: memory.readUInt32BE(8), payload: memory.subarray(frameHeaderBytes, end) };
  }

  /** Gives memory back, when nothing is in it. @returns whether there was any: what `space` gave is no longer wanted */
  rest(): boolean {
    if (this.#lent || this.#start !== this.#fill) return false;
    const isMore = this.#spare !== undefined || this.#memory.length > memoryMin;
    this.#spare = undefined;
    if (this.#memory.length > memoryMin) this.#move(Buffer.allocUnsafeSlow(memoryMin));
    return isMore;
  }

  /** Makes room for bytes behind what has arrived. A frame in use stays where it is. */
  #makeRoom(bytes: number): void {
    if (this.#start === this.#fill && !this.#lent) this.#start = this.#fill = 0;
    if (this.#memory.length - this.#fill >= bytes) return;
    const needed = this.pendingBytes + bytes;
    if (needed <= this.#memory.length && !this.#lent) this.#move(this.#memory);
    else this.#move(Buffer.allocUnsafeSlow(Math.max(memoryMin, 2 ** Math.ceil(Math.log2(needed)))));
  }

  #move(memory: Buffer): void {
    const pending = this.pendingBytes;
    this.#memory.copy(memory, 0, this.#start, this.#fill);
    if (memory !== this.#memory) this.#touched = pending;
    this.#memory = memory;
    this.#start = 0;
    this.#fill = pending;
  }
}

/** BP_PROTOCOL */
export function protocolError(what: string): BackpackError {
  return new BackpackError('BP_PROTOCOL', `the other side does not speak the protocol: ${what}`, {
    kind: 'network',
    retry: 'later',
    hint: 'check that the address is that of a Backpack server and that both versions fit; see docs/protocol.md',
  });
}
