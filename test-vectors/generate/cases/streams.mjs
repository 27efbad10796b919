// Plaintext streams of snapshots, indexes, moved, mark and drop objects.
import { text } from '../lib/bytes.mjs';
import { ndjson } from '../lib/container.mjs';
import * as streams from '../lib/streams.mjs';

const ID = '018bcfe56fd0'.padEnd(40, 'a');
const P1 = '018bcfe56800'.padEnd(40, '5');
const P2 = '018bcfe56801'.padEnd(40, '6');
const P3 = '018bcfe56802'.padEnd(40, '7');
const TIME = '1700000000.000000000';
const ZERO = '0'.repeat(16);

const stream = (kind, expect, what, values, more) => () => {
  const payload = Buffer.isBuffer(values) ? values : ndjson(values);
  const lines = expect === 'accept' ? payload.toString().split('\n').length - 1 : undefined;
  return {
    what,
    type: 'stream',
    expect,
    kind,
    id: kind === 'snap' ? ID : undefined,
    lines,
    ...more,
    payload,
  };
};

const root = (more) => ({
  ...streams.snapshotRoot({ id: ID, time: TIME, stats: { files: 1, bytes: 5, stored: 100 } }),
  ...more,
});
const packs = [
  ['K', P1, 4096],
  ['K', P2, 5000],
];
const page = ['G', 1, 0, 2, 'a', 'a/b'];
const snapOk = (what, ...values) => stream('snap', 'accept', what, values);
const snapBad = (expect, what, ...values) => stream('snap', expect, what, values);
const without = (key) => {
  const { [key]: _, ...rest } = root();
  return rest;
};
const missing = (key) => snapBad('E_JSON', `no ${key} in the root line`, without(key), ...packs, page);

