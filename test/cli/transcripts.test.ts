/** Every transcript of this folder, with the built program. */
import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { World } from './support.ts';
import { compare, parseTranscript } from './transcript.ts';

const files = readdirSync(import.meta.dirname).filter((name) => name.endsWith('.txt'));

for (const file of files) {
  const { needs, steps } = parseTranscript(readFileSync(join(import.meta.dirname, file), 'utf8'));
  const able = needs === undefined || spawnSync('sh', ['-c', needs], { stdio: 'ignore' }).status === 0;
  test.skipIf(!able)(file, () => {
    const world = new World();
    try {
      for (const step of steps) {
        // One difference would be followed by many: what comes after it depends on it.
        expect(compare(step, world.sh(step.command), world)).toEqual([]);
      }
      expect(steps.length).toBeGreaterThan(0);
    } finally {
      world.remove();
    }
  });
}
