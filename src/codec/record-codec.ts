/**
 * One record in and out: LZ4 frame, then GCM (SPEC, "Records"), inside the memory of a kernel.
 * Plaintext is verified before it is sealed: each block is decoded again and compared.
 */
import type { KeyObject } from 'node:crypto';
import { BackpackError } from '../base/errors.ts';
import { paddingMax, tagBytes } from '../base/limits.ts';
import { Kernel } from '../kernel/kernel.ts';
import { open, seal } from './aead.ts';
import { type Compression, effortOf } from './compression.ts';

/** Room that the decoder may write beyond the end of its output, bytes. */
export const slackBytes = 64;

/** Seals and opens records of up to `plainMax` bytes. Not to be used by two callers at once. */
export class RecordCodec {
  readonly kernel: Kernel;
  /** Longest plaintext, bytes. */
  readonly plainMax: number;
  /** Address of {@link plainMax} bytes that callers may use for plaintext. */
  readonly plain: number;
  readonly #frame: number;
  readonly #effort: number;

  /**
   * @param extraBytes memory that the caller will reserve from {@link kernel} for itself
   * @param compression of records; tables are always compressed fast
   */
  constructor(plainMax: number, extraBytes = 0, compression: Compression = 'fast') {
    this.#effort = effortOf[compression];
    const frameMax = plainMax + plainMax / 128 + 2 * tagBytes + slackBytes + paddingRoom;
    this.kernel = Kernel.create(plainMax + frameMax + extraBytes + 16 * slackBytes);
    this.plainMax = plainMax;
    this.plain = this.kernel.reserve(plainMax + slackBytes);
    this.#frame = this.kernel.reserve(frameMax);
  }

  /**
   * Seals `length` bytes at `source`.
   * @param emit gets the ciphertext in pieces and the tag last
   * @returns length of the ciphertext without tag, bytes
   * @throws BackpackError BP_ENCODE_VERIFY when the encoder made a mistake
   */
  seal(key: KeyObject, domain: number, counter: number, source: number, length: number, emit: Emit): number {
    const frameLength = this.kernel.frameEncode(source, length, this.#frame, true, this.#effort);
    seal(key, domain, counter, this.#frameBytes(frameLength), emit);
    return frameLength;
  }

  /** Seals a table: like {@link seal}, with padding whose length depends on the frame's length. */
  sealTable(
    key: KeyObject,
    domain: number,
    source: number,
    length: number,
    padding: (frameLength: number) => Uint8Array,
    emit: Emit,
  ): number {
    const frameLength = this.kernel.frameEncode(source, length, this.#frame, true);
    const pad = padding(frameLength);
    this.kernel.bytes.set(pad, this.#frame + frameLength);
    seal(key, domain, 0, this.#frameBytes(frameLength + pad.byteLength), emit);
    return frameLength + pad.byteLength;
  }

  /**
   * Opens ciphertext and tag of a record into `length` bytes at `into` (which has {@link slackBytes} behind it).
   * @throws BackpackError E_TAG, E_LZ4
   */
  open(
    key: KeyObject,
    domain: number,
    counter: number,
    sealed: Uint8Array,
    into: number,
    length: number,
  ): void {
    const frameLength = open(key, domain, counter, sealed, this.#frameBytes(sealed.byteLength - tagBytes));
    const decoded = this.kernel.frameDecode(this.#frame, frameLength, into, length);
    if (decoded === length) return;
    throw new BackpackError('E_LZ4', `a record has ${decoded} bytes, its table says ${length}`, {
      kind: 'damaged',
    });
  }

  /** Decodes a table's frame (already opened) that is followed by padding. @returns a view of {@link plain} */
  decodeTable(frame: Uint8Array): Uint8Array {
    this.kernel.bytes.set(frame, this.#frame);
    const { length, frameBytes } = this.kernel.tableFrameDecode(
      this.#frame,
      frame.byteLength,
      this.plain,
      this.plainMax,
    );
    if (frame.byteLength - frameBytes > paddingMax)
      throw new BackpackError('E_LIMIT', 'a table has more than 1 MiB of padding', { kind: 'damaged' });
    return this.kernel.bytes.subarray(this.plain, this.plain + length);
  }

  #frameBytes(length: number): Uint8Array {
    return this.kernel.bytes.subarray(this.#frame, this.#frame + Math.max(0, length));
  }
}

type Emit = (piece: Uint8Array) => void;
/** Padding is below 13 % of 1 MiB. */
const paddingRoom = 262_144;
