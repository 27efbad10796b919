/**
 * recover/recover.sh against repositories that the small writer below makes on its own, straight from the
 * format: no code of this package takes part, so an error in the package cannot cancel itself out here.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import {
  createCipheriv,
  createHash,
  createHmac,
  createPrivateKey,
  createPublicKey,
  diffieHellman,
  randomBytes,
} from 'node:crypto';
import {
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';
import xxhashWasm from 'xxhash-wasm';

const SCRIPT = fileURLToPath(new URL('../../recover/recover.sh', import.meta.url));
const xxhash = await xxhashWasm();
const h64 = (data: Uint8Array): string => xxhash.h64Raw(data).toString(16).padStart(16, '0');
const installed = (tool: string): boolean => spawnSync('sh', ['-c', `command -v ${tool}`]).status === 0;
const TOOLS = ['openssl', 'lz4', 'jq', 'xxhsum'];
const ready = TOOLS.every(installed);
const SHELLS = [['dash'], ['bash'], ['busybox', 'sh']];

const scratch = mkdtempSync(join(tmpdir(), 'recover-sh-'));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

// ---- the writer ----------------------------------------------------------------------------------------------
const expand = (prk: Buffer, info: string | Buffer): Buffer =>
  createHmac('sha512', prk)
    .update(Buffer.concat([Buffer.from(info), Buffer.from([1])]))
    .digest();
const label = (prk: Buffer, name: string): Buffer => expand(prk, `backpack/1 ${name}`).subarray(0, 32);
const pkcs8 = Buffer.from('302e020100300506032b656e04220420', 'hex');
const x25519 = (seed: Buffer) =>
  createPrivateKey({ key: Buffer.concat([pkcs8, seed]), format: 'der', type: 'pkcs8' });
const publicOf = (key: ReturnType<typeof x25519>): Buffer =>
  createPublicKey(key).export({ format: 'der', type: 'spki' }).subarray(-32);

/** One LZ4 frame; `packed` lets the lz4 tool compress it, else the blocks are stored. */
function frame(data: Buffer, packed = false): Buffer {
  if (packed) {
    const file = join(scratch, 'frame');
    writeFileSync(file, data);
    return execFileSync('lz4', ['-q', '-c', '-B5', '-BI', '--content-size', '--no-frame-crc', file], {
      maxBuffer: 1 << 26,
    });
  }
  const desc = Buffer.alloc(10);
  desc[0] = 0x68;
  desc[1] = 0x50;
  desc.writeBigUInt64LE(BigInt(data.length), 2);
  const parts: Buffer[] = [
    Buffer.from('04224d18', 'hex'),
    desc,
    Buffer.from([(xxhash.h32Raw(desc) >>> 8) & 255]),
  ];
  for (let at = 0; at < data.length; at += 262144) {
    const block = data.subarray(at, at + 262144);
    const size = Buffer.alloc(4);
    size.writeUInt32LE((block.length | 0x80000000) >>> 0);
    parts.push(size, block);
  }
  return Buffer.concat([...parts, Buffer.alloc(4)]);
}

interface Made {
  id: string;
  file: string;
  size: number;
}
type Json = Record<string, unknown>;
const lines = (...rows: unknown[]): Buffer =>
  Buffer.from(rows.map((row) => `${JSON.stringify(row)}\n`).join(''));

class Repo {
  readonly dir: string;
  readonly key: string;
  readonly repo = randomBytes(16).toString('hex');
  root = randomBytes(32);
  writer = '';
  flags = '';
  #clock = 1_700_000_000_000;
  #seq = 0;

