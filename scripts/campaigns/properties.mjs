// Runs every property of the unit tests with other values than those of the commit tier:
//
//   node scripts/campaigns/properties.mjs --seed 100 --rounds 20
//
// A round is one seed. Ends with the first seed that finds a fault; `FUZZ_SEED=N npx vitest run FILE` repeats it.
import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';

const { values } = parseArgs({
  options: { seed: { type: 'string', default: '2' }, rounds: { type: 'string', default: '10' } },
});
const root = join(import.meta.dirname, '../..');
const files = readdirSync(join(root, 'test'), { recursive: true, encoding: 'utf8' })
  .filter((file) => file.endsWith('.test.ts'))
  .filter((file) => /\bfast-check\b|FUZZ_SEED/.test(readFileSync(join(root, 'test', file), 'utf8')))
  .map((file) => join('test', file));
const first = Number(values.seed);
for (let seed = first; seed < first + Number(values.rounds); seed += 1) {
  const ended = spawnSync(
    process.execPath,
    [join(root, 'node_modules/vitest/vitest.mjs'), 'run', '--project', 'unit', '--reporter=dot', ...files],
    { cwd: root, encoding: 'utf8', env: { ...process.env, FUZZ_SEED: String(seed) } },
  );
  if (ended.status !== 0) {
    console.log(`${ended.stdout}${ended.stderr}\nseed ${seed}: a property failed`);
    process.exitCode = 1;
    break;
  }
  console.log(`seed ${seed}: ${files.length} files of properties hold`);
}
