// Containers a reader must accept.
import { concat, Random, text } from '../lib/bytes.mjs';
import { ndjson } from '../lib/container.mjs';
import { containerVector, idOf, one } from '../lib/make.mjs';
import * as streams from '../lib/streams.mjs';
import { words } from '../lib/words.mjs';

const valid =
  (what, spec = {}) =>
  (name) =>
    containerVector(name, {
      what,
      ...(typeof spec === 'function' ? spec(new Random(`${name}/content`), name) : spec),
    });

const WRITER = '00c0ffee00c0ffee';
const PACK = '018bcfe56800'.padEnd(40, '5');
const repeated = (length) => Buffer.alloc(length, 'Backpack vectors. ');
const single = (plain) => [{ plain }];

/** What a container of each kind holds. */
const content = {
  data: (random) => [one(words(random, 300)), one(random.bytes(64))],
  meta: () =>
    single(
      concat(
        ndjson([
          { backpack: 'page', v: 1, packs: [] },
          { p: 'a', t: 'd', m: '0.000000000', o: '0755' },
        ]),
      ),
    ),
  snap: (_, name) =>
    streams.streamRecords([streams.snapshotRoot({ id: idOf(name), time: '1700000000.000000000' })]),
  indx: () => single(ndjson([streams.indexHead])),
  move: () => single(ndjson([streams.movedHead(PACK, '0'.repeat(16)), ['V', 0, 1, '6'.repeat(40), 0]])),
  mark: () => single(ndjson([streams.markHead(), ['X', `packs/${PACK.slice(0, 5)}/${PACK}.bpk`]])),
  drop: () => single(ndjson([streams.dropHead('1700000000.000000000'), ['S', PACK]])),
};
const ofKind = (kind, writer) =>
  valid(`kind ${kind}, ${writer ? 'a write-only writer' : 'a holder of the root'}`, (random, name) => ({
    kind,
    writer,
    records: content[kind](random, name),
  }));

export default {
  'three-records': valid('three records, one of them incompressible, padded to 4096 bytes'),
  'no-record': valid('no record at all: the table follows the header', { kind: 'meta', records: [] }),
  'one-byte': valid('one record of one byte', { records: [one(text('x'))] }),
  'no-padding': valid('a table without padding', { pad: false }),
  'padding-steps': valid('more than 4096 bytes: padded to the next Padme size', (random) => ({
    records: [one(random.bytes(5000))],
  })),
  'raw-blocks': valid('every block stored raw', (random) => ({
    records: [one(words(random, 3000), { raw: true })],
  })),
  'block-64k': valid('64 KiB blocks', { records: [one(repeated(200000), { blockSize: 65536 })] }),
  'block-256k': valid('256 KiB blocks', { records: [one(repeated(700000), { blockSize: 262144 })] }),
  'block-1m': valid('1 MiB blocks', { records: [one(repeated(2500000), { blockSize: 1048576 })] }),
  'block-4m': valid('4 MiB blocks', { records: [one(repeated(5000000), { blockSize: 4194304 })] }),
  'block-exact': valid('the plaintext ends with a full block', {
    records: [one(repeated(131072), { blockSize: 65536 })],
  }),
  'block-small': valid('blocks shorter than the maximum in the middle of a frame', (random) => {
    const parts = [10, 200, 1].map((length) => random.bytes(length));
    return { records: [one(concat(parts), { blocks: parts.map((bytes) => ({ bytes, stored: true })) })] };
  }),
  'block-checksums': valid('block checksums present and right', {
    records: [one(repeated(200000), { blockSize: 65536, blockChecksum: true })],
  }),
  'content-checksum': valid('content checksum present and right', {
    records: [one(repeated(3000), { contentChecksum: true })],
  }),
  'both-checksums': valid('both checksums, compressed and raw blocks', (random) => ({
    records: [
      one(concat(repeated(65536), random.bytes(100)), {
        blockSize: 65536,
        blockChecksum: true,
        contentChecksum: true,
      }),
    ],
  })),
  'record-16m': valid('the longest record, 16 MiB', {
    records: [one(Buffer.alloc(16777216), { blockSize: 4194304 })],
  }),
  'many-records': valid('300 records of one byte', {
    records: Array.from({ length: 300 }, (_, i) => one(Buffer.from([i & 255]))),
  }),
  'many-chunks': valid('three chunks in one record, with file hints', (random) => {
    const parts = [10, 20, 30].map((length) => random.bytes(length));
    const chunk = (i, offset) => ({
      offset,
      bytes: parts[i],
      hint: ['F', i, `file-${i}`, parts[i].length, '1700000000.000000000'],
      file: i,
      at: 0,
    });
    return { records: [{ plain: concat(parts), chunks: [chunk(0, 0), chunk(1, 10), chunk(2, 30)] }] };
  }),
  'chunks-with-gap': valid('chunks need not cover a record', (random) => {
    const plain = random.bytes(100);
    return { records: [{ plain, chunks: [{ offset: 20, bytes: plain.subarray(20, 50) }] }] };
  }),
  'origin-line': valid('an O line: the two records that follow came from an older pack', (random) => ({
    records: [{ ...one(random.bytes(10)), origin: ['O', PACK, 4, 2] }, one(random.bytes(11))],
  })),
  'table-lower-case': valid('an unknown line with a lower-case letter is skipped', {
    table: (lines) => [...lines, ['q', 'later', 1]],
  }),
  'table-unknown-key': valid('an unknown key in the first line is ignored', {
    table: ([head, ...rest]) => [{ ...head, colour: 'green' }, ...rest],
  }),
  'table-two-paddings': valid('two skippable frames behind the table', {
    pad: false,
    tableFrame: (frame) =>
      concat(frame, Buffer.from('502a4d1803000000000000', 'hex'), Buffer.from('502a4d1800000000', 'hex')),
  }),
  'kind-data': ofKind('data'),
  'kind-meta': ofKind('meta'),
  'kind-snap': ofKind('snap'),
  'kind-indx': ofKind('indx'),
  'kind-move': ofKind('move'),
  'kind-mark': ofKind('mark'),
  'kind-drop': ofKind('drop'),
  'writer-data': ofKind('data', WRITER),
  'writer-meta': ofKind('meta', WRITER),
  'writer-snap': ofKind('snap', WRITER),
  'writer-indx': ofKind('indx', WRITER),
  'repo-known': valid('the repository id of the key file is the one in the header', { repo: true }),
};
