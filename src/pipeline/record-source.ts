/**
 * Records of packs for a restore worker: packs are opened once, records that lie one behind the other are read from
 * storage together, and the last decoded ones are kept, because many small files share one.
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
  /** As the extent names it: a pack may have moved since. */
  pack: string;
  record: number;
  length: number;
  used: number;
}

/** Sealed records in the buffer. */
interface Window {
  readonly reader: ContainerReader;
  readonly pack: string;
  /** First record as the extents name it, and in the reader's own count. */
  readonly first: number;
  readonly ordinal: number;
  readonly count: number;
}

/** A decoded record. */
export interface DecodedRecord {
  /** Where it is, valid until two other records were asked for. */
  readonly address: number;
  readonly length: number;
}

/** See the file's comment. */
export class RecordSource {
  readonly #context: ReadContext;
  readonly #codec: RecordCodec;
  readonly #buffer: number;
  readonly #slots: Slot[];
  readonly #packs: PackFinder;
  #window: Window | undefined;
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
      pack: '',
      record: -1,
      length: 0,
      used: 0,
    }));
  }

  /** Where the records of an extent are. @param writer the only writer whose packs are allowed */
  pieces(extent: Extent, writer: string): Promise<PackPiece[]> {
    return this.#packs.pieces(extent, writer);
  }

  /** A record of at most 4 MiB that was read already, opened if need be; undefined when it has to be fetched. */
  ready(pack: string, record: number): DecodedRecord | undefined {
    let slot = this.#slots.find((one) => one.record === record && one.pack === pack);
    if (slot === undefined) {
      const window = this.#window;
      if (window === undefined || window.pack !== pack) return undefined;
      const index = record - window.first;
      if (index < 0 || index >= window.count) return undefined;
      slot = this.#decode(window, index);
    }
    this.#tick += 1;
    slot.used = this.#tick;
    return slot;
  }

  /**
   * Reads a record, and those behind it up to `last` as far as the memory allows, for {@link ready}.
   * @param writer the only writer whose packs are allowed
   */
  async fetch(pack: string, record: number, last: number, writer: string): Promise<void> {
    const { reader, record: ordinal } = await this.#packs.find(pack, record, writer);
    if (ordinal >= reader.records)
      throw reject('E_EXTENT', `record ${record} is not in the pack`, { object: reader.name });
    // What was moved may have been moved apart.
    const max = reader.header.id === pack ? Math.min(last, reader.records - 1) - record + 1 : 1;
    let count = 1;
    while (count < max && reader.rangeOf(ordinal, count + 1).length <= readBytes) count += 1;
    await this.#get(reader, ordinal, count);
    this.#window = { reader, pack, first: record, ordinal, count };
  }

  /** Decodes consecutive records one behind the other to `into`. @returns bytes decoded */
  async run(pack: ContainerReader, first: number, count: number, into: number): Promise<number> {
    let done = 0;
    for (let at = first; at < first + count; ) {
      let together = 1;
      while (at + together < first + count && pack.rangeOf(at, together + 1).length <= readBytes)
        together += 1;
      await this.#get(pack, at, together);
      for (const start = at; at < start + together; at += 1) done += this.#open(pack, start, at, into + done);
    }
    return done;
  }

  /** Reads sealed records to the buffer. */
  async #get(pack: ContainerReader, first: number, count: number): Promise<void> {
    this.#window = undefined;
    const range = pack.rangeOf(first, count);
    if (range.length > bufferBytes) throw tooLong(pack.name, range.length);
    const into = this.#codec.kernel.bytes.subarray(this.#buffer, this.#buffer + range.length);
    try {
      await this.#context.storage.get(pack.name, { range, into });
    } catch (error) {
      throw withObject(error, pack.name, first);
    }
  }

  /** Opens a record of the buffer, which begins with record `first`. @returns its length */
  #open(pack: ContainerReader, first: number, ordinal: number, into: number): number {
    const { offset, length } = pack.rangeOf(ordinal, 1);
    const from = this.#buffer + offset - pack.rangeOf(first, 1).offset;
    const plain = pack.table.lengths[ordinal]!;
    try {
      const sealed = this.#codec.kernel.bytes.subarray(from, from + length);
      this.#codec.open(pack.key, recordDomain, ordinal, sealed, into, plain);
    } catch (error) {
      throw withObject(error, pack.name, ordinal);
    }
    return plain;
  }

  #decode({ reader, pack, first, ordinal }: Window, index: number): Slot {
    const length = reader.table.lengths[ordinal + index]!;
    if (length > slotBytes) throw tooLong(reader.name, length);
    const slot = this.#slots.reduce((a, b) => (a.used < b.used ? a : b));
    slot.record = -1;
    this.#open(reader, ordinal, ordinal + index, slot.address);
    slot.pack = pack;
    slot.record = first + index;
    slot.length = length;
    return slot;
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
