/**
 * The table at the end of a container (SPEC, "Table"): where each record lies and which chunks it holds.
 * It is authenticated, but still checked against all rules and limits before anything is believed.
 */
import { isBackpackError } from '../base/errors.ts';
import { blockBytes, recordPlainMax, sealedMax, tagBytes } from '../base/limits.ts';
import { isFLine, isOLine, isTableHead, schemaError } from '../schema/index.ts';
import { letterOf, linesOf, parseHead, parseLine, skipUnknown } from './json-lines.ts';
import { type NameJson, nameFromJson } from './name-json.ts';
import { checkPath } from './path-rules.ts';
import { reject } from './reject.ts';

/** A chunk as named by a `C` line. */
export interface ChunkLine {
  readonly record: number;
  /** Offset in the record's plaintext, bytes. */
  readonly offset: number;
  readonly length: number;
  /** 16 hex. */
  readonly xxh64: string;
  /** 32 hex; never leaves ciphertext. */
  readonly g: string;
  readonly file: number | undefined;
  readonly fileOffset: number | undefined;
}

/** A parsed table. */
export interface PackTable {
  /** Offset of each record's ciphertext in the object; one more than there are records (the last is the table's). */
  readonly offsets: readonly number[];
  /** Plaintext length of each record. */
  readonly lengths: readonly number[];
  readonly chunks: readonly ChunkLine[];
  /** File hints: path, size, mtime. */
  readonly files: readonly (readonly [NameJson, number, string])[];
  /** Compaction: old pack, first record, count. */
  readonly origins: readonly (readonly [string, number, number])[];
  /** Names the key behind the chunks' g; empty in a table without chunks. */
  readonly dd: string;
}

/** First line of a table. */
export function formatTableHead(records: number, end: number, dd: string, app: string): string {
  return `${JSON.stringify({ backpack: 'table', v: 1, records, end, dd, app })}\n`;
}

/** What the container around a table says. */
export interface TableContext {
  readonly tableOffset: number;
  readonly records: number;
  readonly kind: string;
}

const hash = /^[0-9a-f]{16}$/;
const tag = /^[0-9a-f]{32}$/;

/**
 * Parses a table's text.
 * @param want `records` skips the other known lines unread (restore), `all` reads and checks them (check, catalog)
 * @throws BackpackError E_TABLE, E_TRAILER, E_NEED, E_LIMIT
 */
export function parseTable(text: string, context: TableContext, want: 'records' | 'all'): PackTable {
  try {
    return parseLines(text, context, want);
  } catch (error) {
    // What would be E_JSON elsewhere is E_TABLE in a table (SPEC, "Reason codes").
    if (isBackpackError(error) && error.code === 'E_JSON') throw reject('E_TABLE', error.message);
    throw error;
  }
}

function parseLines(text: string, context: TableContext, want: 'records' | 'all'): PackTable {
  const lines = linesOf(text);
  const { dd, records } = parseTableHead(lines.next().value as string | undefined, context);
  const state = { offsets: [blockBytes], lengths: [] as number[], chunkEnd: 0 };
  const chunks: ChunkLine[] = [];
  const files: (readonly [NameJson, number, string])[] = [];
  const origins: (readonly [string, number, number])[] = [];
  for (const line of lines) {
    if (
      want === 'records' &&
      (line.startsWith('["C",') || line.startsWith('["F",') || line.startsWith('["O",'))
    )
      continue;
    const value = parseLine(line);
    if (!Array.isArray(value)) throw reject('E_TABLE', 'a table line is not an array');
    const letter = letterOf(value);
    if (letter === 'R') addRecord(state, value);
    else if (letter === 'C') chunks.push(parseChunk(state, value, files.length));
    else if (letter === 'F') files.push(parseFile(files.length, value));
    else if (letter === 'O') origins.push(parseOrigin(value));
    else skipUnknown(letter);
  }
  const last = state.offsets[state.offsets.length - 1];
  if (last !== context.tableOffset) throw reject('E_TABLE', 'the records do not end where the table begins');
  if (state.lengths.length !== records) throw reject('E_TABLE', 'the head names another number of records');
  if (context.records !== records)
    throw reject('E_TRAILER', 'the trailer has another number of records than the table');
  if (chunks.length > 0 && dd === undefined) throw reject('E_TABLE', 'the head has no dd for the chunks');
  if (want === 'all' && context.kind === 'data') requireChunks(state.lengths.length, chunks);
  return { offsets: state.offsets, lengths: state.lengths, chunks, files, origins, dd: dd ?? '' };
}

