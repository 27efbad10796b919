// Attacks `backpack serve` on the loopback with seeded hostile sessions, and judges: the server lives, its memory and its
// open files are bounded, nobody gets, learns or changes what is not his, and an honest client's backup afterwards works.
// The sessions are the same for a seed; what of them meets on the server differs from run to run. Needs dist/ (npm run
// build). Everything it starts it ends itself; everything it writes is in a temporary folder.
import { execFileSync, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  appendFileSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { attack, containerOf, packOf, wrongKey } from './attack-sessions.mjs';
import { cleanAtEnd, makeFile } from './common.mjs';
import { randomOf } from './server-faults.mjs';

const usage = `node scripts/campaigns/attack.mjs [options]

  --seed N          default 7
  --sequences N     hostile sessions; default 2000
  --from N          the first one; with --sequences 1 a single one again
  --at-once N       sessions at the same time; default 16
  --memory-max MB   the server may have this much resident memory; default 384
  --canary NAME     breaks one thing on purpose, and succeeds when that is found: all, or one of
                    dead, memory, files, outside, change, leak, key, content, honest
  --dir DIR         where everything is written; default: the folder for temporary files
`;
const { values } = parseArgs({
  options: {
    seed: { type: 'string', default: '7' },
    sequences: { type: 'string' },
    from: { type: 'string', default: '0' },
    'at-once': { type: 'string', default: '16' },
    'memory-max': { type: 'string', default: '384' },
    canary: { type: 'string' },
    dir: { type: 'string', default: tmpdir() },
    help: { type: 'boolean', short: 'h', default: false },
  },
});
/** What is broken on purpose, and the judgement that has to find it. */
const canaries = {
  dead: /^the server has ended/,
  memory: /^the server had \d+ MB/,
  files: /files open/,
  outside: /^what is outside changed/,
  change: /^the repository of the victim changed/,
  leak: /content of somebody else/,
  key: /opened without its key/,
  content: /is not what its trailer says/,
  honest: /^an honest backup afterwards/,
};
if (
  values.help ||
  (values.canary !== undefined && !['all', ...Object.keys(canaries)].includes(values.canary))
) {
  process.stdout.write(usage);
  process.exit(values.help ? 0 : 2);
}

const dist = new URL('../../dist/', import.meta.url);
const main = join(import.meta.dirname, '../../dist/cli/main.js');
const { parseAccessKey } = await import(`${dist.href}net/access-key.js`);
const { xxh64 } = await import(`${dist.href}codec/xxhash.js`);
const say = (text) => process.stdout.write(`${text}\n`);
const wait = (ms) => new Promise((done) => setTimeout(done, ms));

/** Names and content of others; whoever finds this in an answer has been given it. */
const secret = 'SECRET-OF-SOMEBODY-ELSE';
const lingerMax = 150;
/** Roles of attackers, and what each may open. */
const roles = ['append', 'write-only', 'read', 'admin'];

/** What a canary puts into the server's process. */
const preloads = {
  memory: `import net from 'node:net'; const kept = []; const { listen } = net.Server.prototype;
    net.Server.prototype.listen = function (...words) {
      this.on('connection', () => kept.push(Buffer.alloc(4 << 20, 1))); return listen.apply(this, words); };`,
  files: `import fs from 'node:fs'; import net from 'node:net'; const { listen } = net.Server.prototype;
    net.Server.prototype.listen = function (...words) {
      this.on('connection', () => { for (let i = 0; i < 4; i += 1) fs.openSync('/dev/null', 'r'); }); return listen.apply(this, words); };`,
  key: `import crypto from 'node:crypto'; import { syncBuiltinESMExports } from 'node:module';
    crypto.timingSafeEqual = () => true; syncBuiltinESMExports();`,
};

/** Path, kind, mode, length, time of change and content of everything below a folder. */
function digestOf(root) {
  const lines = readdirSync(root, { recursive: true, encoding: 'utf8' }).map((name) => {
    const path = join(root, name);
    const { mode, size, mtimeMs, ino } = lstatSync(path);
    const isFile = lstatSync(path).isFile();
    const hash = isFile ? createHash('sha256').update(readFileSync(path)).digest('hex') : '';
    return [name, mode, isFile ? size : 0, mtimeMs, ino, hash].join(' ');
  });
  return lines.sort().join('\n');
}

/** What became different between two digests. */
function difference(before, after) {
  const [old, now] = [new Set(before.split('\n')), new Set(after.split('\n'))];
  const lines = [...[...old].filter((line) => !now.has(line)), ...[...now].filter((line) => !old.has(line))];
  return lines
    .map((line) => line.split(' ')[0])
    .slice(0, 5)
    .join(', ');
}

/** Starts a server; @returns its port, what it uses, and how to end it */
async function serve(root, env, canary, children) {
  const preload =
    preloads[canary] === undefined
      ? []
      : ['--import', `data:text/javascript,${encodeURIComponent(preloads[canary])}`];
  const words = [...preload, main, 'serve', '--root', root, '--listen', '127.0.0.1:0', '--json', '-q'];
  const child = spawn(process.execPath, words, { env, stdio: ['ignore', 'pipe', 'ignore'] });
  children.add(child);
  const line = await new Promise((done, failed) => {
    child.stdout.once('data', (bytes) => done(String(bytes)));
    child.once('exit', (code) => failed(new Error(`the server ended with ${code}`)));
  });
  const { location } = JSON.parse(line.split('\n')[0]);
  const ended = new Promise((done) => child.once('exit', done));
  const statusOf = (field) => {
    const status = readFileSync(`/proc/${child.pid}/status`, 'utf8');
    return Number(new RegExp(`${field}:\\s+(\\d+)`).exec(status)?.[1] ?? 0) / 1024;
  };
  return {
    location,
    port: Number(location.split(':')[2]),
    alive: () => child.exitCode === null && child.signalCode === null,
    residentMB: () => statusOf('VmRSS'),
    peakMB: () => statusOf('VmHWM'),
    files: () => readdirSync(`/proc/${child.pid}/fd`).length,
    kill: (signal) => child.kill(signal),
    ended,
  };
}

/** What lies there before the attack: a victim, what is shared, a repository for each role, and what is outside. */
function furnish(base, env, canary) {
  const root = join(base, 'served');
  const keys = {};
  mkdirSync(join(base, 'outside'));
  writeFileSync(join(base, 'outside/secret'), secret);
  const run = (...words) =>
    execFileSync(process.execPath, [main, ...words], { env, cwd: base, stdio: 'pipe' });
  const user = (name, role, ...repositories) => {
    const which = repositories.flatMap((one) => ['--repository', one]);
    run('serve', 'user', 'add', name, '--root', root, '--role', role, ...which);
    keys[name] = parseAccessKey(readFileSync(join(base, `${name}.access-key`), 'utf8'));
  };
  mkdirSync(root, { mode: 0o700 });
  user('honest', 'admin', 'honest');
  for (const role of roles) {
    const shared = role === 'admin' ? [] : ['shared'];
    const others =
      (canary === 'leak' && role !== 'admin') || (canary === 'change' && role === 'admin') ? ['victim'] : [];
    user(`h-${role}`, role, `h-${role}`, ...shared, ...others);
  }
  const idOf = (n) => `019b76daa8${'5a'.repeat(10)}${n.toString(16).padStart(10, '0')}`;
  const victimIds = Array.from({ length: 5 }, (_, i) => idOf(0xabc0 + i));
  const ownIds = Array.from({ length: 8 }, (_, i) => idOf(i));
  const largeId = idOf(0x1a);
  const store = (repository, name, bytes) => {
    const path = join(root, repository, name);
    mkdirSync(join(path, '..'), { recursive: true, mode: 0o700 });
    writeFileSync(path, bytes);
  };
  for (const id of victimIds) store('victim', packOf(id), containerOf(id, 'data', 5000, secret));
  store('victim', 'README.txt', secret);
  for (const repository of ['shared', ...roles.map((role) => `h-${role}`)]) {
    for (const id of ownIds) store(repository, packOf(id), containerOf(id, 'data', 3000, 'own'));
    store(repository, packOf(largeId), containerOf(largeId, 'data', 24 << 20, 'large'));
    store(repository, 'README.txt', 'own');
    // Many names, for listings.
    for (let i = 0; i < 5000; i += 1) store(repository, `index/${idOf(0x10000 + i)}.bpk`, '');
  }
  const world = {
    objects: [...ownIds.map(packOf), 'README.txt', 'backpack.json'],
    victims: victimIds.map(packOf),
    repositories: ['victim', 'honest', 'shared', ...roles.map((role) => `h-${role}`)],
    large: packOf(largeId),
    recorded: [],
  };
  return { root, keys, world, victimIds, run };
}

/** All that must stay as it is: path and how it was. */
function watched(base, root) {
  const shared = () =>
    digestOf(join(root, 'shared'))
      .split('\n')
      .filter((line) => kept.has(line.split(' ')[0]))
      .join('\n');
  const kept = new Set(
    readdirSync(join(root, 'shared'), { recursive: true, encoding: 'utf8' }).filter((name) =>
      /\./.test(name),
    ),
  );
  const looks = {
    'what is outside': () => digestOf(join(base, 'outside')),
    'the repository of the victim': () => digestOf(join(root, 'victim')),
    'the users': () => digestOf(join(root, '.backpack-server/users')),
    'what was shared': shared,
    'the folders that are served': () => readdirSync(root).sort().join('\n'),
  };
  const before = Object.fromEntries(Object.entries(looks).map(([name, look]) => [name, look()]));
  return () =>
    Object.entries(looks).flatMap(([name, look]) => {
      const after = look();
      return after === before[name] ? [] : [`${name} changed: ${difference(before[name], after)}`];
    });
}

/** Every container that attackers stored has the content that its trailer tells. */
function wrongContent(root) {
  const found = [];
  for (const repository of ['shared', ...roles.map((role) => `h-${role}`)]) {
    for (const name of readdirSync(join(root, repository), { recursive: true, encoding: 'utf8' })) {
      if (!/^packs\/.*\.bpk$/.test(name)) continue;
      const bytes = readFileSync(join(root, repository, name));
      const hash = /\nxxh64=([0-9a-f]{16})\n/.exec(bytes.toString('latin1', bytes.length - 512))?.[1];
      if (hash !== xxh64(bytes.subarray(0, -512)))
        found.push(`${repository}/${name} is not what its trailer says`);
    }
  }
  return found;
}

/** @returns what was found, and figures */
async function campaign(sequences, canary) {
  const base = mkdtempSync(join(resolve(values.dir), 'backpack-attack-'));
  const env = { ...process.env, HOME: join(base, 'home') };
  mkdirSync(env.HOME);
  const children = cleanAtEnd(base);
  const findings = [];
  /** The first of each kind is enough. */
  const find = (text) => {
    const kind = (one) => one.replace(/^session \d+: /, '');
    if (findings.length < 50 && !findings.some((one) => kind(one) === kind(text))) findings.push(text);
  };
  const { root, keys, world, victimIds, run } = furnish(base, env, canary);
  const source = join(base, 'source');
  mkdirSync(source);
  makeFile(join(source, 'file'), 12, { half: true });
  const server = await serve(root, env, canary, children);
  const figures = { sessions: 0, kinds: {}, opened: 0, answers: 0, errors: 0, residentMB: 0, slowestMs: 0 };
  const at = [
    '--repo',
    `${server.location}/honest`,
    '--key',
    join(base, 'key.bin'),
    '--access-key',
    join(base, 'honest.access-key'),
  ];
  try {
    run('init', ...at);
    const changes = watched(base, root);
    const allowed = new Map(
      roles.map((role) => [`h-${role}`, role === 'admin' ? ['h-admin'] : [`h-${role}`, 'shared']]),
    );
    const judgeOf = (who, number) => ({
      frame: (frame, state) => {
        const text = frame.payload.toString('latin1');
        figures.answers += 1;
        if (frame.type === 32) {
          figures.opened += 1;
          const named = state.named.filter((name) => allowed.get(who.user)?.includes(name));
          if (who.wrongKey || state.wrongProof) find(`session ${number}: opened without its key`);
          else if (named.length === 0) find(`session ${number}: ${who.user} opened ${state.named}`);
        }
        if (frame.type === 38) figures.errors += 1;
        if (text.includes(secret)) find(`session ${number}: content of somebody else`);
        // Names come back in errors; a listing or an answer about one is knowledge.
        if ([36, 37].includes(frame.type) && victimIds.some((id) => text.includes(id)))
          find(`session ${number}: the name of an object of somebody else`);
        if (frame.type !== 33 && text.includes(base)) find(`session ${number}: told of the server's folders`);
      },
      replayed: (bytes) => bytes.length > 160 && find(`session ${number}: a recorded session was answered`),
    });
    const lingering = [];
    const one = async (number) => {
      const random = randomOf(Number(values.seed) * 100_003 + number);
      random();
      const role = roles[Math.floor(random() * 4)];
      const user = `h-${role}`;
      const wrong = random() < 0.08;
      const key = wrong ? wrongKey : keys[user].key;
      const who = {
        user: wrong && random() < 0.5 ? 'nobody' : user,
        key,
        wrongKey: wrong,
        repositories: allowed.get(user),
      };
      const judge = judgeOf(who, number);
      // A server that gives more rights than it should is only found out by who tries.
      const tries = canary === 'leak' || canary === 'change';
      const extra = tries ? { ...who, repositories: ['victim'] } : who;
      const { end, kind } = await attack({ port: server.port, random, who: extra, world, judge });
      figures.sessions += 1;
      figures.kinds[kind] = (figures.kinds[kind] ?? 0) + 1;
      lingering.push(end);
      if (lingering.length > lingerMax) lingering.shift()();
    };
    /** An honest client beside the attack. */
    const honest = () => {
      const from = performance.now();
      run('list', ...at);
      return performance.now() - from;
    };
    const first = Number(values.from);
    let next = first;
    const loop = async () => {
      while (next < first + sequences && server.alive()) {
        const number = next++;
        await one(number);
        figures.residentMB = Math.max(figures.residentMB, server.alive() ? server.residentMB() : 0);
        const done = figures.sessions;
        if (canary === 'dead' && done === Math.floor(sequences / 2)) server.kill('SIGKILL');
        if (canary === 'outside' && done === Math.floor(sequences / 2))
          appendFileSync(join(base, 'outside/secret'), '.');
      }
    };
    const beside = (async () => {
      while (next < first + sequences && server.alive()) {
        await wait(3000);
        if (!server.alive()) return;
        const child = spawn(process.execPath, [main, 'list', ...at, '-q'], { env, stdio: 'ignore' });
        const from = performance.now();
        const code = await new Promise((done) => child.once('exit', done));
        figures.slowestMs = Math.max(figures.slowestMs, Math.round(performance.now() - from));
        if (code !== 0 && server.alive()) find(`an honest list beside the attack ended with ${code}`);
      }
    })();
    await Promise.all(Array.from({ length: Number(values['at-once']) }, loop));
    await beside;
    for (const end of lingering) end();
    await wait(1500);
    if (!server.alive()) find('the server has ended');
    else {
      figures.files = server.files();
      figures.peakMB = Math.round(server.peakMB());
      if (figures.peakMB > Number(values['memory-max'])) find(`the server had ${figures.peakMB} MB`);
      // Unfinished objects wait for their clients, each with a file: at most 256 of them, for two minutes.
      if (figures.files > 256 + 64) find(`the server has ${figures.files} files open`);
      try {
        honest();
        run('backup', source, ...at);
        const repo = join(root, 'honest');
        if (canary === 'honest') {
          const pack = readdirSync(join(repo, 'packs'), { recursive: true, encoding: 'utf8' }).find((name) =>
            name.endsWith('.bpk'),
          );
          const bytes = readFileSync(join(repo, 'packs', pack));
          bytes[600] ^= 1;
          writeFileSync(join(repo, 'packs', pack), bytes);
        }
        run('check', '--read-data', ...at);
        const recover = [join(repo, 'recover/recover.js'), '--key', join(base, 'key.bin'), '--repo', repo];
        execFileSync(process.execPath, [...recover, 'restore', '--to', join(base, 'out')], { stdio: 'pipe' });
        execFileSync('diff', ['-r', source, join(base, 'out', source)], { stdio: 'pipe' });
      } catch (error) {
        find(
          `an honest backup afterwards: ${String(error.stderr ?? error.message)
            .trim()
            .slice(0, 300)}`,
        );
      }
    }
    if (canary === 'content') {
      const pack = join(root, 'h-admin', world.large);
      writeFileSync(
        pack,
        Buffer.concat([readFileSync(pack).subarray(0, -513), readFileSync(pack).subarray(-512)]),
      );
    }
    for (const text of [...changes(), ...wrongContent(root)]) find(text);
    return { findings, figures };
  } finally {
    server.kill('SIGTERM');
    await Promise.race([server.ended, wait(8000).then(() => server.kill('SIGKILL'))]);
    const left = roles.flatMap((role) => {
      try {
        return readdirSync(join(root, `h-${role}`, 'tmp'));
      } catch {
        return [];
      }
    });
    if (left.length > 0 && canary === undefined)
      find(`${left.length} unfinished files stayed when the server ended`);
    rmSync(base, { recursive: true, force: true });
  }
}

async function runCanaries() {
  let missed = 0;
  for (const canary of values.canary === 'all' ? Object.keys(canaries) : [values.canary]) {
    const { findings } = await campaign(Number(values.sequences ?? 150), canary);
    const found = findings.find((text) => canaries[canary].test(text));
    if (found === undefined) missed += 1;
    say(`canary ${canary}: ${found === undefined ? `NOT FOUND; ${findings}` : `found: ${found}`}`);
  }
  return missed;
}

if (values.canary !== undefined) {
  if ((await runCanaries()) > 0) process.exitCode = 1;
} else {
  const from = performance.now();
  const { findings, figures } = await campaign(Number(values.sequences ?? 2000));
  const kinds = Object.entries(figures.kinds).map(([kind, count]) => `${count} ${kind}`);
  say(
    `seed ${values.seed}: ${figures.sessions} hostile sessions in ${Math.round((performance.now() - from) / 1000)} s (${kinds.join(', ')}), ` +
      `${figures.opened} opened, ${figures.answers} answers, ${figures.errors} of them errors; the server at most ${figures.peakMB} MB, ` +
      `${figures.files} files open afterwards; an honest list beside them at most ${figures.slowestMs} ms; ${findings.length} findings`,
  );
  for (const text of findings) say(text);
  if (findings.length > 0) process.exitCode = 1;
}
process.exit();
