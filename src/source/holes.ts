/**
 * The holes of a sparse file, so that they are not read: the file as pieces, each a hole or some data. Without the C
 * library's lseek a sparse file is read from end to end.
 */
import type { Libc } from '../platform/libc.ts';

/** A part of a file: a hole, or up to so many bytes of data. */
export interface Piece {
  readonly lo: number;
  readonly hi: number;
  /** Where the data ends that this piece is part of: a chunk may go on up to there. */
  readonly limit: number;
  readonly hole: boolean;
}

/** A list beyond this would take more memory than the holes are worth. */
const piecesMax = 262_144;

/**
 * The pieces of a file, in order and without gaps.
 * @returns undefined when it has no holes, or they cannot be told
 */
export function piecesOf(
  libc: Libc | undefined,
  fd: number,
  size: number,
  pieceBytes: number,
): Piece[] | undefined {
  if (libc === undefined) return undefined;
  const pieces: Piece[] = [];
  let holes = 0;
  try {
    for (let at = 0; at < size; ) {
      const data = Math.min(libc.seek(fd, at, 'data') ?? size, size);
      if (data > at) {
        pieces.push({ lo: at, hi: data, limit: data, hole: true });
        holes += 1;
      }
      if (data >= size) break;
      const limit = Math.min(libc.seek(fd, data, 'hole') ?? size, size);
      if (limit <= data) return undefined;
      for (let lo = data; lo < limit; lo += pieceBytes)
        pieces.push({ lo, hi: Math.min(limit, lo + pieceBytes), limit, hole: false });
      if (pieces.length > piecesMax) return undefined;
      at = limit;
    }
  } catch {
    return undefined;
  }
  return holes === 0 ? undefined : pieces;
}
