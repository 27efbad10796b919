// npm run bench [-- OPTIONS]: Backpack beside restic, borg and plain programs, on the same data, in one run.
// Needs a built dist/, GNU time, and Debian's package lists (for the data); see docs/performance.md for the method.
// Must never be part of the tests: it measures, and says which targets were met; only a failing program fails it.
import { appendFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { availableParallelism, cpus, release, totalmem } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { Corpora } from './corpora.mjs';
import { must, which } from './measure.mjs';
import { Bench, morePartNames, partNames } from './parts.mjs';
import { plot } from './plot.mjs';
import { findPrograms } from './programs.mjs';
import { report, targets } from './report.mjs';

const usage = `npm run bench -- [options]

  --quick            small data, about one minute; default: all of it, about twenty minutes
  --only PARTS       some of ${partNames.join(',')} (restore: both),
                     and of ${morePartNames.join(',')}, which run when they are asked for only
  --rounds N         rounds of tree and big, default 3 (1 with --quick)
  --resume           go on with the last run (also with other parts) instead of beginning a new one
  --cache DIR        where data and results are kept (BACKPACK_BENCH_CACHE), default /var/tmp/backpack-bench
  --tree DIR         an unpacked Linux source to use instead of unpacking one
  --restic FILE, --borg FILE   other programs than those on PATH
  --option TEXT      a further option for Backpack's backups, such as --option=--compression=high
  --install          install restic, borg and what the benchmark needs, with apt-get
  --no-docs          leave docs/performance.svg and the tables of docs/performance.md as they are
`;
const { values } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    only: { type: 'string' },
    rounds: { type: 'string' },
    resume: { type: 'boolean', default: false },
    cache: { type: 'string', default: process.env.BACKPACK_BENCH_CACHE ?? '/var/tmp/backpack-bench' },
    tree: { type: 'string' },
    restic: { type: 'string' },
    borg: { type: 'string' },
    option: { type: 'string', multiple: true, default: [] },
    install: { type: 'boolean', default: false },
    'no-docs': { type: 'boolean', default: false },
    help: { type: 'boolean', short: 'h', default: false },
  },
});
if (values.help) {
  process.stdout.write(usage);
  process.exit(0);
}

const say = (text) => process.stderr.write(`${text}\n`);
const top = join(import.meta.dirname, '..');
const packages = 'restic borgbackup time lz4 xxhash openssl gcc libc6-dev debootstrap e2fsprogs xz-utils';
if (values.install) must(['apt-get', 'install', '-y', '--no-install-recommends', ...packages.split(' ')]);
if (which('/usr/bin/time') === undefined || !existsSync('/usr/bin/time')) {
  say('GNU time is missing: install the package time, or add --install');
  process.exit(1);
}
if (!existsSync(join(top, 'dist/cli/main.js'))) {
  say('nothing is built: npm run build');
  process.exit(1);
}

const cache = resolve(values.cache);
const { quick } = values;
const results = join(cache, quick ? 'quick.jsonl' : 'results.jsonl');
const wanted = (values.only?.split(',') ?? partNames).flatMap((name) =>
  name === 'restore' ? ['restore-tree', 'restore-big'] : [name],
);
const all = [...partNames, ...morePartNames];
const unknown = wanted.find((name) => !all.includes(name));
if (unknown !== undefined) {
  say(`no part ${unknown}; parts are ${all.join(', ')}`);
  process.exit(2);
}

const corpora = new Corpora(cache, {
  say,
  ...(values.tree === undefined ? {} : { tree: resolve(values.tree) }),
});
const programs = findPrograms({ restic: values.restic, borg: values.borg, extra: values.option });
const lines = values.resume && existsSync(results) ? readLines(results) : [];
if (lines.length === 0) writeFileSync(results, '');
const runs = lines.filter(({ type }) => type !== 'machine');
const emit = (line) => {
  appendFileSync(results, `${JSON.stringify(line)}\n`);
  process.stdout.write(`${JSON.stringify(line)}\n`);
};
const machine = {
  type: 'machine',
  date: new Date().toISOString(),
  cpu: cpus()[0]?.model ?? 'unknown',
  cores: availableParallelism(),
  memoryBytes: totalmem(),
  kernel: release(),
  node: process.versions.node,
  programs: Object.fromEntries(programs.map((program) => [program.name, program.version()])),
  quick,
};
emit(machine);

const bench = new Bench({
  corpora,
  programs,
  rounds: Array.from({ length: Number(values.rounds ?? (quick ? 1 : 3)) }, (_, i) => i + 1),
  quick,
  emit: (run) => {
    runs.push(run);
    emit(run);
  },
  has: (part, name, program, round) =>
    runs.some((r) => r.part === part && r.measure === name && r.program === program && r.round === round),
  say,
});
for (const part of all.filter((name) => wanted.includes(name))) await bench.run(part);

const versions = Object.entries(machine.programs).map(([name, version]) => `${name} ${version}`);
const where = `${machine.cores} cores of ${machine.cpu}, Node.js ${machine.node}, ${machine.date.slice(0, 10)}`;
const title = `${versions.slice(0, 3).join(', ')}; ${where}`;
const text = `${title}\n\n${targets(runs)}\n${report(runs)}`;
const image = '![Wall times, seconds](performance.svg)\n\n';
process.stdout.write(`\n${text}`);
const picture = plot(
  runs.filter(({ part }) => partNames.includes(part)),
  title,
);
mkdirSync(cache, { recursive: true });
writeFileSync(join(cache, 'performance.svg'), picture);
say(`results: ${results}, plot: ${join(cache, 'performance.svg')}`);
if (!quick && !values['no-docs']) {
  writeFileSync(join(top, 'docs/performance.svg'), picture);
  const page = join(top, 'docs/performance.md');
  const old = existsSync(page) ? readFileSync(page, 'utf8') : '';
  const marks = /(<!-- begin: npm run bench -->\n)[\s\S]*(\n<!-- end -->)/;
  if (marks.test(old))
    writeFileSync(
      page,
      old.replace(marks, (_, begin, end) => `${begin}\n${image}${text}${end}`),
    );
}

function readLines(path) {
  return readFileSync(path, 'utf8')
    .split('\n')
    .filter((line) => line.endsWith('}'))
    .map((line) => JSON.parse(line));
}
