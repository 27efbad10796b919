/**
 * Reads a container whose header or trailer is damaged (SPEC, "What damage costs"): header and trailer repeat each
 * other, either number of the trailer gives the other, and the commitment and the table's tag say whether a guess is
 * right. Nothing is believed that they do not prove.
 */
import { blockBytes, tagBytes } from '../base/limits.ts';
import { formatHeader, type Header, parseHeader, type TrailerHint } from '../format/header.ts';

/** Where the lines of a trailer begin, and the length of each line that repeats the header. */
const linesAt = 20;
const repeated = [
  ['kind', 10],
  ['repo', 38],
  ['keyid', 23],
  ['writer', 24],
  ['id', 44],
  ['kem', 69],
  ['flags', 15],
  ['commit', 72],
] as const;
const tableAt: number = linesAt + repeated.reduce((sum, [, length]) => sum + length, 0);

/** The header as it stands, and as the trailer repeats it: those of the two that are written as specified. */
export function headerCandidates(head: Uint8Array, trailer: Uint8Array): Header[] {
  const found: Header[] = [];
  for (const bytes of [head, headFromTrailer(trailer)]) {
    try {
      found.push(parseHeader(bytes));
    } catch {
      // the other one may be whole
    }
  }
  return found;
}

function headFromTrailer(trailer: Uint8Array): Buffer {
  const text = Buffer.from(trailer).toString('latin1');
  const fields: Record<string, string> = {};
  let at = linesAt;
  for (const [name, length] of repeated) {
    fields[name] = text.slice(at + name.length + 1, at + length - 1);
    at += length;
  }
  return formatHeader(fields as unknown as Header);
}

/** Where the table may be: by its offset and by its length, each of which gives the other. */
export function tableCandidates(
  trailer: Uint8Array,
  objectSize: number,
): Omit<TrailerHint, 'records' | 'xxh64'>[] {
  const text = Buffer.from(trailer).toString('latin1');
  const room = objectSize - blockBytes - tagBytes;
  const number = (from: number, length: number): number => {
    const digits = text.slice(from, from + length);
    return /^\d+$/.test(digits) ? Number(digits) : -1;
  };
  const offset = number(tableAt + 6, 16);
  const length = number(tableAt + 23, 12);
  return [
    { tableOffset: offset, tableLength: room - offset },
    { tableOffset: room - length, tableLength: length },
  ].filter((one) => one.tableOffset >= blockBytes && one.tableLength > 0 && one.tableOffset <= room);
}
