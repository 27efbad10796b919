/** Extents as flat lists of five numbers each, the way workers gather and post them (see FileResult). */
import { type Extent, hole, zeros } from '../format/extents.ts';
import type { ChunkPlace } from './catalog.ts';
import type { PackList } from './pack-list.ts';

/** Adds a chunk to a list of extents; whole records that follow each other become one extent. */
export function addExtent(extents: number[], place: Readonly<ChunkPlace>, length: number): void {
  const last = extents.length - 5;
  const follows =
    place.whole &&
    last >= 0 &&
    extents[last] === place.pack &&
    extents[last + 4] === -1 &&
    extents[last + 1]! + extents[last + 2]! === place.record;
  if (follows) {
    extents[last + 2]! += 1;
    extents[last + 3]! += length;
  } else {
    extents.push(place.pack, place.record, 1, length, place.whole ? -1 : place.offset);
  }
}

/** Adds zeros. @param hole whether they are a hole */
export function addZeros(extents: number[], length: number, isHole: boolean): void {
  const kind = isHole ? -1 : -2;
  const last = extents.length - 5;
  if (last >= 0 && extents[last] === kind) extents[last + 3]! += length;
  else extents.push(kind, 0, 0, length, 0);
}

/** The extents of a flat list, with the names of packs. */
export function extentsOf(flat: ArrayLike<number>, packs: PackList): Extent[] {
  const extents: Extent[] = [];
  for (let i = 0; i < flat.length; i += 5) {
    const number = flat[i]!;
    const pack = number === -1 ? hole : number === -2 ? zeros : packs.get(number);
    const offset = Math.max(0, flat[i + 4]!);
    extents.push({ pack, record: flat[i + 1]!, count: flat[i + 2]!, length: flat[i + 3]!, offset });
  }
  return extents;
}
