/** Folders nested thousands deep: recover.js compared each with all above it, and went down anew to leave each one. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { TestRepository } from '../unit/recover/writer.ts';

it('recover.js restores 5,000 nested folders in seconds', () => {
  const repository = new TestRepository();
  const depth = 5000;
  repository.snapshot(
    Array.from({ length: depth }, (_, i) => ({ path: `a${'/a'.repeat(i)}` })),
    { pages: 30 },
  );
  const to = mkdtempSync(join(tmpdir(), 'backpack-deep-'));
  // No path that Node could use for it is long enough.
  onTestFinished(() => void spawnSync('rm', ['-rf', to]));
  const started = performance.now();
  const { code, out } = repository.run('restore', '--to', to);
  expect([code, out]).toEqual([0, expect.stringContaining(`${depth} folders`)]);
  // 1 s; it took a minute.
  expect(performance.now() - started).toBeLessThan(20_000);
});