export default {
  'snap-small': snapOk('one page', root(), ...packs, page),
  'snap-empty': snapOk('an empty snapshot', root({ stats: { files: 0, bytes: 0, stored: 0 } })),
  'snap-pages': snapOk(
    'two pages in one meta pack, one in another',
    root(),
    ...packs,
    ['K', P3, 4096],
    ['G', 1, 0, 2, 'a', 'a/b'],
    ['G', 2, 4, 1, 'a!', 'a!'],
    ['G', 1, 1, 3, 'b', ['/w==']],
  ),
  'snap-errors': snapOk(
    'two source errors',
    root(),
    ...packs,
    page,
    ['E', 'c', 'EACCES'],
    ['E', ['/w=='], 'EIO'],
  ),
  'snap-all-fields': snapOk(
    'every field of the root line',
    root({
      seq: 42,
      tags: ['weekly', 'é'],
      pinned: true,
      roots: ['home', ['/w==']],
      parents: [P1],
      prev: P1,
      known: [P1, P2],
      replaces: [P2],
      partial: true,
    }),
    ...packs,
    page,
  ),
  'snap-unknown-key': snapOk('an unknown key', root({ colour: 'green' }), ...packs, page),
  'snap-lower-case': snapOk(
    'an unknown line with a lower-case letter is skipped',
    root(),
    ...packs,
    ['q', 1],
    page,
  ),
  'snap-compat': snapOk(
    'an unknown compatible feature',
    root({ features: { incompat: [], roCompat: [], compat: ['colour'] } }),
    ...packs,
    page,
  ),
  'snap-ro-compat': snapOk(
    'an unknown read-only compatible feature: it is read, not pruned',
    root({ features: { incompat: [], roCompat: ['colour'], compat: [] } }),
    ...packs,
    page,
  ),
  'snap-e-order-packs': snapBad('E_ORDER', 'K lines in descending order', root(), packs[1], packs[0], page),
  'snap-e-order-pack-twice': snapBad('E_ORDER', 'one K line twice', root(), packs[0], packs[0], page),
  'snap-e-order-pages': snapBad(
    'E_ORDER',
    'the second page begins before the end of the first',
    root(),
    ...packs,
    ['G', 1, 0, 2, 'a', 'c'],
    ['G', 1, 1, 2, 'b', 'd'],
  ),
  'snap-e-order-page': snapBad('E_ORDER', 'first behind last', root(), ...packs, ['G', 1, 0, 2, 'b', 'a']),
  'snap-e-json-k': snapBad('E_JSON', 'a page in a pack behind the last K line', root(), ...packs, [
    'G',
    2,
    0,
    2,
    'a',
    'a/b',
  ]),
  'snap-e-json-k-size': snapBad('E_JSON', 'a K line without a size', root(), packs[0], ['K', P2], page),
  'snap-e-json-k-id': snapBad(
    'E_JSON',
    'a K line with a short id',
    root(),
    ['K', P1.slice(1), 4096],
    ['G', 0, 0, 2, 'a', 'a/b'],
  ),
  'snap-e-name-id': snapBad(
    'E_NAME',
    'the id of the root line is not the container id',
    root({ id: P1 }),
    ...packs,
    page,
  ),
  'snap-e-json-kind': snapBad(
    'E_JSON',
    'the first key says another kind',
    { ...root(), backpack: 'index' },
    ...packs,
    page,
  ),
  'snap-e-json-no-id': missing('id'),
  'snap-e-json-no-seq': missing('seq'),
  'snap-e-json-no-time': missing('time'),
  'snap-e-json-no-host': missing('host'),
  'snap-e-json-no-roots': missing('roots'),
  'snap-e-json-no-parents': missing('parents'),
  'snap-e-json-no-prev': missing('prev'),
  'snap-e-json-no-known': missing('known'),
  'snap-e-json-no-partial': missing('partial'),
  'snap-e-json-no-params': missing('params'),
  'snap-e-json-no-stats': missing('stats'),
  'snap-e-json-duplicate-key': stream(
    'snap',
    'E_JSON',
    'seq twice',
    text(
      ndjson([root(), ...packs, page])
        .toString()
        .replace('"seq":1,', '"seq":1,"seq":2,'),
    ),
  ),
  'snap-e-need': snapBad(
    'E_NEED',
    'the root line needs an unknown feature',
    root({ need: ['colour'] }),
    ...packs,
    page,
  ),
  'snap-e-need-line': snapBad(
    'E_NEED',
    'an unknown line with an upper-case letter',
    root(),
    ...packs,
    ['Q', 1],
    page,
  ),
  'snap-e-need-incompat': snapBad(
    'E_NEED',
    'an unknown incompatible feature',
    root({ features: { incompat: ['colour'], roCompat: [], compat: [] } }),
    ...packs,
    page,
  ),
  'snap-e-need-v': snapBad('E_NEED', 'v is 2', root({ v: 2 }), ...packs, page),
  'snap-e-path-last': snapBad('E_PATH', 'the last path of a page is `..`', root(), ...packs, [
    'G',
    1,
    0,
    2,
    '-',
    '..',
  ]),

  'index-small': stream('indx', 'accept', 'one pack with two records', [
    streams.indexHead,
    ['P', P1, 4096, '0123456789abcdef'],
    ['R', 512, 100, 200],
    ['C', 0, 200, '0123456789abcdef', '0'.repeat(32)],
    ['R', 628, 100, 100],
    ['C', 0, 100, '0123456789abcdef', '1'.repeat(32)],
  ]),
  'index-empty': stream('indx', 'accept', 'no pack', [streams.indexHead]),
  'index-e-json-r': stream('indx', 'E_JSON', 'an R line before the first P line', [
    streams.indexHead,
    ['R', 512, 100, 200],
  ]),
  'index-e-need': stream('indx', 'E_NEED', 'an unknown line with an upper-case letter', [
    streams.indexHead,
    ['Q', 1],
  ]),
  'moved-small': stream('move', 'accept', 'two ranges, two targets', [
    streams.movedHead(P1, ZERO),
    ['V', 0, 2, P2, 0],
    ['V', 5, 1, P3, 7],
  ]),
  'moved-e-json-from': stream('move', 'E_JSON', 'no from', [
    { backpack: 'moved', v: 1, writer: ZERO },
    ['V', 0, 2, P2, 0],
  ]),
  'moved-e-json-writer': stream('move', 'E_JSON', 'no writer', [
    { backpack: 'moved', v: 1, from: P1 },
    ['V', 0, 2, P2, 0],
  ]),
  'moved-e-json-count': stream('move', 'E_JSON', 'a count of 0', [
    streams.movedHead(P1, ZERO),
    ['V', 0, 0, P2, 0],
  ]),
  'moved-e-need': stream('move', 'E_NEED', 'need in the first line', [
    { ...streams.movedHead(P1, ZERO), need: ['colour'] },
    ['V', 0, 2, P2, 0],
  ]),
  'mark-small': stream('mark', 'accept', 'three objects of three kinds', [
    streams.markHead('compacted'),
    ['X', `packs/018bc/${P1}.bpk`],
    ['X', `moved/${P1}-${P2}.bpk`],
    ['X', `snapshots/20231114T221322Z-${ID}.bpk`],
  ]),
  'mark-e-json-name': stream('mark', 'E_JSON', 'a name outside the layout', [
    streams.markHead(),
    ['X', '../../etc/passwd'],
  ]),
  'drop-small': stream('drop', 'accept', 'two snapshots', [
    streams.dropHead(TIME, 'forget'),
    ['S', P1],
    ['S', P2],
  ]),
  'drop-e-json-id': stream('drop', 'E_JSON', 'an id in upper case', [
    streams.dropHead(TIME),
    ['S', ID.toUpperCase()],
  ]),
  'drop-e-need': stream('drop', 'E_NEED', 'an unknown line with an upper-case letter', [
    streams.dropHead(TIME),
    ['Q', P1],
  ]),

  names: () => {
    const list = [
      ['yes', `packs/018bc/${P1}.bpk`],
      ['yes', `snapshots/20231114T221322Z-${ID}.bpk`],
      ['yes', `index/${P1}.bpk`],
      ['yes', `moved/${P1}-${P2}.bpk`],
      ['yes', `gc/${P1}.bpk`],
      ['yes', `drop/${P1}.bpk`],
      ['yes', 'keys/0123456789abcdef-01234567.json'],
      ['yes', 'README.txt'],
      ['yes', 'backpack.json'],
      ['yes', 'recover/recover.js'],
      ['yes', 'recover/SHA256SUMS'],
      ['yes', 'parity/a_b-c.vol000.par2'],
      ['no', ''],
      ['no', '/README.txt'],
      ['no', 'readme.txt'],
      ['no', `packs/${P1}.bpk`],
      ['no', `packs/018bd/${P1}.bpk`],
      ['no', `packs/018bc/${P1}.bpk/`],
      ['no', `packs/018bc/${P1.toUpperCase()}.bpk`],
      ['no', `packs/018bc/${P1.slice(1)}.bpk`],
      ['no', `packs/../packs/018bc/${P1}.bpk`],
      ['no', `snapshots/20231114T221323Z-${ID}.bpk`],
      ['no', `snapshots/${ID}.bpk`],
      ['no', `moved/${P1}.bpk`],
      ['no', `gc/${P1}`],
      ['no', `GC/${P1}.bpk`],
      ['no', 'keys/0123456789abcdef.json'],
      ['no', 'recover/'],
      ['no', 'recover/a/b'],
      ['no', 'recover/a b'],
      ['no', 'parity/é'],
      ['no', `tmp/${P1}`],
      ['no', 'other/file'],
    ];
    return {
      what: 'object names a server must take and must refuse',
      type: 'names',
      expect: 'accept',
      payload: text(list.map(([take, name]) => `${take} ${name}\n`).join('')),
    };
  },
};
