// Tables that are authentic but wrong: nothing is released.
import { concat, Random, text } from '../lib/bytes.mjs';
import { ndjson } from '../lib/container.mjs';
import { frame } from '../lib/lz4.mjs';
import { containerVector, one } from '../lib/make.mjs';

const reject =
  (expect, what, spec = {}) =>
  (name) =>
    containerVector(name, { what, expect, pad: false, ...(typeof spec === 'function' ? spec(name) : spec) });

/** `change` edits a copy of the table's lines: 0 head, 1 R, 2 C, 3 R, 4 C, 5 R, 6 C. */
const table = (expect, what, change, more = {}) =>
  reject(expect, what, {
    ...more,
    table: (lines) => {
      const copy = structuredClone(lines);
      return change(copy) ?? copy;
    },
  });

const wrong = (what, change, more) => table('E_TABLE', what, change, more);

/** Sets one place of one line. */
const put = (line, at, value) => (lines) => {
  lines[line][at] = typeof value === 'function' ? value(lines[line][at]) : value;
};

export default {
  'e-table-gap': wrong(
    'a gap of one byte before record 1',
    put(3, 1, (v) => v + 1),
  ),
  'e-table-overlap': wrong(
    'record 1 begins one byte inside record 0',
    put(3, 1, (v) => v - 1),
  ),
  'e-table-start': wrong('record 0 begins at 511', put(1, 1, 511)),
  'e-table-end': wrong(
    'end is not the offset of the table',
    put(0, 'end', (v) => v + 16),
  ),
  'e-table-last-length': wrong(
    'the last record ends a byte before end',
    put(5, 2, (v) => v - 1),
  ),
  'e-table-count': wrong('records says one more', put(0, 'records', 4)),
  'e-table-r-missing': wrong('the R line of the last record is missing', (lines) => lines.slice(0, 5)),
  'e-table-r-order': wrong('R lines of records 1 and 2 in wrong order', (lines) => [
    ...lines.slice(0, 3),
    lines[5],
    lines[6],
    lines[3],
    lines[4],
  ]),
  'e-table-r-short': wrong('an R line of three values', (lines) => void lines[1].pop()),
  'e-table-r-long': wrong('an R line of five values', (lines) => void lines[1].push(0)),
  'e-table-r-text': wrong('an offset as text', put(1, 1, '512')),
  'e-table-r-fraction': wrong(
    'a length with a fraction',
    put(1, 3, (v) => v + 0.5),
  ),
  'e-table-r-negative': wrong(
    'a negative clen',
    put(1, 2, (v) => -v),
  ),
  'e-table-c-before-r': wrong('a C line before the first R line', (lines) => [
    lines[0],
    lines[2],
    lines[1],
    ...lines.slice(3),
  ]),
  'e-table-c-range': wrong(
    'a chunk that ends outside its record',
    put(2, 2, (v) => v + 1),
  ),
  'e-table-c-empty': wrong('a chunk of length 0', put(2, 2, 0)),
  'e-table-c-hash': wrong(
    'an XXH64 of 15 digits',
    put(2, 3, (v) => v.slice(1)),
  ),
  'e-table-c-g': wrong('a g in upper case', put(2, 4, 'ABCDEF0123456789ABCDEF0123456789')),
  'e-table-c-missing': wrong('a data pack whose record 1 has no C line', (lines) => lines.toSpliced(4, 1)),
  'e-table-c-order': wrong('chunks of a record in descending order', (lines) =>
    lines.toSpliced(2, 1, ...[100, 0].map((at) => lines[2].with(1, at).with(2, 50))),
  ),
  'e-table-f-ordinal': wrong('the first file hint has ordinal 1', (lines) =>
    lines.toSpliced(2, 0, ['F', 1, 'a', 5, '0.000000000']),
  ),
  'e-table-c-file': wrong(
    'a chunk names a file hint that does not exist',
    (lines) => void lines[2].push(7, 0),
  ),
  'e-table-head-kind': wrong('the first line is no table head', (lines) => [
    { backpack: 'index', v: 1 },
    ...lines.slice(1),
  ]),
  'e-table-head-missing': wrong('the first line is missing', (lines) => lines.slice(1)),
  'e-table-no-json': wrong('a line that is no JSON', (lines) => concat(ndjson(lines), text('["q",\n'))),
  'e-table-no-line-end': wrong('the last line has no LF', (lines) => ndjson(lines).subarray(0, -1)),
  'e-table-empty': wrong('an empty table', () => Buffer.alloc(0)),
  'e-need-table-line': table('E_NEED', 'an unknown line with an upper-case letter', (lines) => [
    ...lines,
    ['Q', 1],
  ]),
  'e-need-table-key': table('E_NEED', 'the first line needs a feature', put(0, 'need', ['colour'])),
  'e-need-table-v': table('E_NEED', 'v is 2', put(0, 'v', 2)),
  'e-limit-record': table('E_LIMIT', 'a record of 16 MiB and one byte', put(1, 3, 16777217)),
  'e-limit-record-empty': table(
    'E_LIMIT',
    'a record of length 0',
    (lines) => [lines[0], lines[1].with(3, 0), ...lines.slice(3)],
    { kind: 'meta' },
  ),
  'e-limit-clen': reject(
    'E_LIMIT',
    'clen above length + 8 per block + 32: a hundred blocks of one byte',
    (name) => {
      const plain = new Random(name).bytes(100);
      const blocks = [...plain].map((byte) => ({ bytes: Buffer.from([byte]), stored: true }));
      return { records: [one(plain, { blocks })] };
    },
  ),
  'e-limit-table': reject('E_LIMIT', 'a table that says it has 64 MiB and one byte', {
    tableFrame: () =>
      frame(text('{"backpack":"table","v":1,"records":3,"end":512}\n'), { contentSize: 67108865 }),
  }),
};