  constructor() {
    const home = mkdtempSync(join(scratch, 'r'));
    this.dir = join(home, 'repo');
    this.key = join(home, 'key.bin');
    for (const name of ['packs', 'snapshots']) mkdirSync(join(this.dir, name), { recursive: true });
    this.writeKey();
  }
  keyid(root = this.root): string {
    return label(root, 'keyid').subarray(0, 8).toString('hex');
  }
  writeKey(more = '', eol = '\n'): void {
    const text = `BACKPACK-KEY 1\nThis file opens the Backpack repository below. Keep copies offline.\nrepo=${this.repo}\nkeyid=${this.keyid()}\nroot=${this.root.toString('hex')}\n${more}`;
    writeFileSync(this.key, text.replaceAll('\n', eol), { mode: 0o600 });
  }
  id(): string {
    this.#clock += 1000;
    return this.#clock.toString(16).padStart(12, '0') + randomBytes(14).toString('hex');
  }
  put(kind: string, records: Buffer[], options: { id?: string; old?: string; packed?: boolean } = {}): Made {
    const id = options.id ?? this.id();
    let kem = '0'.repeat(64);
    let base = Buffer.from(this.root);
    if (this.writer !== '') {
      base = Buffer.from(label(this.root, `writer ${this.writer}`));
      const ephemeral = x25519(randomBytes(32));
      const reader = x25519(label(this.root, 'x25519'));
      const shared = diffieHellman({ privateKey: ephemeral, publicKey: createPublicKey(reader) });
      const salt = Buffer.concat([label(base, 'psk'), publicOf(ephemeral), publicOf(reader)]);
      kem = publicOf(ephemeral).toString('hex');
      base = createHmac('sha512', salt).update(shared).digest();
    }
    const flags = this.flags || (this.writer === '' ? '00000000' : '00000001');
    const fields = `kind=${kind}\nrepo=${this.repo}\nkeyid=${this.keyid()}\nwriter=${this.writer || '0'.repeat(16)}\nid=${id}\nkem=${kem}\nflags=${flags}\n`;
    const head = `BACKPACK-CONTAINER 1\nEncrypted backup data. How to read it: README.txt in the top folder.\nsuite=1 HKDF-SHA512 AES-256-GCM LZ4-frames\n${fields}pad=${'-'.repeat(79)}\n`;
    const kc = expand(label(base, kind), head);
    const commit = kc.subarray(32).toString('hex');
    const seal = (domain: number, counter: number, plain: Buffer): Buffer => {
      const nonce = Buffer.alloc(12);
      nonce.writeUInt32BE(domain, 0);
      nonce.writeUInt32BE(counter, 8);
      const cipher = createCipheriv('aes-256-gcm', kc.subarray(0, 32), nonce);
      return Buffer.concat([cipher.update(plain), cipher.final(), cipher.getAuthTag()]);
    };
    const parts: Buffer[] = [Buffer.from(`${head}commit=${commit}\n`)];
    const rows: unknown[] = [];
    let off = 512;
    for (const [i, record] of records.entries()) {
      const sealed = seal(0, i, frame(record, options.packed));
      rows.push(['R', off, sealed.length - 16, record.length]);
      parts.push(sealed);
      off += sealed.length;
    }
    const table = lines({ backpack: 'table', v: 1, records: records.length, end: off, app: 'test' }, ...rows);
    const skippable = Buffer.from('502a4d180400000000000000', 'hex');
    const sealedTable = seal(1, 0, Buffer.concat([frame(table), skippable]));
    parts.push(sealedTable);
    const body = Buffer.concat(parts);
    const trailer = `\nBACKPACK-TRAILER 1\n${fields}commit=${commit}\ntable=${String(off).padStart(16, '0')} ${String(sealedTable.length - 16).padStart(12, '0')}\nrecords=${String(records.length).padStart(10, '0')}\nxxh64=${h64(body)}\npad=${'-'.repeat(110)}\nEND\n`;
    expect(trailer.length).toBe(512);
    const stamp = `${new Date(Number.parseInt(id.slice(0, 12), 16)).toISOString().replace(/[-:]|\.\d+/g, '')}-`;
    const folder = {
      snap: `snapshots/${stamp}`,
      drop: 'drop/',
      move: `moved/${options.old}-`,
      indx: 'index/',
    }[kind];
    const file = join(this.dir, `${folder ?? `packs/${id.slice(0, 5)}/`}${id}.bpk`);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, Buffer.concat([body, Buffer.from(trailer)]));
    return { id, file, size: body.length + 512 };
  }
  /** A snapshot of pages, each a list of entries that name the packs by number; its copy ends the meta pack. */
  snapshot(packs: Made[], pages: Json[][], more: Json = {}): Made & { pages: Made } {
    const texts = pages.map((rows) =>
      lines({ backpack: 'page', v: 1, packs: packs.map((p) => p.id) }, ...rows),
    );
    const metaId = this.id();
    const id = this.id();
    this.#seq += 1;
    const root = {
      backpack: 'snapshot',
      v: 1,
      id,
      seq: this.#seq,
      time: new Date(this.#clock).toISOString(),
      host: 'h',
      roots: ['x'],
      parents: [],
      prev: null,
      known: [],
      partial: false,
      params: {},
      stats: {},
      ...more,
    };
    const stream = (size: number): Buffer[] => {
      const all = [...packs, { id: metaId, size }].sort((a, b) => (a.id < b.id ? -1 : 1));
      const at = all.findIndex((pack) => pack.id === metaId);
      const rest = lines(
        ...all.map((pack) => ['K', pack.id, pack.size]),
        ...pages.map((rows, i) => ['G', at, i, rows.length, rows[0]?.['p'], rows.at(-1)?.['p']]),
      );
      return [lines(root), rest];
    };
    const meta = this.put('meta', [...texts, ...stream(0)], { id: metaId, packed: true });
    return { ...this.put('snap', stream(meta.size), { id }), pages: meta };
  }
  run(shell: string[], args: string[], env: Json = {}): { status: number | null; out: string; err: string } {
    const [command = 'sh', ...before] = shell;
    const all = [...before, SCRIPT, '--key', this.key, '--repo', this.dir, ...args];
    const result = spawnSync(command, all, {
      cwd: dirname(this.key),
      encoding: 'utf8',
      env: { ...process.env, ...env } as NodeJS.ProcessEnv,
    });
    return { status: result.status, out: result.stdout, err: result.stderr };
  }
  target(): string {
    return join(mkdtempSync(join(scratch, 't')), 'to');
  }
}

