/**
 * A folder whose entries fill more than one page, restored alone by each of the three readers. A reader that passes
 * over pages which begin inside the folder restores a part of it and says that all is well.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const root = join(import.meta.dirname, '../..');
const tools = ['dash', 'openssl', 'lz4', 'jq', 'xxhsum'];
const haveTools = tools.every((tool) => spawnSync('sh', ['-c', `command -v ${tool}`]).status === 0);
/** More than 1 MiB of lines, so that a page ends inside the folder whatever its names are. */
const count = 3000;

describe('a folder over several pages', () => {
  let work = '';
  const at = (...parts: string[]): string => join(work, ...parts);
  const backpack = (...args: string[]): string =>
    execFileSync(process.execPath, [join(root, 'dist/cli/main.js'), ...args], {
      cwd: work,
      encoding: 'utf8',
      env: { ...process.env, HOME: at('home'), XDG_CONFIG_HOME: '', XDG_DATA_HOME: '' },
    });

  beforeAll(() => {
    work = mkdtempSync(join(tmpdir(), 'backpack-pages-'));
    mkdirSync(at('home'));
    for (const folder of ['a', 'middle', 'z']) mkdirSync(at('source', folder), { recursive: true });
    writeFileSync(at('source/a/first'), 'first');
    writeFileSync(at('source/z/last'), 'last');
    for (let i = 0; i < count; i += 1)
      writeFileSync(at('source/middle', `${String(i).padStart(5, '0')}${'n'.repeat(230)}`), '');
    backpack('init', 'repo', '--key', 'key.bin');
    backpack('backup', 'source', '--repo', 'repo', '--key', 'key.bin', '-q');
  }, 120_000);

  afterAll(() => rmSync(work, { recursive: true, force: true }));

  const restored = (to: string): string[] => readdirSync(at(to, 'source/middle'));

  it('comes back whole with backpack', () => {
    backpack('restore', 'latest:source/middle', '--to', 'out', '--repo', 'repo', '--key', 'key.bin');
    expect(restored('out')).toHaveLength(count);
    expect(readdirSync(at('out/source'))).toEqual(['middle']);
  }, 120_000);

  it('comes back whole with recover.js', () => {
    const args = ['--key', 'key.bin', '--repo', 'repo', 'restore', 'latest:source/middle', '--to', 'out-js'];
    execFileSync(process.execPath, [join(root, 'recover/recover.js'), ...args], { cwd: work });
    expect(restored('out-js')).toHaveLength(count);
  }, 120_000);

  it.skipIf(!haveTools)(
    'comes back whole with recover.sh',
    () => {
      const args = [
        '--key',
        'key.bin',
        '--repo',
        'repo',
        'restore',
        'latest:source/middle',
        '--to',
        'out-sh',
      ];
      execFileSync('dash', [join(root, 'recover/recover.sh'), ...args], { cwd: work });
      expect(restored('out-sh')).toHaveLength(count);
    },
    120_000,
  );
});
