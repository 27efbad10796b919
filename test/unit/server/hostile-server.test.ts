/** A client against servers that break every rule, over real sockets: each ends soon, with a clear error, and holds little. */
import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { describe, expect, it, onTestFinished } from 'vitest';
import { MiB } from '../../../src/base/limits.ts';
import { systemRandom } from '../../../src/base/ports.ts';
import { type Frame, FrameReader, frameType, sealFrame } from '../../../src/net/frame.ts';
import { greetClient } from '../../../src/net/handshake.ts';
import { formatItems, formatMessage, formatOffset, type Message } from '../../../src/net/messages.ts';
import { dial } from '../../../src/net/transport.ts';
import { listAll, MemoryStorage, type ObjectWriter, type Storage } from '../../../src/storage/index.ts';
import { RemoteStorage } from '../../../src/storage/remote/remote.ts';
import { framesIn } from '../net/frames-in.ts';
import { codeOfAsync } from '../support.ts';
import { everybody, idOf, makeClient, makeServer } from './rig.ts';

const pack = (n: number): string => `packs/${idOf(n).slice(0, 5)}/${idOf(n)}.bpk`;
const timeoutMs = 1000;

/** What a server says to one request, after an honest handshake. */
class Liar {
  readonly socket: Socket;
  readonly send: (type: number, stream: number, payload?: Buffer) => void;
  /** The bytes of the next frame. */
  readonly seal: (type: number, stream: number, payload?: Buffer) => Buffer;

  constructor(socket: Socket, key: Parameters<typeof sealFrame>[0]) {
    let count = 0;
    this.socket = socket;
    this.seal = (type, stream, payload = Buffer.alloc(0)) => {
      count += 1;
      return Buffer.concat(sealFrame(key, count - 1, type, stream, [payload]));
    };
    this.send = (type, stream, payload) => void socket.write(this.seal(type, stream, payload));
  }
}

/** Listens, and answers every request in its own way. @returns a client of it */
async function clientOf(answer: (liar: Liar, frame: Frame) => void): Promise<Storage> {
  return connectTo(async (socket) => {
    const gate = {
      terms: { streamsMax: 8, windowBytes: 1 << 20, idleMs: 60_000 },
      keyOf: async () => everybody.key,
      decoy: everybody.key,
    };
    const { keys } = await greetClient(socket, gate, Buffer.alloc(0), systemRandom);
    const liar = new Liar(socket, keys.serverFrames);
    const reader = new FrameReader(keys.clientFrames);
    const opened = formatMessage({ role: 'admin', timeMs: 0 });
    socket.on('data', (bytes: Buffer) => {
      for (const frame of framesIn(reader, bytes)) {
        if (frame.type === frameType.open) liar.send(frameType.opened, 0, opened);
        else answer(liar, frame);
      }
    });
    socket.resume();
  });
}

