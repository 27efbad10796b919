/**
 * The newest snapshot is damaged: each of the three readers restores it from the copy in its meta pack, says so and
 * ends with 4. Without a copy each refuses `latest`, and names the older snapshot that can be read.
 */
import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const root = join(import.meta.dirname, '../..');
const tools = ['dash', 'openssl', 'lz4', 'jq', 'xxhsum'];
const haveTools = tools.every((tool) => spawnSync('sh', ['-c', `command -v ${tool}`]).status === 0);

/** Places in a container of bytes that no reader can do without. */
const damage: Readonly<Record<string, (bytes: Buffer) => number[]>> = {
  'the table': (bytes) => [bytes.length - 520],
  'header and trailer': (bytes) => [300, bytes.length - 300],
  'the second record, which list does not read': (bytes) => [
    Number(/table=(\d+)/.exec(bytes.toString('latin1', bytes.length - 512))![1]) - 1,
  ],
};

const readers: Readonly<Record<string, { program: string; file: string; available: boolean }>> = {
  backpack: { program: process.execPath, file: 'dist/cli/main.js', available: true },
  'recover.js': { program: process.execPath, file: 'recover/recover.js', available: true },
  'recover.sh': { program: 'dash', file: 'recover/recover.sh', available: haveTools },
};

describe('a damaged snapshot', () => {
  let work = '';
  let ids: string[] = [];
  const at = (...parts: string[]): string => join(work, ...parts);
  const objects = (folder: string): string[] =>
    readdirSync(at(folder), { recursive: true, encoding: 'utf8' })
      .filter((name) => name.endsWith('.bpk'))
      .map((name) => join(folder, name))
      .sort();

  function run(reader: keyof typeof readers, ...args: string[]): { status: number | null; out: string } {
    const { program, file } = readers[reader]!;
    const all = [join(root, file), ...args, '--repo', 'repo', '--key', 'key.bin'];
    const env = { ...process.env, HOME: at('home'), XDG_CONFIG_HOME: '', XDG_DATA_HOME: '' };
    const { status, stdout, stderr } = spawnSync(program, all, { cwd: work, encoding: 'utf8', env });
    return { status, out: stdout + stderr };
  }
  const restore = (reader: keyof typeof readers, what: string): ReturnType<typeof run> => {
    rmSync(at('out'), { recursive: true, force: true });
    return run(reader, 'restore', what, '--to', 'out');
  };
  const restored = (): string[] => readdirSync(at('out/source')).sort();
  const anythingRestored = (): boolean => {
    try {
      return readdirSync(at('out')).length > 0;
    } catch {
      return false;
    }
  };

  function spoil(name: string, places: (bytes: Buffer) => number[]): void {
    const bytes = readFileSync(at(name));
    for (const place of places(bytes)) bytes[place]! ^= 1;
    chmodSync(at(name), 0o600);
    writeFileSync(at(name), bytes);
  }

  beforeAll(() => {
    work = mkdtempSync(join(tmpdir(), 'backpack-snapshot-'));
    mkdirSync(at('home'));
    mkdirSync(at('source'));
    writeFileSync(at('source/first'), 'first');
    run('backpack', 'init');
    run('backpack', 'backup', 'source');
    writeFileSync(at('source/second'), 'second');
    run('backpack', 'backup', 'source');
    cpSync(at('repo'), at('whole'), { recursive: true });
    ids = objects('repo/snapshots').map((name) => name.slice(-44, -4));
  }, 60_000);

  afterAll(() => rmSync(work, { recursive: true, force: true }));

  for (const [place, places] of Object.entries(damage)) {
    for (const [reader, { available }] of Object.entries(readers)) {
      it.skipIf(!available)(
        `in ${place}: ${reader}`,
        () => {
          rmSync(at('repo'), { recursive: true });
          cpSync(at('whole'), at('repo'), { recursive: true });
          const newest = objects('repo/snapshots').at(-1)!;
          spoil(newest, places);
          for (const what of ['latest', ids[1]!]) {
            const { status, out } = restore(reader, what);
            expect(status, out).toBe(4);
            expect(out).toMatch(/its copy|the copy|instead of the damaged|1 findings/);
            expect(restored()).toEqual(['first', 'second']);
          }
          const copy = objects('repo/packs').findLast((name) =>
            readFileSync(at(name)).includes('kind=meta'),
          )!;
          spoil(copy, damage['the table']!);
          const { status, out } = restore(reader, 'latest');
          // Flags that nobody knows may be a newer version's.
          expect(out.includes('E_FLAG') ? [4, 15] : [4], out).toContain(status);
          expect(out).toContain('cannot be read');
          expect(anythingRestored()).toBe(false);
          if (!place.startsWith('the second')) expect(out).toContain(ids[0]!.slice(12, 20));
          restore(reader, ids[0]!);
          expect(restored()).toEqual(['first']);
        },
        120_000,
      );
    }
  }
});
