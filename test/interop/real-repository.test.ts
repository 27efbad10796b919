/** Repositories that the program itself makes, read by recover.js and recover.sh, compared by rsync. */
import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import {
  closeSync,
  ftruncateSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  rmSync,
  symlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { top } from '../vectors/load.ts';

const MiB = 1024 * 1024;
const dir = mkdtempSync(join(tmpdir(), 'backpack-real-'));
const source = join(dir, 'source');
const repo = join(dir, 'repo');
const key = ['--key', join(dir, 'key.bin'), '--repo', repo];
const has = (tool: string): boolean => spawnSync('sh', ['-c', `command -v ${tool}`]).status === 0;
const shells = [['dash'], ['bash'], ['busybox', 'sh']].filter(([name]) => has(name!));
const tools = ['openssl', 'lz4', 'jq', 'xxhsum', 'rsync'].every(has);

function run(program: string, ...words: string[]): { status: number | null; text: string } {
  const env = { ...process.env, HOME: dir, XDG_CONFIG_HOME: dir, XDG_STATE_HOME: dir, XDG_CACHE_HOME: dir };
  const { status, stdout, stderr } = spawnSync(program, words, { encoding: 'utf8', cwd: source, env });
  return { status, text: stdout + stderr };
}
const backpack = (...words: string[]) => run(process.execPath, join(top, 'dist/cli/main.js'), ...words);
const recover = (...words: string[]) =>
  run(process.execPath, join(repo, 'recover/recover.js'), ...words, ...key);

/** What rsync would still have to do; the top folder's own time is not part of a backup of `.`. */
function difference(restored: string): string[] {
  const { text } = run('rsync', '-aniH', '--checksum', '--delete', `${source}/`, `${restored}/`);
  return text.split('\n').filter((line) => line !== '' && !/^\.d\S* \.\/$/.test(line));
}

beforeAll(() => {
  mkdirSync(join(source, 'folder/empty'), { recursive: true });
  writeFileSync(join(source, 'random'), randomBytes(40 * MiB));
  const sparse = openSync(join(source, 'sparse'), 'w');
  ftruncateSync(sparse, 100 * MiB);
  writeSync(sparse, 'x', 50 * MiB);
  closeSync(sparse);
  for (let i = 0; i < 300; i += 1)
    writeFileSync(join(source, `folder/small ${i}`), `content ${i}\n`.repeat(i));
  linkSync(join(source, 'folder/small 7'), join(source, 'linked'));
  symlinkSync('../sparse', join(source, 'folder/link'));
  const odd = ['new\nline', 'back\\slash "quotes" $x', '-dash', ' blanks ', 'é'].map((name) =>
    Buffer.from(name),
  );
  for (const name of [...odd, Buffer.from('caf\xe9', 'latin1')])
    writeFileSync(Buffer.concat([Buffer.from(`${source}/`), name]), name);
  expect(backpack('init', repo, '--key', join(dir, 'key.bin'))).toMatchObject({ status: 0 });
  expect(backpack('backup', '.', ...key)).toMatchObject({ status: 0 });
  writeFileSync(join(source, 'folder/small 9'), 'changed\n');
  expect(backpack('backup', '.', ...key)).toMatchObject({ status: 0 });
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

test('recover.js lists, verifies, restores and scans', () => {
  expect(recover('list').text).toContain('2 snapshots');
  expect(recover('verify')).toMatchObject({ status: 0, text: expect.stringContaining('no damage') });
  const target = join(dir, 'js');
  expect(recover('restore', '--to', target)).toMatchObject({ status: 0 });
  if (has('rsync')) expect(difference(target)).toEqual([]);
  // Holes are in no pack, so the sparse file cannot be complete.
  const scanned = recover('scan', '--to', join(dir, 'scan'));
  expect(scanned).toMatchObject({ status: 3, text: expect.stringContaining('1 incomplete') });
});

test.skipIf(!tools).each(shells.flatMap((shell) => [[shell, []] as const, [shell, ['--fast']] as const]))(
  'recover.sh in %s %s',
  ([program, ...words], mode) => {
    const target = join(dir, `${program}${mode.join('')}`);
    const script = [...words, join(repo, 'recover/recover.sh'), ...key, ...mode];
    const restored = run(program!, ...script, 'restore', '--to', target);
    expect(restored).toMatchObject({ status: 0 });
    expect(restored.text).not.toMatch(/Illegal number|integer expression|bad number/);
    expect(difference(target)).toEqual([]);
    rmSync(target, { recursive: true, force: true });
    if (mode.length > 0) return;
    const verified = run(program!, ...script, 'verify');
    expect(verified).toMatchObject({ status: 0 });
    expect(verified.text).not.toMatch(/Illegal number|integer expression|bad number/);
  },
);
