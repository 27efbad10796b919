/** Snapshots (SPEC, "Snapshots"): a root line, the packs needed, the pages in order, the errors of the source. */
import type { ByteString } from '../base/bytes.ts';
import { MiB } from '../base/limits.ts';
import {
  type ELine,
  type GLine,
  isELine,
  isGLine,
  isKLine,
  isSnapshotRoot,
  type KLine,
  type SnapshotRoot,
  schemaError,
} from '../schema/index.ts';
import { letterOf, linesOf, parseHead, parseLine, skipUnknown } from './json-lines.ts';
import { nameFromJson, nameToJson } from './name-json.ts';
import { checkPath, comparePaths } from './path-rules.ts';
import { reject } from './reject.ts';

/** A pack and its size in bytes. */
export interface PackRef {
  readonly id: string;
  readonly sizeBytes: number;
}

/** A page and where it lies. */
export interface PageRef {
  readonly pack: string;
  readonly record: number;
  /** Lines after the head. */
  readonly entries: number;
  readonly first: ByteString;
  readonly last: ByteString;
}

/** A file of the source that could not be read. */
export interface SourceErrorLine {
  readonly path: ByteString;
  readonly code: string;
}

/** A whole snapshot but for its pages' content. */
export interface Snapshot {
  readonly root: SnapshotRoot;
  readonly packs: readonly PackRef[];
  readonly pages: readonly PageRef[];
  readonly errors: readonly SourceErrorLine[];
}

/** The root line, LF included. */
export function formatRoot(root: SnapshotRoot): string {
  return `${JSON.stringify(root)}\n`;
}

/**
 * The lines after the root, in pieces of about 1 MiB that end at a line: the records after the first one.
 * @param packs must be sorted by id and hold every pack that the pages name
 */
export function* formatSnapshotLines(snapshot: Omit<Snapshot, 'root'>): Generator<string> {
  const index = new Map(snapshot.packs.map((pack, k) => [pack.id, k]));
  let piece: string[] = [];
  let length = 0;
  const lines = function* (): Generator<string> {
    for (const pack of snapshot.packs) yield `["K","${pack.id}",${pack.sizeBytes}]\n`;
    for (const page of snapshot.pages) {
      const k = index.get(page.pack);
      if (k === undefined) throw new RangeError(`page in a pack that is not listed: ${page.pack}`);
      yield `["G",${k},${page.record},${page.entries},${nameToJson(page.first)},${nameToJson(page.last)}]\n`;
    }
    for (const error of snapshot.errors) yield `["E",${nameToJson(error.path)},"${error.code}"]\n`;
  };
  for (const line of lines()) {
    piece.push(line);
    length += line.length;
    if (length > MiB - 200_000) {
      yield piece.join('');
      piece = [];
      length = 0;
    }
  }
  if (piece.length > 0) yield piece.join('');
}

/** Features of a snapshot that this version knows; the list is empty in v1. */
const knownFeatures: readonly string[] = [];

/**
 * Parses the root line.
 * @param id of its container
 * @throws BackpackError E_JSON, E_NEED, E_NAME
 */
export function parseRoot(line: string, id: string): SnapshotRoot {
  const value = parseHead(line.endsWith('\n') ? line.slice(0, -1) : line, 'snapshot');
  if (!isSnapshotRoot(value)) throw reject('E_JSON', `not a snapshot: ${schemaError('snapshotRoot')}`);
  if (value.id !== id) throw reject('E_NAME', 'the root line has another id than the container');
  const unknown = value.features?.incompat.filter((feature) => !knownFeatures.includes(feature)) ?? [];
  if (unknown.length > 0)
    throw reject('E_NEED', `the snapshot uses ${unknown.join(', ')}, which this version does not know`);
  return value;
}

/**
 * Parses a whole snapshot.
 * @param id of its container
 * @throws BackpackError E_JSON, E_NEED, E_NAME, E_ORDER, E_LIMIT
 */
export function parseSnapshot(text: string, id: string): Snapshot {
  const lines = linesOf(text);
  const first = lines.next();
  const root = parseRoot(first.done ? '' : first.value, id);
  const packs: PackRef[] = [];
  const pages: PageRef[] = [];
  const errors: SourceErrorLine[] = [];
  for (const line of lines) {
    const value = parseLine(line);
    if (!Array.isArray(value)) throw reject('E_JSON', 'a line of a snapshot is not an array');
    const letter = letterOf(value);
    if (letter === 'K') packs.push(parsePack(value, packs[packs.length - 1]));
    else if (letter === 'G') pages.push(parsePage(value, packs, pages[pages.length - 1]));
    else if (letter === 'E') errors.push(parseError(value));
    else skipUnknown(letter);
  }
  return { root, packs, pages, errors };
}

function parsePack(value: unknown, before: PackRef | undefined): PackRef {
  if (!isKLine(value)) throw reject('E_JSON', `a wrong K line: ${schemaError('kLine')}`);
  const [, id, sizeBytes] = value as KLine;
  if (before !== undefined && before.id >= id) throw reject('E_ORDER', 'packs do not ascend');
  return { id, sizeBytes };
}

function parsePage(value: unknown, packs: readonly PackRef[], before: PageRef | undefined): PageRef {
  if (!isGLine(value)) throw reject('E_JSON', `a wrong G line: ${schemaError('gLine')}`);
  const [, k, record, entries, firstJson, lastJson] = value as GLine;
  const pack = packs[k];
  if (pack === undefined) throw reject('E_JSON', 'a page lies in a pack that is not listed');
  const first = nameFromJson(firstJson as string);
  const last = nameFromJson(lastJson as string);
  checkPath(first);
  checkPath(last);
  const ascends =
    comparePaths(first, last) <= 0 && (before === undefined || comparePaths(before.last, first) <= 0);
  if (!ascends) throw reject('E_ORDER', 'pages do not ascend');
  return { pack: pack.id, record, entries, first, last };
}

function parseError(value: unknown): SourceErrorLine {
  if (!isELine(value)) throw reject('E_JSON', `a wrong E line: ${schemaError('eLine')}`);
  const [, path, code] = value as ELine;
  return { path: nameFromJson(path as string), code };
}
