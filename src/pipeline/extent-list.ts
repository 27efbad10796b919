/**
 * Extents of one file as workers pass them on: five numbers each, pack number (-1 hole, -2 zeros), record, count,
 * length, offset (-1: whole records). What goes on where the last extent ended becomes part of it.
 */
import { type Extent, hole, zeros } from '../format/extents.ts';
import type { ChunkPlace } from './catalog.ts';
import type { PackList } from './pack-list.ts';

/** Adds a chunk. */
export function addExtent(extents: number[], place: Readonly<ChunkPlace>, length: number): void {
  add(extents, place.pack, place.record, 1, length, place.whole ? -1 : place.offset);
}

/** Adds zeros. */
export function addZeros(extents: number[], length: number, isHole: boolean): void {
  add(extents, isHole ? -1 : -2, 0, 0, length, 0);
}

/** Adds another list. */
export function joinExtents(extents: number[], list: readonly number[]): void {
  for (let i = 0; i < list.length; i += 5)
    add(extents, list[i]!, list[i + 1]!, list[i + 2]!, list[i + 3]!, list[i + 4]!);
}

function add(
  extents: number[],
  pack: number,
  record: number,
  count: number,
  length: number,
  offset: number,
): void {
  const last = extents.length - 5;
  const whole = pack >= 0 && offset === -1 && extents[last + 4] === -1;
  const follows = whole && extents[last + 1]! + extents[last + 2]! === record;
  if (last >= 0 && extents[last] === pack && (pack < 0 || follows)) {
    extents[last + 2]! += count;
    extents[last + 3]! += length;
  } else {
    extents.push(pack, record, count, length, offset);
  }
}

/** The extents of a flat list, or of a part of it, with the names of packs. */
export function extentsOf(
  flat: ArrayLike<number>,
  packs: PackList,
  from = 0,
  to: number = flat.length,
): Extent[] {
  const extents: Extent[] = [];
  for (let i = from; i < to; i += 5) {
    const number = flat[i]!;
    const pack = number === -1 ? hole : number === -2 ? zeros : packs.get(number);
    const offset = Math.max(0, flat[i + 4]!);
    extents.push({ pack, record: flat[i + 1]!, count: flat[i + 2]!, length: flat[i + 3]!, offset });
  }
  return extents;
}