const M = '1700000000.123456789';
const f = (p: unknown, data: Buffer, e: unknown[], more: Json = {}): Json =>
  data.length === 0
    ? { p, t: 'f', s: 0, m: M, o: '0644', ...more }
    : { p, t: 'f', s: data.length, m: M, o: '0644', ...more, x: h64(data), e };
const d = (p: unknown, more: Json = {}): Json => ({
  p,
  t: 'd',
  m: '1600000000.000000000',
  o: '0755',
  ...more,
});
const b64 = (name: Buffer | string): string[] => [Buffer.from(name).toString('base64')];
const flip = (file: string, at: number): void => {
  const bytes = readFileSync(file);
  const i = at < 0 ? bytes.length + at : at;
  bytes[i] = (bytes[i] ?? 0) ^ 1;
  writeFileSync(file, bytes);
};

// ---- the fixture: everything an entry can be ---------------------------------------------------------------------
const first = Buffer.alloc(300_000, 'first record of a run ');
const second = randomBytes(70_000);
const group = Buffer.from('alpha-beta-gamma-delta');
const whole = Buffer.concat([first, second]);
const sparse = Buffer.concat([
  Buffer.alloc(8192),
  second.subarray(5, 1005),
  Buffer.alloc(4096),
  group,
  Buffer.alloc(9000),
]);
const odd = Buffer.concat([Buffer.from('n'), Buffer.from([0xff, 0xfe]), Buffer.from('.x')]);

function fixture(): { repo: Repo; data: Made; snap: Made & { pages: Made } } {
  const repo = new Repo();
  const data = repo.put('data', [first, second, group], { packed: true });
  const pages = [
    [
      f('-rf', Buffer.alloc(0), []),
      d('a', { m: '1500000000.000000001', o: '0700' }),
      d('a/locked', { o: '0500' }),
      f('a/locked/in', group.subarray(0, 5), [[0, 2, 1, 5]], { o: '4711', m: '-1.500000000' }),
      f('a/x  y ', group.subarray(6, 10), [[0, 2, 1, 4, 6]]),
      f('back\\slash\\n', group, [[0, 2, 1, group.length]], { o: '0600' }),
      { p: 'dangling', t: 'l', m: M, o: '0777', l: '-n/../../nowhere' },
      f('hard1', group, [[0, 2, 1, group.length]], { hl: '1:5' }),
    ],
    [
      f(b64('line\nbreak\n'), whole, [[0, 0, 2, whole.length]]),
      f(b64(odd), group, [[0, 2, 1, group.length]]),
      {
        ...f('sparse', sparse, [
          [-1, 0, 0, 8192],
          [0, 1, 1, 1000, 5],
        ]),
        n: 1,
      },
    ],
    [
      {
        p: 'sparse',
        t: '+',
        e: [
          [-2, 0, 0, 4096],
          [0, 2, 1, group.length],
          [-1, 0, 0, 9000],
        ],
      },
      { p: 'strange', t: 'Q', m: M, o: '0644' },
      f('twice', Buffer.concat([group, whole]), [
        [0, 2, 1, group.length],
        [0, 0, 1, first.length],
        [0, 1, 1, second.length],
      ]),
      d('z', { o: '1777' }),
      f('z/hard2', group, [[0, 2, 1, group.length]], { hl: '1:5' }),
    ],
  ];
  return { repo, data, snap: repo.snapshot([data], pages) };
}
const contents: Array<[string | Buffer, Buffer]> = [
  ['a/locked/in', group.subarray(0, 5)],
  ['a/x  y ', group.subarray(6, 10)],
  ['-rf', Buffer.alloc(0)],
  ['back\\slash\\n', group],
  ['hard1', group],
  ['line\nbreak\n', whole],
  [odd, group],
  ['sparse', sparse],
  ['twice', Buffer.concat([group, whole])],
  ['z/hard2', group],
];
const below = (to: string, name: string | Buffer): Buffer =>
  Buffer.concat([Buffer.from(`${to}/`), Buffer.from(name)]);

