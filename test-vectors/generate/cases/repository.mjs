// Whole repositories with the listing of what a reader must find.
import { concat, flip, objectName, overwrite, Random, text } from '../lib/bytes.mjs';
import { fitTrailer, ndjson } from '../lib/container.mjs';
import { keyFile, wrapKey } from '../lib/keyfile.mjs';
import { Author } from '../lib/keys.mjs';
import { pageHead } from '../lib/pages.mjs';
import { hole, Repository, zeros } from '../lib/repository.mjs';
import * as streams from '../lib/streams.mjs';
import { collidingPair, xxh64hex } from '../lib/xxh.mjs';

const W = '00c0ffee00c0ffee';
const V = '00badbad00badbad';
const VICTIM = text('The victim is going to back up these sixty-four bytes, exactly.\n');
const COLLISION = [VICTIM, collidingPair(VICTIM, 1n)];

/** A tree with every kind of content; each name of two places differs by `mark`. */
function tree(random, mark = '') {
  return [
    { p: 'd', t: 'd', m: '1700000001.000000001' },
    { p: 'd/a.txt', t: 'f', content: text(`first file ${mark}\n`) },
    { p: 'd/b.bin', t: 'f', content: random.bytes(700), o: '0600' },
    { p: 'd/e', t: 'd', o: '0700' },
    { p: 'd/e/empty', t: 'f', content: Buffer.alloc(0), m: '-1.500000000' },
    { p: 'd!', t: 'l', l: 'd/a.txt' },
    { p: Buffer.from([0x66, 0xff]), t: 'f', content: text('a name that is no UTF-8\n') },
    { p: 'sparse', t: 'f', content: [text('head'), hole(100000), zeros(50), text('tail')] },
  ];
}

/**
 * A repository vector. make(repo, random) returns { snapshot, error: { path: code }, key, ... }; the listing is
 * the one of `snapshot` (the last by default), or `listing` if make gives one.
 */
const vector = (expect, what, make) => (name) => {
  const repo = new Repository({ label: name });
  const made = make(repo, new Random(`${name}/content`)) ?? {};
  if (made.finish !== false) repo.finish(made.finish);
  const {
    snapshot = repo.snapshots.at(-1)?.id,
    error = {},
    drop = [],
    finish,
    listing,
    key,
    ...fields
  } = made;
  const shown = repo.snapshots.map((one) => one.id).filter((id) => repo.nameOf(id) && !drop.includes(id));
  const entries = (listing ?? repo.expected.get(snapshot))?.map((entry) => {
    const code = error[JSON.stringify(entry.path)] ?? error[entry.path];
    return code ? { ...entry, error: code } : entry;
  });
  const parts = [...repo.objects].flatMap(([object, bytes]) => [text(`${object} ${bytes.length}\n`), bytes]);
  return {
    what,
    type: 'repository',
    expect,
    key: (
      key ?? keyFile({ root: repo.root, repo: repo.repo, old: repo.oldRoots, ...made.keyFields })
    ).toString('base64'),
    objects: repo.objects.size,
    snapshots: shown.toSorted().join(' ') || 'none',
    snapshot: snapshot ?? undefined,
    ...Object.fromEntries(Object.entries(fields).filter(([field]) => field !== 'keyFields')),
    listing: entries ? JSON.stringify(entries) : 'none',
    payload: concat(parts),
  };
};
const ok = (what, make) => vector('accept', what, make);

/** The data packs among the packs of a backup. */
const dataPacks = (repo, made) => made.packs.filter((id) => repo.packs.get(id).kind === 'data');
const LITTLE = { index: false };
const ALONE = { index: false, group: false };
const contents = (listing, code) =>
  Object.fromEntries(
    listing.filter((one) => one.type === 'f' && one.size > 0).map((one) => [JSON.stringify(one.path), code]),
  );

/** A repository whose one data pack went through `count` compactions, each of the whole pack. */
function chain(repo, random, count) {
  const made = repo.backup(tree(random), LITTLE);
  let [pack] = dataPacks(repo, made);
  const all = repo.packs.get(pack).records.length;
  for (let i = 0; i < count; i++) {
    const { to } = repo.move(pack, [[0, all]]);
    repo.remove(pack);
    pack = to;
  }
  return made;
}

/** One backup of two files in two records; `page(lines)` changes the entries of its page. */
function changedPage(
  repo,
  page,
  entries = [
    { p: 'a', t: 'f', content: text('content of a\n') },
    { p: 'b', t: 'f', content: text('content of b\n') },
  ],
) {
  return repo.backup(entries, {
    ...ALONE,
    pages: (pages) =>
      pages.map((one) => {
        const lines = one.plain
          .toString()
          .trimEnd()
          .split('\n')
          .map((line) => JSON.parse(line));
        const changed = page(lines) ?? lines;
        return { ...one, plain: Buffer.isBuffer(changed) ? changed : ndjson(changed) };
      }),
  });
}

