/** Codecs for reading, made when first needed and as large as what is read asks for (within the format's limits). */
import { MiB, tablePlainMax } from '../base/limits.ts';
import { RecordCodec } from '../codec/record-codec.ts';
import { reject } from '../format/reject.ts';

/** First bytes of an LZ4 frame, u32 little-endian. */
const frameMagic = 0x184d2204;

/** One codec that is replaced by a larger one when a record or table is larger. */
export class ReaderMemory {
  #codec: RecordCodec | undefined;

  /** A codec for plaintexts of `length` bytes. Its memory is valid until the next call. */
  for(length: number): RecordCodec {
    if (this.#codec === undefined || this.#codec.plainMax < length) {
      this.#codec = new RecordCodec(Math.max(4 * MiB, length));
    }
    return this.#codec;
  }

  /**
   * Decodes the frame of a table and checks its padding.
   * @returns the text's bytes, valid until the next use of this memory
   * @throws BackpackError E_LZ4, E_LIMIT
   */
  decodeTable(frame: Uint8Array): Uint8Array {
    // Only chooses how much memory is asked for: the decoder checks the header itself.
    const view = Buffer.from(frame.buffer, frame.byteOffset, frame.byteLength);
    const isFrame = frame.byteLength >= 15 && view.readUInt32LE(0) === frameMagic;
    const claimed = isFrame ? Number(view.readBigUInt64LE(6)) : 0;
    if (claimed > tablePlainMax) throw reject('E_LIMIT', 'the table is larger than 64 MiB');
    return this.for(Math.max(claimed, frame.byteLength)).decodeTable(frame);
  }
}
