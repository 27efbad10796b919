/** `npm run vectors:check`: what is right passes, a planted fault is named. */
import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { top, Vector } from '../vectors/load.ts';

const dir = mkdtempSync(join(tmpdir(), 'backpack-vectors-check-'));
afterAll(() => rmSync(dir, { recursive: true, force: true }));

function run(...words: string[]): { status: number | null; stdout: string } {
  return spawnSync(process.execPath, [join(top, 'scripts/vectors-check.mjs'), ...words], {
    encoding: 'utf8',
  });
}

test('vector files: all of a folder, and one whose payload was changed', () => {
  cpSync(join(top, 'test-vectors/container'), join(dir, 'container'), { recursive: true });
  expect(run(join(dir, 'container'))).toMatchObject({
    status: 0,
    stdout: '187 vectors checked, 0 failures\n',
  });
  const file = join(dir, 'container/block-256k.vec');
  const bytes = readFileSync(file);
  bytes[bytes.length - 2000]! ^= 1;
  writeFileSync(file, bytes);
  const { status, stdout } = run(join(dir, 'container'));
  expect([status, stdout]).toEqual([4, expect.stringContaining('block-256k.vec: expected accept, found E_')]);
});

test('a repository, with and without its key', () => {
  const vector = new Vector('repository/plain');
  const repo = join(dir, 'repo');
  for (const [name, bytes] of vector.objects) {
    if (/^(README|backpack)/.test(name)) continue;
    mkdirSync(join(repo, name, '..'), { recursive: true });
    writeFileSync(join(repo, name), bytes);
  }
  writeFileSync(join(dir, 'key.bin'), vector.key, { mode: 0o600 });
  expect(run(repo).status).toBe(0);
  const [pack] = [...vector.objects.keys()].filter((name) => name.startsWith('packs/'));
  const bytes = readFileSync(join(repo, pack!));
  bytes[600]! ^= 1;
  writeFileSync(join(repo, pack!), bytes);
  expect(run(repo)).toMatchObject({ status: 4, stdout: expect.stringContaining(`E_TRAILER ${pack}`) });
  const found = run(repo, '--key', join(dir, 'key.bin'));
  expect(found).toMatchObject({ status: 4, stdout: expect.stringContaining(`E_TAG ${pack}`) });
});
