// Speed to a real S3 server on loopback (Ceph RGW, everything in memory), of Backpack, of restic, and of a plain PUT of
// the bytes that Backpack stored, one after the other, in turns. Needs dist/ (npm run build), Debian 12, root, and
// restic, curl and GNU time.
import { execFileSync } from 'node:child_process';
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { loadavg, tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { cpuOf, makeFile, median, timed } from './common.mjs';

const usage = `node scripts/campaigns/s3.mjs [options]

  --tree DIR     a folder to back up, such as an unpacked Linux source; default: none
  --size MIB     length of a random file to back up, default 2048; 0: none
  --rounds N     rounds, each with a server of its own; default 3
  --restic FILE  which restic; default: the one that is found
  --budget MIB   what Backpack may take for a backup (--memory of the program); default: no limit
  --dir DIR      where everything is kept; default: the folder for temporary files
  --memory MIB   what the server may keep, default 8192

Prints one line for each run, with the load of the machine, and a table at the end: medians of time, of processor time
(the program's and the server's), and how often Backpack's restic's is.
`;
const { values } = parseArgs({
  options: {
    tree: { type: 'string' },
    size: { type: 'string', default: '2048' },
    rounds: { type: 'string', default: '3' },
    restic: { type: 'string', default: 'restic' },
    budget: { type: 'string' },
    dir: { type: 'string', default: tmpdir() },
    memory: { type: 'string', default: '8192' },
    help: { type: 'boolean', short: 'h', default: false },
  },
});
if (values.help) {
  process.stdout.write(usage);
  process.exit();
}
const project = join(import.meta.dirname, '../..');
const main = join(project, 'dist/cli/main.js');
const endpoint = 'http://127.0.0.1:7480';
const pieceMiB = 64;
const base = mkdtempSync(join(resolve(values.dir), 'backpack-s3-'));
const env = {
  ...process.env,
  HOME: join(base, 'home'),
  AWS_ACCESS_KEY_ID: 'TESTKEY',
  AWS_SECRET_ACCESS_KEY: 'TESTSECRET',
  AWS_REGION: 'us-east-1',
  AWS_ENDPOINT_URL: endpoint,
  RESTIC_PASSWORD: 'restic',
};
mkdirSync(env.HOME);
const say = (text) => process.stdout.write(`${text}\n`);

/** Starts a server with nothing in it. */
function startServer() {
  const folder = mkdtempSync(join(base, 'rgw-'));
  const memory = String(Number(values.memory) * 1024 * 1024);
  execFileSync('sh', [join(project, 'scripts/servers/rgw.sh')], {
    env: { ...process.env, D: folder, MEMORY: memory },
    stdio: 'ignore',
  });
  const pids = readdirSync(join(folder, 'run'))
    .filter((name) => name.endsWith('.pid'))
    .map((name) => Number(readFileSync(join(folder, 'run', name), 'utf8')));
  const alive = (pid) => {
    try {
      return process.kill(pid, 0);
    } catch {
      return false;
    }
  };
  return {
    cpu: () => pids.reduce((sum, pid) => sum + cpuOf(pid), 0),
    stop: () => {
      for (const pid of pids.filter(alive)) process.kill(pid, 'SIGTERM');
      for (let i = 0; pids.some(alive) && i < 100; i += 1) execFileSync('sleep', ['0.2']);
      rmSync(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 500 });
    },
  };
}

/** curl, several pieces at once. @param lines of its configuration, each a pair of what and where */
function curl(lines) {
  const config = join(base, 'curl.conf');
  const common = [
    'aws-sigv4 = "aws:amz:us-east-1:s3"',
    'user = "TESTKEY:TESTSECRET"',
    'header = "x-amz-content-sha256: UNSIGNED-PAYLOAD"',
    'silent',
    'show-error',
    'fail',
  ];
  writeFileSync(config, lines.map((line) => [...common, ...line].join('\n')).join('\nnext\n'));
  return timed('curl', ['--parallel', '--parallel-max', '4', '-K', config], { env, cwd: base });
}

const key = join(base, 'key.bin');
const at = ['-r', 's3://backpack/r', '--key', key];
const backpack = (...args) => timed(process.execPath, [main, ...args], { env });
const restic = (...args) => timed(values.restic, ['-r', `s3:${endpoint}/restic`, ...args], { env });
const budget = values.budget === undefined ? [] : ['--memory', `${values.budget} MiB`];
const bytesFile = join(base, 'bytes');

