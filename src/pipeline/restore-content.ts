/**
 * The content of files, put together in a worker's memory from the records that hold it. What an entry says about
 * records is compared with the pack's own table before it is believed.
 */
import { MiB } from '../base/limits.ts';
import { slackBytes } from '../codec/record-codec.ts';
import type { PackPiece } from '../container/pack-finder.ts';
import { type Extent, hole, zeros } from '../format/extents.ts';
import { reject } from '../format/reject.ts';
import type { Kernel } from '../kernel/kernel.ts';
import { pageBytes } from '../target/large-file.ts';
import type { DecodedRecord, RecordSource } from './record-source.ts';

/** Files up to this size are put together in memory; larger ones are restored in parts of about this size. */
export const partBytes: number = 8 * MiB;
const fileBytes: number = partBytes + 4 * MiB;

/** Whether an extent is a part of one record, or the whole of it. */
function isSlice(extent: Extent): boolean {
  return extent.count === 1 && !isEmpty(extent);
}

function isEmpty({ pack }: Extent): boolean {
  return pack === hole || pack === zeros;
}

/** See the file's comment. Not for two callers at once. */
export class FileContent {
  readonly #kernel: Kernel;
  readonly #source: RecordSource;
  readonly #at: number;

  /** Bytes that this reserves from the kernel. */
  static readonly bytes: number = fileBytes + 2 * pageBytes + 4 * slackBytes;

  constructor(kernel: Kernel, source: RecordSource) {
    this.#kernel = kernel;
    this.#source = source;
    this.#at = kernel.reserve(fileBytes + pageBytes + slackBytes, pageBytes);
  }

  /** Address of the content when it is a part of a record that is in memory; undefined: ask {@link fetch}. */
  ready(extents: readonly Extent[]): number | undefined {
    const [only] = extents;
    if (only === undefined) return this.#at;
    if (extents.length > 1 || !isSlice(only)) return undefined;
    const record = this.#source.ready(only.pack, only.record);
    return record === undefined ? undefined : addressOf(only, record);
  }

  /**
   * Address of the content.
   * @param next files that will be asked for next: what lies behind this one's record is read with it
   */
  async fetch(
    extents: readonly Extent[],
    writer: string,
    next: readonly { readonly extents: readonly Extent[] }[],
    from: number,
  ): Promise<number> {
    const [only] = extents;
    if (only !== undefined && extents.length === 1 && isSlice(only))
      return this.#slice(only, writer, next, from);
    await this.gather(extents, writer);
    return this.#at;
  }

  /** Where {@link gather} puts its bytes; a page begins here. */
  get address(): number {
    return this.#at;
  }

  /**
   * Puts extents of at most one part together.
   * @param shift how far behind {@link address}, less than a page
   * @param next those of the part that will be asked for next: they are begun to be read as soon as there is room
   * @returns their length
   */
  async gather(
    extents: readonly Extent[],
    writer: string,
    shift = 0,
    next: readonly Extent[] = [],
  ): Promise<number> {
    let filled = 0;
    for (const [i, extent] of extents.entries()) {
      if (filled + extent.length > fileBytes) throw reject('E_EXTENT', 'an extent is longer than its file');
      const into = this.#at + shift + filled;
      if (isEmpty(extent)) this.#kernel.bytes.fill(0, into, into + extent.length);
      else await this.#data(extent, writer, into, this.#first(extents[i + 1] ?? next[0], writer));
      filled += extent.length;
    }
    return filled;
  }

  /** Begins to open packs that will be needed soon. */
  begin(packs: readonly string[]): void {
    this.#source.begin(packs);
  }

  /** Begins to read what {@link gather} will be asked for next. */
  async ahead(extents: readonly Extent[], writer: string): Promise<void> {
    const [first] = extents;
    if (first === undefined || isEmpty(first)) return;
    try {
      const [piece] = await this.#source.pieces(first, writer);
      if (piece !== undefined) this.#source.ahead(piece);
    } catch {
      // It is asked for again, and then told.
    }
  }

  /** Tells the records an extent begins with, once they are known. What is wrong with it is told when it is asked for. */
  #first(extent: Extent | undefined, writer: string): () => PackPiece | undefined {
    let first: PackPiece | undefined;
    if (extent !== undefined && !isEmpty(extent)) {
      this.#source.pieces(extent, writer).then(
        (pieces) => {
          first = pieces[0];
        },
        () => {},
      );
    }
    return () => first;
  }

  async #slice(
    extent: Extent,
    writer: string,
    next: readonly { readonly extents: readonly Extent[] }[],
    from: number,
  ): Promise<number> {
    const { pack, record } = extent;
    const found = this.#source.ready(pack, record);
    if (found !== undefined) return addressOf(extent, found);
    let last = record;
    for (let i = from; i < next.length; i += 1) {
      const first = next[i]!.extents[0];
      if (first === undefined) continue;
      if (first.pack !== pack || first.record < record || first.record > last + 1) break;
      last = Math.max(last, first.record);
    }
    await this.#source.fetch(pack, record, last, writer);
    return addressOf(extent, this.#source.ready(pack, record)!);
  }

  async #data(
    extent: Extent,
    writer: string,
    into: number,
    next: () => PackPiece | undefined,
  ): Promise<void> {
    let at = into;
    const pieces = await this.#source.pieces(extent, writer);
    for (const [i, piece] of pieces.entries()) {
      const following = pieces[i + 1];
      await this.#piece(piece, extent, writer, at, following === undefined ? next : () => following);
      at += piece.length;
    }
  }

  async #piece(
    piece: PackPiece,
    extent: Extent,
    writer: string,
    into: number,
    next: () => PackPiece | undefined,
  ): Promise<void> {
    const { reader, record, count, length, offset } = piece;
    const { lengths } = reader.table;
    // A count is whatever the entry says: it is compared before anything is counted up to it.
    if (record + count > lengths.length)
      throw reject('E_EXTENT', 'an extent names records that its pack does not have', {
        object: reader.name,
      });
    let whole = 0;
    for (let i = 0; i < count; i += 1) whole += lengths[record + i] ?? Number.NaN;
    if (whole === length && offset === 0) {
      await this.#source.run(piece, into, next);
      return;
    }
    if (count !== 1)
      throw reject('E_EXTENT', 'records have another length than their extent', { object: reader.name });
    const from = await this.#slice({ ...extent, count, length, offset }, writer, [], 0);
    this.#kernel.bytes.copyWithin(into, from, from + length);
  }
}

function addressOf(slice: Extent, record: DecodedRecord): number {
  if (slice.offset + slice.length > record.length) throw reject('E_EXTENT', 'an extent leaves its record');
  return record.address + slice.offset;
}
