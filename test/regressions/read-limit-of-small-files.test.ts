/** `--limit-read` held back the reading of large files only: small ones, which are read in groups, were not counted. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { createRateLimit } from '../../src/base/rate-limiter.ts';
import { backUp, newRepository, noise } from '../unit/operations/tree.ts';
import { temporaryFolder } from '../unit/support.ts';

it('small files are read no faster than the limit', { timeout: 30_000 }, async () => {
  const folder = temporaryFolder();
  for (let i = 0; i < 60; i += 1) writeFileSync(join(folder, `${i}`), noise(50_000, i + 1));
  const repository = await newRepository();
  const begin = performance.now();
  const { bytesRead } = await backUp(repository, folder, { readLimit: createRateLimit(1_000_000) });
  expect(bytesRead).toBe(3_000_000);
  // Within the tenth that a limit is honoured to.
  expect(performance.now() - begin).toBeGreaterThanOrEqual(2700);
});
