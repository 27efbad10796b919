import { spawnSync } from 'node:child_process';
import crypto from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { type FileSpec, lz4jsBlock, recover, TestRepository, temporary } from './writer.ts';

const text = (n: number, seed = 7) =>
  Buffer.from(Array.from({ length: n }, (_, i) => 97 + (((i * seed) >> 3) % 11)));
const sample = (): FileSpec[] => [
  { path: 'a' },
  { path: 'a/one', content: text(3000) },
  { path: 'a/two', content: Buffer.from('two') },
  { path: 'a!', content: Buffer.from('after the folder') },
  { path: 'empty', content: Buffer.alloc(0) },
  { path: 'link', t: 'l', extra: { l: 'a/one' } },
];
/** Every path below a folder with its content (files), target (links) or nothing (folders). */
function tree(dir: string, prefix = ''): Record<string, string> {
  const found: Record<string, string> = {};
  if (!fs.existsSync(dir)) return found;
  for (const d of fs.readdirSync(dir, { withFileTypes: true })) {
    const full = path.join(dir, d.name);
    if (d.isDirectory())
      Object.assign(found, { [`${prefix}${d.name}/`]: '' }, tree(full, `${prefix}${d.name}/`));
    else
      found[prefix + d.name] = d.isSymbolicLink()
        ? `-> ${fs.readlinkSync(full)}`
        : fs.readFileSync(full, 'latin1');
  }
  return found;
}
const codesIn = (s: string) => [...new Set(s.match(/\bE_[A-Z0-9]+/g) ?? [])];

test('list, ls, restore, verify of a plain repository, LZ4 blocks and several pages', () => {
  const r = new TestRepository();
  const { id } = r.snapshot(sample(), { pages: 3, frame: { block: lz4jsBlock } });
  const { code, to, err } = r.restore();
  expect([code, err]).toEqual([0, '']);
  expect(tree(to)).toEqual({
    'a/': '',
    'a/one': text(3000).toString(),
    'a/two': 'two',
    'a!': 'after the folder',
    empty: '',
    link: '-> a/one',
  });
  expect(fs.statSync(path.join(to, 'a/one')).mtimeMs).toBe(1_700_000_000_000);
  expect(fs.statSync(path.join(to, 'a')).mode & 0o777).toBe(0o755);
  expect(fs.statSync(path.join(to, 'a')).mtimeMs).toBe(1_700_000_000_000);
  expect(r.run('verify')).toMatchObject({ code: 0 });
  expect(r.run('list').out).toContain(id.slice(12, 20));
  expect(r.run('list', '--json').out).toContain(`"id":"${id}"`);
  expect(
    r
      .run('ls', `${id.slice(12, 18)}:a`)
      .out.trim()
      .split('\n').length,
  ).toBe(3);
  expect(tree(r.restore('latest:a/two').to)).toEqual({ 'a/': '', 'a/two': 'two' });
  expect(r.restore('latest:nowhere')).toMatchObject({ code: 1 });
  expect(r.restore('ffff')).toMatchObject({ code: 1 });
});

test('changed bytes are found; restore gives the same tree, less, or *.damaged', () => {
  const r = new TestRepository();
  const { data, meta, snap } = r.snapshot([
    { path: 'a' },
    { path: 'a/one', content: text(300) },
    { path: 'a!', content: text(9) },
  ]);
  const good = tree(r.restore().to);
  let step = 0;
  for (const { name } of [data, meta, snap]) {
    const file = path.join(r.dir, name);
    const bytes = fs.readFileSync(file);
    for (let i = 0; i < bytes.length; i += name === data.name ? 2 : 7) {
      const bad = Buffer.from(bytes);
      bad[i] = (bad[i] as number) ^ (1 << (i % 8));
      fs.writeFileSync(file, bad);
      const v = r.run('verify');
      expect([4, 12, 15], `${name} byte ${i}: ${v.out}${v.err}`).toContain(v.code);
      if (step++ % 5) continue;
      const out = r.restore();
      const have = tree(out.to);
      for (const [p, content] of Object.entries(have))
        if (!p.endsWith('.damaged')) expect(content, p).toBe(good[p]);
      if (out.code === 0) expect(have).toEqual(good);
      fs.rmSync(path.dirname(out.to), { recursive: true });
    }
    fs.writeFileSync(file, bytes);
  }
}, 60_000);

