/**
 * Records of packs for a restore worker: packs are opened once, the last decoded records are kept (small files share
 * one), and consecutive records are read from storage together.
 */
import { BackpackError } from '../base/errors.ts';
import { MiB, sealedMax, tagBytes } from '../base/limits.ts';
import { recordDomain } from '../codec/aead.ts';
import { type RecordCodec, slackBytes } from '../codec/record-codec.ts';
import { type ContainerReader, type ReadContext, withObject } from '../container/container-reader.ts';
import { PackFinder, type PackPiece } from '../container/pack-finder.ts';
import type { Extent } from '../format/extents.ts';
import { reject } from '../format/reject.ts';

const packsMax = 16;
const slotsCount = 3;
const slotBytes: number = 4 * MiB;
const readBytes: number = 4 * MiB;
const bufferBytes: number = sealedMax(slotBytes) + tagBytes + readBytes;

interface Slot {
  readonly address: number;
  key: string;
  used: number;
}

/** See the file's comment. */
export class RecordSource {
  readonly #context: ReadContext;
  readonly #codec: RecordCodec;
  readonly #buffer: number;
  readonly #slots: Slot[];
  readonly #packs: PackFinder;
  #tick = 0;

  /** Bytes that this reserves from the codec's kernel. */
  static readonly bytes: number = bufferBytes + slotsCount * (slotBytes + slackBytes) + 8 * slackBytes;

  /** @param codec with a plainMax of at least 4 MiB */
  constructor(context: ReadContext, codec: RecordCodec) {
    this.#context = context;
    this.#packs = new PackFinder(context, 'data', packsMax);
    this.#codec = codec;
    this.#buffer = codec.kernel.reserve(bufferBytes);
    this.#slots = Array.from({ length: slotsCount }, () => ({
      address: codec.kernel.reserve(slotBytes + slackBytes),
      key: '',
      used: 0,
    }));
  }

  /** Where the records of an extent are. @param writer the only writer whose packs are allowed */
  pieces(extent: Extent, writer: string): Promise<PackPiece[]> {
    return this.#packs.pieces(extent, writer);
  }

  /** Address of the plaintext of one record of at most 4 MiB, valid until two other records were asked for. */
  async record(pack: ContainerReader, ordinal: number): Promise<number> {
    const key = `${pack.name} ${ordinal}`;
    let slot = this.#slots.find((one) => one.key === key);
    if (slot === undefined) {
      const length = pack.table.lengths[ordinal];
      if (length === undefined)
        throw reject('E_EXTENT', `record ${ordinal} is not in the pack`, { object: pack.name });
      if (length > slotBytes) throw tooLong(pack.name, length);
      slot = this.#slots.reduce((a, b) => (a.used < b.used ? a : b));
      slot.key = '';
      await this.run(pack, ordinal, 1, slot.address);
      slot.key = key;
    }
    this.#tick += 1;
    slot.used = this.#tick;
    return slot.address;
  }

  /** Decodes consecutive records one behind the other to `into`. @returns bytes decoded */
  async run(pack: ContainerReader, first: number, count: number, into: number): Promise<number> {
    let done = 0;
    for (let at = first; at < first + count; ) {
      let together = 1;
      while (at + together < first + count && pack.rangeOf(at, together + 1).length <= readBytes)
        together += 1;
      const range = pack.rangeOf(at, together);
      if (range.length > bufferBytes) throw tooLong(pack.name, range.length);
      const bytes = this.#codec.kernel.bytes.subarray(this.#buffer, this.#buffer + range.length);
      try {
        await this.#context.storage.get(pack.name, { range, into: bytes });
      } catch (error) {
        throw withObject(error, pack.name, at);
      }
      for (let i = 0; i < together; i += 1, at += 1) {
        const one = pack.rangeOf(at, 1);
        const length = pack.table.lengths[at]!;
        const sealed = bytes.subarray(one.offset - range.offset, one.offset - range.offset + one.length);
        try {
          this.#codec.open(pack.key, recordDomain, at, sealed, into + done, length);
        } catch (error) {
          throw withObject(error, pack.name, at);
        }
        done += length;
      }
    }
    return done;
  }
}

function tooLong(object: string, length: number): BackpackError {
  return new BackpackError(
    'BP_RECORD_SIZE',
    `${object} has records of ${length} bytes, which this version does not restore`,
    {
      kind: 'unsupported',
      hint: 'use recover/recover.js of the repository',
    },
  );
}
