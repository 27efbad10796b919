/**
 * Index, moved, mark and drop objects (SPEC, "Index, moved, mark, drop"): a head, then lines of known letters.
 * Unknown lower-case lines are skipped, everything else that is not as specified is refused.
 */
import { namesPerMarkMax } from '../base/limits.ts';
import {
  isCLine,
  isDropHead,
  isIndexHead,
  isMarkHead,
  isMovedHead,
  isPLine,
  isRLine,
  isSLine,
  isVLine,
  isXLine,
  type PLine,
  type RLine,
  type VLine,
} from '../schema/index.ts';
import { letterOf, linesOf, parseHead, parseLine, skipUnknown } from './json-lines.ts';
import { reject } from './reject.ts';

type Check = (value: unknown) => boolean;

/** The head and then every known line of a stream. @throws BackpackError E_JSON, E_NEED, E_LIMIT */
function* checkedLines(
  text: string,
  name: string,
  isHead: Check,
  known: Readonly<Record<string, Check>>,
): Generator<unknown> {
  const lines = linesOf(text);
  const first = lines.next();
  const head = parseHead(first.done ? '' : first.value, name);
  if (!isHead(head)) throw reject('E_JSON', `a wrong first line of ${name}`);
  yield head;
  for (const line of lines) {
    const value = parseLine(line);
    if (!Array.isArray(value)) throw reject('E_JSON', `a line of ${name} is not an array`);
    const letter = letterOf(value);
    const check = Object.hasOwn(known, letter) ? known[letter] : undefined;
    if (check === undefined) skipUnknown(letter);
    else if (!check(value)) throw reject('E_JSON', `a wrong ${letter} line in ${name}`);
    else yield value;
  }
}

/** A moved object. */
export interface Moved {
  /** The old pack. */
  readonly from: string;
  /** Writer of the old pack, 16 hex. */
  readonly writer: string;
  readonly moves: readonly VLine[];
}

/** Parses a moved object. @throws BackpackError E_JSON, E_NEED, E_LIMIT */
export function parseMoved(text: string): Moved {
  const [head, ...moves] = checkedLines(text, 'moved', isMovedHead, { V: isVLine });
  const { from, writer } = head as { from: string; writer: string };
  return { from, writer, moves: moves as VLine[] };
}

/** Names that a mark lists. @throws BackpackError E_JSON, E_NEED, E_LIMIT */
export function parseMark(text: string): string[] {
  const [, ...lines] = checkedLines(text, 'mark', isMarkHead, { X: isXLine });
  if (lines.length > namesPerMarkMax) throw reject('E_LIMIT', 'a mark has more than 10,000 names');
  return lines.map((line) => (line as [string, string])[1]);
}

/** Ids of the snapshots that a drop object names. @throws BackpackError E_JSON, E_NEED, E_LIMIT */
export function parseDrop(text: string): string[] {
  const [, ...lines] = checkedLines(text, 'drop', isDropHead, { S: isSLine });
  return lines.map((line) => (line as [string, string])[1]);
}

/** A chunk as an index names it. */
export type IndexChunk = readonly [letter: 'C', offset: number, length: number, xxh64: string, g: string];

/** Lines of an index, in order: P, R, C. @throws BackpackError E_JSON, E_NEED, E_LIMIT */
export function* parseIndex(text: string): Generator<PLine | RLine | IndexChunk> {
  const short: Check = (value) => isCLine(value) && (value as unknown as readonly unknown[]).length === 5;
  const lines = checkedLines(text, 'index', isIndexHead, { P: isPLine, R: isRLine, C: short });
  lines.next();
  let before = '';
  for (const line of lines as Generator<PLine | RLine | IndexChunk>) {
    if (line[0] !== 'P' && before === '') throw reject('E_JSON', 'an index names records before a pack');
    if (line[0] === 'C' && before === 'P') throw reject('E_JSON', 'an index names chunks before a record');
    before = line[0];
    yield line;
  }
}
