/** A server against clients that break every rule: each item of the list of attacks is one test. */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { systemRandom } from '../../../src/base/ports.ts';
import { xxh64 } from '../../../src/codec/xxhash.ts';
import { frameType } from '../../../src/net/frame.ts';
import { formatClientHello, greetServer } from '../../../src/net/handshake.ts';
import { loopback } from '../../../src/net/loopback.ts';
import type { Role } from '../../../src/server/rights.ts';
import { FsStorage, listAll, MemoryStorage, type ObjectWriter } from '../../../src/storage/index.ts';
import { fromSystemError } from '../../../src/storage/storage-errors.ts';
import { codeOfAsync, temporaryFolder } from '../support.ts';
import { containerOf, idOf, makeClient, makeServer, RawClient, userOf } from './rig.ts';

const pack = (n: number): string => `packs/${idOf(n).slice(0, 5)}/${idOf(n)}.bpk`;
const token = '0'.repeat(32);
const wait = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
const { access, account } = userOf('alice');
const loopbackAddress = { host: '127.0.0.1', port: 0, tls: undefined };

describe('handshake', () => {
  it('one that says nothing, or half a hello, is dropped after the time limit', async () => {
    const server = makeServer({ limits: { handshakeMs: 100 } });
    const silent = RawClient.connect(server);
    const half = RawClient.connect(server);
    half.wire.write(formatClientHello('', Buffer.alloc(32)).subarray(0, 64));
    const unproven = RawClient.connect(server);
    unproven.wire.write(formatClientHello('', Buffer.alloc(32)));
    await wait(250);
    expect([silent.closed, half.closed, unproven.closed]).toEqual([true, true, true]);
    expect(await codeOfAsync(() => makeClient(server).stat(pack(1)))).toBe('ok');
  });

  it('one that proves itself and then says nothing, or nothing more, is dropped', async () => {
    const first = makeServer({ users: [account], limits: { openMs: 100 } });
    const mute = await RawClient.dial(await first.listen(loopbackAddress));
    await greetServer(mute.wire, access, Buffer.alloc(0), systemRandom);
    mute.wire.resume();
    const second = makeServer({ users: [account], limits: { idleMs: 150 } });
    const port = await second.listen(loopbackAddress);
    const idle = await RawClient.open(port, access);
    const busy = await RawClient.open(port, access);
    const timer = setInterval(() => busy.send(frameType.ping, 0, Buffer.alloc(0)), 40);
    await wait(500);
    clearInterval(timer);
    expect([mute.closed, idle.closed, busy.closed]).toEqual([true, true, false]);
  });

  it('the oldest of too many half-open connections makes room for an honest client', async () => {
    const server = makeServer({ limits: { pendingMax: 10 } });
    const slow = Array.from({ length: 300 }, () => RawClient.connect(server));
    expect(await codeOfAsync(() => makeClient(server).stat(pack(1)))).toBe('ok');
    await wait(20);
    expect(slow.filter(({ closed }) => closed).length).toBeGreaterThanOrEqual(290);
  });

  it('a wrong key, an unknown user and no key look alike, and open nothing', async () => {
    const server = makeServer({ users: [account] });
    const wrong = { user: 'alice', key: userOf('eve').access.key };
    for (const given of [wrong, userOf('mallory').access, undefined]) {
      const client = makeClient(server, given === undefined ? {} : { access: given });
      expect(await codeOfAsync(() => client.stat(pack(1)))).toBe('BP_ACCESS_DENIED');
    }
    expect(await codeOfAsync(() => makeClient(server, { access }).stat(pack(1)))).toBe('ok');
  });

  it('a client notices that the server does not have its key', async () => {
    const impostor = makeServer({ users: [{ ...account, key: userOf('eve').access.key }] });
    expect(await codeOfAsync(() => makeClient(impostor, { access }).stat(pack(1)))).toBe('BP_ACCESS_DENIED');
  });

  it('a recorded session cannot be played again', async () => {
    const storage = new MemoryStorage();
    const server = makeServer({ storage, users: [account] });
    const [mine, yours] = loopback();
    const sent: Buffer[] = [];
    const write = mine.write.bind(mine);
    mine.write = ((bytes: Buffer, ...rest: never[]) => {
      sent.push(Buffer.from(bytes));
      return write(bytes, ...rest);
    }) as typeof mine.write;
    void server.serve({ wire: yours, binding: Buffer.alloc(0), peer: 'honest' });
    const client = makeClient(server, {
      access,
      dial: async () => ({ wire: mine, binding: Buffer.alloc(0), peer: '' }),
    });
    await client.put(pack(1), Buffer.from('x'));
    storage.objects.clear();
    const again = RawClient.connect(server);
    again.wire.write(Buffer.concat(sent));
    again.wire.resume();
    await again.until(() => again.closed);
    expect(storage.objects.size).toBe(0);
  });

  it('another channel than the one that was agreed on is refused', async () => {
    const server = makeServer({ users: [account] });
    const [mine, yours] = loopback();
    void server.serve({ wire: yours, binding: Buffer.alloc(32, 1), peer: '' });
    const code = await codeOfAsync(() => greetServer(mine, access, Buffer.alloc(32, 2), systemRandom));
    expect(code).toBe('BP_ACCESS_DENIED');
  });
});

