/** One valid value per schema, with mutants that break exactly one rule each. */

const id = '0197f3a2b4c5d6e7f8091a2b3c4d5e6f70819203';
const other = '0197f3a2b4c6aaaaaaaaaaaaaaaaaaaaaaaaaaaa';
const hash = '86c5b956b846e90c';
const hex16 = '000102030405060708090a0b0c0d0e0f';
const time = '1700000000.000000000';

type Json = Record<string, unknown>;

/** A schema's examples: `valid` all pass, `invalid` (a short name -> a value) all fail. */
export interface Examples {
  readonly valid: readonly unknown[];
  readonly invalid: Readonly<Record<string, unknown>>;
}

/** `base` with changed keys; `undefined` removes one. */
function but(base: Json, change: Json): Json {
  return Object.fromEntries(
    Object.entries({ ...base, ...change }).filter(([, value]) => value !== undefined),
  );
}

/** Mutants that leave out each of `keys`. */
function without(base: Json, keys: readonly string[]): Record<string, unknown> {
  return Object.fromEntries(keys.map((key) => [`no ${key}`, but(base, { [key]: undefined })]));
}

/** Mutants of an array line: one element less, one more, and one element changed. */
function line(
  base: readonly unknown[],
  changes: readonly (readonly [number, unknown])[],
): Record<string, unknown> {
  const mutants: Record<string, unknown> = {
    shorter: base.slice(0, -1),
    longer: [...base, 0],
    object: { ...base },
    'lower case': [String(base[0]).toLowerCase(), ...base.slice(1)],
  };
  for (const [at, value] of changes) mutants[`${at} = ${JSON.stringify(value)}`] = base.with(at, value);
  return mutants;
}

const wrapped = {
  backpack: 'wrapped-key',
  v: 1,
  keyid: hash,
  kdf: 'scrypt',
  N: 131072,
  r: 8,
  p: 1,
  salt: hex16,
  wrapped: '00'.repeat(40),
};
const features = { incompat: [], roCompat: [], compat: [] };
const repository = {
  backpack: 'repository',
  v: 1,
  repo: hex16,
  features,
  keys: [hash],
  made: time,
  xxh64: hash,
};
const pageHead = { backpack: 'page', v: 1, packs: [id] };
const file = {
  p: 'd/big.bin',
  t: 'f',
  s: 2097173,
  m: time,
  c: time,
  o: '0644',
  u: 1000,
  g: 1000,
  in: '18446744073709551615',
  x: hash,
  e: [
    [0, 0, 1, 1048576],
    [0, 1, 1, 524288, 4096],
    [-1, 0, 0, 524309],
  ],
};
const directory = { p: 'd', t: 'd', m: time, o: '0755' };
const link = { p: 'l', t: 'l', s: 3, m: time, o: '0777', l: '../x' };
const device = { p: 'dev', t: 'b', m: time, o: '0600', rd: [8, 1] };
const more = { p: 'd/big.bin', t: '+', e: [[-2, 0, 0, 1]] };
const root = {
  backpack: 'snapshot',
  v: 1,
  id,
  seq: 42,
  time,
  end: time,
  host: 'h',
  user: 'u',
  set: 'documents',
  tags: [],
  pinned: false,
  roots: ['home', ['/w==']],
  parents: [other],
  prev: other,
  known: [other],
  replaces: [],
  partial: false,
  app: 'backpack 1.0.0',
  features,
  params: { dedup: 'xxh64+gmac', chunker: 'fastcdc-1', packSize: 67108864 },
  stats: { files: 3, bytes: 2097197, stored: 1220371 },
};
const tableHead = { backpack: 'table', v: 1, records: 4, end: 1219250, dd: hash, app: 'backpack 1.0.0' };
const K: readonly unknown[] = ['K', id, 1219762];
const G: readonly unknown[] = ['G', 1, 0, 3, 'd', 'l'];
const E: readonly unknown[] = ['E', 'd/secret', 'EACCES'];
const R: readonly unknown[] = ['R', 512, 169972, 1048576];
const F: readonly unknown[] = ['F', 0, 'd/big.bin', 2097173, time];
const C: readonly unknown[] = ['C', 0, 1048576, hash, hex16, 0, 0];
const O: readonly unknown[] = ['O', id, 0, 3];
const P: readonly unknown[] = ['P', id, 1219762, hash];
const X: readonly unknown[] = ['X', `packs/${id.slice(0, 5)}/${id}.bpk`];
const S: readonly unknown[] = ['S', id];
const V: readonly unknown[] = ['V', 0, 3, id, 7];
const markHead = { backpack: 'mark', v: 1, why: 'unreferenced' };
const dropHead = { backpack: 'drop', v: 1, time, why: 'forget' };
const movedHead = { backpack: 'moved', v: 1, from: id, writer: '0000000000000000' };
const config = {
  $schema: 'https://example.org/config.schema.json',
  '//': 'a comment',
  repository: '/mnt/usb/backup',
  key: '~/key.bin',
  compression: 'lz4',
  sets: {
    '// note': 'also a comment',
    documents: {
      paths: ['~/Documents'],
      exclude: ['*.tmp'],
      tags: ['home'],
      host: 'h',
      repository: 's3://b/p',
    },
  },
  limits: { threads: 4, memory: '512 MiB', readRate: 1000000, writeRate: '1.5M' },
  retention: {},
  hooks: {},
};

