/** `--memory` bounds what the whole process takes, whatever number of threads was asked for. */
import { spawnSync } from 'node:child_process';
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { noise } from '../unit/operations/tree.ts';
import { temporaryFolder } from '../unit/support.ts';

const main = new URL('../../dist/cli/main.js', import.meta.url).pathname;
const MiB = 2 ** 20;

/** Says at the end how much memory was in use at most. */
const probe =
  'data:text/javascript,process.on("exit",()=>process._rawDebug("rss",process.resourceUsage().maxRSS))';

it('a backup stays within its budget of memory', { timeout: 120_000 }, () => {
  const folder = temporaryFolder();
  writeFileSync(join(folder, 'file'), 'x');
  const run = (...words: string[]) =>
    spawnSync(process.execPath, ['--import', probe, main, ...words], {
      cwd: folder,
      encoding: 'utf8',
      env: { PATH: process.env['PATH'], HOME: join(folder, 'home') },
    });
  const where = ['--repo', 'repo', '--key', 'key.bin'];
  expect(run('init', ...where).status).toBe(0);
  const small = run('backup', 'file', ...where, '--threads', '8', '--memory', '20M');
  expect(small.status).toBe(2);
  expect(small.stderr).toMatch(/20 MiB of memory are not enough \(BP_MEMORY_BUDGET\)\n.*at least \d+ MiB/);
  for (const budget of [150, 220]) {
    writeFileSync(join(folder, 'file'), noise(100 * MiB, budget));
    const done = run(
      'backup',
      'file',
      ...where,
      '--set',
      `${budget}`,
      '--threads',
      '8',
      '--memory',
      `${budget}M`,
    );
    expect(done.status, done.stderr).toBe(0);
    const peak = Math.max(...[...done.stderr.matchAll(/^rss (\d+)/gm)].map((m) => Number(m[1]) * 1024));
    expect(peak / MiB).toBeLessThanOrEqual(1.1 * budget);
    // That the figure is one: no process of ours gets by with less.
    expect(peak / MiB).toBeGreaterThan(60);
  }
  expect(existsSync(join(folder, 'repo'))).toBe(true);
});