/** A leftover of a run that stopped: everything it wrote except the kinds named. */
function stopped(repo, random, without) {
  repo.backup(tree(random), LITTLE);
  const before = new Set(repo.objects.keys());
  const left = repo.backup(tree(random, 'second'), { snapshot: false });
  for (const name of repo.objects.keys()) {
    if (before.has(name)) continue;
    if (without.includes('indx') && name.startsWith('index/')) repo.objects.delete(name);
    if (without.includes('meta') && name.includes(left.meta)) repo.objects.delete(name);
  }
}

/** Writer w's snapshot naming a pack it must not name. */
function crossed(repo, random, change) {
  const victim = repo.backup(tree(random), ALONE);
  const writer = repo.writer(W);
  return repo.backup([{ p: 'a', t: 'f', content: text('what w really has\n') }], {
    ...LITTLE,
    author: writer,
    ...change(victim),
  });
}

/** A stream hook: one more K line, of an older pack, and the G lines that count it. */
const withPack = (repo, id) => (values) => [
  values[0],
  ...[...values.filter((line) => line[0] === 'K'), ['K', id, repo.packs.get(id).size]].sort((a, b) =>
    a[1] < b[1] ? -1 : 1,
  ),
  ...values.filter((line) => line[0] === 'G').map((line) => line.with(1, line[1] + 1)),
];

/** A page with one more file at its end, whose extents are in `pack`. */
function withFile(page, line, pack) {
  const [head, ...entries] = page.plain
    .toString()
    .trimEnd()
    .split('\n')
    .map((one) => JSON.parse(one));
  const k = head.packs.push(pack) - 1;
  const file = { ...line, e: line.e.map((one) => one.with(0, k)) };
  return { ...page, entries: page.entries + 1, last: line.p, plain: ndjson([head, ...entries, file]) };
}