const idDefects: readonly unknown[] = [id.slice(1), `${id}0`, id.toUpperCase(), 1, null];
const hashDefects: readonly unknown[] = [hash.slice(1), `${hash}0`, hash.toUpperCase(), 1];
const intDefects: readonly unknown[] = [-1, 1.5, 2 ** 53, '1', null];
const timeDefects: readonly unknown[] = [
  '1700000000',
  '1700000000.0',
  '01.000000000',
  '-0.500000000',
  '+1.000000000',
  '1.0000000000',
  1700000000,
];
const nameDefects: readonly unknown[] = [
  'a\n',
  'a\u007f',
  '\u0000',
  '\ud800',
  [],
  ['a'],
  ['YQ==', 'YQ=='],
  1,
];

function each(base: Json, key: string, defects: readonly unknown[]): Record<string, unknown> {
  return Object.fromEntries(
    defects.map((value) => [`${key} = ${JSON.stringify(value)}`, but(base, { [key]: value })]),
  );
}

const at = (index: number, defects: readonly unknown[]) => defects.map((value) => [index, value] as const);

/** By exported validator. */
export const examples: Readonly<Record<string, Examples>> = {
  wrappedKey: {
    valid: [wrapped, but(wrapped, { N: 2 ** 20, p: 4, later: 1 })],
    invalid: {
      ...without(wrapped, Object.keys(wrapped)),
      ...each(wrapped, 'N', [131073, 2 ** 14, 2 ** 21, '131072']),
      ...each(wrapped, 'r', [7, 16]),
      ...each(wrapped, 'p', [0, 5]),
      ...each(wrapped, 'kdf', ['argon2id']),
      ...each(wrapped, 'salt', [hash]),
      ...each(wrapped, 'wrapped', ['00'.repeat(39)]),
      ...each(wrapped, 'v', [2, '1']),
    },
  },
  repositoryFile: {
    valid: [repository, but(repository, { later: {} })],
    invalid: {
      ...without(repository, Object.keys(repository)),
      ...each(repository, 'repo', hashDefects),
      ...each(repository, 'features', [{ incompat: [], compat: [] }, []]),
      ...each(repository, 'made', timeDefects),
      ...each(repository, 'keys', [[id], hash]),
    },
  },
  pageHead: {
    valid: [pageHead, but(pageHead, { packs: [] }), but(pageHead, { need: ['x'] })],
    invalid: {
      ...without(pageHead, Object.keys(pageHead)),
      ...Object.fromEntries(
        idDefects.map((value) => [`pack ${JSON.stringify(value)}`, but(pageHead, { packs: [value] })]),
      ),
      'too many': but(pageHead, { packs: Array(16_385).fill(id) }),
      another: but(pageHead, { backpack: 'table' }),
    },
  },
  pageEntry: {
    valid: [
      file,
      but(file, { s: 0, x: undefined, e: undefined }),
      but(file, {
        n: 1,
        hl: '1:2',
        w: ['torn'],
        un: 'anna',
        gn: 'anna',
        fl: 'i',
        xa: [
          ['user.a', ''],
          [['/w=='], 'YQ=='],
        ],
      }),
      but(file, { m: '-1.500000000', bt: '0.000000000', a: '0.000000001', later: null }),
      but(file, { p: ['/w=='] }),
      directory,
      but(directory, { an: 1 }),
      link,
      but(link, { s: undefined, l: ['Cg=='] }),
      device,
      but(device, { t: 'p', rd: undefined }),
      more,
      { p: 'x', t: 'later', m: time, o: '0000', unknown: [1] },
    ],
    invalid: {
      ...without(file, ['p', 't', 's', 'm', 'o', 'x', 'e']),
      ...without(directory, ['m', 'o']),
      ...without(more, ['e']),
      'l without l': but(link, { l: undefined }),
      'b without rd': but(device, { rd: undefined }),
      'x on empty file': but(file, { s: 0, e: undefined }),
      'e on empty file': but(file, { s: 0, x: undefined }),
      'd with s': but(directory, { s: 0 }),
      'd with hl': but(directory, { hl: '1:2' }),
      'd with e': but(directory, { e: file.e }),
      'f with an': but(file, { an: 1 }),
      'f with l': but(file, { l: 'x' }),
      'l with rd': but(link, { rd: [1, 2] }),
      'p with l': but(device, { t: 'p', rd: undefined, l: 'x' }),
      '+ with m': but(more, { m: time }),
      '+ with n': but(more, { n: 1 }),
      ...each(file, 'p', nameDefects),
      ...each(link, 'l', nameDefects),
      ...each(file, 's', intDefects),
      ...each(file, 'u', intDefects),
      ...each(file, 'm', timeDefects),
      ...each(file, 'c', timeDefects),
      ...each(file, 'o', ['644', '00644', '0888', 420]),
      ...each(file, 'in', [1, '01', '-1', '']),
      ...each(file, 'hl', ['', 'x'.repeat(65), 1]),
      ...each(file, 'x', hashDefects),
      ...each(file, 'n', [0, -1, 1.5]),
      ...each(file, 'w', [[], 'torn', [1]]),
      ...each(file, 'xa', [[['a']], [['a', 'b']], [['a', 'YQ==', 'YQ==']], {}]),
      ...each(device, 'rd', [[1], [1, 2, 3], [-1, 2], [1, 2 ** 32]]),
      ...each(directory, 'an', [0, true]),
      ...each(file, 'e', [
        [],
        [[0, 0, 1]],
        [[0, 0, 1, 1, 0, 0]],
        [[0, 0, 0, 1]],
        [[0, 0, 1, 0]],
        [[16_384, 0, 1, 1]],
        [[-3, 0, 0, 1]],
        [[-1, 1, 0, 1]],
        [[-1, 0, 1, 1]],
        [[0, 0, 2, 1, 5]],
        [[0, 0, 1, 1, 16_777_216]],
        [[0, 0, 1, 16_777_217, 0]],
        [[0, 2 ** 32, 1, 1]],
        [[0, 0, 1, 2 ** 53]],
        [[0, 0, 1, 1.5]],
        [['0', 0, 1, 1]],
        {},
      ]),
    },
  },
  snapshotRoot: {
    valid: [root, but(root, { prev: null, parents: [], known: [] }), but(root, { later: 1 })],
    invalid: {
      ...without(root, [
        'backpack',
        'v',
        'id',
        'seq',
        'time',
        'host',
        'roots',
        'parents',
        'prev',
        'known',
        'partial',
        'params',
        'stats',
      ]),
      ...each(root, 'id', idDefects),
      ...each(root, 'prev', [hash, '', 0]),
      ...each(root, 'seq', intDefects),
      ...each(root, 'time', timeDefects),
      ...each(root, 'roots', ['home', [1], [['a']]]),
      ...each(root, 'known', [Array(65).fill(id), [hash]]),
      ...each(root, 'partial', [0, 'false']),
      ...each(root, 'params', [{ dedup: 'x', chunker: 'y' }]),
      ...each(root, 'stats', [{ files: 1, bytes: -1, stored: 1 }]),
      ...each(root, 'backpack', ['page']),
    },
  },
  kLine: {
    valid: [K, K.with(2, 0)],
    invalid: line(K, [...at(1, idDefects), ...at(2, [...intDefects, 2 ** 32 + 1])]),
  },
  gLine: {
    valid: [G, G.with(4, ['/w=='])],
    invalid: line(G, [
      ...at(1, intDefects),
      ...at(2, intDefects),
      ...at(3, [...intDefects, 0]),
      ...at(4, nameDefects),
    ]),
  },
  eLine: { valid: [E], invalid: line(E, [...at(1, nameDefects), [2, ''], [2, 'a b'], [2, 5]]) },
  tableHead: {
    valid: [
      tableHead,
      but(tableHead, { dd: undefined, app: undefined }),
      but(tableHead, { records: 0, end: 512 }),
    ],
    invalid: {
      ...without(tableHead, ['backpack', 'v', 'records', 'end']),
      ...each(tableHead, 'records', [...intDefects, 2 ** 32]),
      ...each(tableHead, 'end', [511, 2 ** 32 + 1, 600.5]),
      ...each(tableHead, 'dd', hashDefects),
      ...each(tableHead, 'v', [0, 2]),
    },
  },
  rLine: {
    valid: [R, ['R', 512, 16_779_296, 16_777_216]],
    invalid: line(R, [
      [1, 511],
      [1, 2 ** 32],
      [2, 23],
      [2, 16_779_297],
      [3, 0],
      [3, 16_777_217],
      [3, '1'],
    ]),
  },
  fLine: {
    valid: [F],
    invalid: line(F, [
      ...at(1, intDefects),
      ...at(2, nameDefects),
      ...at(3, intDefects),
      ...at(4, timeDefects),
    ]),
  },
  cLine: {
    valid: [C, C.slice(0, 5)],
    invalid: {
      ...line(C, [
        ...at(1, [...intDefects, 16_777_216]),
        ...at(2, [...intDefects, 0, 16_777_217]),
        ...at(3, hashDefects),
        ...at(4, [hash, hex16.toUpperCase()]),
        ...at(5, intDefects),
        ...at(6, intDefects),
      ]),
      four: C.slice(0, 4),
    },
  },
  oLine: {
    valid: [O],
    invalid: line(O, [...at(1, idDefects), ...at(2, intDefects), ...at(3, [...intDefects, 0])]),
  },
  indexHead: {
    valid: [{ backpack: 'index', v: 1 }],
    invalid: { 'no v': { backpack: 'index' }, 'v 2': { backpack: 'index', v: 2 }, array: ['index'] },
  },
  pLine: { valid: [P], invalid: line(P, [...at(1, idDefects), ...at(2, intDefects), ...at(3, hashDefects)]) },
  markHead: {
    valid: [markHead, but(markHead, { why: 'compacted' })],
    invalid: { ...without(markHead, Object.keys(markHead)), ...each(markHead, 'why', ['because']) },
  },
  xLine: {
    valid: [X, X.with(1, `snapshots/20261123T053810Z-${id}.bpk`), X.with(1, `moved/${id}-${other}.bpk`)],
    invalid: line(
      X,
      at(1, [`packs/${id}.bpk`, `packs/0197f/${id}`, 'README.txt', '../x', `tmp/${id}.bpk`, 1]),
    ),
  },
  dropHead: {
    valid: [dropHead],
    invalid: { ...without(dropHead, Object.keys(dropHead)), ...each(dropHead, 'time', timeDefects) },
  },
  sLine: { valid: [S], invalid: line(S, at(1, idDefects)) },
  movedHead: {
    valid: [movedHead],
    invalid: {
      ...without(movedHead, Object.keys(movedHead)),
      ...each(movedHead, 'from', idDefects),
      ...each(movedHead, 'writer', hashDefects),
    },
  },
  vLine: {
    valid: [V],
    invalid: line(V, [
      ...at(1, intDefects),
      ...at(2, [...intDefects, 0]),
      ...at(3, idDefects),
      ...at(4, intDefects),
    ]),
  },
  config: {
    valid: [config, {}, { sets: {} }],
    invalid: {
      'unknown key': but(config, { repositorie: 'x' }),
      'unknown key in a set': { sets: { a: { paths: ['x'], excludes: [] } } },
      'unknown key in limits': { limits: { thread: 1 } },
      'bad set name': { sets: { '': { paths: ['x'] } } },
      ...each(config, 'compression', ['zstd', 1]),
      ...each(config, 'limits', [{ threads: 0 }, { threads: 1.5 }, { memory: '-1' }, { memory: 'lots' }]),
      ...each(config, 'retention', [[], 'x']),
    },
  },
};