test('a container cut or lengthened at any place is refused', () => {
  const r = new TestRepository();
  const { data } = r.snapshot(sample().slice(0, 3));
  const file = path.join(r.dir, data.name);
  const bytes = fs.readFileSync(file);
  for (let n = 0; n < bytes.length; n += 37) {
    fs.writeFileSync(file, bytes.subarray(0, n));
    const { code, out } = r.run('verify');
    expect([code, codesIn(out).includes('E_TRUNC')], `${n}: ${out}`).toEqual([4, true]);
  }
  for (const n of [1, 100, 513]) {
    fs.writeFileSync(file, Buffer.concat([bytes, Buffer.alloc(n, 65)]));
    const { code, out } = r.run('verify');
    expect([code, codesIn(out).some((c) => c === 'E_EXTRA' || c === 'E_TRUNC')], out).toEqual([4, true]);
  }
});

test('a damaged header is rebuilt from the trailer', () => {
  const r = new TestRepository();
  const { data } = r.snapshot(sample());
  const file = path.join(r.dir, data.name);
  const bytes = fs.readFileSync(file);
  bytes.fill(0, 0, 512);
  fs.writeFileSync(file, bytes);
  const { code, to, err } = r.restore();
  expect(code).toBe(4);
  expect(err).toContain('rebuilt');
  expect(Object.keys(tree(to)).length).toBe(6);
});

const hostile: [string, FileSpec[], string, number][] = [
  ['dot dot', [{ path: '../evil', content: Buffer.from('x') }], 'E_PATH', 4],
  ['dot dot inside', [{ path: 'a' }, { path: 'a/../../evil', content: Buffer.from('x') }], 'E_PATH', 4],
  ['absolute', [{ path: '/evil', content: Buffer.from('x') }], 'E_PATH', 4],
  ['NUL', [{ path: [Buffer.from('e\0vil').toString('base64')], content: Buffer.from('x') }], 'E_PATH', 4],
  [
    'through a link',
    [
      { path: 'l', t: 'l', extra: { l: '..' } },
      { path: 'l/evil', content: Buffer.from('x') },
    ],
    'E_ORDER',
    4,
  ],
  ['without parent', [{ path: 'a/evil', content: Buffer.from('x') }], 'E_ORDER', 4],
  [
    'twice',
    [
      { path: 'a', content: Buffer.from('x') },
      { path: 'a', content: Buffer.from('y') },
    ],
    'E_ORDER',
    4,
  ],
  ['not sorted', [{ path: 'a!' }, { path: 'a' }], 'E_ORDER', 4],
  ['size 2^53', [{ path: 'a', content: Buffer.from('x'), extra: { s: 2 ** 53 } }], 'E_JSON', 4],
  ['size negative', [{ path: 'a', content: Buffer.from('x'), extra: { s: -1 } }], 'E_JSON', 4],
  ['size too large', [{ path: 'a', content: Buffer.from('x'), extra: { s: 2 } }], 'E_EXTENT', 4],
  ['size too small', [{ path: 'a', content: Buffer.from('xy'), extra: { s: 1 } }], 'E_EXTENT', 4],
  ['other content', [{ path: 'a', content: Buffer.from('x'), extra: { x: '0'.repeat(16) } }], 'E_HASH', 4],
  [
    'no such record',
    [
      { path: 'a', content: Buffer.from('x'), extra: { e: [[0, 9, 1, 1]] } },
      { path: 'b', content: Buffer.from('y') },
    ],
    'E_EXTENT',
    4,
  ],
  [
    'beyond the record',
    [
      { path: 'a', content: Buffer.from('x'), extra: { e: [[0, 0, 1, 1, 7]] } },
      { path: 'b', content: Buffer.from('y') },
    ],
    'E_EXTENT',
    4,
  ],
  ['needs something', [{ path: 'a', content: Buffer.from('x'), extra: { need: ['future'] } }], 'E_NEED', 15],
  [
    'huge count',
    [
      { path: 'a', content: Buffer.from('x'), extra: { e: [[0, 0, 4294967295, 1]] } },
      { path: 'b', content: Buffer.from('y') },
    ],
    'E_EXTENT',
    4,
  ],
];
test.each(hostile)('hostile entries stay inside and are reported: %s', (_, files, expected, exit) => {
  const r = new TestRepository();
  r.snapshot([...files, { path: 'zz-good', content: Buffer.from('good') }]);
  const { code, to, err } = r.restore();
  expect(codesIn(err)).toContain(expected);
  expect(code).toBe(exit);
  expect(fs.readdirSync(path.dirname(to))).toEqual(['out']);
  expect(tree(to)['zz-good']).toBe('good');
  expect(Object.keys(tree(to)).join()).not.toContain('evil');
  const kept = tree(to);
  if (kept['a'] !== undefined) expect(expected).toBe('E_ORDER');
});

