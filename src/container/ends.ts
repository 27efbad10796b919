/**
 * Header and trailer of one container side by side (SPEC, "Trailer"): they repeat each other, so damage to one of
 * them can be named by its line. Only for messages; nothing is trusted by it.
 */
import { blockBytes } from '../base/limits.ts';
import { formatHeaderStart, noKem, rootWriter } from '../format/header.ts';

/** Lines that both have: name, offset in the header, offset in the trailer, length. */
const shared: readonly (readonly [name: string, header: number, trailer: number, bytes: number])[] = [
  ['kind=', 133, 20, 10],
  ['repo=', 143, 30, 38],
  ['keyid=', 181, 68, 23],
  ['writer=', 204, 91, 24],
  ['id=', 228, 115, 44],
  ['kem=', 272, 159, 69],
  ['flags=', 341, 228, 15],
  ['commit=', 440, 243, 72],
];

/** Lines of fixed text in the header. */
const fixed: readonly (readonly [name: string, offset: number, bytes: number])[] = [
  ['first', 0, 21],
  ['second', 21, 69],
  ['suite=', 90, 43],
  ['pad=', 356, 84],
];

const zeros = { repo: '0'.repeat(32), keyid: '0'.repeat(16), id: '0'.repeat(40) } as const;
const model = formatHeaderStart({
  kind: 'data',
  writer: rootWriter,
  kem: noKem,
  flags: '00000000',
  ...zeros,
});

/** Lines of a trailer by their offsets, for naming one that is not as it should be. */
const trailerLines: readonly (readonly [name: string, offset: number])[] = [
  ['first', 0],
  ...shared.map(([name, , offset]) => [name, offset] as const),
  ['table=', 315],
  ['records=', 351],
  ['xxh64=', 370],
  ['pad=', 393],
  ['last', 508],
];

/** Names of the header's lines that are not fixed text as specified, or that the trailer repeats otherwise. */
export function headerDifferences(head: Uint8Array, trailer: Uint8Array): string[] {
  if (head.byteLength < blockBytes || trailer.byteLength < blockBytes) return [];
  const text = fixed.filter(
    ([, at, n]) => Buffer.compare(head.subarray(at, at + n), model.subarray(at, at + n)) !== 0,
  );
  const fields = shared.filter(
    ([, h, t, n]) => Buffer.compare(head.subarray(h, h + n), trailer.subarray(t, t + n)) !== 0,
  );
  return [...text, ...fields].map(([name]) => name);
}

/** Name of the first line of a trailer that differs from the one expected. */
export function trailerDifference(expected: Uint8Array, found: Uint8Array): string {
  let at = 0;
  while (at < expected.byteLength && expected[at] === found[at]) at += 1;
  return trailerLines.findLast(([, offset]) => offset <= at)?.[0] ?? 'first';
}
