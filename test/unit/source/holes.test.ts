/** The holes of a file as the system tells them, also when the file changes meanwhile. */
import { expect, it } from 'vitest';
import type { Libc } from '../../../src/platform/libc.ts';
import { type Piece, piecesOf } from '../../../src/source/holes.ts';

/** Pieces of 10 bytes of a file with data in these places. */
function pieces(size: number, data: readonly (readonly [from: number, to: number])[]): Piece[] | undefined {
  const seek = (_: number, at: number, what: 'data' | 'hole'): number | undefined => {
    const found = data.find(([, to]) => at < to);
    if (what === 'data') return found === undefined ? undefined : Math.max(at, found[0]);
    return found === undefined || at < found[0] ? at : found[1];
  };
  return piecesOf({ seek } as Partial<Libc> as Libc, 0, size, 10);
}

const spans = (found: Piece[] | undefined): string[] | undefined =>
  found?.map(({ lo, hi, limit, hole }) => (hole ? `hole ${lo}-${hi}` : `${lo}-${hi} of ${limit}`));

it('data in pieces, and holes at the start, between and at the end', () => {
  expect(
    spans(
      pieces(100, [
        [20, 35],
        [50, 60],
      ]),
    ),
  ).toEqual(['hole 0-20', '20-30 of 35', '30-35 of 35', 'hole 35-50', '50-60 of 60', 'hole 60-100']);
});

it('a file without holes has no list', () => {
  expect(pieces(100, [[0, 100]])).toBeUndefined();
});

it('what lies behind the length that the file had is not looked at', () => {
  expect(spans(pieces(100, [[20, 500]]))?.at(-1)).toBe('90-100 of 100');
  expect(spans(pieces(100, [[300, 500]]))).toEqual(['hole 0-100']);
});

it('data that is a hole a moment later ends the list', () => {
  const seek = (_: number, at: number): number => at;
  expect(piecesOf({ seek } as Partial<Libc> as Libc, 0, 100, 10)).toBeUndefined();
});

it('a list that would take more memory than the holes are worth is not made', () => {
  const seek = (_: number, at: number, what: 'data' | 'hole'): number => {
    const inHole = at % 20 < 10;
    return what === 'data' ? (inHole ? at - (at % 20) + 10 : at) : inHole ? at : at - (at % 20) + 20;
  };
  const size = 20 * 140_000;
  expect(piecesOf({ seek } as Partial<Libc> as Libc, 0, size, 10)).toBeUndefined();
  expect(piecesOf({ seek } as Partial<Libc> as Libc, 0, size / 2, 10)?.length).toBe(140_000);
});