test('any odd value anywhere in the JSON is an error with a code, never a crash', () => {
  const odd: unknown[] = [
    null,
    true,
    {},
    [],
    [{}],
    -1,
    1.5,
    2 ** 60,
    '',
    'x',
    '\u0000',
    [''],
    { toString: 1 },
  ];
  const run = (r: TestRepository, what: string) => {
    for (const args of [['ls'], ['list'], ['verify'], ['verify', '--json']])
      expect([0, 1, 4, 15], what).toContain(r.run(...args).code);
    expect([0, 1, 3, 4, 15], what).toContain(r.restore().code);
  };
  const root = [
    'id',
    'seq',
    'time',
    'host',
    'set',
    'roots',
    'parents',
    'prev',
    'known',
    'replaces',
    'partial',
    'features',
    'params',
    'stats',
    'v',
    'need',
  ];
  const keys = ['p', 't', 's', 'm', 'o', 'u', 'g', 'hl', 'l', 'xa', 'x', 'n', 'e', 'need'];
  for (const value of odd) {
    const r = new TestRepository();
    for (const key of root)
      r.snapshot([{ path: 'a', content: Buffer.from('x') }], { root: { [key]: value } });
    r.snapshot([{ path: 'a', content: Buffer.from('x') }], {
      root: { stats: { files: value, bytes: value }, features: { incompat: value } },
    });
    run(r, JSON.stringify(value));
    for (const t of ['f', 'l']) {
      const q = new TestRepository();
      q.snapshot(
        keys.map((key, i) => ({
          path: `f${String(i).padStart(2, '0')}`,
          content: Buffer.from('x'),
          t,
          extra: { l: 'x', [key]: value },
        })),
      );
      run(q, JSON.stringify(value));
    }
    const table = new TestRepository();
    for (const line of [
      '["R",V,1,1]',
      '["C",0,V,"0","0"]',
      '["F",V,"a",1,"0.000000000"]',
      '["F",0,V,1,"0.000000000"]',
      '["O",V,0,1]',
      'V',
      '[V]',
    ]) {
      table.container({
        kind: 'meta',
        records: [],
        table: (t) => `${t}${line.replace('V', JSON.stringify(value))}\n`,
      });
    }
    table.snapshot(sample());
    run(table, JSON.stringify(value));
  }
});

test('nothing in the target is overwritten or followed', () => {
  const r = new TestRepository();
  r.snapshot(sample());
  const to = path.join(temporary(), 'out');
  const outside = temporary();
  fs.mkdirSync(to);
  fs.symlinkSync(outside, path.join(to, 'a'));
  fs.writeFileSync(path.join(to, 'empty'), 'mine');
  fs.symlinkSync('/nowhere', path.join(to, 'a!'));
  const { code, err } = r.run('restore', '--to', to);
  expect(code).toBe(3);
  expect(fs.readdirSync(outside)).toEqual([]);
  expect(fs.readFileSync(path.join(to, 'empty'), 'utf8')).toBe('mine');
  expect(err).toContain('existing files are never overwritten');
  expect(fs.readlinkSync(path.join(to, 'link'))).toBe('a/one');
});

