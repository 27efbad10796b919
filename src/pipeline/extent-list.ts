/**
 * Extents of one file as workers pass them on: five numbers each, pack number (-1 hole, -2 zeros), record, count,
 * length, offset (-1: whole records). What goes on where the last extent ended becomes part of it.
 */
import type { ChunkPlace } from './catalog.ts';

/** Adds a chunk. */
export function addExtent(extents: number[], place: Readonly<ChunkPlace>, length: number): void {
  add(extents, place.pack, place.record, 1, length, place.whole ? -1 : place.offset);
}

/** Adds zeros. */
export function addZeros(extents: number[], length: number, hole: boolean): void {
  add(extents, hole ? -1 : -2, 0, 0, length, 0);
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
