// Campaigns against `backpack serve` over TCP on the loopback: what takes too long, or too much of the machine, for
// every commit. Needs dist/ (npm run build). Everything it starts it ends itself; everything it writes is in a
// temporary folder.
//
//   node scripts/campaigns/server.mjs speed --tree DIR --size 2048 --rounds 3   backup and restore, local and over TCP
//   node scripts/campaigns/server.mjs slow --peers 1000                       an honest client beside slow ones
//   node scripts/campaigns/server.mjs cut --seed 7 --cuts 500                 the connection cut at random bytes
import { execFileSync, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { closeSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync, writeSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const main = join(import.meta.dirname, '../../dist/cli/main.js');
const [mode, ...rest] = process.argv.slice(2);
const options = {};
for (let i = 0; i < rest.length; i += 2) options[rest[i].replace(/^--/, '')] = rest[i + 1];
const base = mkdtempSync(join(options.dir ?? tmpdir(), 'backpack-server-'));
const env = { ...process.env, HOME: join(base, 'home') };
mkdirSync(env.HOME);
const say = (text) => process.stdout.write(`${text}\n`);

/** Runs the command; @returns seconds */
function run(args) {
  const from = process.hrtime.bigint();
  execFileSync(process.execPath, [main, ...args, '-q'], { env, stdio: ['ignore', 'ignore', 'inherit'] });
  return Number(process.hrtime.bigint() - from) / 1e9;
}

/** Starts a server on a free port; @returns its address and how to end it */
async function serve(root, ...more) {
  const child = spawn(
    process.execPath,
    [main, 'serve', '--root', root, '--listen', '127.0.0.1:0', '--json', '-q', ...more],
    { env, stdio: ['ignore', 'pipe', 'inherit'] },
  );
  const line = await new Promise((resolve) => child.stdout.once('data', (bytes) => resolve(String(bytes))));
  const { location } = JSON.parse(line.split('\n')[0]);
  const ended = new Promise((resolve) => child.once('exit', resolve));
  const memory = (field) =>
    Number(new RegExp(`${field}:\\s+(\\d+)`).exec(readFileSync(`/proc/${child.pid}/status`, 'utf8'))[1]) /
    1024;
  return {
    location,
    port: Number(location.split(':')[2]),
    pid: child.pid,
    peakMB: () => memory('VmHWM'),
    stop: () => {
      child.kill('SIGTERM');
      return ended;
    },
  };
}

const median = (values) => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)];

/** A file of which one half can be compressed. */
function makeFile(path, sizeMB) {
  const fd = openSync(path, 'w');
  const text = Buffer.alloc(1 << 20);
  for (let i = 0; i < sizeMB; i += 1) {
    const noise = randomBytes(1 << 20);
    if (i % 2 === 0) for (let at = 0; at < text.length; at += 64) noise.copy(noise, at, 0, 48);
    writeSync(fd, noise);
  }
  closeSync(fd);
}

async function speed() {
  const rounds = Number(options.rounds ?? 3);
  const key = join(base, 'key.bin');
  const sources = [];
  if (options.tree) sources.push(['tree', options.tree]);
  if (options.size !== '0') {
    const file = join(base, 'file');
    makeFile(file, Number(options.size ?? 2048));
    sources.push([`file of ${options.size ?? 2048} MiB`, file]);
  }
  const server = await serve(join(base, 'served'));
  for (const [name, source] of sources) {
    const times = { local: { backup: [], restore: [] }, tcp: { backup: [], restore: [] } };
    for (let round = 0; round < rounds; round += 1) {
      for (const where of round % 2 === 0 ? ['local', 'tcp'] : ['tcp', 'local']) {
        const folder = join(base, where === 'tcp' ? 'served' : '', `r${round}-${where}`);
        const repo = where === 'tcp' ? `${server.location}/r${round}-${where}` : folder;
        run(['init', repo, '--key', `${key}-${name}-${round}-${where}`]);
        const at = ['--repo', repo, '--key', `${key}-${name}-${round}-${where}`];
        times[where].backup.push(run(['backup', source, ...at]));
        const to = join(base, 'out');
        times[where].restore.push(run(['restore', 'latest', '--to', to, ...at]));
        rmSync(to, { recursive: true });
        rmSync(folder, { recursive: true });
      }
    }
    for (const verb of ['backup', 'restore']) {
      const [local, tcp] = [median(times.local[verb]), median(times.tcp[verb])];
      const all = (list) => list.map((value) => value.toFixed(1)).join(' ');
      const percent = Math.round((100 * local) / tcp);
      say(
        `${name}, ${verb}: local ${local.toFixed(2)} s (${all(times.local[verb])}), tcp ${tcp.toFixed(2)} s (${all(times.tcp[verb])}): ${percent} %`,
      );
    }
  }
  say(`server: at most ${Math.round(server.peakMB())} MB`);
  await server.stop();
}