test('the parts that keep a restore inside hold by themselves', () => {
  const dir = temporary();
  const target = new recover.Target(dir, () => {});
  fs.writeFileSync(path.join(dir, 'there'), 'mine');
  fs.symlinkSync('/', path.join(dir, 'link'));
  expect(() => target.create(Buffer.from('there'))).toThrow(/EEXIST/);
  expect(() => target.create(Buffer.from('link'))).toThrow(/EEXIST/);
  fs.writeFileSync(path.join(dir, 'new'), 'new');
  expect(() => target.publish(Buffer.from('new'), Buffer.from('there'))).toThrow(/EEXIST/);
  expect(fs.readFileSync(path.join(dir, 'there'), 'utf8')).toBe('mine');
  // Nobody else may look into what is not finished.
  fs.closeSync(target.create(Buffer.from('unfinished')));
  expect(fs.statSync(path.join(dir, 'unfinished')).mode & 0o777).toBe(0o600);
  target.goTo(Buffer.from('open/file'));
  expect(fs.statSync(path.join(dir, 'open')).mode & 0o777).toBe(0o700);
  expect(() => target.openFolder(Buffer.from(path.join(dir, 'link')))).toThrow(/ELOOP|ENOTDIR/);
  expect(() => target.goTo(Buffer.from('a/../../x'))).toThrow(recover.Bad);
  expect(() => target.goTo(Buffer.from('link/x'))).toThrow('something else');
  // a folder that is swapped for a link while it is being filled: the open folder is used, not the name
  const name = target.goTo(Buffer.from('d/file'));
  const outside = temporary();
  fs.renameSync(path.join(dir, 'd'), path.join(dir, 'moved'));
  fs.symlinkSync(outside, path.join(dir, 'd'));
  if (target.handles) {
    fs.closeSync(target.create(name));
    expect([fs.readdirSync(outside), fs.readdirSync(path.join(dir, 'moved'))]).toEqual([[], ['file']]);
  } else expect(() => target.create(name)).toThrow('replaced');
  target.finish();
});

test('folders deeper than may be open at once', () => {
  const r = new TestRepository();
  const parts = Array.from({ length: 150 }, (_, i) => `d${i}`);
  const files: FileSpec[] = parts.map((_, i) => ({ path: parts.slice(0, i + 1).join('/') }));
  files.push({ path: `${parts.join('/')}/f`, content: Buffer.from('deep') });
  files.push({ path: `${parts.slice(0, 2).join('/')}/z`, content: Buffer.from('back') });
  r.snapshot(files);
  const { code, to, err } = r.restore();
  expect([code, err]).toEqual([0, '']);
  expect(fs.readFileSync(path.join(to, ...parts, 'f'), 'utf8')).toBe('deep');
  expect(fs.readFileSync(path.join(to, 'd0/d1/z'), 'utf8')).toBe('back');
  expect(fs.statSync(path.join(to, ...parts.slice(0, 100))).mtimeMs).toBe(1_700_000_000_000);
});

test('large files: partial name first, holes stay holes, damage keeps NAME.damaged', () => {
  const r = new TestRepository();
  const part = crypto.randomBytes(3 << 20);
  const zeros = Buffer.alloc(5 << 20);
  const whole = Buffer.concat([part, zeros, part]);
  const e = [
    [0, 0, 1, part.length],
    [-1, 0, 0, zeros.length],
    [0, 1, 1, part.length],
  ];
  const big: FileSpec = { path: 'big', content: whole, extra: { e } };
  const { data } = r.snapshot([{ path: 'a', content: part }, { path: 'b', content: part }, big]);
  const { code, to, err } = r.restore();
  expect([code, err]).toEqual([0, '']);
  expect(fs.readFileSync(path.join(to, 'big')).equals(whole)).toBe(true);
  expect(fs.statSync(path.join(to, 'big')).blocks * 512).toBeLessThan(7 << 20);
  expect(r.run('verify')).toMatchObject({ code: 0 });
  const file = path.join(r.dir, data.name);
  const bytes = fs.readFileSync(file);
  bytes[bytes.length - 5000] = (bytes[bytes.length - 5000] as number) ^ 1;
  fs.writeFileSync(file, bytes);
  const second = r.restore();
  expect(second.code).toBe(4);
  expect(fs.readdirSync(second.to).sort()).toEqual(['a', 'big.damaged']);
  const kept = fs.readFileSync(path.join(second.to, 'big.damaged'));
  expect(kept.equals(Buffer.concat([part, zeros, Buffer.alloc(part.length)]))).toBe(true);
  expect(r.run('verify').err).toContain('affects');
});