async function connectTo(serve: (socket: Socket) => void | Promise<void>): Promise<Storage> {
  const sockets: Socket[] = [];
  const server = createServer((socket) => {
    sockets.push(socket);
    socket.on('error', () => {});
    Promise.resolve(serve(socket)).catch(() => socket.destroy());
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const client = new RemoteStorage({
    location: `tcp://127.0.0.1:${port}/repo`,
    repository: 'repo',
    timeoutMs,
    dial: (limitMs) => dial({ host: '127.0.0.1', port, tls: undefined }, limitMs),
  });
  onTestFinished(async () => {
    await client[Symbol.asyncDispose]();
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return client;
}

/** Code of the error that a client ends with, in less than twice its time limit, with little memory. */
async function endOf(work: () => Promise<unknown>): Promise<string> {
  const started = performance.now();
  const before = process.memoryUsage().rss;
  const code = await codeOfAsync(work);
  expect(performance.now() - started).toBeLessThan(2 * timeoutMs + 1000);
  expect(process.memoryUsage().rss - before).toBeLessThan(80e6);
  return code;
}

const message = (value: Message): Buffer => formatMessage(value);
const header = (length: number, type: number): Buffer => {
  const bytes = Buffer.alloc(12);
  bytes.writeUInt32BE(length);
  bytes.writeUInt8(type, 4);
  return bytes;
};

describe('instead of a handshake', () => {
  it.each<[string, string, (socket: Socket) => void]>([
    ['nothing', 'BP_TIMEOUT', () => {}],
    ['a hello of another program', 'BP_PROTOCOL', (s) => s.write(Buffer.alloc(160, 'HTTP/1.1 200 OK\r\n'))],
    ['an end', 'BP_CONNECTION', (s) => s.end()],
    ['a header that never ends', 'BP_PROTOCOL', (s) => forever(s, Buffer.alloc(65_536, 'x'))],
    ['one byte now and then', 'BP_TIMEOUT', (s) => drip(s, Buffer.alloc(160, 'BACKPACK-WIRE\n'))],
  ])('%s: %s', async (_name, code, serve) => {
    const client = await connectTo(serve);
    expect(await endOf(() => client.stat(pack(1)))).toBe(code);
  });
});

describe('instead of frames', () => {
  it.each<[string, string, (liar: Liar, frame: Frame) => void]>([
    ['one of 4 GiB', 'BP_PROTOCOL', ({ socket }) => socket.write(header(0xffffffff, frameType.data))],
    [
      'one that is a byte too long',
      'BP_PROTOCOL',
      ({ socket }) => socket.write(header(65_537, frameType.done)),
    ],
    ['one of an unknown type', 'BP_PROTOCOL', (liar, { stream }) => liar.send(77, stream)],
    [
      'one with another tag',
      'BP_PROTOCOL',
      (liar, { stream }) => {
        const bytes = liar.seal(frameType.done, stream, message({ info: null }));
        bytes[bytes.length - 1]! ^= 1;
        liar.socket.write(bytes);
      },
    ],
    [
      'one byte now and then',
      'BP_TIMEOUT',
      (liar, { stream }) => drip(liar.socket, liar.seal(frameType.done, stream, message({ info: null }))),
    ],
    ['an answer to no request', 'BP_PROTOCOL', (liar) => liar.send(frameType.done, 99, message({}))],
    ['an answer to the connection', 'BP_PROTOCOL', (liar) => liar.send(frameType.done, 0, message({}))],
    ['data for a question', 'BP_PROTOCOL', (liar, f) => liar.send(frameType.data, f.stream, Buffer.alloc(9))],
    ['no JSON', 'BP_PROTOCOL', (liar, f) => liar.send(frameType.done, f.stream, Buffer.from('{"info":'))],
  ])('%s: %s', async (_name, code, answer) => {
    const client = await clientOf(answer);
    expect(await endOf(() => client.stat(pack(1)))).toBe(code);
  });
});

describe('instead of what was asked for', () => {
  const info = { name: pack(1), sizeBytes: 5, timeMs: 1 };
  it.each<[string, Message]>([
    ['another object', { ...info, name: pack(2) }],
    ['a size of 2^53', { ...info, sizeBytes: 2 ** 53 }],
    ['a negative size', { ...info, sizeBytes: -1 }],
    ['a size that is a text', { ...info, sizeBytes: '5' }],
    ['a fraction', { ...info, sizeBytes: 0.5 }],
    ['no time', { name: info.name, sizeBytes: 5 }],
  ])('information: %s', async (_name, lie) => {
    const client = await clientOf((liar, { stream }) =>
      liar.send(frameType.done, stream, message({ info: lie })),
    );
    expect(await endOf(() => client.stat(pack(1)))).toBe('BP_PROTOCOL');
  });

  it.each<[string, string, (liar: Liar, stream: number) => void]>([
    ['bytes before their number', 'BP_PROTOCOL', (liar, s) => liar.send(frameType.data, s, Buffer.alloc(8))],
    ['an object of 8 EiB', 'BP_PROTOCOL', (liar, s) => liar.send(frameType.size, s, Buffer.alloc(8, 0x7f))],
    [
      'more than was announced',
      'BP_PROTOCOL',
      (liar, s) => {
        liar.send(frameType.size, s, formatOffset(8));
        liar.send(frameType.data, s, Buffer.alloc(9));
      },
    ],
    [
      'less than was announced',
      'BP_STORAGE_SHORT',
      (liar, s) => {
        liar.send(frameType.size, s, formatOffset(30e6));
        liar.send(frameType.data, s, Buffer.alloc(9));
        liar.send(frameType.done, s, message({}));
      },
    ],
  ])('content: %s is %s', async (_name, code, answer) => {
    const client = await clientOf((liar, { stream }) => answer(liar, stream));
    expect(await endOf(() => client.get(pack(1)))).toBe(code);
  });

  it('another length than that of a range', async () => {
    const client = await clientOf((liar, { stream }) => liar.send(frameType.size, stream, formatOffset(9)));
    const range = { offset: 0, length: 8 };
    expect(await endOf(() => client.get(pack(1), { range }))).toBe('BP_PROTOCOL');
  });

  it.each<[string, Buffer]>([
    ['names out of order', formatItems([item(2), item(1)])],
    ['a name twice', formatItems([item(1), item(1)])],
    ['a name of another folder', formatItems([[`index/${idOf(1)}.bpk`, 1, 1]])],
    ['a name that climbs', formatItems([['packs/../../../etc/passwd', 1, 1]])],
    ['a negative size', formatItems([[pack(1), -1, 1]])],
    ['half a line', Buffer.from('["packs/')],
  ])('a listing: %s', async (_name, items) => {
    const client = await clientOf((liar, { stream }) => {
      liar.send(frameType.items, stream, items);
      liar.send(frameType.done, stream, message({}));
    });
    expect(await endOf(() => listAll(client, 'packs/'))).toBe('BP_PROTOCOL');
  });

  it('a listing that is sent without being asked for', async () => {
    const client = await clientOf((liar, { stream }) => {
      for (let i = 0; i < 100; i += 1) liar.send(frameType.items, stream, formatItems([item(i)]));
    });
    const slowly = async (): Promise<void> => {
      for await (const _ of client.list('packs/')) await new Promise((resolve) => setTimeout(resolve, 100));
    };
    expect(await endOf(slowly)).toBe('BP_PROTOCOL');
  });

  it('an error that would command a terminal or name another code is plain text', async () => {
    const client = await clientOf((liar, { stream }) => {
      const lie = { code: 'E_ROLLBACK', kind: 'internal', message: '\u001b]0;x\u0007\u202eall is well\nok' };
      liar.send(frameType.error, stream, message(lie));
    });
    const error = await client.stat(pack(1)).catch((caught: Error) => caught);
    expect(error).toMatchObject({ code: 'BP_SERVER_FAILED', kind: 'storage' });
    // biome-ignore lint/suspicious/noControlCharactersInRegex: what must not be there
    expect((error as Error).message).not.toMatch(/[\u0000-\u001f\u202e]/);
  });

  it('a window without end: what an upload keeps is bounded, as it says', async () => {
    // A server that grants gigabytes, and whose disk takes nothing.
    class Stuck extends MemoryStorage {
      override async create(): Promise<ObjectWriter> {
        const append = (): Promise<void> => new Promise(() => {});
        return {
          append,
          commit: () => Promise.reject(new Error('never')),
          abort: async () => {},
        };
      }
    }
    const server = makeServer({ storage: new Stuck(), limits: { windowBytes: 2 ** 31, blocksMax: 0 } });
    const client = makeClient(server);
    await client.stat('README.txt');
    const writer = await client.create(pack(1));
    const piece = Buffer.alloc(256 * 1024, 'x');
    let sent = 0;
    for (let held: unknown; held === undefined && sent < 100 * MiB; ) {
      const waits = writer.append([piece]);
      sent += piece.length;
      if (waits === undefined) await new Promise((resolve) => setImmediate(resolve));
      else held = await Promise.race([waits, new Promise((resolve) => setTimeout(resolve, 500, 'held'))]);
    }
    await writer.abort();
    expect(sent).toBeGreaterThan(MiB);
    expect(sent).toBeLessThanOrEqual(client.capabilities.partSize);
    expect(client.capabilities.partSize).toBeLessThanOrEqual(24 * MiB);
  });

  it('an object acknowledged that is not what was sent', async () => {
    const client = await clientOf((liar, frame) => {
      if (frame.type === frameType.put) liar.send(frameType.accept, frame.stream, formatOffset(0));
      else if (frame.type === frameType.data) liar.send(frameType.ack, frame.stream, formatOffset(1e9));
    });
    expect(await endOf(() => client.put(pack(1), Buffer.alloc(100_000)))).toBe('BP_PROTOCOL');
    const other = await clientOf((liar, frame) => {
      if (frame.type === frameType.put) liar.send(frameType.accept, frame.stream, formatOffset(0));
      if (frame.type === frameType.data) liar.send(frameType.ack, frame.stream, formatOffset(100_000));
      const lie = { info: { name: pack(2), sizeBytes: 100_000, timeMs: 1 } };
      if (frame.type === frameType.end) liar.send(frameType.done, frame.stream, message(lie));
    });
    expect(await endOf(() => other.put(pack(1), Buffer.alloc(100_000)))).toBe('BP_PROTOCOL');
  });
});

function item(n: number): [string, number, number] {
  return [pack(n), 1, 1];
}

/** Writes again and again, as long as somebody reads. */
function forever(socket: Socket, what: Buffer | (() => Buffer)): void {
  const timer = setInterval(() => {
    if (socket.destroyed) clearInterval(timer);
    else if (!socket.writableNeedDrain) socket.write(Buffer.isBuffer(what) ? what : what());
  }, 1);
}

function drip(socket: Socket, bytes: Buffer): void {
  let at = 0;
  const timer = setInterval(() => {
    if (socket.destroyed || at === bytes.length) clearInterval(timer);
    else socket.write(bytes.subarray(at, at + 1));
    at += 1;
  }, 200);
}
