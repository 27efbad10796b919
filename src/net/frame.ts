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
  /** Payload, in pieces as they arrived; they belong to the receiver. */
  readonly pieces: readonly Buffer[];
  /** Length of the payload, bytes. */
  readonly length: number;
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

/** Takes frames out of the bytes that arrive on one direction of a connection. */
export class FrameDecoder {
  readonly #key: KeyObject;
  #counter = 0;
  readonly #header: Buffer = Buffer.alloc(frameHeaderBytes);
  readonly #tag: Buffer = Buffer.alloc(tagBytes);
  #headerFill = 0;
  #tagFill = 0;
  #mac: FrameMac | undefined;
  #length = 0;
  #pieces: Buffer[] = [];
  #fill = 0;

  constructor(key: KeyObject) {
    this.#key = key;
  }

  /** Bytes of a frame that is not complete yet: 0 between frames. */
  get pendingBytes(): number {
    return this.#headerFill + this.#fill + this.#tagFill;
  }

  /** Pieces in which the payload of the frame that is not complete yet has come. */
  get pendingPieces(): number {
    return this.#pieces.length;
  }

  /** Length of the payload of the frame that is not complete yet, as far as it is known. */
  get pendingLength(): number {
    return this.#length;
  }

  /**
   * Takes more bytes and hands out the frames they complete.
   * @throws BackpackError BP_PROTOCOL for a frame that is too long, of an unknown type, or not what was sent
   */
  push(bytes: Buffer, emit: (frame: Frame) => void): void {
    let at = 0;
    while (at < bytes.length) {
      if (this.#headerFill < frameHeaderBytes) {
        const took = bytes.copy(this.#header, this.#headerFill, at);
        at += took;
        this.#headerFill += took;
        if (this.#headerFill < frameHeaderBytes) return;
        this.#begin();
      } else if (this.#fill < this.#length) {
        const piece = bytes.subarray(at, at + this.#length - this.#fill);
        this.#mac!.update(piece);
        this.#pieces.push(piece);
        at += piece.length;
        this.#fill += piece.length;
      } else {
        const took = bytes.copy(this.#tag, this.#tagFill, at);
        at += took;
        this.#tagFill += took;
        if (this.#tagFill === tagBytes) emit(this.#finish());
      }
    }
  }

  #begin(): void {
    const length = this.#header.readUInt32BE(0);
    const type = this.#header.readUInt8(4);
    const spare = this.#header.readUIntBE(5, 3);
    if (!known.has(type) || spare !== 0) throw protocolError(`a frame of unknown type ${type}`);
    const max = type === frameType.data ? dataMax : controlMax;
    if (length > max) throw protocolError(`a frame of ${length} bytes, the limit is ${max}`);
    this.#length = length;
    this.#mac = new FrameMac(this.#key, this.#counter);
    this.#mac.update(this.#header);
    this.#counter += 1;
  }

  #finish(): Frame {
    if (!timingSafeEqual(this.#mac!.tag(), this.#tag)) {
      throw protocolError('a frame is not what was sent: its tag is wrong');
    }
    const frame = {
      type: this.#header.readUInt8(4),
      stream: this.#header.readUInt32BE(8),
      pieces: this.#pieces,
      length: this.#length,
    };
    this.#headerFill = 0;
    this.#tagFill = 0;
    this.#fill = 0;
    this.#length = 0;
    this.#pieces = [];
    this.#mac = undefined;
    return frame;
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