test('hard links, modes, negative times, base64 names, what cannot be made', () => {
  const r = new TestRepository();
  const content = Buffer.from('same');
  const raw = Buffer.from([0x6e, 0xff, 0x0a]);
  r.snapshot(
    [
      { path: 'fifo', t: 'p' },
      { path: 'first', content, extra: { hl: '1:5', o: '0600' } },
      { path: [raw.toString('base64')], content: Buffer.from('raw') },
      { path: 'old', content: Buffer.from('old'), extra: { m: '-1.500000000' } },
      { path: 'second', content, extra: { hl: '1:5', o: '0600' } },
      { path: 'strange', t: 'z', extra: { m: '0.000000000', o: '0644' } },
      { path: 'with', content: Buffer.from('xattr'), extra: { xa: [['user.a', 'YQ==']] } },
    ].sort((a, b) => Buffer.compare(bytesOf(a.path), bytesOf(b.path))) as FileSpec[],
  );
  const { code, to, err, out } = r.restore();
  expect(code).toBe(3);
  expect(out).toContain(': 5 files, 19 B, 0 folders, 0 links');
  expect(err).toContain('FIFO');
  expect(err).toContain('unknown type');
  expect(err).toContain('1 extended attribute:');
  const one = fs.statSync(path.join(to, 'first'));
  expect([one.ino, one.mode & 0o777]).toEqual([fs.statSync(path.join(to, 'second')).ino, 0o600]);
  expect(fs.statSync(path.join(to, 'old')).mtimeMs).toBe(-500);
  expect(fs.readFileSync(Buffer.concat([Buffer.from(`${to}/`), raw]), 'utf8')).toBe('raw');
});

test('what is there keeps its mode; zeros are zeros after other files', () => {
  const r = new TestRepository();
  const zeros = { s: 3000, x: recover.xxh64(Buffer.alloc(3000)), e: [[-2, 0, 0, 3000]] };
  r.snapshot([
    { path: 'd', t: 'd', extra: { o: '0777' } },
    { path: 'd/a', content: text(3000) },
    { path: 'd/b', extra: zeros, t: 'f' },
  ]);
  const to = temporary();
  fs.mkdirSync(path.join(to, 'd'), { mode: 0o700 });
  expect(r.run('restore', '--to', to)).toMatchObject({ code: 0 });
  expect(fs.statSync(path.join(to, 'd')).mode & 0o777).toBe(0o700);
  expect(fs.readFileSync(path.join(to, 'd/b')).equals(Buffer.alloc(3000))).toBe(true);
});

test.skipIf(process.getuid?.() !== 0)(
  'owners, setuid, access times and times of links come back for root',
  () => {
    const r = new TestRepository();
    const content = Buffer.from('x');
    const owner = { u: 1234, g: 4321 };
    r.snapshot([
      { path: 'file', content, extra: { ...owner, o: '6755', a: '5.000000000' } },
      { path: 'link', t: 'l', extra: { ...owner, l: 'file', m: '7.000000000' } },
      { path: 'nobody', content, extra: { u: 2 ** 40, g: 1, o: '6755' } },
    ]);
    const { to } = r.restore();
    const stat = (name: string) => fs.lstatSync(path.join(to, name));
    expect(stat('file')).toMatchObject({ uid: 1234, gid: 4321, atimeMs: 5000 });
    expect(stat('file').mode & 0o7777).toBe(0o6755);
    expect(stat('link')).toMatchObject({ uid: 1234, gid: 4321, mtimeMs: 7000 });
    // Set-uid for someone else than the owner would be a gift.
    expect(stat('nobody').mode & 0o7777).toBe(0o755);
  },
);
const bytesOf = (p: string | string[]) =>
  typeof p === 'string' ? Buffer.from(p) : Buffer.from(p[0] as string, 'base64');

test('snapshots lost: copies at the end of meta packs; packs alone: scan', () => {
  const r = new TestRepository();
  r.snapshot(sample());
  fs.rmSync(path.join(r.dir, 'snapshots'), { recursive: true });
  expect(r.run('list').out).toContain('copy');
  expect(Object.keys(tree(r.restore().to)).length).toBe(6);
  const to = path.join(temporary(), 'scan');
  expect(r.run('scan', '--to', to)).toMatchObject({ code: 0 });
  expect(tree(to)).toEqual({
    'a/': '',
    'a/one': text(3000).toString(),
    'a/two': 'two',
    'a!': 'after the folder',
  });
  expect(r.run('scan', '--to', to)).toMatchObject({ code: 1 });
});