async function slow() {
  const peers = Number(options.peers ?? 1000);
  const source = join(base, 'file');
  makeFile(source, Number(options.size ?? 256));
  const server = await serve(join(base, 'served'));
  const key = join(base, 'key.bin');
  const timed = (repo) => {
    run(['init', `${server.location}/${repo}`, '--key', `${key}-${repo}`]);
    return run(['backup', source, '--repo', `${server.location}/${repo}`, '--key', `${key}-${repo}`]);
  };
  timed('warm');
  const alone = [timed('a1'), timed('a2'), timed('a3')];
  // A third says nothing, a third sends its hello byte by byte, a third says something else; who is dropped comes back.
  const sockets = new Set();
  let dropped = 0;
  let ended = false;
  const attack = (kind) => {
    const socket = connect(server.port, '127.0.0.1');
    sockets.add(socket);
    const hello = Buffer.concat([Buffer.from('BACKPACK-WIRE\n'), Buffer.alloc(114, 1)]);
    let at = 0;
    const timer = kind === 1 ? setInterval(() => socket.write(hello.subarray(at, ++at)), 1000) : undefined;
    if (kind === 2) socket.on('connect', () => socket.write('GET / HTTP/1.1\r\n'));
    socket.on('error', () => {});
    socket.on('close', () => {
      clearInterval(timer);
      sockets.delete(socket);
      dropped += 1;
      if (!ended) setTimeout(() => attack(kind), 200);
    });
  };
  for (let i = 0; i < peers; i += 1) attack(i % 3);
  await new Promise((resolve) => setTimeout(resolve, 3000));
  const beside = [];
  for (const repo of ['b1', 'b2', 'b3']) {
    const from = process.hrtime.bigint();
    for (const args of [
      ['init', `${server.location}/${repo}`, '--key', `${key}-${repo}`],
      ['backup', source, '--repo', `${server.location}/${repo}`, '--key', `${key}-${repo}`],
    ]) {
      const child = spawn(process.execPath, [main, ...args, '-q'], {
        env,
        stdio: ['ignore', 'ignore', 'inherit'],
      });
      const started = process.hrtime.bigint();
      const code = await new Promise((resolve) => child.once('exit', resolve));
      if (code !== 0) throw new Error(`${args[0]} ended with ${code}`);
      if (args[0] === 'backup') beside.push(Number(process.hrtime.bigint() - started) / 1e9);
    }
    void from;
  }
  ended = true;
  for (const socket of sockets) socket.destroy();
  const ratio = median(beside) / median(alone);
  say(
    `${peers} slow peers (${dropped} dropped and back): backup alone ${median(alone).toFixed(2)} s, beside them ${median(beside).toFixed(2)} s: ${ratio.toFixed(2)}x`,
  );
  say(`server: at most ${Math.round(server.peakMB())} MB`);
  await server.stop();
}

/** A proxy that cuts each connection after a number of bytes drawn from the seed, in one direction. */
function cuttingProxy(port, draw) {
  let cuts = 0;
  const server = createServer((client) => {
    const upstream = connect(port, '127.0.0.1');
    const { bytes, fromServer } = draw();
    let passed = 0;
    const end = () => {
      client.destroy();
      upstream.destroy();
    };
    const pass = (from, to, counted) => {
      from.on('error', end).on('close', end);
      from.on('data', (chunk) => {
        const allowed = counted ? Math.max(0, bytes - passed) : chunk.length;
        if (counted) passed += chunk.length;
        if (allowed > 0) to.write(chunk.subarray(0, allowed));
        if (allowed < chunk.length) {
          cuts += 1;
          // What is allowed arrives before the end does.
          to.end(end);
        }
      });
    };
    pass(client, upstream, !fromServer);
    pass(upstream, client, fromServer);
  });
  return { server, cuts: () => cuts };
}

async function cut() {
  const seed = Number(options.seed ?? 7);
  const wanted = Number(options.cuts ?? 500);
  let state = seed >>> 0;
  const random = () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
  const source = join(base, 'file');
  makeFile(source, 48);
  const server = await serve(join(base, 'served'));
  // Half of the cuts hit the handshake, names and small answers, the others content.
  const proxy = cuttingProxy(server.port, () => ({
    bytes: Math.floor(random() < 0.5 ? random() * 3000 : random() * 6e6),
    fromServer: random() < 0.4,
  }));
  await new Promise((resolve) => proxy.server.listen(0, '127.0.0.1', resolve));
  const port = proxy.server.address().port;
  const outcome = { complete: 0, clear: 0, wrong: 0 };
  for (let i = 0; proxy.cuts() < wanted; i += 1) {
    const key = join(base, `key-${i}`);
    run(['init', `${server.location}/c${i}`, '--key', key]);
    const child = spawn(
      process.execPath,
      [main, 'backup', source, '--repo', `tcp://127.0.0.1:${port}/c${i}`, '--key', key, '--json'],
      { env, stdio: ['ignore', 'pipe', 'inherit'] },
    );
    let out = '';
    child.stdout.on('data', (bytes) => {
      out += bytes;
    });
    const code = await new Promise((resolve) => child.once('exit', resolve));
    const repo = join(base, 'served', `c${i}`);
    const recover = join(repo, 'recover/recover.js');
    if (code === 0) {
      const to = join(base, 'out');
      execFileSync(process.execPath, [recover, '--key', key, '--repo', repo, 'restore', '--to', to], {
        stdio: 'ignore',
      });
      execFileSync('cmp', [source, join(to, source.slice(1))]);
      rmSync(to, { recursive: true });
      outcome.complete += 1;
    } else if (/"code":"BP_(?:CONNECTION|TIMEOUT|RESUME_LOST)"/.test(out)) outcome.clear += 1;
    else {
      outcome.wrong += 1;
      say(`seed ${seed}, run ${i}: exit code ${code}\n${out}`);
    }
    rmSync(repo, { recursive: true, force: true });
  }
  say(
    `seed ${seed}: ${proxy.cuts()} cuts; ${outcome.complete} backups complete and exact, ${outcome.clear} ended with a clear error, ${outcome.wrong} otherwise`,
  );
  proxy.server.close();
  await server.stop();
  if (outcome.wrong > 0) process.exitCode = 1;
}

try {
  const modes = { speed, slow, cut };
  if (!Object.hasOwn(modes, mode ?? '')) throw new Error('speed, slow or cut?');
  await modes[mode]();
} finally {
  rmSync(base, { recursive: true, force: true });
}
process.exit();