export default {
  plain: ok('two snapshots, an index, pages shared where nothing changed', (repo, random) => {
    const entries = tree(random);
    repo.backup(entries);
    repo.backup([...entries, { p: 'zz', t: 'f', content: text('second run\n') }]);
  }),
  'plain-first': ok('the first of two snapshots', (repo, random) => {
    const { id } = repo.backup(tree(random), LITTLE);
    repo.backup(tree(random, 'second'), LITTLE);
    return { snapshot: id };
  }),
  'no-file': ok('an empty snapshot: no data pack, no page', (repo) => void repo.backup([], LITTLE)),
  'raw-key': ok('the key file is 32 raw bytes', (repo, random) => {
    repo.backup(tree(random), LITTLE);
    return { key: repo.root };
  }),
  passphrase: ok('a wrapped key in keys/ opens the repository', (repo, random) => {
    repo.backup(tree(random), LITTLE);
    const { json } = wrapKey({
      root: repo.root,
      passphrase: 'correct horse',
      salt: random.bytes(16),
      N: 32768,
    });
    repo.objects.set(`keys/${repo.owner.keyid}-00000001.json`, text(`${JSON.stringify(json)}\n`));
    return { passphrase: 'correct horse' };
  }),
  'many-pages': ok('pages in several records, + lines and hard links across them', (repo, random) => {
    const parts = Array.from({ length: 6 }, () => random.bytes(40));
    const twin = { t: 'f', content: random.bytes(30), hl: '1:77', in: '77' };
    const entries = [
      { p: 'a-twin', ...twin },
      { p: 'long', t: 'f', content: parts },
      ...Array.from({ length: 12 }, (_, i) => ({ p: `n${i}`, t: 'f', content: text(`${i}\n`) })),
      { p: 'z-twin', ...twin },
    ];
    repo.backup(entries, { ...ALONE, splitExtents: 2, cut: { min: 100, mask: 0n, max: 400 } });
  }),
  'many-packs': ok(
    'a data pack per file',
    (repo, random) => void repo.backup(tree(random), { ...LITTLE, target: 1 }),
  ),
  'multi-chunk': ok('a file of eight chunks, some of them equal', (repo, random) => {
    const [a, b] = [random.bytes(100), random.bytes(100)];
    const content = concat(a, a, b, a, b, b, a, a);
    const cuts = (_, data) => Array.from({ length: data.length / 100 }, (__, i) => 100 * (i + 1));
    repo.backup([{ p: 'big', t: 'f', content }], { ...ALONE, cuts });
  }),
  'dedup-collision': ok('two files of one length and one XXH64', (repo) => {
    repo.backup(
      [
        { p: 'one', t: 'f', content: COLLISION[0] },
        { p: 'two', t: 'f', content: COLLISION[1] },
      ],
      LITTLE,
    );
  }),
  ancestors: ok('ancestors of a root, with an', (repo) => {
    const entries = [
      { p: 'home', t: 'd', an: 1 },
      { p: 'home/me', t: 'd' },
      { p: 'home/me/f', t: 'f', content: text('x') },
    ];
    repo.backup(entries, { ...LITTLE, fields: { roots: ['home/me'] } });
  }),
  'source-errors': ok(
    'E lines: what could not be read has no entry',
    (repo, random) => void repo.backup(tree(random), { ...LITTLE, errors: [['E', 'secret', 'EACCES']] }),
  ),
  'two-clients': ok('two hosts with the root; the chunks of one are used by the other', (repo, random) => {
    const entries = tree(random);
    repo.backup(entries, { ...LITTLE, fields: { host: 'one' } });
    repo.backup(entries.slice(0, 4), { ...LITTLE, fields: { host: 'two', parents: [] } });
  }),
  'write-only': ok(
    'a snapshot of a write-only writer',
    (repo, random) => void repo.backup(tree(random), { author: repo.writer(W) }),
  ),
  'two-writers': ok('two write-only writers and a holder of the root, no chunk shared', (repo, random) => {
    const entries = tree(random).slice(0, 3);
    repo.backup(entries, { ...LITTLE, author: repo.writer(W), fields: { host: 'one' } });
    repo.backup(entries, { ...LITTLE, author: repo.writer(V), fields: { host: 'two' } });
    repo.backup(entries, { ...LITTLE, fields: { host: 'three' } });
  }),
  'write-only-moved': ok(
    'the pack of a write-only writer, compacted by a holder of the root',
    (repo, random) => {
      const made = repo.backup(tree(random), { ...LITTLE, author: repo.writer(W) });
      const [pack] = dataPacks(repo, made);
      repo.move(pack, [[0, repo.packs.get(pack).records.length]]);
      repo.remove(pack);
    },
  ),
  partial: ok('a later partial snapshot is not the latest', (repo, random) => {
    const { id } = repo.backup(tree(random), LITTLE);
    repo.backup(tree(random).slice(0, 2), { ...LITTLE, fields: { partial: true } });
    return { snapshot: id, latest: id };
  }),
  'clock-back': ok(
    'the latest snapshot has the lower time: seq decides within one writer',
    (repo, random) => {
      repo.time += 1000000;
      repo.backup(tree(random), LITTLE);
      repo.time -= 1000000;
      const { id } = repo.backup(tree(random, 'second'), LITTLE);
      return { snapshot: id, latest: id };
    },
  ),
  replaced: ok('a snapshot named in replaces is hidden', (repo, random) => {
    const first = repo.backup(tree(random), LITTLE);
    repo.backup(tree(random, 'again'), { ...LITTLE, fields: { replaces: [first.id], parents: [] } });
    return { drop: [first.id], hidden: first.id };
  }),

  'crash-after-data': ok('a run stopped behind its data packs', (repo, random) =>
    stopped(repo, random, ['meta', 'indx']),
  ),
  'crash-after-meta': ok(
    'a run stopped behind its meta packs: the copy in it is not a snapshot',
    (repo, random) => stopped(repo, random, ['indx']),
  ),
  'crash-after-index': ok('a run stopped before the commit', (repo, random) => stopped(repo, random, [])),
  'crash-tmp': ok('half a container in tmp/', (repo, random) => {
    repo.backup(tree(random), LITTLE);
    repo.objects.set(`tmp/${repo.newId()}`, random.bytes(700));
  }),
  'crash-after-snapshot': vector(
    'E_MISSING',
    'a run stopped before its after-check, and a pack it used was swept',
    (repo, random) => {
      repo.backup(tree(random), LITTLE);
      const made = repo.backup(tree(random, 'second').slice(0, 2), LITTLE);
      repo.remove(...dataPacks(repo, made));
      return { error: { 'd/a.txt': 'E_MISSING' } };
    },
  ),
  'crash-compaction-copied': ok(
    'compaction stopped before the moved object: records are there twice',
    (repo, random) => {
      const made = repo.backup(tree(random), ALONE);
      repo.remove(repo.move(dataPacks(repo, made)[0], [[0, 2]]).moved);
    },
  ),
  'crash-compaction-moved': ok(
    'compaction stopped behind the moved object: old and new pack are there',
    (repo, random) => {
      const made = repo.backup(tree(random), ALONE);
      repo.move(dataPacks(repo, made)[0], [[0, 2]]);
    },
  ),
  'crash-sweep': ok(
    'a sweep stopped halfway: the mark names a pack that is gone and one that is there',
    (repo, random) => {
      const left = repo.backup(tree(random, 'forgotten'), { ...LITTLE, target: 1, snapshot: false });
      repo.backup(tree(random), LITTLE);
      const packs = dataPacks(repo, left);
      repo.mark(packs.slice(0, 2));
      repo.remove(packs[0]);
    },
  ),

  'index-gone': ok('no index object', (repo, random) => void repo.backup(tree(random), LITTLE)),
  'index-wrong': ok('an index with wrong offsets: restore does not use it', (repo, random) => {
    const { packs } = repo.backup(tree(random), LITTLE);
    const lines = [
      streams.indexHead,
      ['P', packs[0], 4096, repo.owner.dd],
      ['R', 512, 40, 1],
      ['C', 0, 1, '0'.repeat(16), '0'.repeat(32)],
    ];
    repo.put({ kind: 'indx', records: [{ plain: ndjson(lines) }] });
  }),
  'index-damaged': vector(
    'E_TAG',
    'an index object with a damaged record: restore does not need it',
    (repo, random) => {
      repo.backup(tree(random));
      const index = [...repo.objects.keys()].find((name) => name.startsWith('index/'));
      repo.objects.set(index, fitTrailer(flip(repo.objects.get(index), 530)));
      return { restore: 'accept' };
    },
  ),
  'snapshots-gone': ok('snapshots/ is empty: the copies in the meta packs are candidates', (repo, random) => {
    const one = repo.backup(tree(random), LITTLE);
    const two = repo.backup(tree(random, 'second'), LITTLE);
    repo.remove(one.id, two.id);
    return { latest: 'none', candidates: [one.id, two.id].join(' ') };
  }),
  'hints-gone': ok('neither README.txt nor backpack.json', (repo, random) => {
    repo.backup(tree(random), LITTLE);
    return { finish: false };
  }),
  'hint-lies': ok(
    'backpack.json names another repository and another key, with a wrong hash',
    (repo, random) => {
      repo.backup(tree(random), LITTLE);
      repo.finish();
      repo.objects.set(
        'backpack.json',
        text(
          '{"backpack":"repository","v":1,"repo":"00000000000000000000000000000000","features":{"incompat":[],"roCompat":[],"compat":[]},"keys":["0000000000000000"],"made":"","xxh64":"0000000000000000"}\n',
        ),
      );
      return { finish: false };
    },
  ),
  'hint-damaged': ok('backpack.json is no JSON', (repo, random) => {
    repo.backup(tree(random), LITTLE);
    repo.objects.set('backpack.json', text('{"backpack":'));
    return { finish: false };
  }),

  'moved-whole': ok('one data pack moved', (repo, random) => void chain(repo, random, 1)),
  'moved-two': ok('two moved objects share the records of one pack', (repo, random) => {
    const [pack] = dataPacks(repo, repo.backup(tree(random), ALONE));
    const all = repo.packs.get(pack).records.length;
    repo.move(pack, [[0, 2]]);
    repo.move(pack, [[2, all - 2]]);
    repo.remove(pack);
  }),
  'moved-overlap': ok('two moved objects cover one record both', (repo, random) => {
    const [pack] = dataPacks(repo, repo.backup(tree(random), ALONE));
    const all = repo.packs.get(pack).records.length;
    repo.move(pack, [[0, 2]]);
    repo.move(pack, [[1, all - 1]]);
    repo.remove(pack);
  }),
  'moved-ranges': ok('one moved object with ranges in another order', (repo, random) => {
    const [pack] = dataPacks(repo, repo.backup(tree(random), ALONE));
    const all = repo.packs.get(pack).records.length;
    repo.move(pack, [
      [2, all - 2],
      [0, 2],
    ]);
    repo.remove(pack);
  }),
  'moved-split-extent': ok('an extent of four records, moved to two packs', (repo, random) => {
    const cuts = (_, data) => Array.from({ length: data.length / 50 }, (__, i) => 50 * (i + 1));
    const [pack] = dataPacks(
      repo,
      repo.backup([{ p: 'a', t: 'f', content: random.bytes(200) }], { ...ALONE, cuts }),
    );
    repo.move(pack, [[0, 1]]);
    repo.move(pack, [[1, 3]]);
    repo.remove(pack);
  }),
  'moved-chain': ok('a pack moved twice', (repo, random) => void chain(repo, random, 2)),
  'moved-chain-8': ok('the longest chain, eight moves', (repo, random) => void chain(repo, random, 8)),
  'moved-meta': ok('the meta pack is moved', (repo, random) => {
    const { meta } = repo.backup(tree(random), LITTLE);
    repo.move(meta, [[0, repo.packs.get(meta).records.length]]);
    repo.remove(meta);
  }),
  'moved-unused-left': ok('the records no snapshot uses were not moved', (repo, random) => {
    const made = repo.backup(tree(random).slice(0, 3), ALONE);
    const [pack] = dataPacks(repo, made);
    const kept = repo.backup(tree(random).slice(0, 2), ALONE);
    repo.move(pack, [[0, 1]]);
    repo.drop([made.id]);
    repo.remove(pack, made.id);
    return { snapshot: kept.id };
  }),
  marked: ok('a mark on the packs of a snapshot hides nothing while they are there', (repo, random) => {
    const { packs } = repo.backup(tree(random), LITTLE);
    repo.mark(packs);
  }),
  dropped: ok('a dropped snapshot is hidden, the other one is not', (repo, random) => {
    const first = repo.backup(tree(random), LITTLE);
    const second = repo.backup(tree(random, 'second'), LITTLE);
    repo.drop([second.id]);
    return { snapshot: first.id, latest: first.id, drop: [second.id], hidden: second.id };
  }),
  'dropped-all': ok('every snapshot is dropped', (repo, random) => {
    const { id } = repo.backup(tree(random), LITTLE);
    repo.drop([id]);
    return { drop: [id], hidden: id, latest: 'none', snapshot: null, listing: [] };
  }),
  'dropped-unknown': ok('a drop object for a snapshot that does not exist', (repo, random) => {
    repo.backup(tree(random), LITTLE);
    repo.drop(['018bcfe56800'.padEnd(40, '5')]);
  }),
  rotated: ok('after a rotation: old containers, new containers, one chunk identity', (repo, random) => {
    const entries = tree(random);
    repo.backup(entries);
    const { kDedup, kChunker } = repo.owner;
    repo.rotate();
    repo.backup([...entries, { p: 'zz', t: 'f', content: text('after the rotation\n') }]);
    return { keyFields: { dedup: kDedup, chunk: kChunker } };
  }),
  'rotated-first': ok('the snapshot from before the rotation', (repo, random) => {
    const { id } = repo.backup(tree(random), LITTLE);
    repo.rotate();
    repo.backup(tree(random, 'second'), LITTLE);
    return { snapshot: id, keyFields: { dedup: repo.owner.kDedup, chunk: repo.owner.kChunker } };
  }),

  'e-key': vector('E_KEY', 'the key of another repository', (repo, random) => {
    repo.backup(tree(random), LITTLE);
    return { key: keyFile({ root: Buffer.alloc(32, 5), repo: repo.repo }), listing: [] };
  }),
  'e-key-old': vector(
    'E_KEY',
    'the snapshot from before the rotation, and the key file has no old=',
    (repo, random) => {
      const { id } = repo.backup(tree(random), LITTLE);
      repo.rotate();
      repo.oldRoots = [];
      repo.backup(tree(random, 'second'), LITTLE);
      return { snapshot: id, listing: [] };
    },
  ),
  'e-repo': vector('E_REPO', 'the repo= of the key file is another one', (repo, random) => {
    repo.backup(tree(random), LITTLE);
    return { key: keyFile({ root: repo.root, repo: 'f'.repeat(32) }), listing: [] };
  }),
  'e-repo-pack': vector(
    'E_REPO',
    'a data pack with the right key and another repository id',
    (repo, random) => {
      const other = new Author({ root: repo.root, repo: 'f'.repeat(32) });
      const made = repo.backup([{ p: 'a', t: 'f', content: random.bytes(50) }], { ...ALONE, pack: {} });
      const [pack] = dataPacks(repo, made);
      repo.put({ kind: 'data', id: pack, author: other, records: repo.packs.get(pack).records });
      return { error: { a: 'E_REPO' } };
    },
  ),
  'e-name-swapped': vector('E_NAME', 'two data packs changed places', (repo, random) => {
    const entries = ['a', 'b'].map((p) => ({ p, t: 'f', content: random.bytes(50) }));
    const [one, two] = dataPacks(repo, repo.backup(entries, { ...LITTLE, target: 1 })).map((id) =>
      objectName('data', id),
    );
    const bytes = repo.objects.get(one);
    repo.objects.set(one, repo.objects.get(two));
    repo.objects.set(two, bytes);
    return { error: { a: 'E_NAME', b: 'E_NAME' } };
  }),
  'e-name-kind': vector('E_NAME', 'an index under the name of the snapshot', (repo, random) => {
    const { id } = repo.backup(tree(random), LITTLE);
    const name = repo.nameOf(id);
    repo.put({ kind: 'indx', id, name, records: [{ plain: ndjson([streams.indexHead]) }] });
    return { listing: [] };
  }),
  'e-missing-data': vector('E_MISSING', 'one of two data packs is gone', (repo, random) => {
    const entries = ['a', 'b'].map((p) => ({ p, t: 'f', content: random.bytes(50) }));
    repo.remove(dataPacks(repo, repo.backup(entries, { ...LITTLE, target: 1 }))[0]);
    return { error: { a: 'E_MISSING' } };
  }),
  'e-missing-meta': vector('E_MISSING', 'the meta pack is gone', (repo, random) => {
    repo.remove(repo.backup(tree(random), LITTLE).meta);
    return { listing: [] };
  }),
  'e-missing-moved': vector('E_MISSING', 'a moved object does not cover a record in use', (repo, random) => {
    const entries = ['a', 'b'].map((p) => ({ p, t: 'f', content: random.bytes(50) }));
    const [pack] = dataPacks(repo, repo.backup(entries, ALONE));
    repo.move(pack, [[0, 1]]);
    repo.remove(pack);
    return { error: { b: 'E_MISSING' } };
  }),
  'e-missing-moved-target': vector('E_MISSING', 'the target of a moved object is gone', (repo, random) => {
    const made = repo.backup([{ p: 'a', t: 'f', content: random.bytes(50) }], ALONE);
    const [pack] = dataPacks(repo, made);
    repo.remove(pack, repo.move(pack, [[0, 1]]).to);
    return { error: { a: 'E_MISSING' } };
  }),
  'e-moved-chain-9': vector('E_MOVED', 'nine moves', (repo, random) => ({
    error: contents(chain(repo, random, 9).listing, 'E_MOVED'),
  })),
  'e-moved-loop': vector('E_MOVED', 'two packs moved to each other', (repo, random) => {
    const made = repo.backup([{ p: 'a', t: 'f', content: random.bytes(50) }], ALONE);
    const [pack] = dataPacks(repo, made);
    const { to } = repo.move(pack, [[0, 1]]);
    const back = [streams.movedHead(to, repo.owner.writer), ['V', 0, 1, pack, 0]];
    repo.put({ kind: 'move', old: to, records: [{ plain: ndjson(back) }] });
    repo.remove(pack, to);
    return { error: { a: 'E_MOVED' } };
  }),
  'e-moved-self': vector('E_MOVED', 'a pack moved to itself', (repo, random) => {
    const [pack] = dataPacks(repo, repo.backup([{ p: 'a', t: 'f', content: random.bytes(50) }], ALONE));
    repo.put({
      kind: 'move',
      old: pack,
      records: [{ plain: ndjson([streams.movedHead(pack, repo.owner.writer), ['V', 0, 1, pack, 0]]) }],
    });
    repo.remove(pack);
    return { error: { a: 'E_MOVED' } };
  }),
  'e-hash': vector('E_HASH', 'x of one file is wrong', (repo) => {
    changedPage(repo, (lines) => {
      lines[1].x = '0123456789abcdef';
    });
    return { error: { a: 'E_HASH' } };
  }),
  'e-hash-swapped': vector(
    'E_HASH',
    'a page leads to the content of another file of the same length',
    (repo) => {
      changedPage(repo, (lines) => {
        lines[1].e = lines[2].e;
      });
      return { error: { a: 'E_HASH' } };
    },
  ),
  'e-extent-record': vector('E_EXTENT', 'a record ordinal the pack does not have', (repo) => {
    changedPage(repo, (lines) => {
      lines[1].e[0][1] = 9;
    });
    return { error: { a: 'E_EXTENT' } };
  }),
  'e-extent-count': vector('E_EXTENT', 'more records than the pack has', (repo) => {
    changedPage(repo, (lines) => {
      lines[1].e = [[0, 0, 9, 13]];
    });
    return { error: { a: 'E_EXTENT' } };
  }),
  'e-extent-length': vector('E_EXTENT', 'whole records that are not as long as the extent says', (repo) => {
    changedPage(repo, (lines) => {
      lines[1].e = [[0, 0, 2, 13]];
    });
    return { error: { a: 'E_EXTENT' } };
  }),
  'e-extent-offset': vector('E_EXTENT', 'a part that ends outside its record', (repo) => {
    changedPage(repo, (lines) => {
      lines[1].e = [[0, 0, 1, 13, 1]];
    });
    return { error: { a: 'E_EXTENT' } };
  }),
  'e-extent-chunks': vector(
    'E_EXTENT',
    'right bytes, but an extent that ends inside a chunk: check finds it, restore works',
    (repo) => {
      changedPage(repo, (lines) => {
        lines[1].e = [
          [0, 0, 1, 6],
          [0, 0, 1, 7, 6],
        ];
      });
      return { restore: 'accept' };
    },
  ),
  'e-tag-record': vector('E_TAG', 'a damaged record costs one file', (repo, random) => {
    const [pack] = dataPacks(repo, repo.backup(tree(random), ALONE));
    repo.change(pack, (bytes) => fitTrailer(flip(bytes, 530)));
    return { error: { 'd/a.txt': 'E_TAG' } };
  }),
  'e-tag-page': vector('E_TAG', 'a damaged page costs its entries', (repo, random) => {
    const entries = Array.from({ length: 4 }, (_, i) => ({ p: `n${i}`, t: 'f', content: random.bytes(20) }));
    const { meta, listing } = repo.backup(entries, { ...ALONE, cut: { min: 1, mask: 0n, max: 1048576 } });
    repo.change(meta, (bytes) => fitTrailer(flip(bytes, 530)));
    return { listing: listing.slice(1) };
  }),
  'e-tag-snapshot': vector('E_TAG', 'the root line of the snapshot is damaged', (repo, random) => {
    const { id } = repo.backup(tree(random), LITTLE);
    repo.change(id, (bytes) => fitTrailer(flip(bytes, 530)));
    return { listing: [], candidates: id };
  }),
  'e-commit-pack': vector('E_COMMIT', 'the commitment of a data pack is damaged', (repo, random) => {
    const made = repo.backup([{ p: 'a', t: 'f', content: random.bytes(50) }], ALONE);
    const zero = Buffer.from('0'.repeat(64));
    const commits = (bytes) => [447, bytes.length - 512 + 250];
    repo.change(dataPacks(repo, made)[0], (bytes) =>
      fitTrailer(commits(bytes).reduce((out, at) => overwrite(out, at, zero), bytes)),
    );
    return { error: { a: 'E_COMMIT' } };
  }),
  'e-trunc-pack': vector('E_TRUNC', 'a data pack cut to half', (repo, random) => {
    const made = repo.backup([{ p: 'a', t: 'f', content: random.bytes(50) }], ALONE);
    repo.change(dataPacks(repo, made)[0], (bytes) => bytes.subarray(0, bytes.length / 2));
    return { error: { a: 'E_TRUNC' } };
  }),
  'e-path': vector('E_PATH', 'a page with the path `../b`', (repo) => {
    changedPage(repo, (lines) => {
      lines[2].p = '../b';
    });
    return { listing: [] };
  }),
  'e-order-link': vector('E_ORDER', 'a file below a symlink', (repo) => {
    const entries = [
      { p: 'a', t: 'l', l: '/tmp' },
      { p: 'b', t: 'f', content: text('x') },
    ];
    changedPage(
      repo,
      (lines) => {
        lines[2].p = 'a/b';
      },
      entries,
    );
    return { listing: [] };
  }),
  'e-order-across-pages': vector(
    'E_ORDER',
    'the second page begins before the end of the first',
    (repo, random) => {
      const entries = ['a', 'b'].map((p) => ({ p, t: 'f', content: random.bytes(20) }));
      repo.backup(entries, {
        ...ALONE,
        cut: { min: 1, mask: 0n, max: 1048576 },
        pages: (pages) => pages.toReversed(),
      });
      return { listing: [] };
    },
  ),
  'e-need-feature': vector(
    'E_NEED',
    'backpack.json has an incompatible feature the snapshot does not name',
    (repo, random) => {
      repo.backup(tree(random), LITTLE);
      return { finish: { features: { incompat: ['colour'], roCompat: [], compat: [] } }, listing: [] };
    },
  ),
  'e-need-snapshot': vector('E_NEED', 'the snapshot has an incompatible feature', (repo, random) => {
    repo.backup(tree(random), {
      ...LITTLE,
      fields: { features: { incompat: ['colour'], roCompat: [], compat: [] } },
    });
    return { listing: [] };
  }),
  'e-json-page': vector('E_JSON', 'a page that is no JSON', (repo) => {
    changedPage(repo, () => concat(pageHead([]), text('{"p":\n')));
    return { listing: [] };
  }),
  'e-limit-line': vector('E_LIMIT', 'a line of 1 MiB and one byte', (repo) => {
    const entry = (length) => ({ p: 'a', t: 'd', m: '0.000000000', o: '0755', q: 'x'.repeat(length) });
    const rest = JSON.stringify(entry(0)).length + 1;
    changedPage(repo, (lines) => [lines[0], entry(1048577 - rest)]);
    return { listing: [] };
  }),
  'line-1m': ok('a line of exactly 1 MiB', (repo) => {
    const entry = (length) => ({
      p: 'a',
      t: 'd',
      m: '1700000000.000000000',
      o: '0755',
      u: 1000,
      g: 1000,
      q: 'x'.repeat(length),
    });
    const rest = JSON.stringify(entry(0)).length + 1;
    changedPage(repo, (lines) => [lines[0], entry(1048576 - rest)], [{ p: 'a', t: 'd' }]);
  }),
  'e-limit-page': vector('E_LIMIT', 'a page of more than 2 MiB', (repo) => {
    const entry = (p) => ({ p, t: 'd', m: '0.000000000', o: '0755', q: 'x'.repeat(700000) });
    changedPage(repo, (lines) => [lines[0], entry('a'), entry('b'), entry('c')]);
    return { listing: [] };
  }),
  'e-writer-pack': vector(
    'E_WRITER',
    'a K line of a write-only writer names a pack of the root',
    (repo, random) => {
      crossed(repo, random, (victim) => ({ stream: withPack(repo, victim.packs[0]) }));
      return { listing: [] };
    },
  ),
  'e-writer-page': vector(
    'E_WRITER',
    'K line, page and extent of a write-only writer lead to a pack of the root',
    (repo, random) => {
      crossed(repo, random, (victim) => {
        const { x, s, e } = pageEntries(repo, victim).find((one) => one.p === 'd/b.bin');
        const line = { p: 'stolen', t: 'f', s, m: '1700000000.000000000', o: '0644', x, e };
        const [pack] = victim.packs;
        return { pages: ([page]) => [withFile(page, line, pack)], stream: withPack(repo, pack) };
      });
      return { listing: [] };
    },
  ),
  'e-writer-other': vector(
    'E_WRITER',
    'a snapshot of one write-only writer leads to a page of another',
    (repo, random) => {
      const victim = repo.backup(tree(random).slice(0, 2), { ...LITTLE, author: repo.writer(V) });
      const packs = victim.packs.map((id) => ['K', id, repo.packs.get(id).size]);
      repo.backup([], {
        ...LITTLE,
        author: repo.writer(W),
        stream: (values) => [values[0], ...packs, ...values.slice(1), ['G', 1, 0, 2, 'd', 'd/a.txt']],
      });
      return { listing: [] };
    },
  ),
  'e-kind-extent': vector('E_KIND', 'an extent in a meta pack', (repo, random) => {
    const { meta } = repo.backup([{ p: 'a', t: 'f', content: random.bytes(20) }], ALONE);
    const [{ plain }] = repo.packs.get(meta).records;
    const line = {
      p: 'c',
      t: 'f',
      s: plain.length,
      m: '1700000000.000000000',
      o: '0644',
      x: xxh64hex(plain),
      e: [[0, 0, 1, plain.length]],
    };
    repo.backup([{ p: 'b', t: 'd' }], {
      ...ALONE,
      pages: ([page]) => [withFile(page, line, meta)],
      stream: withPack(repo, meta),
    });
    return { listing: [] };
  }),
  'e-kind-page': vector('E_KIND', 'a G line that leads to a data pack', (repo, random) => {
    const entries = [{ p: 'a', t: 'f', content: random.bytes(20) }];
    repo.backup(entries, {
      ...ALONE,
      stream: (values) => values.map((line) => (line[0] === 'G' ? line.with(1, 0) : line)),
    });
    return { listing: [] };
  }),
  'e-order-page-entries': vector('E_ORDER', 'a G line that counts one entry too many', (repo) => {
    const entries = [{ p: 'a', t: 'd' }];
    repo.backup(entries, {
      ...ALONE,
      stream: (values) => values.map((line) => (line[0] === 'G' ? line.with(3, 2) : line)),
    });
    return { listing: [] };
  }),
  'e-order-page-last': vector('E_ORDER', 'a G line with another last path than its page', (repo) => {
    const entries = [{ p: 'a', t: 'd' }];
    repo.backup(entries, {
      ...ALONE,
      stream: (values) => values.map((line) => (line[0] === 'G' ? line.with(5, 'b') : line)),
    });
    return { listing: [] };
  }),
  'e-hash-chunk': vector(
    'E_HASH',
    'the table has a wrong XXH64 for a chunk: check finds it, restore works',
    (repo, random) => {
      const table = (lines) =>
        lines.map((line) => (line[0] === 'C' ? line.with(3, '0123456789abcdef') : line));
      repo.backup([{ p: 'a', t: 'f', content: random.bytes(20) }], { ...ALONE, pack: { table } });
      return { restore: 'accept' };
    },
  ),
  rollback: vector(
    'E_ROLLBACK',
    'the client saw a later snapshot, which is gone without a drop object',
    (repo, random) => {
      const first = repo.backup(tree(random), LITTLE);
      const second = repo.backup(tree(random, 'second'), LITTLE);
      repo.remove(second.id);
      return { snapshot: first.id, seen: `${second.id} ${second.root.seq}`, listing: [] };
    },
  ),
  'rollback-known': vector(
    'E_ROLLBACK',
    'the snapshot names one in prev and known that is gone',
    (repo, random) => {
      const first = repo.backup(tree(random), LITTLE);
      repo.backup(tree(random, 'second'), LITTLE);
      repo.remove(first.id);
      return { restore: 'accept' };
    },
  ),
  'rollback-dropped': ok('the client saw a later snapshot, which a drop object names', (repo, random) => {
    const first = repo.backup(tree(random), LITTLE);
    const second = repo.backup(tree(random, 'second'), LITTLE);
    repo.drop([second.id]);
    repo.remove(second.id);
    return { snapshot: first.id, seen: `${second.id} ${second.root.seq}` };
  }),
  'rollback-none': ok('the client saw the snapshot that is there', (repo, random) => {
    const { id, root } = repo.backup(tree(random), LITTLE);
    return { seen: `${id} ${root.seq}` };
  }),
};

/** Entries of the first page of a backup, k as in that page. */
function pageEntries(repo, made) {
  const [record] = repo.packs.get(made.meta).records;
  return record.plain
    .toString()
    .trimEnd()
    .split('\n')
    .slice(1)
    .map((line) => JSON.parse(line));
}