describe('a damaged snapshot', () => {
  /** Two snapshots, the newer one damaged at a place from its end (or start). */
  function twoOf(...places: number[]) {
    const r = new TestRepository();
    const old = r.snapshot([{ path: 'a', content: Buffer.from('1') }]);
    const newer = r.snapshot([{ path: 'b', content: Buffer.from('2') }], { root: { seq: 2, prev: old.id } });
    flip(r, newer.snap.name, places);
    return { r, old, newer };
  }
  function flip(r: TestRepository, name: string, places: number[]): void {
    const file = path.join(r.dir, name);
    const bytes = fs.readFileSync(file);
    for (const at of places) bytes[at < 0 ? bytes.length + at : at]! ^= 1;
    fs.writeFileSync(file, bytes);
  }
  // the second record is what a listing does not read; with both ends gone, nobody says who wrote it
  const inSecondRecord = (r: TestRepository, newer: { snap: { name: string } }): void => {
    const { length } = fs.readFileSync(path.join(r.dir, newer.snap.name));
    const table = Number(
      /table=(\d+)/.exec(
        fs.readFileSync(path.join(r.dir, newer.snap.name), 'latin1').slice(length - 512),
      )?.[1],
    );
    flip(r, newer.snap.name, [table - 20]);
  };

  test('is read from its copy', () => {
    for (const places of [[-520], [60, -300], []]) {
      const { r, newer } = twoOf(...places);
      if (places.length === 0) inSecondRecord(r, newer);
      for (const wanted of ['latest', newer.id]) {
        const { code, to, err } = r.restore(wanted);
        expect([code, tree(to)], err).toEqual([4, { b: '2' }]);
      }
      const { code, out } = r.run('list');
      if (places.length > 0) expect([code, out]).toEqual([4, expect.stringContaining('read from its copy')]);
      expect(r.run('ls').out).toContain('b');
      expect(r.run('verify').code).toBe(4);
    }
  });

  test('without a copy is not replaced by an older one', () => {
    for (const places of [[-520], []]) {
      const { r, old, newer } = twoOf(...places);
      if (places.length === 0) inSecondRecord(r, newer);
      flip(r, newer.meta.name, [-520]);
      for (const wanted of ['latest', '@2100']) {
        const { code, to, err } = r.restore(wanted);
        expect([code, fs.existsSync(to)]).toEqual([4, false]);
        expect(err).toContain('cannot be read');
      }
      expect(tree(r.restore(old.id).to)).toEqual({ a: '1' });
    }
  });

  test('is not read from what another writer says is its copy', () => {
    const { r, old, newer } = twoOf(-520);
    const root = {
      ...{ backpack: 'snapshot', v: 1, id: newer.id, seq: 9, time: '1700000000.000000000', host: 'h' },
      ...{ roots: ['.'], parents: [], prev: null, known: [], partial: false, params: {}, stats: {} },
    };
    r.container({
      kind: 'meta',
      writer: '00000000000000a1',
      records: [Buffer.from(`${JSON.stringify(root)}\n`), Buffer.from(`["K","${old.data.id}",1]\n`)],
    });
    expect(tree(r.restore().to)).toEqual({ b: '2' });
    // now nothing says who wrote it
    flip(r, newer.snap.name, [60, -300]);
    expect(r.restore()).toMatchObject({ code: 4, err: expect.stringContaining('no copy of it was found') });
  });
});

test('drop hides, latest is by seq, partial ones are never latest, lost ones are reported', () => {
  const r = new TestRepository();
  const a = r.snapshot([{ path: 'a', content: Buffer.from('1') }], { root: { seq: 5 } });
  const b = r.snapshot([{ path: 'b', content: Buffer.from('2') }], { root: { seq: 4, prev: a.id } });
  r.snapshot([{ path: 'c', content: Buffer.from('3') }], { root: { seq: 9, partial: true } });
  expect(tree(r.restore().to)).toEqual({ a: '1' });
  r.container({
    kind: 'drop',
    records: [Buffer.from(`{"backpack":"drop","v":1,"time":"0.000000000","why":""}\n["S","${a.id}"]\n`)],
  });
  expect(tree(r.restore().to)).toEqual({ b: '2' });
  expect(r.restore(a.id).code).toBe(1);
  fs.rmSync(path.join(r.dir, 'drop'), { recursive: true });
  fs.rmSync(path.join(r.dir, a.snap.name));
  expect(codesIn(r.run('verify').out)).toContain('E_ROLLBACK');
  expect(tree(r.restore(b.id).to)).toEqual({ b: '2' });
});

