/**
 * The table at the end of a container (SPEC, "Table"): where each record lies and which chunks it holds.
 * It is authenticated, but still checked against all rules and limits before anything is believed.
 */
import { blockBytes, recordPlainMax, recordsMax, sealedMax, tagBytes } from '../base/limits.ts';
import { letterOf, linesOf, parseLine, skipUnknown } from './json-lines.ts';
import type { NameJson } from './name-json.ts';
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
const idHex = /^[0-9a-f]{40}$/;
const time = /^-?\d{1,16}\.\d{9}$/;

/**
 * Parses a table's text.
 * @param want `records` skips the other known lines unread (restore), `all` reads and checks them (check, catalog)
 * @throws BackpackError E_TABLE, E_JSON, E_NEED, E_LIMIT
 */
export function parseTable(text: string, context: TableContext, want: 'records' | 'all'): PackTable {
  const lines = linesOf(text);
  const dd = parseHead(lines.next().value as string | undefined, context);
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
    else if (letter === 'C') chunks.push(parseChunk(state, value));
    else if (letter === 'F') files.push(parseFile(files.length, value));
    else if (letter === 'O') origins.push(parseOrigin(value));
    else skipUnknown(letter);
  }
  const last = state.offsets[state.offsets.length - 1];
  if (last !== context.tableOffset) throw reject('E_TABLE', 'the records do not end where the table begins');
  if (state.lengths.length !== context.records)
    throw reject('E_TABLE', 'the table has another number of records than the trailer');
  if (want === 'all' && context.kind === 'data') requireChunks(state.lengths.length, chunks);
  return { offsets: state.offsets, lengths: state.lengths, chunks, files, origins, dd };
}

function requireChunks(records: number, chunks: readonly ChunkLine[]): void {
  const seen = new Set(chunks.map((chunk) => chunk.record));
  if (seen.size !== records) throw reject('E_TABLE', 'a record of a data pack has no chunk line');
}

function parseHead(line: string | undefined, context: TableContext): string {
  if (line === undefined) throw reject('E_TABLE', 'the table is empty');
  const head = parseLine(line) as Record<string, unknown>;
  if (!line.startsWith('{"backpack":"table"'))
    throw reject('E_TABLE', 'the table does not begin with its head');
  if (head['v'] !== 1) throw reject('E_NEED', 'unknown version of the table');
  if (head['records'] !== context.records || context.records > recordsMax)
    throw reject('E_TABLE', 'wrong number of records in the head');
  if (head['end'] !== context.tableOffset) throw reject('E_TABLE', 'the head names another end');
  if (typeof head['dd'] !== 'string' || !hash.test(head['dd'])) throw reject('E_TABLE', 'the head has no dd');
  return head['dd'];
}

interface RecordState {
  offsets: number[];
  lengths: number[];
  chunkEnd: number;
}

function addRecord(state: RecordState, line: readonly unknown[]): void {
  const [, offset, clen, length] = line;
  if (line.length < 4 || !isCount(offset) || !isCount(clen) || !isCount(length))
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

function parseChunk(state: RecordState, line: readonly unknown[]): ChunkLine {
  const [, offset, length, xxh64, g, file, fileOffset] = line;
  const record = state.lengths.length - 1;
  const bad = (why: string): Error => reject('E_TABLE', `a wrong C line: ${why}`);
  if (record < 0 || line.length < 5) throw bad('no record before it, or fields missing');
  if (!isCount(offset) || !isCount(length) || length < 1) throw bad('offset or length');
  if (typeof xxh64 !== 'string' || !hash.test(xxh64)) throw bad('hash');
  if (typeof g !== 'string' || !tag.test(g)) throw bad('g');
  if (offset < state.chunkEnd || offset + length > state.lengths[record]!)
    throw bad('chunks overlap or leave the record');
  if (file !== undefined && !isCount(file)) throw bad('file');
  if (fileOffset !== undefined && !isCount(fileOffset)) throw bad('file offset');
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
  const [, index, path, size, mtime] = line;
  const named =
    typeof path === 'string' || (Array.isArray(path) && path.length === 1 && typeof path[0] === 'string');
  if (index !== ordinal || !named || !isCount(size) || typeof mtime !== 'string' || !time.test(mtime)) {
    throw reject('E_TABLE', 'a wrong F line');
  }
  return [path as NameJson, size, mtime];
}

function parseOrigin(line: readonly unknown[]): readonly [string, number, number] {
  const [, pack, first, count] = line;
  if (typeof pack !== 'string' || !idHex.test(pack) || !isCount(first) || !isCount(count))
    throw reject('E_TABLE', 'a wrong O line');
  return [pack, first, count];
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}