for (const shell of SHELLS) {
  const usable = ready && installed(shell[0] ?? '');
  describe.skipIf(!usable)(`recover.sh under ${shell.join(' ')}`, () => {
    for (const mode of [[], ['--fast']]) {
      it(`restores every kind of entry ${mode.join(' ')}`, () => {
        const { repo } = fixture();
        const to = repo.target();
        const { status, err } = repo.run(shell, [...mode, 'restore', '--to', to]);
        expect(err).toMatch(/left out \(unknown type\): strange/);
        expect(status).toBe(3);
        for (const [name, data] of contents) {
          expect(readFileSync(below(to, name)).equals(data), String(name)).toBe(true);
        }
        expect(readlinkSync(join(to, 'dangling'))).toBe('-n/../../nowhere');
        expect(lstatSync(join(to, 'hard1')).ino).toBe(lstatSync(join(to, 'z/hard2')).ino);
        expect((lstatSync(join(to, 'a/locked/in')).mode & 0o7777).toString(8)).toBe('4711');
        expect((lstatSync(join(to, 'a/locked')).mode & 0o7777).toString(8)).toBe('500');
        expect((lstatSync(join(to, 'a')).mode & 0o7777).toString(8)).toBe('700');
        expect(Math.floor(lstatSync(join(to, 'a')).mtimeMs)).toBe(1_500_000_000_000);
        const nanoseconds = spawnSync('touch', ['-d', '@1.5', join(scratch, 'probe')]).status === 0;
        const times = (name: string): bigint => lstatSync(join(to, name), { bigint: true }).mtimeNs;
        if (nanoseconds) {
          expect(times('twice')).toBe(1_700_000_000_123_456_789n);
          expect(times('a/locked/in')).toBe(-500_000_000n);
        } else expect(times('twice') / 1_000_000_000n).toBe(1_700_000_000n);
        expect(readdirSync(to).filter((name) => name.includes('partial'))).toEqual([]);
        expect(readdirSync(to)).toHaveLength(10);
      });
    }

    it('lists, restores one folder, restores into ./recovered without a verb, and not twice', () => {
      const { repo, snap } = fixture();
      expect(repo.run(shell, ['list'])).toMatchObject({
        status: 0,
        out: expect.stringContaining(snap.id.slice(12, 20)),
      });
      const to = repo.target();
      expect(repo.run(shell, ['restore', `${snap.id.slice(12, 20)}:/a/locked/`, '--to', to]).status).toBe(0);
      expect(readdirSync(to, { recursive: true }).sort()).toEqual(['a', 'a/locked', 'a/locked/in']);
      const odder = repo.target();
      const strange = repo.run(shell, ['restore', 'latest:line\nbreak\n', '--to', odder]);
      expect(strange.status, strange.err).toBe(0);
      expect(readdirSync(odder)).toEqual(['line\nbreak\n']);
      expect(repo.run(shell, []).status).toBe(3);
      expect(readFileSync(join(dirname(repo.key), 'recovered/hard1')).equals(group)).toBe(true);
      expect(repo.run(shell, []).status).toBe(11);
      expect(repo.run(shell, ['restore', 'latest:nowhere', '--to', to]).status).toBe(1);
    });

    it('verify reads everything and names what is damaged', () => {
      const { repo, data } = fixture();
      expect(repo.run(shell, ['verify']).status).toBe(3);
      flip(data.file, 600);
      const { status, err } = repo.run(shell, ['verify']);
      expect(status).toBe(4);
      expect(err).toMatch(new RegExp(`E_TAG packs/\\w+/${data.id}`));
    });

    it('a damaged record costs only the files in it, with a code and no output', () => {
      const { repo, data } = fixture();
      flip(data.file, 512 + 300);
      const to = repo.target();
      const { status, err } = repo.run(shell, ['restore', '--to', to]);
      expect(status).toBe(4);
      expect(err).toMatch(/E_TAG .*: twice is not restored/);
      expect(existsSync(join(to, 'twice'))).toBe(false);
      expect(existsSync(join(to, 'line\nbreak\n'))).toBe(false);
      expect(readFileSync(join(to, 'sparse')).equals(sparse)).toBe(true);
    });

    it('--fast still refuses a file whose XXH64 is wrong', () => {
      const repo = new Repo();
      const data = repo.put('data', [second]);
      repo.snapshot([data], [[f('one', second, [[0, 0, 1, second.length]])]]);
      flip(data.file, 512 + 1000);
      const to = repo.target();
      const { status, err } = repo.run(shell, ['--fast', 'restore', '--to', to]);
      expect(status).toBe(4);
      expect(err).toContain('E_HASH: one is not restored');
      expect(existsSync(join(to, 'one'))).toBe(false);
    });

    it.each([
      ['the commitment', () => 450, /E_COMMIT|E_MAGIC/],
      ['the key id', () => 190, /E_KEY|E_MAGIC/],
      ['the first line', () => 3, /E_MAGIC/],
      ['the pad', () => 380, /E_MAGIC/],
      ['the id', () => 250, /E_NAME|E_MAGIC/],
      ['the table', (size: number) => size - 512 - 20, /E_TAG/],
      ['the end mark', (size: number) => size - 2, /E_TRUNC/],
      ['the table address', (size: number) => size - 512 + 331, /E_TRAILER|E_TRUNC|E_EXTRA/],
    ])('a flipped byte in %s of the data pack: its code, no file', (_what, where, code) => {
      const { repo, data } = fixture();
      flip(data.file, where(data.size));
      const to = repo.target();
      const { status, err } = repo.run(shell, ['restore', '--to', to]);
      expect(status === 4 || status === 15, err).toBe(true);
      expect(err).toMatch(code);
      expect(readdirSync(to).sort()).toEqual(['-rf', 'a', 'dangling', 'z']);
    });

    it('a damaged page loses its names only; a damaged snapshot is reported', () => {
      const { repo, snap } = fixture();
      flip(snap.pages.file, 520);
      const to = repo.target();
      const { status, err } = repo.run(shell, ['restore', '--to', to]);
      expect(status).toBe(4);
      expect(err).toMatch(/E_TAG page 1 of the snapshot/);
      expect(readFileSync(join(to, 'z/hard2')).equals(group)).toBe(true);
      flip(snap.file, 520);
      expect(repo.run(shell, ['list'])).toMatchObject({
        status: 4,
        err: expect.stringContaining('E_TAG snapshots/'),
      });
    });

    it('wrong key 12, no repository 10, usage 2, newer version 15', () => {
      const { repo } = fixture();
      const other = new Repo();
      const good = readFileSync(repo.key);
      writeFileSync(repo.key, other.root);
      expect(repo.run(shell, ['list'])).toMatchObject({ status: 12, err: expect.stringContaining('E_KEY') });
      writeFileSync(repo.key, good.toString().replace(/root=../, 'root=00'));
      expect(repo.run(shell, ['list'])).toMatchObject({ status: 12, err: expect.stringContaining('E_KEY') });
      writeFileSync(repo.key, good);
      expect(repo.run(shell, ['--repo', scratch, 'list']).status).toBe(10);
      expect(repo.run(shell, ['restore']).status).toBe(2);
      expect(repo.run(shell, ['--nonsense']).status).toBe(2);
      expect(repo.run(shell, ['--help'])).toMatchObject({
        status: 0,
        out: expect.stringContaining('process list'),
      });
      const newer = new Repo();
      newer.flags = '00000002';
      newer.snapshot([], [[d('a')]]);
      expect(newer.run(shell, ['list'])).toMatchObject({
        status: 15,
        err: expect.stringContaining('E_FLAG'),
      });
      const needy = new Repo();
      needy.snapshot([], [[d('a')]], { need: ['magic'] });
      expect(needy.run(shell, ['list'])).toMatchObject({
        status: 15,
        err: expect.stringContaining('E_NEED'),
      });
    });

    it('raw, CRLF and rotated keys; old containers stay readable', () => {
      const { repo } = fixture();
      const text = readFileSync(repo.key);
      writeFileSync(repo.key, repo.root, { mode: 0o600 });
      expect(repo.run(shell, ['list']).status).toBe(0);
      writeFileSync(repo.key, text.toString().replaceAll('\n', '\r\n'));
      expect(repo.run(shell, ['list']).status).toBe(0);
      const old = repo.root;
      repo.root = randomBytes(32);
      repo.writeKey(`old=${old.toString('hex')}\n`);
      const data = repo.put('data', [group]);
      repo.snapshot([data], [[f('new', group, [[0, 0, 1, group.length]])]]);
      const to = repo.target();
      expect(repo.run(shell, ['restore', 'latest~1', '--to', to]).status).toBe(3);
      expect(repo.run(shell, ['restore', '--to', to]).status).toBe(0);
      expect(readFileSync(join(to, 'new')).equals(group)).toBe(true);
      expect(readFileSync(join(to, 'hard1')).equals(group)).toBe(true);
    });

    it('containers of a write-only writer, and E_WRITER for a pack of somebody else', () => {
      const repo = new Repo();
      const foreign = repo.put('data', [group]);
      repo.writer = 'a1b2c3d4e5f60718';
      const own = repo.put('data', [second]);
      repo.snapshot(
        [foreign, own],
        [[f('foreign', group, [[0, 0, 1, group.length]]), f('own', second, [[1, 0, 1, second.length]])]],
      );
      const to = repo.target();
      const { status, err } = repo.run(shell, ['restore', '--to', to]);
      expect(err).toContain('E_WRITER');
      expect(status).toBe(4);
      expect(existsSync(join(to, 'foreign'))).toBe(false);
    });

    it('forgotten snapshots are hidden, moved packs are followed, lost snapshots are found in the packs', () => {
      const { repo, data, snap } = fixture();
      const half = repo.put('data', [first]);
      const rest = repo.put('data', [second, group]);
      const zero = '0'.repeat(16);
      const move = (...rows: unknown[]) =>
        repo.put('move', [lines({ backpack: 'moved', v: 1, from: data.id, writer: zero }, ...rows)], {
          old: data.id,
        });
      move(['V', 0, 1, half.id, 0]);
      move(['V', 1, 2, rest.id, 0]);
      rmSync(data.file);
      const to = repo.target();
      const moved = repo.run(shell, ['restore', '--to', to]);
      expect(moved.status, moved.err).toBe(3);
      for (const [name, bytes] of contents) expect(readFileSync(below(to, name)).equals(bytes)).toBe(true);
      const kept = readFileSync(half.file);
      rmSync(half.file);
      expect(repo.run(shell, ['restore', '--to', repo.target()])).toMatchObject({
        status: 4,
        err: expect.stringContaining('E_MISSING'),
      });
      writeFileSync(half.file, kept);
      const later = repo.snapshot([], [[d('a')]]);
      repo.put('drop', [lines({ backpack: 'drop', v: 1, time: '', why: '' }, ['S', later.id])]);
      const { out } = repo.run(shell, ['list']);
      expect(out).toContain(snap.id.slice(12, 20));
      expect(out).not.toContain(later.id.slice(12, 20));
      rmSync(join(repo.dir, 'snapshots'), { recursive: true });
      const copies = repo.run(shell, ['list']);
      expect(copies.out).toContain(snap.id.slice(12, 20));
      expect(copies.out).not.toContain(later.id.slice(12, 20));
      const found = repo.target();
      expect(repo.run(shell, ['restore', '--to', found])).toMatchObject({
        status: 4,
        err: expect.stringContaining('E_MISSING: no snapshot in snapshots'),
      });
      expect(readFileSync(join(found, 'twice')).equals(Buffer.concat([group, whole]))).toBe(true);
    });

    it('nothing leaves the target: bad names, links in the way, links to nowhere', () => {
      const repo = new Repo();
      const data = repo.put('data', [group]);
      const whole_ = [[0, 0, 1, group.length]];
      const outside = mkdtempSync(join(scratch, 'o'));
      const names = [
        '../up',
        '/abs',
        'a//b',
        'a/./b',
        'a/../../b',
        '',
        b64('../x'),
        b64('a\0b'),
        'ctl\u0001',
      ];
      repo.snapshot(
        [data],
        [
          [
            ...names.map((name) => f(name, group, whole_)),
            { p: 'hole', t: 'l', m: M, o: '0777', l: outside },
            f('hole/in', group, whole_),
            d('link'),
            f('link/in', group, whole_),
            f('ok', group, whole_),
            f('target', group, whole_),
          ],
        ],
      );
      const to = repo.target();
      mkdirSync(to);
      symlinkSync(outside, join(to, 'link'));
      writeFileSync(join(outside, 'kept'), 'kept');
      symlinkSync(join(outside, 'kept'), join(to, 'target'));
      const { status, err } = repo.run(shell, ['restore', '--to', to]);
      expect(status).toBe(4);
      expect(err.match(/E_PATH|E_JSON|E_ORDER/g)).toHaveLength(names.length + 3);
      expect(readdirSync(outside)).toEqual(['kept']);
      expect(readFileSync(join(outside, 'kept'), 'utf8')).toBe('kept');
      expect(readFileSync(join(to, 'ok')).equals(group)).toBe(true);
      expect(lstatSync(join(to, 'target')).isFile()).toBe(true);
      expect(readdirSync(dirname(to))).toEqual(['to']);
    });

    it('extents that do not add up are refused', () => {
      const repo = new Repo();
      const data = repo.put('data', [group]);
      repo.snapshot(
        [data],
        [
          [
            f('far', group, [[0, 0, 1, group.length, 1]]),
            f('long', group, [[0, 0, 1, group.length - 1]]),
            f('nopack', group, [[9, 0, 1, group.length]]),
            f('past', group, [[0, 7, 1, group.length]]),
          ],
        ],
      );
      const to = repo.target();
      const { status, err } = repo.run(shell, ['restore', '--to', to]);
      expect(status).toBe(4);
      expect(err.match(/E_EXTENT/g)).toHaveLength(4);
      expect(readdirSync(to)).toEqual([]);
    });

    it('warns when the kit in the repository does not fit the key file', () => {
      const { repo } = fixture();
      mkdirSync(join(repo.dir, 'recover'));
      const kit = readFileSync(SCRIPT);
      const sums = `${createHash('sha256').update(kit).digest('hex')}  recover.sh\n`;
      writeFileSync(join(repo.dir, 'recover/recover.sh'), kit);
      writeFileSync(join(repo.dir, 'recover/SHA256SUMS'), sums);
      repo.writeKey(`kit=${createHash('sha256').update(sums).digest('hex')}\n`);
      expect(repo.run(shell, ['list']).err).not.toContain('warning');
      writeFileSync(join(repo.dir, 'recover/recover.sh'), 'other');
      expect(repo.run(shell, ['list']).err).toContain('recover/recover.sh does not fit');
      repo.writeKey(`kit=${'0'.repeat(64)}\n`);
      expect(repo.run(shell, ['list']).err).toContain('may have been replaced');
    });
  });
}