/** What runs in turn; each is given the source, and a folder to restore into. */
const programs = {
  backpack: {
    prepare: () => backpack('init', ...at, '-q'),
    backup: (source) => backpack('backup', source, ...at, '--json', ...budget),
    restore: (to) => backpack('restore', 'latest', '--to', to, ...at, '-q'),
  },
  restic: {
    prepare: () => restic('init', '-q'),
    backup: (source) => restic('backup', source, '-q'),
    restore: (to) => restic('restore', 'latest', '--target', to, '-q'),
  },
  // As many bytes as Backpack stored, in pieces, as fast as they go; and back, to nowhere.
  curl: {
    async prepare(stored) {
      const pieces = Math.max(1, Math.ceil(stored / (pieceMiB << 20)));
      for (let i = 0; i < pieces; i += 1) {
        makeFile(`${bytesFile}-${i}`, pieceMiB);
        if (i === pieces - 1) truncateSync(`${bytesFile}-${i}`, stored - i * (pieceMiB << 20));
      }
      this.pieces = Array.from({ length: pieces }, (_, i) => i);
    },
    backup() {
      return curl(
        this.pieces.map((i) => [`upload-file = "${bytesFile}-${i}"`, `url = "${endpoint}/curl/${i}"`]),
      );
    },
    restore() {
      for (const i of this.pieces) rmSync(`${bytesFile}-${i}`);
      return curl(this.pieces.map((i) => [`output = "/dev/null"`, `url = "${endpoint}/curl/${i}"`]));
    },
  },
};

async function round(number, source, runs) {
  const server = startServer();
  let stored = runs.stored ?? 0;
  try {
    for (const bucket of ['backpack', 'curl'])
      await curl([['request = "PUT"', `url = "${endpoint}/${bucket}"`]]);
    // The pieces of curl are made after Backpack has told how much it stores.
    const order = number % 2 === 0 ? ['backpack', 'restic', 'curl'] : ['restic', 'backpack', 'curl'];
    for (const name of order) {
      const program = programs[name];
      await program.prepare(stored);
      execFileSync('sync');
      for (const verb of ['backup', 'restore']) {
        const to = join(base, 'out');
        const before = server.cpu();
        const run = await program[verb](verb === 'backup' ? source : to);
        const result = { ...run, serverCpu: server.cpu() - before };
        runs[verb][name].push(result);
        if (name === 'backpack' && verb === 'backup') {
          stored = JSON.parse(run.out.trim().split('\n').at(-1)).stored;
          runs.stored = stored;
        }
        say(
          `${runs.title}, round ${number + 1}, ${name} ${verb}: ${run.seconds.toFixed(1)} s, processor ${run.cpu.toFixed(1)} s and the server's ${result.serverCpu.toFixed(1)} s, ${Math.round(run.peakMB)} MB, load ${loadavg()[0].toFixed(1)}`,
        );
        rmSync(to, { recursive: true, force: true });
      }
    }
    rmSync(key);
    rmSync(join(env.HOME, '.cache'), { recursive: true, force: true });
  } finally {
    server.stop();
  }
}

try {
  const sources = [];
  if (values.tree) sources.push(['tree', resolve(values.tree)]);
  if (values.size !== '0') {
    const file = join(base, 'file');
    makeFile(file, Number(values.size));
    sources.push([`random file of ${values.size} MiB`, file]);
  }
  const table = [
    '| | Backpack | restic | plain PUT or GET | restic / Backpack: time, processor time |',
    '|---|---|---|---|---|',
  ];
  for (const [title, source] of sources) {
    const none = () => ({ backpack: [], restic: [], curl: [] });
    const runs = { title, backup: none(), restore: none() };
    for (let number = 0; number < Number(values.rounds); number += 1) await round(number, source, runs);
    for (const verb of ['backup', 'restore']) {
      const of = (name, what) => median(runs[verb][name].map(what));
      const time = (name) => of(name, ({ seconds }) => seconds);
      const cpu = (name) => of(name, (run) => run.cpu + run.serverCpu);
      const cell = (name) =>
        `${time(name).toFixed(1)} s (${of(name, (run) => run.cpu).toFixed(1)} and ${of(name, (run) => run.serverCpu).toFixed(1)} s), ${of(name, (run) => run.peakMB).toFixed(0)} MB`;
      const times = (what) => (what('restic') / what('backpack')).toFixed(2);
      table.push(
        `| ${title}, ${verb}, ${(runs.stored / 2 ** 20).toFixed(0)} MiB stored | ${cell('backpack')} | ${cell('restic')} | ${cell('curl')} | ${times(time)}, ${times(cpu)} |`,
      );
    }
  }
  say(table.join('\n'));
} finally {
  rmSync(base, { recursive: true, force: true });
}
