/**
 * `backpack serve` as people run it: a process of its own on a free port, clients in others. What it leaves on disk is
 * judged by recover.js and by diff, which share no code with it.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { project, World } from '../cli/support.ts';

let world: World;
let servers: ChildProcess[];
beforeEach(() => {
  world = new World();
  servers = [];
  mkdirSync(join(world.dir, 'source/folder'), { recursive: true });
  writeFileSync(join(world.dir, 'source/small.txt'), 'small\n');
  const noise = Buffer.alloc(3_000_000);
  for (let i = 0, x = 1; i < noise.length; i += 1) {
    x = (Math.imul(x, 1103515245) + 12345) >>> 0;
    noise[i] = x >>> 16;
  }
  writeFileSync(join(world.dir, 'source/folder/large'), noise);
});
afterEach(async () => {
  for (const server of servers) {
    if (server.exitCode !== null || server.signalCode !== null) continue;
    server.kill('SIGKILL');
    await once(server, 'exit');
  }
  world.remove();
});

/** Starts a server. @returns its location, and what it says on standard error */
async function serve(
  ...options: string[]
): Promise<{ location: string; child: ChildProcess; log: () => string }> {
  const words = ['serve', '--root', 'root', '--listen', '127.0.0.1:0', '--json', ...options];
  const child = spawn(process.execPath, [join(project, 'dist/cli/main.js'), ...words], {
    cwd: world.dir,
    env: world.env,
  });
  servers.push(child);
  let log = '';
  child.stderr!.on('data', (bytes: Buffer) => {
    log += bytes;
  });
  const first = await Promise.race([once(child.stdout!, 'data'), once(child, 'exit')]);
  if (!Buffer.isBuffer(first[0])) throw new Error(`the server ended: ${log}`);
  const { location } = JSON.parse(String(first[0]).split('\n')[0]!) as { location: string };
  return { location, child, log: () => log };
}

/** Runs commands while the server, in another process, goes on. */
async function sh(command: string): Promise<{ code: number; out: string }> {
  const child = spawn('sh', ['-c', `set -e\n${command}`], { cwd: world.dir, env: world.env });
  let out = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (bytes: Buffer) => {
      out += bytes;
    });
  }
  const [code] = (await once(child, 'close')) as [number];
  return { code, out };
}

async function stop(child: ChildProcess): Promise<unknown> {
  child.kill('SIGTERM');
  const [code] = (await once(child, 'exit')) as [number];
  return code;
}

const good = { code: 0 };

describe('without users, on the loopback', () => {
  test('backup, restore, check; the folder is a repository; SIGTERM ends it', async () => {
    const { location, child, log } = await serve('--log', 'json');
    const at = `--repo ${location}/test --key k.bin`;
    expect(
      await sh(`backpack init ${location}/test --key k.bin
        backpack backup source ${at}; echo more > source/more.txt; backpack backup source ${at}
        backpack restore latest --to out ${at}; diff -r source out/source
        backpack check --read-data ${at}; backpack list ${at}`),
    ).toMatchObject(good);
    expect(
      await sh(
        'node root/test/recover/recover.js --key k.bin --repo root/test restore --to by-node && diff -r source by-node/source',
      ),
    ).toMatchObject(good);
    expect(await sh('backpack check --read-data --repo root/test --key k.bin')).toMatchObject(good);
    const events = log()
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as { event: string; name?: string });
    const stored = events.filter(({ event }) => event === 'stored').map(({ name }) => name);
    expect(stored.filter((name) => name!.startsWith('snapshots/'))).toHaveLength(2);
    expect(readdirSync(join(world.dir, 'root/test/tmp'))).toEqual([]);
    expect(await stop(child)).toBe(143);
  });

  test('a repository that is not there, a server that is not there', async () => {
    const { location } = await serve();
    expect(await sh(`backpack list --repo ${location}/nothing`)).toMatchObject({ code: 10 });
    const { code, out } = await sh('backpack list --repo tcp://127.0.0.1:1/x --key k.bin');
    expect([code, out]).toEqual([13, expect.stringContaining('(BP_CONNECTION)')]);
  });

  test('killed in the middle of a backup: what it holds is whole, and the next run goes on', async () => {
    const first = await serve();
    await sh(`backpack init ${first.location}/test --key k.bin`);
    const running = sh(`BACKPACK_TIMEOUT=1 backpack backup source --repo ${first.location}/test --key k.bin`);
    await new Promise((resolve) => setTimeout(resolve, 250));
    first.child.kill('SIGKILL');
    await running;
    const { location } = await serve();
    const at = `--repo ${location}/test --key k.bin`;
    expect(
      await sh(
        `backpack backup source ${at}; backpack restore latest --to out ${at}; diff -r source out/source`,
      ),
    ).toMatchObject(good);
    expect(await sh('node root/test/recover/recover.js --key k.bin --repo root/test verify')).toMatchObject(
      good,
    );
  });
});

