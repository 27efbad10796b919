/**
 * How the work of a restore is cut: small files into batches that end where a record ends, so that each record is read
 * and opened by one worker, once; a large file into parts that fit a worker's memory.
 */
import { KiB, MiB } from '../base/limits.ts';
import type { PackFinder } from '../container/pack-finder.ts';
import { type Extent, hole, zeros } from '../format/extents.ts';
import { packName } from '../format/names.ts';
import { reject } from '../format/reject.ts';
import { partBytes } from './restore-content.ts';
import type { RestoreFile } from './restore-jobs.ts';

/** A batch of at least this much ends with its record, */
const batchFiles = 96;
const batchBytes: number = 2 * MiB;
/** and one of this much ends at once: many names may share one record. */
const batchFilesMax = 1024;
const batchBytesMax: number = 2 * partBytes;
/** Packs that are being opened before they are needed, at most: fewer than their finder keeps. */
const packsAhead = 6;
/** What a file costs besides its bytes. */
const fileBytes: number = 4 * KiB;

/** Small files on their way to a worker. */
export class Batch {
  #files: RestoreFile[] = [];
  #bytes = 0;
  #pack = '';
  #record = -1;

  /** Takes a file. @returns the files to be sent before it */
  add(file: RestoreFile): readonly RestoreFile[] | undefined {
    const first = file.extents[0];
    const sameRecord = first === undefined || (first.pack === this.#pack && first.record === this.#record);
    const enough = this.#files.length >= batchFiles || this.#bytes >= batchBytes;
    const full = this.#files.length >= batchFilesMax || this.#bytes >= batchBytesMax;
    const sent = full || (enough && !sameRecord) ? this.take() : undefined;
    this.#files.push(file);
    this.#bytes += file.sizeBytes + fileBytes;
    if (first !== undefined) {
      this.#pack = first.pack;
      this.#record = first.record;
    }
    return sent;
  }

  /** The files that are waiting. */
  take(): readonly RestoreFile[] {
    const files = this.#files;
    this.#files = [];
    this.#bytes = 0;
    return files;
  }
}

/** Splits a file's extents into parts that fit a worker's memory; whole records stay whole. */
export async function partsOf(
  extents: readonly Extent[],
  packs: PackFinder,
  writer: string,
): Promise<Extent[][]> {
  const parts: Extent[][] = [];
  let part: Extent[] = [];
  let filled = 0;
  const close = (): void => {
    if (part.length > 0) parts.push(part);
    part = [];
    filled = 0;
  };
  let lastIsWhole = false;
  const add = (extent: Extent, isWhole: boolean): void => {
    if (filled + extent.length > partBytes) close();
    const last = part.at(-1);
    const goesOn = last?.pack === extent.pack && last.record + last.count === extent.record;
    // Consecutive records are read together.
    if (goesOn && isWhole && lastIsWhole) part[part.length - 1] = joined(last, extent);
    else part.push(extent);
    lastIsWhole = isWhole;
    filled += extent.length;
  };
  const order = packsOf(extents.filter(({ count }) => count > 1));
  const places = new Map(order.map((pack, place) => [pack, place]));
  let lastAt = 0;
  for (const extent of extents) {
    if (extent.pack === hole || extent.pack === zeros) {
      close();
      parts.push([extent]);
    } else if (extent.count === 1) {
      add(extent, false);
    } else {
      lastAt = Math.max(lastAt, places.get(extent.pack)!);
      packs.begin(order.slice(lastAt, lastAt + packsAhead));
      for (const piece of await split(extent, packs, writer)) add(piece, true);
    }
  }
  close();
  return parts;
}

/** The packs of extents, each once, in order. */
export function packsOf(extents: Iterable<Extent>): string[] {
  const packs = new Set<string>();
  for (const { pack } of extents) if (pack !== hole && pack !== zeros) packs.add(pack);
  return [...packs];
}

function joined(a: Extent, b: Extent): Extent {
  return { ...a, count: a.count + b.count, length: a.length + b.length };
}

/** Single records of an extent. */
async function split(extent: Extent, packs: PackFinder, writer: string): Promise<Extent[]> {
  const pieces: Extent[] = [];
  let total = 0;
  for (const { reader, record, count } of await packs.pieces(extent, writer)) {
    for (let i = 0; i < count; i += 1) {
      const length = reader.table.lengths[record + i];
      if (length === undefined)
        throw reject('E_EXTENT', 'an extent names records that its pack does not have', {
          object: reader.name,
        });
      const at = extent.record + pieces.length;
      pieces.push({ pack: extent.pack, record: at, count: 1, length, offset: 0 });
      total += length;
    }
  }
  if (total !== extent.length)
    throw reject('E_EXTENT', 'records have another length than their extent', {
      object: packName(extent.pack),
    });
  return pieces;
}
