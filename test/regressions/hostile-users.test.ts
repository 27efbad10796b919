/**
 * What a user with an access key could do to a server beyond his rights, or to its memory and files: found by attacking
 * a server as such a user.
 */
import { mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { xxh64 } from '../../src/codec/xxhash.ts';
import { frameType } from '../../src/net/frame.ts';
import { parseItems } from '../../src/net/messages.ts';
import {
  FsStorage,
  listAll,
  MemoryStorage,
  type ObjectInfo,
  type ObjectWriter,
} from '../../src/storage/index.ts';
import { idOf, makeClient, makeServer, RawClient, userOf } from '../unit/server/rig.ts';
import { codeOfAsync, temporaryFolder } from '../unit/support.ts';

const pack = (n: number): string => `packs/${idOf(n).slice(0, 5)}/${idOf(n)}.bpk`;
const tokenOf = (n: number): string => n.toString(16).padStart(32, '0');
const wait = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
const { access, account } = userOf('eve');
const admin = { ...account, role: 'admin' } as const;
const loopback = { host: '127.0.0.1', port: 0, tls: undefined };

async function sizeOf(storage: MemoryStorage | FsStorage): Promise<number> {
  return (await listAll(storage, '')).reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
}

it('what replaces another object is stored as it came, although the memory it came in is used again', async () => {
  const storage = new MemoryStorage();
  const port = await makeServer({ storage, users: [admin] }).listen(loopback);
  const client = await RawClient.open(port, access);
  const bytes = Buffer.alloc(3_500_000, 'the text of a recovery program. ');
  client.send(frameType.put, 1, { name: 'README.txt', token: tokenOf(1), replace: true });
  for (let at = 0; at < bytes.length; at += 500_000) {
    const part = bytes.subarray(at, at + 500_000);
    part.writeUInt32BE(at);
    client.send(frameType.data, 1, part);
  }
  client.send(frameType.end, 1, { sizeBytes: bytes.length, xxh64: xxh64(bytes) });
  expect((await client.answer(1)).type).toBe(frameType.done);
  expect(bytes.equals(await storage.get('README.txt'))).toBe(true);
});

describe('a quota', () => {
  it('counts the unfinished objects of connections that are gone', async () => {
    const storage = new FsStorage(temporaryFolder());
    const users = [{ ...account, quotaBytes: 10_000 }];
    const port = await makeServer({ storage, users }).listen(loopback);
    for (let i = 1; i <= 4; i += 1) {
      const client = await RawClient.open(port, access);
      client.send(frameType.put, 1, { name: pack(i), token: tokenOf(i) });
      client.send(frameType.data, 1, Buffer.alloc(6000));
      const { ack, error } = frameType;
      await client.until(() => client.answers.some(({ type }) => type === ack || type === error));
      // Nobody else is there, so the server forgets the repository when this one goes.
      client.wire.destroy();
      await wait(20);
    }
    for (let i = 1; i <= 4; i += 1) {
      const client = await RawClient.open(port, access);
      client.send(frameType.put, 1, { name: pack(i), token: tokenOf(i), resume: true });
      client.send(frameType.end, 1, { sizeBytes: 6000 });
      expect((await client.answer(1)).type).toBe(i === 1 ? frameType.done : frameType.error);
      client.wire.destroy();
    }
    expect(await sizeOf(storage)).toBe(6000);
  });

  it('gets the bytes of an object back once, however often its deletion is asked for', async () => {
    const storage = new FsStorage(temporaryFolder());
    const port = await makeServer({ storage, users: [{ ...admin, quotaBytes: 10_000 }] }).listen(loopback);
    const honest = makeClient(makeServer({ storage, users: [admin] }), { access });
    for (let i = 0; i < 5; i += 1) await honest.put(pack(i), Buffer.alloc(2000));
    const client = await RawClient.open(port, access);
    const put = async (stream: number): Promise<number> => {
      client.send(frameType.put, stream, { name: pack(stream), token: tokenOf(stream) });
      client.send(frameType.data, stream, Buffer.alloc(2000));
      client.send(frameType.end, stream, { sizeBytes: 2000 });
      return (await client.answer(stream)).type;
    };
    expect(await put(1)).toBe(frameType.error);
    for (let stream = 11; stream <= 30; stream += 1) client.send(frameType.delete, stream, { name: pack(0) });
    await client.answer(30);
    expect([await put(41), await put(42)]).toEqual([frameType.done, frameType.error]);
  });

  it('counts once what was stored by users that have none', async () => {
    const storage = new MemoryStorage();
    const users = [{ ...account, quotaBytes: 10_000 }, userOf('bob').account];
    const server = makeServer({ storage, users });
    const bob = makeClient(server, { access: userOf('bob').access });
    await bob.put(pack(1), Buffer.alloc(6000));
    const eve = makeClient(server, { access });
    expect(await codeOfAsync(() => eve.put(pack(2), Buffer.alloc(3000)))).toBe('ok');
    expect(await codeOfAsync(() => eve.put(pack(3), Buffer.alloc(3000)))).toBe('BP_NO_SPACE');
  });
});

describe('unfinished objects', () => {
  it('are limited, since each has a file open, and others still have room', async () => {
    const folder = temporaryFolder();
    const users = [account, userOf('bob').account];
    const limits = { uploadsMax: 40, uploadsPerUserMax: 20 };
    const server = makeServer({ storage: new FsStorage(folder), users, limits });
    const port = await server.listen(loopback);
    for (let connection = 0; connection < 2; connection += 1) {
      const client = await RawClient.open(port, access);
      for (let i = 1; i <= 15; i += 1) {
        client.send(frameType.put, i, { name: pack(i), token: tokenOf(100 * connection + i) });
      }
      await client.until(() => client.answers.length === 16);
    }
    expect(readdirSync(join(folder, 'tmp'))).toHaveLength(20);
    const bob = makeClient(server, { access: userOf('bob').access });
    expect(await codeOfAsync(() => bob.put(pack(1), Buffer.from('x')))).toBe('ok');
  });

  it('that are to replace others are limited by their bytes, which are kept in memory', async () => {
    const bob = userOf('bob', { role: 'admin' });
    const limits = {
      replacingBytesMax: 5_000_000,
      replacingBytesPerUserMax: 3_000_000,
      blocksMax: 0,
      parkMs: 50,
    };
    const server = makeServer({ users: [admin, bob.account], limits });
    const port = await server.listen(loopback);
    const put = (client: RawClient, stream: number): void => {
      client.send(frameType.put, stream, { name: 'README.txt', token: tokenOf(stream), replace: true });
      client.send(frameType.data, stream, Buffer.alloc(1_000_000));
    };
    const held = (client: RawClient): number =>
      client.answers.filter(({ type }) => type === frameType.ack).length;
    const eve = await RawClient.open(port, access);
    for (let i = 1; i <= 6; i += 1) put(eve, i);
    for (let i = 4; i <= 6; i += 1) expect((await eve.answer(i)).message['code']).toBe('BP_SERVER_BUSY');
    expect(held(eve)).toBe(3);
    const honest = await RawClient.open(port, bob.access);
    for (let i = 1; i <= 3; i += 1) put(honest, i);
    expect((await honest.answer(3)).message['code']).toBe('BP_SERVER_BUSY');
    expect(held(honest)).toBe(2);
    // What was given up, by its client or with its connection, is free again.
    eve.send(frameType.abort, 1, Buffer.alloc(0));
    eve.wire.destroy();
    await wait(1500);
    for (let i = 4; i <= 5; i += 1) put(honest, i);
    expect((await honest.answer(5)).message['code']).toBe('BP_SERVER_BUSY');
    expect(held(honest)).toBe(3);
  });

  it('do not stay for ever when who goes on with them ends meanwhile', async () => {
    let written = (): void => {};
    class Slow extends MemoryStorage {
      override async create(name: string): Promise<ObjectWriter> {
        const writer = await super.create(name);
        const slowly = new Promise<void>((resolve) => {
          written = resolve;
        });
        return { ...writer, append: () => slowly };
      }
    }
    const limits = { parkMs: 50, blocksMax: 0 };
    const server = makeServer({ storage: new Slow(), users: [account], limits });
    const port = await server.listen(loopback);
    const first = await RawClient.open(port, access);
    first.send(frameType.put, 1, { name: pack(1), token: tokenOf(1) });
    first.send(frameType.data, 1, Buffer.alloc(1000));
    await first.until(() => first.answers.length === 2);
    const second = await RawClient.open(port, access);
    second.send(frameType.put, 1, { name: pack(1), token: tokenOf(1), resume: true });
    await first.until(() => first.closed);
    second.wire.destroy();
    await wait(50);
    written();
    await wait(300);
    expect(server.metrics.get('uploads')).toBe(0);
  });
});

describe('requests', () => {
  it('of one who takes no answers are not read', async () => {
    const server = makeServer({ users: [account], limits: { unsentMax: 100 } });
    const client = await RawClient.open(server, access);
    client.wire.pause();
    for (let stream = 1; stream <= 200; stream += 1) {
      const pings = Array.from({ length: 100 }, () => client.seal(frameType.ping, 0, Buffer.alloc(0)));
      client.wire.write(Buffer.concat([...pings, client.seal(frameType.stat, stream, { name: pack(1) })]));
    }
    await wait(1000);
    expect(server.metrics.get('requests_total')).toBeLessThan(50);
    expect(server.metrics.get('held_bytes')).toBeLessThan(1e6);
    // It was only that: when he does, everything is answered.
    client.wire.resume();
    expect((await client.answer(200)).type).toBe(frameType.done);
    expect(client.answers.filter(({ type }) => type === frameType.pong)).toHaveLength(20_000);
  });

  it('that were given up count until they have ended', async () => {
    let running = 0;
    let most = 0;
    class Slow extends MemoryStorage {
      override async stat(): Promise<undefined> {
        running += 1;
        most = Math.max(most, running);
        await wait(5);
        running -= 1;
      }
    }
    const limits = { streamsMax: 8 };
    const port = await makeServer({ storage: new Slow(), users: [account], limits }).listen(loopback);
    const client = await RawClient.open(port, access);
    for (let stream = 1; stream <= 200; stream += 1) {
      client.send(frameType.stat, stream, { name: pack(1) });
      if (stream < 200) client.send(frameType.abort, stream, Buffer.alloc(0));
    }
    expect((await client.answer(200)).type).toBe(frameType.done);
    expect(most).toBeLessThanOrEqual(8);
  });
});

it('few listings are kept in memory, for clients that take their time and for hasty ones', async () => {
  let [open, most] = [0, 0];
  class Counted extends MemoryStorage {
    override async *list(prefix: string, options = {}): AsyncIterable<ObjectInfo> {
      open += 1;
      most = Math.max(most, open);
      try {
        yield* super.list(prefix, options);
      } finally {
        open -= 1;
      }
    }
  }
  const storage = new Counted();
  for (let i = 0; i < 2000; i += 1) storage.objects.set(`index/${idOf(i)}.bpk`, Buffer.alloc(1));
  const limits = { listingsMax: 3 };
  const port = await makeServer({ storage, users: [account], limits }).listen(loopback);
  const client = await RawClient.open(port, access);
  for (let stream = 1; stream <= 40; stream += 1) client.send(frameType.list, stream, { prefix: 'index/' });
  const parts = (stream: number): string[] =>
    client.answers
      .filter((frame) => frame.stream === stream && frame.type === frameType.items)
      .flatMap((frame) => parseItems(frame).map(([name]) => name));
  await client.until(() => Array.from({ length: 40 }, (_, i) => parts(i + 1).length).every((n) => n > 1000));
  // A hasty one: all parts of all listings are asked for before they have come.
  const hasty = await RawClient.open(port, access);
  for (let stream = 1; stream <= 40; stream += 1) {
    hasty.send(frameType.list, stream, { prefix: 'index/' });
    for (let i = 0; i < 5; i += 1) hasty.send(frameType.next, stream, Buffer.alloc(0));
  }
  for (let stream = 1; stream <= 40; stream += 1) await hasty.answer(stream);
  await wait(150);
  expect(open).toBeLessThanOrEqual(3);
  for (const stream of [1, 2, 3, 20, 40]) {
    for (let i = 0; i < 5; i += 1) client.send(frameType.next, stream, Buffer.alloc(0));
    await client.answer(stream);
    expect(parts(stream)).toEqual([...storage.objects.keys()].sort());
  }
  for (let stream = 1; stream <= 40; stream += 1) client.send(frameType.abort, stream, Buffer.alloc(0));
  for (let i = 0; open > 0 && i < 100; i += 1) await wait(20);
  expect(open).toBe(0);
  expect(most).toBe(3);
});

it('a link in the place of an object gives no file from elsewhere away', async () => {
  const folder = temporaryFolder();
  writeFileSync(join(folder, 'secret'), 'of another service');
  mkdirSync(join(folder, 'repo'));
  symlinkSync('../secret', join(folder, 'repo/README.txt'));
  const storage = new FsStorage(join(folder, 'repo'), { links: false });
  const port = await makeServer({ storage, users: [admin] }).listen(loopback);
  const client = await RawClient.open(port, access);
  client.send(frameType.get, 1, { name: 'README.txt' });
  client.send(frameType.get, 2, { name: 'README.txt', offset: 0, length: 10 });
  client.send(frameType.stat, 3, { name: 'README.txt' });
  expect((await client.answer(2)).message['code']).toBe('BP_STORAGE_SHORT');
  expect((await client.answer(3)).message['info']).toMatchObject({ sizeBytes: 0 });
  expect((await client.answer(1)).type).toBe(frameType.done);
  expect(client.answers.some(({ type, payload }) => type === frameType.data && payload.length > 0)).toBe(
    false,
  );
  // What is written takes the place of the link, not of what it leads to.
  const bytes = Buffer.from('new');
  client.send(frameType.put, 4, { name: 'README.txt', token: tokenOf(4), replace: true });
  client.send(frameType.data, 4, bytes);
  client.send(frameType.end, 4, { sizeBytes: 3, xxh64: xxh64(bytes) });
  expect((await client.answer(4)).type).toBe(frameType.done);
  expect(readFileSync(join(folder, 'secret'), 'utf8')).toBe('of another service');
  expect((await storage.get('README.txt')).toString()).toBe('new');
});