// ---- the scripts of the printed page -------------------------------------------------------------------------------
describe.skipIf(!ready)('docs/restore-without-backpack.md', () => {
  const page = readFileSync(
    fileURLToPath(new URL('../../docs/restore-without-backpack.md', import.meta.url)),
    'utf8',
  );
  const scripts = mkdtempSync(join(scratch, 'page'));
  for (const name of ['rec.sh', 'file.sh']) {
    const code = page.split(`<!-- ${name} -->\n\`\`\`sh\n`)[1]?.split('\n```\n')[0] ?? '';
    writeFileSync(join(scripts, name), `${code}\n`);
  }
  it.each(['auth', 'fast'])(
    'the scripts print a file of several records (%s), and nothing of a damaged one',
    (mode) => {
      const { repo, data } = fixture();
      const cat = (name: string) =>
        spawnSync('sh', [join(scripts, 'file.sh'), repo.dir, repo.key, name, mode]);
      expect(cat('hard1').stdout.equals(group)).toBe(true);
      expect(cat('twice').stdout.equals(Buffer.concat([group, whole]))).toBe(true);
      // before, between and after the names that are there
      for (const name of ['!', 'no/such', '~']) {
        const absent = cat(name);
        expect([absent.status, absent.stdout.length], name).toEqual([1, 0]);
        expect(absent.stderr.toString()).toContain(`${name} is not in this snapshot`);
      }
      flip(data.file, 512 + 300);
      const damaged = cat('twice');
      expect(damaged.status).toBe(4);
      expect(damaged.stdout).toHaveLength(0);
      expect(cat('hard1').stdout.equals(group)).toBe(true);
    },
  );
});