describe('frames', () => {
  it('a flip of any byte of a session is noticed, and stores nothing wrong', async () => {
    const storage = new MemoryStorage();
    const server = makeServer({ storage, users: [account] });
    const body = containerOf(idOf(1), 'data', Buffer.from('the content of a pack'));
    const first = await RawClient.open(server, access);
    const session = (client: RawClient): Buffer =>
      Buffer.concat([
        client.seal(frameType.put, 1, { name: pack(1), token }),
        client.seal(frameType.data, 1, body.subarray(0, 64)),
        client.seal(frameType.end, 1, { sizeBytes: 64 }),
      ]);
    const length = session(first).length;
    first.wire.destroy();
    for (let at = 0; at < length; at += 1) {
      const client = await RawClient.open(server, access);
      const bytes = session(client);
      bytes[at]! ^= 1 << (at % 8);
      client.wire.write(bytes);
      // A longer length makes the server wait for more; it must not take what is there.
      if (at % 4 === 0 || !client.closed) client.wire.end();
      await client.until(() => client.closed);
      expect(client.answers.filter(({ type }) => type === frameType.done)).toEqual([]);
      expect(storage.objects.size).toBe(0);
    }
  });

  it('a frame that announces gigabytes is refused before anything is kept', async () => {
    const server = makeServer({ users: [account] });
    const before = process.memoryUsage().rss;
    for (const [length, type] of [
      [0xffffffff, 3],
      [1_048_577, 3],
      [65_537, 2],
      [10, 99],
      [10, 0],
    ] as const) {
      const client = await RawClient.open(server, access);
      const header = Buffer.alloc(12);
      header.writeUInt32BE(length, 0);
      header.writeUInt8(type, 4);
      client.wire.write(header);
      await client.until(() => client.closed);
    }
    expect(process.memoryUsage().rss - before).toBeLessThan(50e6);
  });

  it('what was sent before an error was heard of is passed over, and the connection goes on', async () => {
    const storage = new MemoryStorage();
    storage.objects.set(pack(1), Buffer.from('first'));
    const users = [{ ...account, quotaBytes: 100 }];
    const client = await RawClient.open(await makeServer({ storage, users }).listen(loopbackAddress), access);
    client.send(frameType.put, 1, { name: pack(2), token });
    for (let i = 0; i < 50; i += 1) client.send(frameType.data, 1, Buffer.alloc(50));
    client.send(frameType.end, 1, { sizeBytes: 2500 });
    client.send(frameType.abort, 1, Buffer.alloc(0));
    client.send(frameType.stat, 2, { name: pack(1) });
    expect((await client.answer(1)).message['code']).toBe('BP_NO_SPACE');
    expect((await client.answer(2)).message['info']).toMatchObject({ sizeBytes: 5 });
    // A number is used once, and every request has a greater one.
    client.send(frameType.stat, 1, { name: pack(1) });
    client.send(frameType.stat, 3, { name: pack(1) });
    expect((await client.answer(3)).type).toBe(frameType.done);
    expect(client.answers.filter(({ stream, type }) => stream === 1 && type === frameType.done)).toEqual([]);
    expect([...storage.objects.keys()]).toEqual([pack(1)]);
  });

  it('a frame that trickles in is cut off', async () => {
    const server = makeServer({ users: [account], limits: { graceMs: 50 } });
    const client = await RawClient.open(server, access);
    client.wire.write(client.seal(frameType.put, 1, { name: pack(1), token }).subarray(0, 20));
    await client.until(() => client.closed);
  });

  it('one who asks for much and reads nothing is cut off, and little is held for him', async () => {
    const storage = new MemoryStorage();
    storage.objects.set(pack(1), Buffer.alloc(20e6));
    const server = makeServer({ storage, users: [account], limits: { stallMs: 100 } });
    const client = await RawClient.open(server, access);
    client.wire.pause();
    for (let i = 1; i < 40; i += 1) client.send(frameType.get, i, { name: pack(1) });
    await wait(60);
    expect(server.metrics.get('held_bytes')).toBeLessThan(4e6);
    await client.until(() => client.closed);
  });

  it('what is held for all is bounded: the slowest goes', async () => {
    const server = makeServer({ users: [account], limits: { heldBytesMax: 3e6 } });
    const clients = await Promise.all(Array.from({ length: 12 }, () => RawClient.open(server, access)));
    for (const [i, client] of clients.entries()) {
      client.send(frameType.put, 1, { name: pack(1), token: `${i}`.padStart(32, '0') });
      client.wire.write(client.seal(frameType.data, 1, Buffer.alloc(1e6)).subarray(0, 900_000));
      await wait(5);
    }
    await wait(200);
    expect(clients.filter(({ closed }) => !closed).length).toBeLessThanOrEqual(3);
    expect(clients.at(-1)!.closed).toBe(false);
  });

  it('too many requests at once, requests before the first, and nonsense end the connection', async () => {
    const server = makeServer({ users: [account], limits: { streamsMax: 8 } });
    const wild: ((client: RawClient) => void)[] = [
      (client) => {
        for (let i = 1; i < 20; i += 1)
          client.send(frameType.put, i, { name: pack(i), token: `${i}`.padStart(32, '0') });
      },
      (client) => client.send(frameType.data, 7, Buffer.alloc(10)),
      (client) => client.send(frameType.stat, 1, Buffer.from('{"name":')),
      (client) => client.send(frameType.stat, 1, Buffer.from('[]')),
      (client) => client.send(frameType.done, 1, {}),
      (client) => client.send(frameType.open, 0, { repository: 'repo' }),
      (client) => client.send(frameType.list, 1, { prefix: '../' }),
      (client) => client.send(frameType.ping, 0, Buffer.alloc(9)),
      (client) => client.send(frameType.get, 1, { name: pack(1), offset: -1, length: 1e30 }),
    ];
    for (const go of wild) {
      const client = await RawClient.open(server, access);
      go(client);
      await client.until(() => client.closed);
    }
    expect(await codeOfAsync(() => makeClient(server, { access }).stat(pack(1)))).toBe('ok');
  });
});

