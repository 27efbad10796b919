// Campaigns against `backpack serve` over TCP on the loopback: what takes too long, or too much of the machine, for
// every commit. Needs dist/ (npm run build) and GNU time. Everything it starts it ends itself; everything it writes is
// in a temporary folder.
import { execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { cleanAtEnd, cpuOf, makeFile, median, timed } from './common.mjs';
import { cuttingProxy, randomOf, slowPeers } from './server-faults.mjs';

const usage = `node scripts/campaigns/server.mjs speed|slow|cut [options]

  speed   backup and restore, local and over TCP, in turns: seconds and processor seconds
    --tree DIR     a folder, such as an unpacked Linux source; default: none
    --size MIB     length of a file, half of it random; default 2048; 0: none
    --rounds N     default 3
  slow    a backup beside connections that are slow, half open, silent or nonsense, in turns with one alone
    --peers N      default 1000
    --size MIB     default 512
    --rounds N     default 5
  cut     backups through a proxy that cuts connections at random bytes; each is restored by recover.js and compared
    --seed N       default 7
    --cuts N       default 500
    --state FILE   figures so far are kept there, and a later run with the same seed goes on

  --dir DIR        where everything is written; default: the folder for temporary files
`;
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    tree: { type: 'string' },
    size: { type: 'string' },
    rounds: { type: 'string' },
    peers: { type: 'string', default: '1000' },
    seed: { type: 'string', default: '7' },
    cuts: { type: 'string', default: '500' },
    state: { type: 'string' },
    dir: { type: 'string', default: tmpdir() },
    help: { type: 'boolean', short: 'h', default: false },
  },
});
const [mode = ''] = positionals;
if (values.help || !['speed', 'slow', 'cut'].includes(mode)) {
  process.stdout.write(usage);
  process.exit(values.help ? 0 : 2);
}

const main = join(import.meta.dirname, '../../dist/cli/main.js');
const base = mkdtempSync(join(resolve(values.dir), 'backpack-server-'));
const env = { ...process.env, HOME: join(base, 'home') };
mkdirSync(env.HOME);
const children = cleanAtEnd(base);
const say = (text) => process.stdout.write(`${text}\n`);
const run = (...args) => timed(process.execPath, [main, ...args, '-q'], { env });
const list = (values) => values.map((value) => value.toFixed(1)).join(' ');

/** Starts a server on a free port; @returns its address and how to end it */
async function serve(root) {
  const words = ['serve', '--root', root, '--listen', '127.0.0.1:0', '--json', '-q'];
  const child = spawn(process.execPath, [main, ...words], { env, stdio: ['ignore', 'pipe', 'inherit'] });
  children.add(child);
  const line = await new Promise((done) => child.stdout.once('data', (bytes) => done(String(bytes))));
  const { location } = JSON.parse(line.split('\n')[0]);
  const ended = new Promise((done) => child.once('exit', done));
  return {
    location,
    port: Number(location.split(':')[2]),
    cpu: () => cpuOf(child.pid),
    peakMB: () => Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${child.pid}/status`, 'utf8'))[1]) / 1024,
    stop: () => {
      child.kill('SIGTERM');
      return ended;
    },
  };
}

async function speed() {
  const sources = [];
  if (values.tree) sources.push(['tree', resolve(values.tree)]);
  const size = Number(values.size ?? 2048);
  if (size > 0) {
    makeFile(join(base, 'file'), size, { half: true });
    sources.push([`file of ${size} MiB`, join(base, 'file')]);
  }
  const server = await serve(join(base, 'served'));
  for (const [name, source] of sources) {
    const runs = { local: { backup: [], restore: [] }, tcp: { backup: [], restore: [] } };
    for (let round = 0; round < Number(values.rounds ?? 3); round += 1) {
      for (const where of round % 2 === 0 ? ['local', 'tcp'] : ['tcp', 'local']) {
        const folder = join(base, where === 'tcp' ? 'served' : '', 'repository');
        const repo = where === 'tcp' ? `${server.location}/repository` : folder;
        const at = ['--repo', repo, '--key', join(base, 'key.bin')];
        await run('init', ...at);
        for (const words of [
          ['backup', source],
          ['restore', 'latest', '--to', join(base, 'out')],
        ]) {
          execFileSync('sync');
          const before = server.cpu();
          const { seconds, cpu } = await run(...words, ...at);
          runs[where][words[0]].push({ seconds, cpu: cpu + server.cpu() - before });
        }
        for (const made of ['out', 'key.bin']) rmSync(join(base, made), { recursive: true });
        rmSync(folder, { recursive: true });
      }
    }
    for (const verb of ['backup', 'restore']) {
      const of = (where, what) => runs[where][verb].map((one) => one[what]);
      const percent = (what, pick) => Math.round((100 * pick(of('local', what))) / pick(of('tcp', what)));
      const least = (figures) => Math.min(...figures);
      say(
        `${name}, ${verb}: local ${list(of('local', 'seconds'))} s, tcp ${list(of('tcp', 'seconds'))} s: ` +
          `${percent('seconds', median)} % by the median, ${percent('seconds', least)} % by the fastest; ` +
          `processor, with the server's: local ${list(of('local', 'cpu'))} s, tcp ${list(of('tcp', 'cpu'))} s`,
      );
    }
  }
  say(`server: at most ${Math.round(server.peakMB())} MB`);
  await server.stop();
}

