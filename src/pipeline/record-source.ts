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
/** How many reads may be on their way: an answer takes as long over a network as several take to be opened. */
const aheadMax = 2;
/** What is read at once: as many records as fit into `readBytes`, or one longer one. */
const bufferBytes: number = Math.max(sealedMax(slotBytes) + tagBytes, readBytes);

interface Slot {
  readonly address: number;
  /** As the extent names it: a pack may have moved since. */
  pack: string;
  record: number;
  length: number;
  used: number;
}

/** Sealed records in one of the buffers, or on their way there. */
interface Reading {
  readonly reader: ContainerReader;
  /** In the reader's own count. */
  readonly ordinal: number;
  readonly count: number;
  readonly address: number;
  /** Rejects when they could not be read. */
  readonly done: Promise<void>;
}

/** Consecutive records of a pack. */
export interface Span {
  readonly reader: ContainerReader;
  readonly record: number;
  readonly count: number;
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
  /** One for what is being opened, and one for each read that may be on its way. */
  readonly #buffers: readonly number[];
  readonly #slots: Slot[];
  readonly #packs: PackFinder;
  /** The buffer that is read to next. */
  #next = 0;
  #window: Window | undefined;
  /** What was begun and nobody has asked for yet, one behind the other. */
  readonly #ahead: Reading[] = [];
  #tick = 0;

  /** Bytes that this reserves from the codec's kernel. */
  static readonly bytes: number =
    (aheadMax + 1) * bufferBytes + slotsCount * (slotBytes + slackBytes) + 8 * slackBytes;

  /** @param codec with a plainMax of at least 4 MiB */
  constructor(context: ReadContext, codec: RecordCodec) {
    this.#context = context;
    this.#packs = new PackFinder(context, 'data', packsMax);
    this.#codec = codec;
    this.#buffers = Array.from({ length: aheadMax + 1 }, () => codec.kernel.reserve(bufferBytes));
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

  /** Begins to open packs that will be asked for soon. */
  begin(packs: readonly string[]): void {
    this.#packs.begin(packs.slice(0, packsMax / 2));
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
    this.#beginAll([{ reader, record: ordinal + reading.count, count: max - reading.count }]);
  }

  /** Begins to read records that {@link run} will be asked for next. Its failure is that call's. */
  ahead(next: Span): void {
    this.#beginAll([next]);
  }

  /**
   * Decodes consecutive records one behind the other to `into`.
   * @param next what will be asked for next, once it is known: it is begun as soon as there is memory for it
   * @returns bytes decoded
   */
  async run(
    { reader, record, count }: Span,
    into: number,
    next: () => Span | undefined = () => undefined,
  ): Promise<number> {
    let done = 0;
    const end = record + count;
    for (let at = record; at < end; ) {
      const reading = await this.#get(reader, at, end - at);
      const rest = { reader, record: at + reading.count, count: end - at - reading.count };
      const then = next();
      this.#beginAll(then === undefined ? [rest] : [rest, then]);
      for (; at < rest.record; at += 1) done += this.#open(reading, at, into + done);
    }
    return done;
  }

  /** Sealed records from `first` on, at most `max`: those that were begun, if it is they. */
  async #get(pack: ContainerReader, first: number, max: number): Promise<Reading> {
    this.#window = undefined;
    let reading = this.#ahead.shift();
    if (
      reading !== undefined &&
      (reading.reader !== pack || reading.ordinal !== first || reading.count > max)
    ) {
      // Their memory is used again, so they have to be over.
      await Promise.allSettled([reading, ...this.#ahead].map(({ done }) => done));
      this.#ahead.length = 0;
      reading = undefined;
    }
    reading ??= this.#begin(pack, first, max);
    await reading.done;
    return reading;
  }

  /** Begins to read spans, one behind the other, as far as that was not begun and there is room. */
  #beginAll(spans: readonly Span[]): void {
    let begun = 0;
    for (const { reader, record, count } of spans) {
      const end = Math.min(record + count, reader.records);
      for (let at = record; at < end; ) {
        let reading = this.#ahead[begun];
        // Something else was begun: whoever asks for records next will find out.
        if (reading !== undefined && (reading.reader !== reader || reading.ordinal !== at)) return;
        if (reading === undefined) {
          if (this.#ahead.length === aheadMax) return;
          reading = this.#begin(reader, at, end - at);
          this.#ahead.push(reading);
        }
        begun += 1;
        at += reading.count;
      }
    }
  }

  /** Begins to read records to the buffer that was used longest ago: all that is in use is younger. */
  #begin(pack: ContainerReader, first: number, max: number): Reading {
    let count = 1;
    while (count < max && pack.rangeOf(first, count + 1).length <= readBytes) count += 1;
    const range = pack.rangeOf(first, count);
    if (range.length > bufferBytes) throw tooLong(pack.name, range.length);
    const address = this.#buffers[this.#next]!;
    this.#next = (this.#next + 1) % this.#buffers.length;
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
    return { reader: pack, ordinal: first, count, address, done };
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