describe('with users', () => {
  beforeEach(async () => {
    mkdirSync(join(world.dir, 'root'));
    await sh('backpack init root/laptop --key k.bin');
    await sh('backpack serve user add laptop --root root');
  });

  test('an append key backs up and restores, and can do no harm', async () => {
    const { location } = await serve();
    const at = `--repo ${location}/laptop --key k.bin --access-key laptop.access-key`;
    expect(
      await sh(
        `backpack backup source ${at}; backpack restore latest --to out ${at}; diff -r source out/source`,
      ),
    ).toMatchObject(good);
    expect(statSync(join(world.dir, 'laptop.access-key')).mode & 0o777).toBe(0o600);
    // The key is in no output, and the client's arguments and the server's log do not have it either.
    const key = /key=(\w+)/.exec(readFileSync(join(world.dir, 'laptop.access-key'), 'latin1'))![1]!;
    expect((await sh(`backpack list -v ${at} 2>&1; backpack list --json ${at}`)).out).not.toContain(key);
  });

  test('no key, another key, another repository, a removed user: exit codes 12 and 13', async () => {
    const { location } = await serve();
    const list = (name: string, more: string): Promise<{ code: number; out: string }> =>
      sh(`backpack list --repo ${location}/${name} --key k.bin ${more}`);
    await sh('backpack serve user add other --root root --role read');
    expect(await list('laptop', '')).toMatchObject({ code: 12 });
    expect(await list('laptop', '--access-key other.access-key')).toMatchObject({ code: 13 });
    expect(await list('laptop', '--access-key laptop.access-key')).toMatchObject({ code: 0 });
    await sh('chmod 644 laptop.access-key');
    expect(await list('laptop', '--access-key laptop.access-key')).toMatchObject({ code: 12 });
    await sh('chmod 600 laptop.access-key; backpack serve user remove laptop --root root');
    expect(await list('laptop', '--access-key laptop.access-key')).toMatchObject({ code: 12 });
  });

  test('a quota ends a backup with exit code 14', async () => {
    const { location } = await serve('--quota', '1M');
    const run = await sh(
      `backpack backup source --repo ${location}/laptop --key k.bin --access-key laptop.access-key`,
    );
    expect([run.code, run.out]).toEqual([14, expect.stringContaining('quota')]);
    expect(readdirSync(join(world.dir, 'root/laptop'))).not.toContain('snapshots/x');
  });

  test('write-only backs up again and again, and cannot restore', async () => {
    await sh('backpack serve user add w --root root --role write-only --repository laptop');
    const { location } = await serve();
    const at = `--repo ${location}/laptop --key k.bin --access-key w.access-key`;
    expect(
      await sh(`backpack backup source ${at}; echo more > source/more.txt; backpack backup source ${at}`),
    ).toMatchObject(good);
    expect((await sh(`backpack restore latest --to out ${at}`)).code).not.toBe(0);
    expect((await sh('test ! -e out/source/folder/large')).code).toBe(0);
  });
});

describe.skipIf(spawnSync('openssl', ['version']).status !== 0)('TLS', () => {
  test('both sides show a certificate of one authority; without one nothing is served', async () => {
    await sh('backpack serve tls init --host 127.0.0.1');
    const { location } = await serve('--tls', 'tls/server.pem');
    expect(location).toMatch(/^tls:/);
    const at = `--repo ${location}/test --key k.bin`;
    expect(
      await sh(`backpack init ${location}/test --key k.bin --tls tls/client.pem
        backpack backup source ${at} --tls tls/client.pem
        backpack restore latest --to out ${at} --tls tls/client.pem; diff -r source out/source`),
    ).toMatchObject(good);
    for (const wrong of ['', '--tls tls/server.pem']) {
      const { code, out } = await sh(`BACKPACK_TIMEOUT=2 backpack list ${at} ${wrong}`);
      expect([code === 0, out]).toEqual([false, expect.stringMatching(/BP_TLS|BP_CONNECTION|BP_TIMEOUT/)]);
    }
    // Plain TCP to it says what is wrong in the end.
    expect(
      (
        await sh(
          `BACKPACK_TIMEOUT=2 backpack list --repo ${location.replace('tls:', 'tcp:')}/test --key k.bin`,
        )
      ).code,
    ).toBe(13);
  });

  test('a pinned fingerprint stands for an authority, another one is refused', async () => {
    const { out } = await sh('backpack serve tls init --host elsewhere.example --json');
    const { fingerprint } = JSON.parse(out) as { fingerprint: string };
    const { location } = await serve('--tls', 'tls/server.pem');
    const at = `--repo ${location}/test --tls tls/client.pem --tls-fingerprint`;
    expect(await sh(`backpack list ${at} ${fingerprint}`)).toMatchObject({ code: 10 });
    const wrong = await sh(`backpack list ${at} ${fingerprint.replace(/./g, '0')}`);
    expect([wrong.code, wrong.out]).toEqual([12, expect.stringContaining('BP_TLS')]);
  });
});

test('metrics, and nothing else, over HTTP', async () => {
  const port = 20_000 + (process.pid % 20_000);
  const { location } = await serve('--metrics', `127.0.0.1:${port}`);
  await sh(`backpack init ${location}/test --key k.bin`);
  const text = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
  expect(text).toMatch(/^backpack_server_objects_stored_total [1-9]\d*$/m);
  expect(text).toMatch(/^process_resident_memory_bytes [1-9]\d+$/m);
  expect((await fetch(`http://127.0.0.1:${port}/`)).status).toBe(404);
});
