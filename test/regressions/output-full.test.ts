/** Results that could not be written, because the disk was full, were lost with exit code 0. */
import { spawnSync } from 'node:child_process';
import { closeSync, existsSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';

it.runIf(existsSync('/dev/full'))('says so', () => {
  const full = openSync('/dev/full', 'w');
  const main = join(import.meta.dirname, '../../dist/cli/main.js');
  const { status, stderr } = spawnSync(process.execPath, [main, '--help'], {
    stdio: ['ignore', full, 'pipe'],
    encoding: 'utf8',
  });
  closeSync(full);
  expect([status, stderr]).toEqual([14, expect.stringContaining('cannot write to standard output')]);
});
