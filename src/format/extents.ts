/** Extents (SPEC, "Pages"): where the bytes of a file lie. */
import { reject } from './reject.ts';

/** Some bytes of a file: whole records of a pack, a slice of one record, a hole, or zeros. */
export interface Extent {
  /** Pack id, or what the zeros are: a hole, or zeros that were allocated. */
  readonly pack: string;
  /** First record. */
  readonly record: number;
  /** Whole consecutive records; 1 for a slice. */
  readonly count: number;
  /** Bytes of the file. */
  readonly length: number;
  /** Start in the record's plaintext (with count 1). */
  readonly offset: number;
}

/** `pack` of a hole. */
export const hole = 'hole';
/** `pack` of zeros that were allocated. */
export const zeros = 'zeros';

/** An extent as it stands in a page. */
export type ExtentJson = readonly number[];

/**
 * Resolves the extents of one line against the packs of its page.
 * @throws BackpackError E_EXTENT
 */
export function resolveExtents(list: readonly ExtentJson[], packs: readonly string[]): Extent[] {
  return list.map((item) => {
    const [k, record, count, length, offset = 0] = item as readonly [number, number, number, number, number?];
    if (length < 1) throw reject('E_EXTENT', 'an extent has no bytes');
    if (k < 0) {
      if (record !== 0 || count !== 0 || item.length > 4 || k < -2)
        throw reject('E_EXTENT', 'a wrong extent without data');
      return { pack: k === -1 ? hole : zeros, record, count, length, offset };
    }
    const pack = packs[k];
    if (pack === undefined) throw reject('E_EXTENT', 'an extent names a pack that its page does not list');
    if (count < 1 || (item.length === 5 && count !== 1))
      throw reject('E_EXTENT', 'an extent has a wrong record count');
    return { pack, record, count, length, offset };
  });
}

/** JSON text of one extent, `k` being the index of its pack in the page. */
export function formatExtent(k: number, e: Omit<Extent, 'pack'>): string {
  if (k < 0) return `[${k},0,0,${e.length}]`;
  const slice = e.offset > 0 ? `,${e.offset}` : '';
  return `[${k},${e.record},${e.count},${e.length}${slice}]`;
}
