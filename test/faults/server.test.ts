/**
 * A real `backpack serve`, over TCP: killed at each of its mutating calls, told to stop in the middle of an object, on a
 * disk that is full, and with more connections than it wants. Judges are recover.js, `diff` and plain looks at the disk.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { systemRandom } from '../../src/base/ports.ts';
import type { parseAccessKey } from '../../src/net/access-key.ts';
import { frameType, sealFrame } from '../../src/net/frame.ts';
import { greetServer, type SessionKeys } from '../../src/net/handshake.ts';
import { formatMessage } from '../../src/net/messages.ts';
import * as rig from './rig.ts';

const main = join(import.meta.dirname, '../../dist/cli/main.js');
const all = rig.setting('RUNS', 0) > 0;
const mounts = rig.isRoot && rig.hasTool('mount');
const wait = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
const id = `019b76daa8${'5a'.repeat(10)}0000000001`;
const name = `packs/${id.slice(0, 5)}/${id}.bpk`;

let running: ChildProcess[] = [];
afterEach(async () => {
  for (const child of running) {
    if (child.exitCode !== null || child.signalCode !== null) continue;
    child.kill('SIGKILL');
    await once(child, 'exit');
  }
  running = [];
});

/** Serves the folder of a place, in which `repo` is a repository. @returns undefined when it ended at once */
async function serve(
  place: rig.Place,
  env: Readonly<Record<string, string>> = {},
  program: string = main,
): Promise<{ port: number; child: ChildProcess } | undefined> {
  const words = ['serve', '--root', place.dir, '--listen', '127.0.0.1:0', '--json'];
  const child = spawn(process.execPath, [program, ...words], {
    env: { PATH: process.env['PATH'] ?? '', HOME: place.at('home'), ...env },
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  running.push(child);
  const first = await Promise.race([once(child.stdout!, 'data'), once(child, 'exit')]);
  if (!Buffer.isBuffer(first[0])) return undefined;
  const { location } = JSON.parse(String(first[0]).split('\n')[0]!) as { location: string };
  return { port: Number(location.split(':')[2]), child };
}

/** A client that sends what it likes. */
class Raw {
  readonly socket: Socket;
  readonly #keys: SessionKeys;
  #count = 0;

  private constructor(socket: Socket, keys: SessionKeys) {
    this.socket = socket;
    this.#keys = keys;
  }

  static async open(port: number, access?: ReturnType<typeof parseAccessKey>): Promise<Raw> {
    const socket = connect({ port, host: '127.0.0.1' });
    socket.on('error', () => {});
    await once(socket, 'connect');
    const { keys } = await greetServer(socket, access, Buffer.alloc(0), systemRandom);
    const client = new Raw(socket, keys);
    client.send(frameType.open, 0, { repository: 'repo' });
    return client;
  }

  send(type: number, stream: number, payload: object): void {
    const bytes = Buffer.isBuffer(payload) ? payload : formatMessage(payload as Record<string, unknown>);
    this.socket.write(Buffer.concat(sealFrame(this.#keys.clientFrames, this.#count, type, stream, [bytes])));
    this.#count += 1;
  }
}

describe.skipIf(!rig.built)('a server', () => {
  const place = new rig.Place();
  beforeAll(() => place.init());
  afterAll(() => place.remove());

  it('that is told to stop in the middle of an object ends in time, and nothing of it remains', async () => {
    const { port, child } = (await serve(place))!;
    const client = await Raw.open(port);
    client.send(frameType.put, 1, { name, token: '1'.repeat(32) });
    client.send(frameType.data, 1, Buffer.alloc(1 << 20));
    client.socket.resume();
    for (let i = 0; place.temporary().length === 0 && i < 200; i += 1) await wait(10);
    expect(place.temporary()).toHaveLength(1);
    const started = performance.now();
    child.kill('SIGTERM');
    const [code] = (await once(child, 'exit')) as [number];
    expect([code, performance.now() - started < 5500]).toEqual([143, true]);
    expect(place.temporary()).toEqual([]);
    expect(existsSync(join(place.repo, name))).toBe(false);
  });

  it('takes thousands of connections at once from one peer, and serves an honest client beside them', async () => {
    const { port, child } = (await serve(place))!;
    const sockets: Socket[] = [];
    let ended = false;
    const storm = (async () => {
      for (let i = 0; !ended; i += 1) {
        const socket = connect({ port, host: '127.0.0.1' }).on('error', () => {});
        sockets.push(socket);
        if (i % 2 === 0) socket.write('GET / HTTP/1.1\r\n');
        if (sockets.length > 700) sockets.shift()!.destroy();
        if (i % 20 === 0) await wait(2);
      }
      return sockets;
    })();
    await wait(500);
    const args = ['list', '--repo', `tcp://127.0.0.1:${port}/repo`, '--key', place.key];
    const listed = await place.run(args);
    ended = true;
    for (const socket of await storm) socket.destroy();
    expect([listed.code, listed.stderr]).toEqual([0, expect.any(String)]);
    expect(child.exitCode).toBe(null);
    const kB = Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${child.pid}/status`, 'utf8'))![1]);
    expect(kB / 1024).toBeLessThan(256);
  }, 60_000);

  it('lets nobody in without a key as soon as there is a user, without a restart', async () => {
    const { port } = (await serve(place))!;
    const at = ['--repo', `tcp://127.0.0.1:${port}/repo`, '--key', place.key];
    expect((await place.run(['list', ...at])).code).toBe(0);
    const open = await Raw.open(port);
    open.socket.resume();
    await place.run(['serve', 'user', 'add', 'me', '--root', place.dir, '--repository', 'repo']);
    expect((await place.run(['list', ...at])).code).toBe(12);
    expect((await place.run(['list', ...at, '--access-key', 'me.access-key'])).code).toBe(0);
    // Who is in already has to go.
    if (!open.socket.destroyed) await once(open.socket, 'close');
    rmSync(place.at('.backpack-server'), { recursive: true });
  }, 30_000);
});

describe.skipIf(!rig.built || !rig.hasGcc)('a server that is killed', () => {
  const place = new rig.Place();
  let counter = '';
  let base: Record<string, string> = {};
  let first = '';

  beforeAll(async () => {
    ({ counter, first, base } = await rig.disturbed(place, 3 * 2 ** 20));
  }, 60_000);
  afterAll(() => place.remove());

  const backup = (port: number): Promise<rig.Ended> =>
    place.run(
      ['backup', 'source', '--json', '--timeout', '1', '--key', place.key, '--threads', '1'].concat([
        '--repo',
        `tcp://127.0.0.1:${port}/repo`,
      ]),
    );

  /** @returns what is wrong after a kill at the n-th call */
  async function judge(at: number, program?: string): Promise<string[]> {
    const problems: string[] = [];
    const say = (problem: string | undefined): void => {
      if (problem !== undefined) problems.push(`call ${at}: ${problem}`);
    };
    place.goBackTo('base');
    const env = { LD_PRELOAD: counter, FAIL_ROOT: place.repo, FAIL_AT: String(at) };
    const server = await serve(place, env, program);
    const ended = await backup(server!.port);
    const killed = server!.child.signalCode === 'SIGKILL';
    if (!killed) server!.child.kill('SIGKILL');
    const summary = rig.summaryOf(ended);
    if (killed && ended.code !== 13 && ended.code !== 0) say(`unclear end: ${rig.describe(ended)}`);
    const now = rig.fingerprint(place.repo);
    for (const [file, hash] of Object.entries(base)) if (now[file] !== hash) say(`${file} was changed`);
    say(place.verify());
    say(await place.differs(first, 'one'));
    if (ended.code === 0) say(await place.differs(summary!.snapshotId, 'source'));
    const again = await serve(place);
    const next = await backup(again!.port);
    if (next.code !== 0) say(`the next run: ${rig.describe(next)}`);
    else say(await place.differs(rig.summaryOf(next)!.snapshotId, 'source'));
    again!.child.kill('SIGKILL');
    return problems;
  }

  it('at any of its calls has lost nothing that it acknowledged, and goes on after a restart', async () => {
    place.goBackTo('base');
    const log = place.at('log-count');
    const server = await serve(place, { LD_PRELOAD: counter, FAIL_ROOT: place.repo, FAIL_LOG: log });
    expect((await backup(server!.port)).code).toBe(0);
    server!.child.kill('SIGKILL');
    const calls = rig.callsOf(log).length;
    expect(calls).toBeGreaterThan(15);
    const problems: string[] = [];
    let runs = 0;
    for (let at = 1; at <= calls; at += all ? 1 : Math.ceil(calls / 6)) {
      runs += 1;
      problems.push(...(await judge(at)));
    }
    rig.figures('server-kill', { calls, runs, problems });
    expect(problems).toEqual([]);
  }, 1_800_000);
});

describe.skipIf(!rig.built || !mounts)('a server on a full disk', () => {
  const place = new rig.Place();
  afterAll(() => {
    spawnSync('umount', [place.repo]);
    place.remove();
  });

  it('says so, keeps what is whole, and goes on when there is room again', async () => {
    // A filesystem of its own, in a file.
    spawnSync('truncate', ['-s', '24M', place.at('image')]);
    spawnSync('mkfs.ext4', ['-q', '-F', '-m', '0', place.at('image')]);
    mkdirSync(place.repo);
    const mounted = spawnSync('mount', ['-o', 'loop', place.at('image'), place.repo], { encoding: 'utf8' });
    expect(mounted.stderr).toBe('');
    rmSync(join(place.repo, 'lost+found'), { recursive: true, force: true });
    const dice = new rig.Dice(rig.seed);
    rig.makeSource(place.at('small'), dice, { files: 20, largeBytes: 2 << 20 });
    rig.makeSource(place.at('large'), dice, { files: 5, largeBytes: 40 << 20 });
    await place.init();
    const { port } = (await serve(place))!;
    const run = (folder: string): Promise<rig.Ended> =>
      place.run(['backup', folder, '--json', '--repo', `tcp://127.0.0.1:${port}/repo`, '--key', place.key]);
    expect((await run('small')).code).toBe(0);
    const full = await run('large');
    expect([full.code, rig.errorOf(full)?.code]).toEqual([14, 'BP_NO_SPACE']);
    expect(place.temporary()).toEqual([]);
    expect(place.verify()).toBe(undefined);
    const packs = [...rig.sizes(join(place.repo, 'packs')).keys()];
    // Packs of the run that failed are whole, and belong to no snapshot.
    const large = packs.filter((one) => statSync(join(place.repo, 'packs', one)).size > 4 << 20);
    for (const one of large) rmSync(join(place.repo, 'packs', one));
    expect((await run('small')).code).toBe(0);
    expect(readdirSync(join(place.repo, 'snapshots'))).toHaveLength(2);
  }, 120_000);
});
