// Changes every byte of every object of a small repository with the real recovery kit, one at a time, and checks it
// in process through the function that the command calls:
//
//   node scripts/campaigns/flips.mjs --shard 1/8 --snapshots 1 --seed 7
//
// A shard takes every n-th flip; all of them together leave no byte out. Each prints its figures as one line of JSON.
// --no-kit leaves the files of the kit alone, which are most of the bytes.
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { parseArgs } from 'node:util';

const { values } = parseArgs({
  options: {
    shard: { type: 'string', default: '1/1' },
    snapshots: { type: 'string', default: '1' },
    seed: { type: 'string', default: '7' },
    'no-kit': { type: 'boolean', default: false },
  },
});
const root = join(import.meta.dirname, '../..');
const ended = spawnSync(
  process.execPath,
  [
    join(root, 'node_modules/vitest/vitest.mjs'),
    ...['run', '--project', 'unit', '--disable-console-intercept'],
    ...['-t', 'every single one', 'test/unit/operations/check-bytes.test.ts'],
  ],
  {
    cwd: root,
    stdio: 'inherit',
    env: {
      ...process.env,
      FLIPS_SHARD: values.shard,
      FLIPS_SNAPSHOTS: values.snapshots,
      FLIPS_SEED: values.seed,
      FLIPS_KIT: values['no-kit'] ? '0' : '1',
    },
  },
);
process.exitCode = ended.status ?? 1;
