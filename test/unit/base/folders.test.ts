/** Folders are made one by one, and taken back; below /proc that ends with an error. */
import { spawnSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { makeFolders, unmakeFolders } from '../../../src/base/folders.ts';
import { TestRepository } from '../recover/writer.ts';
import { temporaryFolder } from '../support.ts';

it('makes what is missing, for the owner only, and says what it made', () => {
  const base = temporaryFolder();
  const made = makeFolders(join(base, 'a/b/c'));
  expect(made).toEqual([join(base, 'a'), join(base, 'a/b'), join(base, 'a/b/c')]);
  for (const folder of made) expect(statSync(folder).mode & 0o777).toBe(0o700);
  expect(makeFolders(join(base, 'a/b/c'))).toEqual([]);
  symlinkSync('a', join(base, 'link'));
  expect(makeFolders(join(base, 'link'))).toEqual([]);
});

it('takes back what is empty, and no more', () => {
  const base = temporaryFolder();
  const made = makeFolders(join(base, 'a/b/c'));
  writeFileSync(join(base, 'a/file'), '');
  unmakeFolders(made);
  expect(readdirSync(join(base, 'a'))).toEqual(['file']);
});

it('says what it made before it failed', () => {
  const base = temporaryFolder();
  mkdirSync(join(base, 'a'));
  const made: string[] = [];
  const tooLong = join(base, 'a/b', 'x'.repeat(300));
  expect(() => makeFolders(tooLong, 0o700, made)).toThrow('ENAMETOOLONG');
  writeFileSync(join(base, 'file'), '');
  expect(() => makeFolders(join(base, 'file/x'))).toThrow('ENOTDIR');
});

it.skipIf(!existsSync('/proc/self'))('ends below /proc, in recover.js too', { timeout: 20_000 }, () => {
  expect(() => makeFolders('/proc/nothing/x')).toThrow('ENOENT');
  const made = new TestRepository();
  onTestFinished(() => rmSync(dirname(made.dir), { recursive: true, force: true }));
  made.snapshot([{ path: 'file', content: Buffer.from('x') }]);
  const main = join(import.meta.dirname, '../../../recover/recover.js');
  const words = ['--key', made.keyFile, '--repo', made.dir, 'restore', '--to', '/proc/nothing/x'];
  const { signal, stderr } = spawnSync(process.execPath, [main, ...words], {
    timeout: 5000,
    encoding: 'utf8',
  });
  expect([signal, stderr]).toEqual([null, expect.stringContaining('ENOENT')]);
});

it('is how all of src makes folders', () => {
  const src = join(import.meta.dirname, '../../../src');
  const files = (readdirSync(src, { recursive: true }) as string[]).filter((name) => name.endsWith('.ts'));
  const recursive = /mkdir(?:Sync)?\([^;]*recursive: true/;
  expect(files.filter((name) => recursive.test(readFileSync(join(src, name), 'utf8')))).toEqual([]);
});
