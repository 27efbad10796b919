/** Content of the containers that are streams of lines: snapshots, index, moved, marks, drops (SPEC 13 and 14). */
import { lineMax, namesPerMarkMax } from '../base/limits.ts';
import { decodeText, letterOf, linesOf, parseHead, parseLine, skipUnknown } from '../format/json-lines.ts';
import { reject } from '../format/reject.ts';
import { parseRoot, parseSnapshot, type Snapshot } from '../format/snapshot.ts';
import type { PackFacts } from '../pipeline/check-jobs.ts';
import type { RecordSink } from '../pipeline/object-checker.ts';
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
  type MovedHead,
  type SnapshotRoot,
  schemaError,
  type VLine,
} from '../schema/index.ts';

/** A snapshot's text above this is not held in memory. */
const snapshotMax: number = 384 * 1024 * 1024;

/** Takes the records of one container; {@link end} says what it held, or throws what is wrong with it. */
export interface ContentReader<T> {
  readonly sink: RecordSink;
  /** @throws BackpackError with a reason code */
  end(): T;
}

/** A whole snapshot; also its root alone, when the rest is damaged. */
export function snapshotContent(id: string): ContentReader<Snapshot> & { root(): SnapshotRoot | undefined } {
  const pieces: Buffer[] = [];
  let length = 0;
  let root: SnapshotRoot | undefined;
  return {
    root: () => root,
    sink: (record, plain) => {
      if (record === 0) root = rootOf(plain, id);
      length += plain.byteLength;
      if (length <= snapshotMax) pieces.push(Buffer.from(plain));
    },
    end: () => {
      if (length > snapshotMax) throw reject('E_LIMIT', 'the snapshot is larger than this version can check');
      const first = pieces[0];
      if (first === undefined || first.indexOf(10) !== first.byteLength - 1)
        throw reject('E_JSON', 'record 0 of a snapshot is not exactly its root line');
      return parseSnapshot(decodeText(Buffer.concat(pieces)), id);
    },
  };
}

function rootOf(plain: Uint8Array, id: string): SnapshotRoot | undefined {
  try {
    return parseRoot(Buffer.from(plain).toString('utf8'), id);
  } catch {
    return undefined;
  }
}

/** Ids of forgotten snapshots. */
export function dropContent(): ContentReader<string[]> {
  const ids: string[] = [];
  return lines(
    isDropHead,
    'drop',
    (letter, line) => {
      if (letter !== 'S') return skipUnknown(letter);
      if (!isSLine(line)) throw reject('E_JSON', `a wrong S line: ${schemaError('sLine')}`);
      ids.push(line[1]);
    },
    () => ids,
  );
}

/** Names of objects that are about to be deleted. */
export function markContent(): ContentReader<string[]> {
  const names: string[] = [];
  return lines(
    isMarkHead,
    'mark',
    (letter, line) => {
      if (letter !== 'X') return skipUnknown(letter);
      if (!isXLine(line)) throw reject('E_JSON', `a wrong X line: ${schemaError('xLine')}`);
      if (names.length === namesPerMarkMax) throw reject('E_LIMIT', 'a mark names more than 10,000 objects');
      names.push(line[1]);
    },
    () => names,
  );
}

/** Where records of one old pack went. */
export interface Moved {
  readonly from: string;
  readonly writer: string;
  readonly moves: readonly VLine[];
}

/** @param from the old pack as the object's name says */
export function movedContent(from: string): ContentReader<Moved> {
  const moves: VLine[] = [];
  let head: MovedHead | undefined;
  const isHead = (value: unknown): boolean => {
    if (!isMovedHead(value)) return false;
    head = value;
    if (value.from !== from) throw reject('E_NAME', `the object says that it is about pack ${value.from}`);
    return true;
  };
  return lines(
    isHead,
    'moved',
    (letter, line) => {
      if (letter !== 'V') return skipUnknown(letter);
      if (!isVLine(line)) throw reject('E_JSON', `a wrong V line: ${schemaError('vLine')}`);
      moves.push(line);
    },
    () => ({ from, writer: head!.writer, moves }),
  );
}

/**
 * An index, line by line, compared with the packs that it names.
 * @param factsOf what is in memory about a pack of this size; undefined is not compared
 */
export function indexContent(
  factsOf: (pack: string, sizeBytes: number) => PackFacts | undefined,
): ContentReader<void> {
  let facts: PackFacts | undefined;
  let record = -1;
  let chunk = 0;
  let open = false;
  const wrong = (): Error => reject('E_TABLE', 'the index says otherwise than the table of a pack');
  const close = (): void => {
    if (facts !== undefined && (record !== facts.lengths.length - 1 || chunk !== facts.chunkOffsets.length)) {
      // An index holds no records of packs that have no chunks.
      if (record >= 0 || facts.chunkOffsets.length > 0) throw wrong();
    }
  };
  return lines(
    isIndexHead,
    'index',
    (letter, line) => {
      if (letter === 'P') {
        if (!isPLine(line)) throw reject('E_JSON', `a wrong P line: ${schemaError('pLine')}`);
        close();
        facts = factsOf(line[1], line[2]);
        record = -1;
        chunk = 0;
        open = true;
      } else if (letter === 'R') {
        if (!isRLine(line)) throw reject('E_JSON', `a wrong R line: ${schemaError('rLine')}`);
        if (!open) throw reject('E_JSON', 'an R line stands before any P line');
        record += 1;
        if (facts !== undefined && facts.lengths[record] !== line[3]) throw wrong();
      } else if (letter === 'C') {
        if (!isCLine(line) || line.length !== 5)
          throw reject('E_JSON', `a wrong C line: ${schemaError('cLine')}`);
        if (record < 0) throw reject('E_JSON', 'a C line stands before any R line');
        if (
          facts !== undefined &&
          (facts.chunkOffsets[chunk] !== line[1] || facts.chunkLengths[chunk] !== line[2])
        )
          throw wrong();
        chunk += 1;
      } else skipUnknown(letter);
    },
    close,
  );
}

/** Reads lines that may cross from one record to the next; nothing is held but the line at hand. */
function lines<T>(
  isHead: (value: unknown) => boolean,
  what: string,
  onLine: (letter: string, line: readonly unknown[]) => void,
  end: () => T,
): ContentReader<T> {
  let rest = Buffer.alloc(0);
  let headSeen = false;
  let failure: unknown;
  const take = (text: string): void => {
    for (const line of linesOf(text)) {
      if (!headSeen) {
        headSeen = true;
        if (!isHead(parseHead(line, what))) throw reject('E_JSON', `a wrong first line of ${what}`);
      } else {
        const value = parseLine(line);
        if (!Array.isArray(value)) throw reject('E_JSON', `a line of ${what} is not an array`);
        onLine(letterOf(value), value);
      }
    }
  };
  return {
    sink: (_, plain) => {
      if (failure !== undefined) return;
      try {
        const bytes = rest.byteLength === 0 ? plain : Buffer.concat([rest, plain]);
        const cut = bytes.lastIndexOf(10) + 1;
        take(decodeText(bytes.subarray(0, cut)));
        rest = Buffer.from(bytes.subarray(cut));
        if (rest.byteLength > lineMax) throw reject('E_LIMIT', 'a line is longer than 1 MiB');
      } catch (error) {
        failure = error;
      }
    },
    end: () => {
      if (failure !== undefined) throw failure;
      if (rest.byteLength > 0) throw reject('E_JSON', 'the last line has no line feed');
      if (!headSeen) throw reject('E_JSON', `not ${what}`);
      return end();
    },
  };
}