describe('names and rights', () => {
  it('each role may do what the table of the guide says, and nothing else', async () => {
    const [create, replace, get, list, remove] = ['create', 'replace', 'get', 'list', 'delete'];
    const rights: Readonly<Record<Role, readonly string[]>> = {
      append: [create!, get!, list!],
      'write-only': [create!, list!],
      read: [get!, list!],
      admin: [create!, replace!, get!, list!, remove!],
    };
    for (const [role, allowed] of Object.entries(rights) as [Role, readonly string[]][]) {
      const storage = new MemoryStorage();
      const data = containerOf(idOf(1), 'data', Buffer.from('records'));
      for (const name of [pack(1), 'README.txt']) storage.objects.set(name, data);
      const port = await makeServer({ storage, users: [{ ...account, role }] }).listen(loopbackAddress);
      const client = await RawClient.open(port, access);
      const put = (stream: number, name: string, replace: boolean): void => {
        const bytes = Buffer.from('new');
        client.send(frameType.put, stream, { name, token: `${stream}`.padStart(32, '0'), replace });
        client.send(frameType.data, stream, bytes);
        client.send(frameType.end, stream, { sizeBytes: 3, xxh64: xxh64(bytes) });
      };
      put(1, pack(2), false);
      put(2, 'README.txt', true);
      client.send(frameType.get, 3, { name: pack(1) });
      client.send(frameType.list, 4, { prefix: '' });
      client.send(frameType.delete, 5, { name: pack(1) });
      const done: string[] = [];
      for (const [i, action] of [create!, replace!, get!, list!, remove!].entries()) {
        const { type, message } = await client.answer(i + 1);
        if (type === frameType.done) done.push(action);
        else expect([action, message['code']]).toEqual([action, 'BP_STORAGE_DENIED']);
      }
      expect([role, done]).toEqual([role, allowed]);
    }
  });

  it('a name that is not one of the specification never becomes a path', async () => {
    const folder = temporaryFolder();
    const server = makeServer({
      storage: new FsStorage(join(folder, 'repo')),
      users: [{ ...account, role: 'admin' }],
    });
    const client = await RawClient.open(server, access);
    const id = idOf(1);
    const names = [
      '../x',
      'packs/../../x',
      '/etc/passwd',
      `packs/${id.slice(0, 5)}/${id.toUpperCase()}.bpk`,
      `packs/%2e%2e/${id}.bpk`,
      `index/${id.slice(1)}.bpk`,
      `index/${id}0.bpk`,
      'index/..',
      'recover/..',
      'recover/.',
      'recover/a/b',
      'tmp/x',
      '',
      'README.txt\0',
      'README.txt/',
      './README.txt',
      'CON',
      'keys/x',
      '.backpack-server/users/alice.json',
    ];
    let stream = 0;
    for (const name of names) {
      for (const type of [frameType.put, frameType.get, frameType.stat, frameType.delete]) {
        stream += 1;
        client.send(type, stream, { name, token });
        expect([name, (await client.answer(stream)).message['code']]).toEqual([name, 'BP_OBJECT_NAME']);
      }
    }
    expect(readdirSync(folder)).toEqual([]);
  });

  it('append cannot overwrite, delete, or name anything for deletion', async () => {
    const storage = new MemoryStorage();
    const server = makeServer({ storage, users: [account, userOf('root', { role: 'admin' }).account] });
    const admin = makeClient(server, { access: userOf('root').access });
    await admin.put('README.txt', Buffer.from('old'));
    const client = makeClient(server, { access });
    await client.put(pack(1), Buffer.from('first'));
    expect(await codeOfAsync(() => client.put(pack(1), Buffer.from('second')))).toBe('BP_OBJECT_EXISTS');
    for (const name of [
      'README.txt',
      'backpack.json',
      'recover/recover.js',
      'keys/0123456789abcdef-01234567.json',
    ]) {
      expect(await codeOfAsync(() => client.put(name, Buffer.from('new')))).toBe('BP_STORAGE_DENIED');
    }
    for (const name of [`gc/${idOf(1)}.bpk`, `drop/${idOf(1)}.bpk`, `moved/${idOf(1)}-${idOf(2)}.bpk`]) {
      expect(await codeOfAsync(() => client.put(name, Buffer.from('new'), { exclusive: true }))).toBe(
        'BP_STORAGE_DENIED',
      );
    }
    for (const name of [pack(1), 'README.txt', pack(9)]) {
      expect(await codeOfAsync(() => client.delete(name))).toBe('BP_STORAGE_DENIED');
    }
    expect((await client.get(pack(1))).toString()).toBe('first');
    expect([...storage.objects.keys()].sort()).toEqual(['README.txt', pack(1)]);
    await admin.delete(pack(1));
    expect([...storage.objects.keys()]).toEqual(['README.txt']);
  });

  it('read cannot write; write-only cannot read the content of data packs', async () => {
    const users = [userOf('r', { role: 'read' }), userOf('w', { role: 'write-only' })];
    const server = makeServer({ users: users.map((user) => user.account), checkContainers: true });
    const [reader, writer] = users.map((user) => makeClient(server, { access: user.access }));
    const data = containerOf(idOf(1), 'data', Buffer.from('secret content'));
    // This table is the whole body, so a record is what comes before it: nothing. Move it, to have one.
    const meta = containerOf(idOf(2), 'meta', Buffer.from('pages'));
    await writer!.put(pack(1), data);
    await writer!.put(pack(2), meta);
    expect(await codeOfAsync(() => reader!.put(pack(3), data))).toBe('BP_STORAGE_DENIED');
    expect(data.equals(await reader!.get(pack(1)))).toBe(true);
    expect(meta.equals(await writer!.get(pack(2)))).toBe(true);
    const range = (offset: number, length: number): Promise<string> =>
      codeOfAsync(() => writer!.get(pack(1), { range: { offset, length } }));
    expect(await range(0, 512)).toBe('ok');
    expect(await range(512, data.length - 512)).toBe('ok');
    expect(await range(0, 513)).toBe('BP_STORAGE_DENIED');
    expect(await codeOfAsync(() => writer!.get(pack(1)))).toBe('BP_STORAGE_DENIED');
  });

  it('a client of one repository learns nothing of another, not even whether it is there', async () => {
    const opened: string[] = [];
    const bob = userOf('bob', { repositories: ['bob'] });
    const server = makeServer({
      users: [account, bob.account],
      open: async (repository) => {
        opened.push(repository);
        return new MemoryStorage();
      },
    });
    const answers = new Set<string>();
    for (const repository of ['repo', 'absent', '..', 'repo/packs', '']) {
      const client = await RawClient.open(server, bob.access, repository);
      answers.add(JSON.stringify(String(client.answers[0]!.payload)));
      client.send(frameType.stat, 1, { name: pack(1) });
      await client.until(() => client.closed);
    }
    expect(answers.size).toBe(1);
    // Nothing was looked up, so no time can tell.
    expect(opened).toEqual([]);
  });

  it('what a client says cannot forge lines of a log or reach a terminal', async () => {
    const lines: string[] = [];
    const server = makeServer({
      users: [account],
      log: (event, fields) => lines.push(JSON.stringify({ event, ...fields })),
    });
    const client = await RawClient.open(server, access, 'x\n{"event":"stored"}\u001b[2J');
    client.wire.destroy();
    expect(lines.every((line) => !line.includes('\n') && !line.includes('\u001b'))).toBe(true);
    expect(lines.length).toBeGreaterThan(0);
  });
});

