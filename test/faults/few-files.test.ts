/** With `ulimit -n 64` a backup, a check and a restore work with fewer threads and handles, and lose nothing. */
import { spawnSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import * as rig from './rig.ts';

describe.skipIf(!rig.built)('few open files', () => {
  const place = new rig.Place();
  afterAll(() => place.remove());

  it('ulimit -n 64: backup, check, restore, recover.js', async () => {
    for (let i = 0; i < 30; i += 1) {
      const folder = place.at(`source/a${i}/b/c/d`);
      mkdirSync(folder, { recursive: true });
      for (let f = 0; f < 10; f += 1) writeFileSync(join(folder, `f${f}`), `${i} ${f}`);
    }
    await place.init();
    const before = ['sh', '-c', 'ulimit -n 64 && exec "$@"', 'sh'];
    for (const args of [
      ['backup', 'source', '--threads', '4'],
      ['check', '--read-data', '--threads', '4'],
      ['restore', 'latest', '--to', place.at('out'), '--threads', '4'],
    ]) {
      const ended = await place.backpack(args, { before });
      expect(ended.code, rig.describe(ended)).toBe(0);
    }
    const recover = join(place.repo, 'recover/recover.js');
    const words = [process.execPath, recover, '--key', place.key, '--repo', place.repo, 'restore', '--to'];
    const ended = spawnSync('sh', [...before.slice(1), ...words, place.at('out2')], { encoding: 'utf8' });
    expect([ended.status, ended.stderr]).toEqual([0, '']);
    for (const out of ['out', 'out2']) {
      const found = spawnSync('diff', ['-r', place.at('source'), place.at(`${out}/source`)]);
      expect(found.status).toBe(0);
    }
  }, 60_000);
});
