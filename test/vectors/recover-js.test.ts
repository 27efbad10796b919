/** Every vector that concerns a reader, through recover.js: its parts, and its command on whole repositories. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { expect, test } from 'vitest';
import { compareTree, type Listed, nameBytes, parseParts, sha256, type Vector, vectors } from './load.ts';

// biome-ignore lint/suspicious/noExplicitAny: recover.js is plain JavaScript without types
const recover = createRequire(import.meta.url)('../../recover/recover.js') as any;

const hex = (v: Vector, key: string): Buffer => Buffer.from(v.get(key), 'hex');

/** `accept`, or the code of what was thrown. */
function outcome(run: () => unknown): string {
  try {
    run();
    return 'accept';
  } catch (error) {
    const { code } = error as { code?: string };
    if (code?.startsWith('E_')) return code;
    throw error;
  }
}

function inFolder<T>(run: (dir: string) => T): T {
  const dir = mkdtempSync(join(tmpdir(), 'backpack-vector-'));
  try {
    return run(dir);
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

function writeObjects(dir: string, objects: Iterable<readonly [string, Uint8Array]>): void {
  for (const [name, bytes] of objects) {
    mkdirSync(dirname(join(dir, name)), { recursive: true });
    writeFileSync(join(dir, name), bytes, { mode: 0o600 });
  }
}

/** Functions of `kdf` vectors that a reader needs; the others are a writer's. */
const functions: Record<string, (v: Vector) => Record<string, string>> = {
  keyid: (v) => ({ 'out-keyid': recover.keyidOf(hex(v, 'in-root')) }),
  'class-keys': (v) =>
    Object.fromEntries(
      v
        .keys('out-')
        .map((key) => [key, recover.label(hex(v, 'in-base'), key.slice(4)).toString('hex', 0, 32)]),
    ),
  'chunk-identity': (v) => ({ 'out-xxh64': recover.xxh64(v.payload) }),
  'writer-base': (v) => ({
    'out-base': recover
      .baseSecret(hex(v, 'in-root'), {
        kind: 'data',
        flags: '00000001',
        writer: v.get('in-writer'),
        kem: v.get('out-kem'),
      })
      .toString('hex'),
  }),
};

const runners: Record<string, (v: Vector) => void> = {
  kdf: (v) => {
    const found = functions[v.get('function')]!(v);
    for (const [key, value] of Object.entries(found)) expect([key, value]).toEqual([key, v.get(key)]);
  },

  // A recovery tool repairs and takes what a program refuses, so a key that is not accepted may be used in the end.
  keyfile: (v) => {
    const code = outcome(() => recover.parseKey(v.payload));
    if (v.expect !== 'accept' && code !== 'accept') expect(code).toBe(v.expect);
    if (v.expect === 'accept') expect(code).toBe('accept');
    const root = v.maybe('out-root') ?? v.maybe('repair-root');
    if (root === undefined) return;
    const [first, ...old] = [...recover.parseKey(v.payload).roots.values()] as Buffer[];
    expect(first!.toString('hex')).toBe(root);
    if (v.maybe('out-old') !== undefined)
      expect(old.map((one) => one.toString('hex')).join(' ')).toBe(v.get('out-old'));
  },

  'wrapped-key': (v) => {
    expect(outcome(() => recover.parseKey(v.payload, v.get('in-passphrase')))).toBe(v.expect);
    if (v.expect !== 'accept') return;
    const [root] = recover.parseKey(v.payload, v.get('in-passphrase')).roots.values();
    expect(root.toString('hex')).toBe(v.get('out-root'));
  },

  container: (v) =>
    inFolder((dir) => {
      writeObjects(dir, [[v.get('object'), v.payload]]);
      const codes: string[] = [];
      const key = { ...recover.parseKey(hex(v, 'key')), repo: v.maybe('repo') };
      const repo = new recover.Repository(dir, key, (_: string, e: { code: string }) => codes.push(e.code));
      const log = {
        damaged: 0,
        damage: (e: { code: string }) => {
          log.damaged += 1;
          codes.push(e.code);
        },
        note: () => {},
      };
      recover.verifyContainer(repo, v.get('object'), log, new Set(), true);
      if (v.expect === 'accept') expect(codes).toEqual([]);
      else expect(codes[0]).toBe(v.expect);
      repo.close();
      if (v.maybe('released') === undefined) return;
      let repaired = false;
      const again = new recover.Repository(dir, key, () => {
        repaired = true;
      });
      const released: Buffer[] = [];
      outcome(() => {
        for (const plain of again.container(v.get('object')).allRecords()) released.push(Buffer.from(plain));
      });
      again.close();
      // A damaged header is rebuilt and reported; then the content is there.
      if (repaired || (v.maybe('restore') === 'optional' && released.length === 0)) return;
      expect(sha256(Buffer.concat(released))).toBe(v.get('released'));
    }),

  pages: (v) => {
    const parts = parseParts(v.payload, v.get('lengths'));
    const codes: string[] = [];
    const report = (e: { code: string }): void => {
      codes.push(e.code);
    };
    const found: unknown[] = [];
    const repo = {
      locate: (_: string, record: number) => ({
        c: {
          kind: 'meta',
          records: parts.length,
          table: { len: parts.map((p) => p.length) },
          record: (i: number) => parts[i],
        },
        record,
      }),
    };
    const pages = parts.map((part, record) => ({ pack: '0'.repeat(40), record, ...shapeOf(part) }));
    const code = outcome(() => {
      for (const entry of recover.entriesOf(repo, { writer: '' }, { pages }, () => true, report)) {
        const extents = entry.type === 'f' ? [...entry.extents()] : [];
        const sum = extents.reduce((n, x) => n + x.length, 0);
        if (entry.type === 'f' && sum !== entry.o.s) codes.push('E_EXTENT');
        found.push({
          p: entry.o.p,
          t: entry.type,
          ...(entry.type === 'f' ? { s: entry.o.s, extents: extents.length } : {}),
        });
      }
    });
    if (code !== 'accept') codes.push(code);
    expect(codes[0] ?? 'accept').toBe(v.expect);
    if (v.expect === 'accept') expect(found).toEqual(JSON.parse(v.get('listing')));
  },

  stream: (v) => {
    const c = {
      name: `moved/${firstId(v)}-${'0'.repeat(40)}.bpk`,
      *allRecords() {
        yield v.payload;
      },
    };
    const read: Record<string, () => unknown> = {
      snap: () => recover.readSnapshot({ id: v.get('id'), pieces: () => [v.payload] }),
      move: () => recover.readMoved(c),
      drop: () => recover.readDrop(c),
      mark: () => recover.readMark(c),
      indx: () => recover.readIndex(c),
    };
    expect(outcome(read[v.get('kind')]!)).toBe(v.expect);
  },

  names: (v) => {
    for (const line of v.payload.toString('utf8').trimEnd().split('\n')) {
      const [word, name = ''] = [line.slice(0, line.indexOf(' ')), line.slice(line.indexOf(' ') + 1)];
      // Names of text files and wrapped keys are not looked at by their form.
      if (word === 'yes' && !name.endsWith('.bpk')) continue;
      expect([line, outcome(() => recover.parseName(name))]).toEqual([
        line,
        word === 'yes' ? 'accept' : 'E_NAME',
      ]);
    }
  },

  repository: (v) =>
    inFolder((dir) => {
      writeObjects(join(dir, 'repo'), v.objects);
      writeObjects(dir, [
        ['key.bin', v.key],
        ['passphrase', Buffer.from(v.maybe('passphrase') ?? '')],
      ]);
      const wrapped = [...v.objects.keys()].find((name) => name.startsWith('keys/'));
      const key =
        v.maybe('passphrase') !== undefined && wrapped !== undefined
          ? ['--key', join(dir, 'repo', wrapped), '--passphrase-file', join(dir, 'passphrase')]
          : ['--key', join(dir, 'key.bin')];
      const run = (...words: string[]): { code: number; text: string } => {
        let text = '';
        const add = (more: string): void => {
          text += more;
        };
        const code = recover.main([...words, ...key, '--repo', join(dir, 'repo')], { out: add, err: add });
        return { code, text };
      };
      const verified = run('verify');
      // What a client remembers is not known to recover.js.
      if (v.maybe('seen') === undefined) {
        const lines = verified.text
          .split('\n')
          .filter((line) => !/^E_\w+ (backpack.json|README|recover)/.test(line));
        const codes = lines.join(' ').match(/\bE_[A-Z0-9]+/g) ?? [];
        if (v.expect === 'accept') expect([v.name, codes]).toEqual([v.name, []]);
        else expect([v.name, ...codes]).toContain(v.expect);
      }
      const target = join(dir, 'out');
      mkdirSync(target);
      if (v.maybe('latest') === 'none' && v.maybe('candidates') === undefined) {
        expect(run('restore', 'latest', '--to', target).text).toContain('E_MISSING');
        return;
      }
      const restored = run('restore', v.maybe('snapshot') ?? 'latest', '--to', target);
      const listing = JSON.parse(v.get('listing')) as Listed[];
      const fine = v.expect === 'accept' || v.maybe('restore') === 'accept';
      if (!fine && v.maybe('seen') === undefined) expect(restored.text).toContain(v.expect);
      expect([restored.text, compareTree(target, listing, false)]).toEqual([restored.text, []]);
    }),
};

/** What a G line would say of a page, as far as it can be read. */
function shapeOf(page: Buffer): { entries: number; first: Buffer; last: Buffer } {
  const paths = page
    .toString('utf8')
    .split('\n')
    .slice(1)
    .flatMap((line) => {
      try {
        const { p } = JSON.parse(line);
        return p === undefined ? [] : [nameBytes(p)];
      } catch {
        return [];
      }
    });
  const none = Buffer.alloc(0);
  return { entries: paths.length, first: paths[0] ?? none, last: paths.at(-1) ?? none };
}

/** The old pack that a moved object names inside; its name outside is not part of such a vector. */
function firstId(v: Vector): string {
  return /"from":"([0-9a-f]{40})"/.exec(v.payload.toString('latin1'))?.[1] ?? '0'.repeat(40);
}

const isFor = (v: Vector): boolean =>
  v.type === 'kdf' ? v.get('function') in functions : runners[v.type] !== undefined;

test.each(
  vectors()
    .filter(isFor)
    .map((v) => [v.name, v] as const),
)('%s', (_, v) => runners[v.type]!(v));