function requireChunks(records: number, chunks: readonly ChunkLine[]): void {
  const seen = new Set(chunks.map((chunk) => chunk.record));
  if (seen.size !== records) throw reject('E_TABLE', 'a record of a data pack has no chunk line');
}

function parseTableHead(
  line: string | undefined,
  context: TableContext,
): { dd: string | undefined; records: number } {
  const head = parseHead(line ?? '', 'table');
  if (!isTableHead(head)) throw reject('E_TABLE', `a wrong head: ${schemaError('tableHead')}`);
  if (head.end !== context.tableOffset) throw reject('E_TABLE', 'the head names another end');
  return { dd: head.dd, records: head.records };
}

interface RecordState {
  offsets: number[];
  lengths: number[];
  chunkEnd: number;
}

function addRecord(state: RecordState, line: readonly unknown[]): void {
  const [, offset, clen, length] = line;
  if (line.length !== 4 || !isCount(offset) || !isCount(clen) || !isCount(length))
    throw reject('E_TABLE', 'a wrong R line');
  const end = state.offsets[state.offsets.length - 1]!;
  if (offset !== end) throw reject('E_TABLE', 'records have a gap or overlap');
  if (length < 1 || length > recordPlainMax) throw reject('E_LIMIT', 'a record has an impossible length');
  if (clen < 1 || clen > sealedMax(length))
    throw reject('E_LIMIT', 'a record is longer than its plaintext allows');
  state.offsets.push(end + clen + tagBytes);
  state.lengths.push(length);
  state.chunkEnd = 0;
}

function parseChunk(state: RecordState, line: readonly unknown[], files: number): ChunkLine {
  const [, offset, length, xxh64, g, file, fileOffset] = line;
  const record = state.lengths.length - 1;
  const bad = (why: string): Error => reject('E_TABLE', `a wrong C line: ${why}`);
  if (record < 0 || (line.length !== 5 && line.length !== 7))
    throw bad('no record before it, or not as many elements');
  if (!isCount(offset) || !isCount(length) || length < 1) throw bad('offset or length');
  if (typeof xxh64 !== 'string' || !hash.test(xxh64)) throw bad('hash');
  if (typeof g !== 'string' || !tag.test(g)) throw bad('g');
  if (offset < state.chunkEnd || offset + length > state.lengths[record]!)
    throw bad('chunks overlap or leave the record');
  if (line.length === 7 && (!isCount(file) || file >= files || !isCount(fileOffset)))
    throw bad('no such file before it');
  state.chunkEnd = offset + length;
  return {
    record,
    offset,
    length,
    xxh64,
    g,
    file: file as number | undefined,
    fileOffset: fileOffset as number | undefined,
  };
}

function parseFile(ordinal: number, line: readonly unknown[]): readonly [NameJson, number, string] {
  if (!isFLine(line) || line[1] !== ordinal) throw reject('E_TABLE', 'a wrong F line');
  const [, , path, size, mtime] = line;
  checkPath(nameFromJson(path));
  return [path, size, mtime];
}

function parseOrigin(line: readonly unknown[]): readonly [string, number, number] {
  if (!isOLine(line)) throw reject('E_TABLE', 'a wrong O line');
  const [, pack, first, count] = line;
  return [pack, first, count];
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}