test('a pack that is gone is found through moved objects, chains of 8 but not 9, no loops', () => {
  for (const [hops, loop] of [
    [1, false],
    [8, false],
    [9, false],
    [2, true],
  ] as const) {
    const r = new TestRepository();
    const content = text(500);
    const { data } = r.snapshot([{ path: 'f', content }]);
    let from = data.id;
    for (let i = 0; i < hops; i++) {
      const to = loop && i === hops - 1 ? data.id : r.newId();
      const line = JSON.stringify(['V', 0, 1, to, 0]);
      const root = JSON.stringify({ backpack: 'moved', v: 1, from, writer: '0'.repeat(16) });
      r.container({
        kind: 'move',
        name: `moved/${from}-ID.bpk`,
        records: [Buffer.from(`${root}\n${line}\n`)],
      });
      from = to;
    }
    if (!loop) r.container({ kind: 'data', id: from, records: [content], lines: [[r.chunk(content)]] });
    fs.rmSync(path.join(r.dir, data.name));
    const { code, err, to } = r.restore();
    if (hops === 9 || loop) expect([code, codesIn(err)]).toEqual([4, ['E_MOVED']]);
    else expect([code, tree(to)['f']]).toEqual([0, content.toString()]);
  }
});

test('write-only writers: read with the root, refused when packs of another writer are named', () => {
  const r = new TestRepository();
  const w = '00000000000000a1';
  r.snapshot([{ path: 'f', content: text(100) }], { writer: w, packWriter: w });
  expect(r.run('verify')).toMatchObject({ code: 0 });
  expect(tree(r.restore().to)).toEqual({ f: text(100).toString() });
  const s = new TestRepository();
  s.snapshot([{ path: 'f', content: text(100) }], { writer: w });
  const { code, err, to } = s.restore();
  expect([code, codesIn(err), tree(to)]).toEqual([4, ['E_WRITER'], {}]);
});

test('containers with a wrong place, repository, flag or table', () => {
  const bad: [string, (r: TestRepository) => unknown][] = [
    ['E_NAME', (r) => r.container({ kind: 'data', name: `index/ID.bpk`, records: [] })],
    ['E_NAME', (r) => r.container({ kind: 'snap', name: 'snapshots/20200101T000000Z-ID.bpk', records: [] })],
    ['E_NAME', (r) => fs.writeFileSync(path.join(r.dir, 'packs', 'x.txt'), 'x')],
    [
      'E_REPO',
      (r) =>
        r.container({
          kind: 'data',
          records: [],
          header: (h) => h.replace(/repo=./, (m) => (m === 'repo=0' ? 'repo=1' : 'repo=0')),
        }),
    ],
    [
      'E_KEY',
      (r) =>
        r.container({
          kind: 'data',
          records: [],
          header: (h) => h.replace(/keyid=./, (m) => (m === 'keyid=0' ? 'keyid=1' : 'keyid=0')),
        }),
    ],
    [
      'E_FLAG',
      (r) =>
        r.container({
          kind: 'data',
          records: [],
          header: (h) => h.replace('flags=00000000', 'flags=00000002'),
        }),
    ],
    [
      'E_FLAG',
      (r) =>
        r.container({
          kind: 'move',
          name: `moved/${'0'.repeat(40)}-ID.bpk`,
          records: [],
          writer: '00000000000000a1',
        }),
    ],
    [
      'E_SUITE',
      (r) => r.container({ kind: 'data', records: [], header: (h) => h.replace('suite=1', 'suite=2') }),
    ],
    [
      'E_MAJOR',
      (r) =>
        r.container({ kind: 'data', records: [], header: (h) => h.replace('CONTAINER 1', 'CONTAINER 2') }),
    ],
    [
      'E_TABLE',
      (r) =>
        r.container({ kind: 'meta', records: [text(9)], table: (t) => t.replace('["R",512', '["R",513') }),
    ],
    [
      'E_TABLE',
      (r) =>
        r.container({
          kind: 'meta',
          records: [text(9)],
          table: (t) => t.replace('"records":1', '"records":2'),
        }),
    ],
    ['E_TABLE', (r) => r.container({ kind: 'data', records: [text(9)] })],
    ['E_TABLE', (r) => r.container({ kind: 'meta', records: [], table: (t) => `${t}{"a":1,"a":2}\n` })],
    ['E_NEED', (r) => r.container({ kind: 'meta', records: [], table: (t) => `${t}["Z"]\n` })],
    [
      'E_LZ4',
      (r) => r.container({ kind: 'meta', records: [text(9)], table: (t) => t.replace(/,9\]/, ',8]') }),
    ],
    [
      'E_LIMIT',
      (r) => r.container({ kind: 'meta', records: [text(9)], table: (t) => t.replace(/,9\]/, ',99999999]') }),
    ],
    ['E_HASH', (r) => r.container({ kind: 'data', records: [text(9)], lines: [[r.chunk(text(9, 8))]] })],
    ['E_LZ4', (r) => r.container({ kind: 'meta', records: [text(9)], sealed: (p) => p })],
    ['E_JSON', (r) => r.container({ kind: 'drop', records: [Buffer.from('{"backpack":"mark","v":1}\n')] })],
  ];
  for (const [expected, make] of bad) {
    const r = new TestRepository();
    const { id } = r.snapshot(sample());
    make(r);
    const { code, out } = r.run('verify');
    expect(codesIn(out), `${expected}: ${out}`).toEqual([expected]);
    expect([4, 15]).toContain(code);
    // What was put into snapshots/ under a later id might be the latest: then one is named.
    const wanted = fs.readdirSync(path.join(r.dir, 'snapshots')).length > 1 ? id : 'latest';
    expect(Object.keys(tree(r.restore(wanted).to)).length, expected).toBeGreaterThanOrEqual(6);
  }
  const r = new TestRepository();
  expect(r.run('verify', '--repo', temporary())).toMatchObject({ code: 10 });
  expect(r.run('frobnicate')).toMatchObject({ code: 2 });
});