describe('uploads', () => {
  it('one that lies about hash or length is refused, and nothing is there', async () => {
    const storage = new MemoryStorage();
    const server = makeServer({ storage, users: [{ ...account, role: 'admin' }], checkContainers: true });
    const good = containerOf(idOf(1), 'data', Buffer.alloc(2000, 'x'));
    const flipped = Buffer.from(good);
    flipped[700]! ^= 1;
    const trailer = Buffer.from(good);
    trailer[good.length - 130]! ^= 1;
    const cases: [string, Buffer, object][] = [
      [pack(1), flipped, {}],
      [pack(1), trailer, {}],
      [pack(1), good.subarray(0, good.length - 1), {}],
      [pack(1), Buffer.concat([good, Buffer.from('x')]), {}],
      [pack(1), Buffer.from('no container'), {}],
      [pack(1), Buffer.alloc(0), {}],
      [pack(2), good, {}],
      [`index/${idOf(1)}.bpk`, good, {}],
      [pack(1), good, { sizeBytes: good.length - 1 }],
      [pack(1), good, { sizeBytes: good.length + 1 }],
      ['README.txt', Buffer.from('hello'), {}],
      ['README.txt', Buffer.from('hello'), { xxh64: '0'.repeat(16) }],
    ];
    const client = await RawClient.open(server, access);
    let stream = 0;
    for (const [name, bytes, end] of cases) {
      stream += 1;
      client.send(frameType.put, stream, { name, token: `${stream}`.padStart(32, '0') });
      for (let at = 0; at < bytes.length; at += 999)
        client.send(frameType.data, stream, bytes.subarray(at, at + 999));
      client.send(frameType.end, stream, { sizeBytes: bytes.length, ...end });
      expect([stream, (await client.answer(stream)).message['code']]).toEqual([stream, 'BP_NOT_AS_SENT']);
    }
    expect(storage.objects.size).toBe(0);
    const honest = makeClient(server, { access });
    await honest.put(pack(1), good);
    await honest.put('README.txt', Buffer.from('hello'));
    expect([...storage.objects.keys()].sort()).toEqual(['README.txt', pack(1)]);
  });

  it('50 at once cannot exceed the quota, and what is refused or deleted is given back', async () => {
    const storage = new MemoryStorage();
    await storage.put(pack(999), Buffer.alloc(5000));
    const admin = { ...account, role: 'admin', quotaBytes: 55_000 } as const;
    const server = makeServer({ storage, users: [admin] });
    const clients = Array.from({ length: 10 }, () => makeClient(server, { access }));
    const codes = await Promise.all(
      Array.from({ length: 50 }, (_, i) =>
        codeOfAsync(() => clients[i % 10]!.put(pack(i), Buffer.alloc(2000), { exclusive: true })),
      ),
    );
    expect(codes.filter((code) => code === 'ok')).toHaveLength(25);
    expect(codes.filter((code) => code === 'BP_NO_SPACE')).toHaveLength(25);
    expect([...storage.objects.values()].reduce((sum, bytes) => sum + bytes.length, 0)).toBe(55_000);
    await clients[0]!.delete(pack(999));
    expect(await codeOfAsync(() => clients[1]!.put(pack(100), Buffer.alloc(5000)))).toBe('ok');
    expect(await codeOfAsync(() => clients[1]!.put(pack(101), Buffer.alloc(1)))).toBe('BP_NO_SPACE');
  });

  it('one that breaks off at any byte leaves nothing behind', async () => {
    const folder = temporaryFolder();
    const storage = new FsStorage(folder);
    const server = makeServer({ storage, users: [account], limits: { parkMs: 30 } });
    const session = (client: RawClient): Buffer =>
      Buffer.concat([
        client.seal(frameType.put, 1, { name: pack(1), token }),
        client.seal(frameType.data, 1, Buffer.from('content')),
        client.seal(frameType.data, 1, Buffer.from(' and more')),
      ]);
    const length = session(await RawClient.open(server, access)).length;
    for (let at = 0; at <= length; at += 1) {
      const client = await RawClient.open(server, access);
      client.wire.end(session(client).subarray(0, at));
    }
    await wait(300);
    expect(await listAll(storage, '')).toEqual([]);
    expect(readdirSync(join(folder, 'tmp'))).toEqual([]);
  });

  it('a full disk is said, and leaves nothing behind', async () => {
    class Full extends MemoryStorage {
      override async create(): Promise<ObjectWriter> {
        const error = Object.assign(new Error('ENOSPC: no space left on device, write'), {
          errno: -28,
          code: 'ENOSPC',
        });
        return {
          append: () => {
            throw fromSystemError(error, '/srv/secret-folder', 'x');
          },
          commit: async () => ({ name: 'x', sizeBytes: 0, timeMs: 0 }),
          abort: async () => {},
        };
      }
    }
    const server = makeServer({ storage: new Full(), users: [account] });
    const client = makeClient(server, { access });
    const error = await client.put(pack(1), Buffer.alloc(300_000)).then(
      () => undefined,
      (caught: Error) => caught,
    );
    expect(error).toMatchObject({ code: 'BP_NO_SPACE', kind: 'space' });
    expect(JSON.stringify(error)).not.toContain('secret-folder');
  });

  it('times are those of the server', async () => {
    const server = makeServer({ storage: new FsStorage(temporaryFolder()), users: [account] });
    const client = makeClient(server, { access });
    const real = Date.now();
    await client.put(pack(1), Buffer.from('x'));
    const info = await client.stat(pack(1));
    expect(Math.abs(info!.timeMs - real)).toBeLessThan(5000);
  });
});

describe('users', () => {
  it('one that is removed loses the connections it has', async () => {
    const users = [account];
    const server = makeServer({ users, limits: { accountsMs: 20 } });
    const client = await RawClient.open(server, access);
    await wait(150);
    expect(client.closed).toBe(false);
    users.pop();
    await client.until(() => client.closed);
  });

  it('has a limited number of connections, which others do not lose by it', async () => {
    const bob = userOf('bob');
    const server = makeServer({ users: [account, bob.account], limits: { sessionsPerUserMax: 3 } });
    await Promise.all(Array.from({ length: 3 }, () => RawClient.open(server, access)));
    await expect(RawClient.open(server, access)).rejects.toThrow();
    expect(await codeOfAsync(() => makeClient(server, { access: bob.access }).stat(pack(1)))).toBe('ok');
  });

  it('idle connections make room when there are too many', async () => {
    const server = makeServer({ users: [account], limits: { sessionsMax: 3 } });
    await Promise.all(Array.from({ length: 3 }, () => RawClient.open(server, access)));
    await wait(1100);
    expect(await codeOfAsync(() => makeClient(server, { access }).stat(pack(1)))).toBe('ok');
  });
});