async function slow() {
  const source = join(base, 'file');
  makeFile(source, Number(values.size ?? 512), { half: true });
  const server = await serve(join(base, 'served'));
  const key = join(base, 'key.bin');
  const backup = async () => {
    const at = ['--repo', `${server.location}/test`, '--key', key];
    await run('init', ...at);
    execFileSync('sync');
    const before = server.cpu();
    const { seconds } = await run('backup', source, ...at);
    const result = { seconds, server: server.cpu() - before };
    rmSync(join(base, 'served/test'), { recursive: true });
    rmSync(key);
    return result;
  };
  await backup();
  const [alone, beside] = [[], []];
  let dropped = 0;
  const own = process.cpuUsage();
  for (let round = 0; round < Number(values.rounds ?? 5); round += 1) {
    alone.push(await backup());
    const peers = slowPeers(server.port, Number(values.peers));
    await new Promise((done) => setTimeout(done, 3000));
    beside.push(await backup());
    dropped += peers.stop();
    await new Promise((done) => setTimeout(done, 1000));
  }
  const of = (runs, what) => runs.map((one) => one[what]);
  const ratio = (pick) => pick(of(beside, 'seconds')) / pick(of(alone, 'seconds'));
  const { user, system } = process.cpuUsage(own);
  say(
    `${values.peers} peers (${dropped} dropped and back; their own processor time ${((user + system) / 1e6).toFixed(1)} s): ` +
      `backup alone ${list(of(alone, 'seconds'))} s, beside them ${list(of(beside, 'seconds'))} s: ` +
      `${ratio(median).toFixed(2)}x by the median, ${ratio((all) => Math.min(...all)).toFixed(2)}x by the fastest; ` +
      `the server's processor: alone ${list(of(alone, 'server'))} s, beside them ${list(of(beside, 'server'))} s`,
  );
  say(`server: at most ${Math.round(server.peakMB())} MB`);
  await server.stop();
}

async function cut() {
  const seed = Number(values.seed);
  let figures = { seed, runs: 0, cuts: 0, complete: 0, clear: 0, wrong: 0 };
  if (values.state && existsSync(values.state)) {
    const before = JSON.parse(readFileSync(values.state, 'utf8'));
    if (before.seed === seed) figures = before;
    else throw new Error(`${values.state} has the figures of seed ${before.seed}; give another file`);
  }
  const source = join(base, 'file');
  makeFile(source, 48, { half: true });
  const server = await serve(join(base, 'served'));
  while (figures.cuts < Number(values.cuts)) {
    // Each run has its own numbers, so that one that went wrong can be run again alone.
    const random = randomOf(seed * 100_003 + figures.runs);
    // Half of the cuts hit the handshake, names and small answers, the others content.
    const proxy = await cuttingProxy(server.port, () => ({
      bytes: Math.floor(random() < 0.5 ? random() * 3000 : random() * 6e6),
      fromServer: random() < 0.4,
    }));
    const key = join(base, 'key.bin');
    await run('init', '--repo', `${server.location}/test`, '--key', key);
    const words = ['backup', source, '--repo', `tcp://127.0.0.1:${proxy.port}/test`, '--key', key, '--json'];
    const child = spawn(process.execPath, [main, ...words], { env, stdio: ['ignore', 'pipe', 'inherit'] });
    children.add(child);
    let out = '';
    child.stdout.on('data', (bytes) => {
      out += bytes;
    });
    const code = await new Promise((done) => child.once('close', done));
    children.delete(child);
    proxy.close();
    const repo = join(base, 'served/test');
    if (code === 0) {
      const to = join(base, 'out');
      const recover = [join(repo, 'recover/recover.js'), '--key', key, '--repo', repo, 'restore', '--to', to];
      execFileSync(process.execPath, recover, { stdio: 'ignore' });
      execFileSync('cmp', [source, join(to, source.slice(1))]);
      rmSync(to, { recursive: true });
      figures.complete += 1;
    } else if (/"code":"BP_(?:CONNECTION|TIMEOUT|RESUME_LOST)"/.test(out)) figures.clear += 1;
    else {
      figures.wrong += 1;
      say(`seed ${seed}, run ${figures.runs}: exit code ${code}\n${out}`);
    }
    figures.runs += 1;
    figures.cuts += proxy.cuts();
    // Whole or not at all: a run may be ended at any moment.
    if (values.state) {
      writeFileSync(`${values.state}.new`, JSON.stringify(figures));
      renameSync(`${values.state}.new`, values.state);
    }
    rmSync(repo, { recursive: true, force: true });
    rmSync(key);
  }
  say(
    `seed ${seed}: ${figures.cuts} cuts in ${figures.runs} backups; ${figures.complete} complete and exact, ` +
      `${figures.clear} ended with a clear error, ${figures.wrong} otherwise`,
  );
  await server.stop();
  if (figures.wrong > 0) process.exitCode = 1;
}

try {
  await { speed, slow, cut }[mode]();
} finally {
  rmSync(base, { recursive: true, force: true });
}
process.exit();