// ---- the repositories of test-vectors ------------------------------------------------------------------------------
/** What the script does not look at: it keeps no memory between runs, and check is stricter than restore. */
const NOT_LOOKED_AT = [
  'rollback', // needs the memory of a client
  'e-extent-chunks', // right bytes, found by check only
  'e-hash-chunk', // the same
  'index-damaged', // the index is not read
  'e-order-page-entries', // counts and last names of G lines are a hint here
  'e-order-page-last',
  'rollback-known', // prev and known are compared by check and by recover.js
];
interface Listed {
  path: string | [string];
  type: string;
  sha256?: string;
  error?: string;
}
const VECTORS = fileURLToPath(new URL('../../test-vectors/repository', import.meta.url));
const vectors = existsSync(VECTORS) ? readdirSync(VECTORS).filter((name) => name.endsWith('.vec')) : [];
describe.skipIf(!ready || vectors.length === 0)('recover.sh reads the repositories of test-vectors', () => {
  it.each(vectors.filter((name) => !NOT_LOOKED_AT.includes(name.replace('.vec', ''))))('%s', (name) => {
    const bytes = readFileSync(join(VECTORS, name));
    const end = bytes.indexOf('\n\n');
    const fields = new Map(
      bytes
        .subarray(0, end)
        .toString()
        .split('\n')
        .map((line): [string, string] => {
          const colon = line.indexOf(':');
          return [line.slice(0, colon), line.slice(colon + 1).trim()];
        }),
    );
    const home = mkdtempSync(join(scratch, 'v'));
    writeFileSync(join(home, 'key.bin'), Buffer.from(fields.get('key') ?? '', 'base64'), { mode: 0o600 });
    mkdirSync(join(home, 'repo/packs'), { recursive: true });
    for (let at = end + 2; at < bytes.length; ) {
      const eol = bytes.indexOf(10, at);
      const [object = '', size] = bytes.subarray(at, eol).toString().split(' ');
      mkdirSync(dirname(join(home, 'repo', object)), { recursive: true });
      writeFileSync(join(home, 'repo', object), bytes.subarray(eol + 1, eol + 1 + Number(size)));
      at = eol + 1 + Number(size);
    }
    const run = (...args: string[]) =>
      spawnSync('sh', [SCRIPT, '--key', join(home, 'key.bin'), '--repo', join(home, 'repo'), ...args], {
        encoding: 'utf8',
      });
    const expected = fields.get('expect') ?? '';
    const listing = JSON.parse(fields.get('listing') ?? '[]') as Listed[];
    const list = run('list');
    if (expected === 'accept' && !fields.has('candidates')) {
      const shown = list.stdout
        .split('\n')
        .filter(Boolean)
        .map((line) => line.slice(0, 8));
      const ids = (fields.get('snapshots') ?? '').split(' ').filter((id) => id.length === 40);
      expect(shown.sort()).toEqual(ids.map((id) => id.slice(12, 20)).sort());
    }
    const snapshot = fields.get('snapshot');
    if (snapshot === undefined) return;
    const to = join(home, 'to');
    const latest = fields.get('latest') === snapshot;
    const { status, stderr } = run('restore', ...(latest ? [] : [snapshot]), '--to', to);
    if (expected !== 'accept') {
      expect(status).not.toBe(0);
      // A page with a bad path differs from its G line as well, and that is looked at first.
      expect(list.stderr + stderr).toMatch(expected === 'E_PATH' ? /E_(PATH|ORDER)/ : new RegExp(expected));
    } else if (!fields.has('candidates')) expect([0, 3], stderr).toContain(status);
    for (const { path, type, sha256, error } of listing) {
      if (type !== 'f') continue;
      const file = below(to, typeof path === 'string' ? path : Buffer.from(path[0], 'base64'));
      if (error !== undefined) {
        expect(existsSync(file)).toBe(false);
        expect(stderr).toContain(error);
      } else expect(createHash('sha256').update(readFileSync(file)).digest('hex')).toBe(sha256);
    }
  });
});
