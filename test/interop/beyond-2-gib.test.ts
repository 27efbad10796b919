/** A file longer than 2^31 bytes (sparse, so that it is quick) through recover.sh: mawk prints such numbers as 3.22e+09. */
import { execFileSync, spawnSync } from 'node:child_process';
import {
  closeSync,
  ftruncateSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';

const root = join(import.meta.dirname, '../..');
const tools = ['dash', 'openssl', 'lz4', 'jq', 'xxhsum', 'cmp'];
const haveTools = tools.every((tool) => spawnSync('sh', ['-c', `command -v ${tool}`]).status === 0);
const size = 3 * 2 ** 30 + 7;

it.skipIf(!haveTools)(
  'recover.sh restores a file of more than 2 GiB',
  () => {
    const work = mkdtempSync(join(tmpdir(), 'backpack-large-'));
    try {
      mkdirSync(join(work, 'source'));
      const fd = openSync(join(work, 'source/large'), 'w');
      ftruncateSync(fd, size);
      writeSync(fd, 'the end', size - 7);
      closeSync(fd);
      const backpack = [join(root, 'dist/cli/main.js')];
      const options = { cwd: work, env: { ...process.env, HOME: work } };
      execFileSync(process.execPath, [...backpack, 'init', 'repo', '--key', 'key.bin'], options);
      execFileSync(
        process.execPath,
        [...backpack, 'backup', 'source', '-q', '--repo', 'repo', '--key', 'key.bin'],
        options,
      );
      const args = ['--key', 'key.bin', '--repo', 'repo', 'restore', '--to', 'out'];
      execFileSync('dash', [join(root, 'recover/recover.sh'), ...args], { cwd: work });
      expect(statSync(join(work, 'out/source/large')).size).toBe(size);
      execFileSync('cmp', ['source/large', 'out/source/large'], { cwd: work });
    } finally {
      rmSync(work, { recursive: true, force: true });
    }
  },
  120_000,
);
