/**
 * Cut selection of `fastcdc-1` (SPEC, "FastCDC"). The kernel lists candidates, which depend on 64 bytes only, so that
 * all cores can list them at once; this picks the cuts in order. Never needed to read.
 */
import { createCipheriv } from 'node:crypto';
import { KiB, MiB } from '../base/limits.ts';

/** Lengths of a chunk, bytes: never below min (but at the end of a file), strict cuts up to normal, loose up to max. */
export const chunkSizes: { readonly min: number; readonly normal: number; readonly max: number } = {
  min: 256 * KiB,
  normal: MiB,
  max: 4 * MiB,
};

/** The 256 gear values (2,048 bytes, u64 little-endian): AES-256-CTR keystream of K_chunker with IV 0. */
export function gearTable(chunkerKey: Uint8Array): Buffer {
  const cipher = createCipheriv('aes-256-ctr', chunkerKey, Buffer.alloc(16));
  return cipher.update(Buffer.alloc(2048));
}

/** Candidates in file order: positions (bytes from the start of the file) and whether each is strict. */
export interface Candidates {
  readonly count: number;
  at(index: number): number;
  strict(index: number): boolean;
}

/** What {@link nextCut} found. */
export type Cut = { readonly at: number; readonly next: number } | 'more';

/**
 * The end of the chunk that begins at `start`.
 * @param from index of the first candidate worth looking at
 * @param known candidates are complete for positions below this
 * @param size length of the file
 * @returns the cut and the index to go on from, or `more` when candidates beyond `known` are needed.
 */
export function nextCut(
  candidates: Candidates,
  from: number,
  start: number,
  known: number,
  size: number,
): Cut {
  const end = Math.min(start + chunkSizes.max, size);
  if (size - start <= chunkSizes.min) return { at: size, next: from };
  const normal = start + chunkSizes.normal;
  let index = from;
  while (index < candidates.count && candidates.at(index) < start + chunkSizes.min) index += 1;
  for (let i = index; i < candidates.count; i += 1) {
    const at = candidates.at(i);
    if (at >= end) return { at: end, next: i };
    if (at >= normal || candidates.strict(i)) return { at, next: i + 1 };
  }
  return known >= end ? { at: end, next: candidates.count } : 'more';
}