test('extents that are not on whole chunks are found by verify', () => {
  const r = new TestRepository();
  const content = text(100);
  r.snapshot([
    { path: 'a', content },
    { path: 'b', content: content.subarray(0, 50), extra: { e: [[0, 0, 1, 50]] } },
  ]);
  expect(codesIn(r.run('verify').out)).toEqual(['E_EXTENT']);
  expect(r.restore()).toMatchObject({ code: 0 });
});

test('features, backpack.json and the kit', () => {
  const r = new TestRepository();
  r.snapshot(sample());
  const config = path.join(r.dir, 'backpack.json');
  const good = fs.readFileSync(config, 'latin1');
  fs.writeFileSync(config, good.replace('2023', '2024'));
  expect(codesIn(r.run('verify').out)).toEqual(['E_HASH']);
  expect(r.restore()).toMatchObject({ code: 0 });
  const start = good.slice(0, good.lastIndexOf(',"xxh64"')).replace('"incompat":[]', '"incompat":["future"]');
  fs.writeFileSync(config, `${start},"xxh64":"${recover.xxh64(Buffer.from(start))}"}\n`);
  expect(r.restore()).toMatchObject({ code: 15 });
  fs.writeFileSync(config, good);
  const sha = (s: string | Buffer) => crypto.createHash('sha256').update(s).digest('hex');
  fs.mkdirSync(path.join(r.dir, 'recover'));
  fs.writeFileSync(path.join(r.dir, 'README.txt'), 'read me');
  fs.writeFileSync(path.join(r.dir, 'recover/SPEC.md'), 'spec');
  const sums = `${sha('spec')}  SPEC.md\n${sha('read me')}  ../README.txt\n`;
  fs.writeFileSync(path.join(r.dir, 'recover/SHA256SUMS'), sums);
  fs.appendFileSync(r.keyFile, `kit=${sha(sums)}\n`);
  expect(r.run('verify')).toMatchObject({ code: 0 });
  fs.writeFileSync(path.join(r.dir, 'README.txt'), 'read mE');
  expect(codesIn(r.run('verify').out)).toEqual(['E_KIT']);
  fs.writeFileSync(path.join(r.dir, 'README.txt'), 'read me');
  fs.writeFileSync(path.join(r.dir, 'recover/recover.js'), 'evil');
  expect(codesIn(r.run('verify').out)).toEqual(['E_KIT']);
  fs.appendFileSync(path.join(r.dir, 'recover/SHA256SUMS'), `${sha('evil')}  recover.js\n`);
  expect(r.run('verify').out).toContain('do not trust this kit');
});

test('run as a program: no command restores the latest into ./recovered, once', () => {
  const r = new TestRepository();
  r.snapshot(sample());
  const kit = path.join(r.dir, 'recover');
  fs.mkdirSync(kit);
  fs.copyFileSync('recover/recover.js', path.join(kit, 'recover.js'));
  fs.copyFileSync('recover/package.json', path.join(kit, 'package.json'));
  const cwd = temporary();
  const run = () =>
    spawnSync(process.execPath, [path.join(kit, 'recover.js'), '--key', r.keyFile], {
      cwd,
      encoding: 'utf8',
    });
  expect(run().status).toBe(0);
  expect(Object.keys(tree(path.join(cwd, 'recovered'))).length).toBe(6);
  const second = run();
  expect(second.status).toBe(1);
  expect(second.stderr.trim().split('\n').length).toBe(3);
});
