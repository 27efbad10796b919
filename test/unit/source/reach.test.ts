/** Paths that the kernel would not take in one piece. */
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { reach } from '../../../src/source/reach.ts';

it.skipIf(process.platform !== 'linux')(
  'paths of any length lead to their file, and no handle is left',
  () => {
    const top = mkdtempSync(join(tmpdir(), 'backpack-reach-'));
    onTestFinished(() => void spawnSync('rm', ['-rf', top]));
    const open = (): number => readdirSync('/proc/self/fd').length;
    const before = open();
    let path = top;
    while (path.length < 13_000) {
      path = `${path}/${'d'.repeat(200)}`;
      reach(path, (real) => mkdirSync(real));
      // Files whose paths end on both sides of every boundary.
      for (let length = 1; length <= 200 && path.length > 3_800; length += 1) {
        const file = `${path}/${'f'.repeat(length)}`;
        if (file.length % 4096 > 10 && (file.length - 4000) % 4096 > 10 && length > 1) continue;
        reach(file, (real) => writeFileSync(real, String(file.length)));
        expect(reach(file, (real) => readFileSync(real, 'utf8'))).toBe(String(file.length));
      }
    }
    expect(open()).toBe(before);
  },
);
