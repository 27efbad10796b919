// Longer, seeded runs of the fault tests, which print their figures:
//
//   node scripts/campaigns/faults.mjs kill --seed 7 --kills 250
//   node scripts/campaigns/faults.mjs errors|signals|flips|concurrent --seed 7 --runs 200
//   node scripts/campaigns/faults.mjs streams --stream-mib 300
//
// They need what the tests need (gcc, strace, root for a small disk); what is missing is said and skipped. The same
// seed makes the same sources and picks the same moments; a moment in time hits another call on another machine.
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { parseArgs } from 'node:util';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    seed: { type: 'string', default: '1' },
    kills: { type: 'string', default: '250' },
    runs: { type: 'string', default: '200' },
    files: { type: 'string', default: '3000' },
    'large-mib': { type: 'string', default: '60' },
    'stream-mib': { type: 'string', default: '300' },
    figures: { type: 'string', default: '' },
  },
});
const root = join(import.meta.dirname, '../..');
const names = positionals.length > 0 ? positionals : ['kill'];
const vitest = join(root, 'node_modules/vitest/vitest.mjs');
const ended = spawnSync(
  process.execPath,
  [
    vitest,
    'run',
    '--project',
    'built',
    '--reporter',
    'verbose',
    ...names.map((name) => `test/faults/${name}`),
  ],
  {
    cwd: root,
    stdio: 'inherit',
    env: {
      ...process.env,
      FAULTS_SEED: values.seed,
      FAULTS_KILLS: values.kills,
      FAULTS_RUNS: values.runs,
      FAULTS_FILES: values.files,
      FAULTS_LARGE_MIB: values['large-mib'],
      FAULTS_STREAM_MIB: values['stream-mib'],
      FAULTS_FIGURES: values.figures,
    },
  },
);
process.exitCode = ended.status ?? 1;
