/**
 * Records of packs for a restore worker: packs are opened once, records that lie one behind the other are read from
 * storage together, and the last decoded ones are kept, because many small files share one. While some are decoded, the
 * next ones are on their way: a server or a disk works at the same time as this worker.
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
/** What is read at once: as many records as fit into `readBytes`, or one longer one. */
const halfBytes: number = Math.max(sealedMax(slotBytes) + tagBytes, readBytes);

interface Slot {
  readonly address: number;
  /** As the extent names it: a pack may have moved since. */
  pack: string;
  record: number;
  length: number;
  used: number;
}

/** Sealed records in one half of the buffer, or on their way there. */
interface Reading {
  readonly reader: ContainerReader;
  /** In the reader's own count. */
  readonly ordinal: number;
  readonly count: number;
  readonly address: number;
  /** Rejects when they could not be read. */
  readonly done: Promise<void>;
}

/** Records that were read, as the extents name them. */
interface Window {
  readonly reading: Reading;
  readonly pack: string;
  readonly first: number;
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
  readonly #halves: readonly [number, number];
  readonly #slots: Slot[];
  readonly #packs: PackFinder;
  /** The half that is read to next. */
  #half: 0 | 1 = 0;
  #window: Window | undefined;
  /** What was begun and nobody has asked for yet. */
  #ahead: Reading | undefined;
  #tick = 0;

  /** Bytes that this reserves from the codec's kernel. */
  static readonly bytes: number = 2 * halfBytes + slotsCount * (slotBytes + slackBytes) + 8 * slackBytes;

  /** @param codec with a plainMax of at least 4 MiB */
  constructor(context: ReadContext, codec: RecordCodec) {
    this.#context = context;
    this.#packs = new PackFinder(context, 'data', packsMax);
    this.#codec = codec;
    this.#halves = [codec.kernel.reserve(halfBytes), codec.kernel.reserve(halfBytes)];
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
      if (index < 0 || index >= window.reading.count) return undefined;
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
    const reading = await this.#get(reader, ordinal, max);
    this.#window = { reading, pack, first: record };
    if (reading.count < max) this.#begin(reader, ordinal + reading.count, max - reading.count);
  }

  /** Begins to read records that {@link run} will be asked for next. Its failure is that call's. */
  ahead(pack: ContainerReader, first: number, count: number): void {
    if (this.#ahead === undefined && first + count <= pack.records) this.#begin(pack, first, count);
  }

  /** Decodes consecutive records one behind the other to `into`. @returns bytes decoded */
  async run(pack: ContainerReader, first: number, count: number, into: number): Promise<number> {
    let done = 0;
    const end = first + count;
    for (let at = first; at < end; ) {
      const reading = await this.#get(pack, at, end - at);
      const next = at + reading.count;
      if (next < end) this.#begin(pack, next, end - next);
      for (; at < next; at += 1) done += this.#open(reading, at, into + done);
    }
    return done;
  }

  /** Sealed records from `first` on, at most `max`: those that were begun, if it is they. */
  async #get(pack: ContainerReader, first: number, max: number): Promise<Reading> {
    this.#window = undefined;
    let ahead = this.#ahead;
    if (ahead !== undefined && (ahead.reader !== pack || ahead.ordinal !== first || ahead.count > max)) {
      // Its memory is used again, so it has to be over.
      await ahead.done.catch(() => {});
      ahead = undefined;
    }
    const reading = ahead ?? this.#begin(pack, first, max);
    this.#ahead = undefined;
    await reading.done;
    return reading;
  }

  /** Begins to read records to the half whose records are not in use: only one may be on its way. */
  #begin(pack: ContainerReader, first: number, max: number): Reading {
    let count = 1;
    while (count < max && pack.rangeOf(first, count + 1).length <= readBytes) count += 1;
    const range = pack.rangeOf(first, count);
    if (range.length > halfBytes) throw tooLong(pack.name, range.length);
    const address = this.#halves[this.#half];
    this.#half = this.#half === 0 ? 1 : 0;
    const into = this.#codec.kernel.bytes.subarray(address, address + range.length);
    const read = async (): Promise<void> => {
      try {
        await this.#context.storage.get(pack.name, { range, into });
      } catch (error) {
        throw withObject(error, pack.name, first);
      }
    };
    const done = read();
    done.catch(() => {});
    this.#ahead = { reader: pack, ordinal: first, count, address, done };
    return this.#ahead;
  }

  /** Opens a record that was read. @returns its length */
  #open({ reader: pack, ordinal: first, address }: Reading, ordinal: number, into: number): number {
    const { offset, length } = pack.rangeOf(ordinal, 1);
    const from = address + offset - pack.rangeOf(first, 1).offset;
    const plain = pack.table.lengths[ordinal]!;
    try {
      const sealed = this.#codec.kernel.bytes.subarray(from, from + length);
      this.#codec.open(pack.key, recordDomain, ordinal, sealed, into, plain);
    } catch (error) {
      throw withObject(error, pack.name, ordinal);
    }
    return plain;
  }

  #decode({ reading, pack, first }: Window, index: number): Slot {
    const { reader, ordinal } = reading;
    const length = reader.table.lengths[ordinal + index]!;
    if (length > slotBytes) throw tooLong(reader.name, length);
    const slot = this.#slots.reduce((a, b) => (a.used < b.used ? a : b));
    slot.record = -1;
    this.#open(reading, ordinal + index, slot.address);
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
