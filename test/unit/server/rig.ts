/** A server and clients in one process: over the in-process transport, with faults where a test wants them. */
import { createSecretKey } from 'node:crypto';
import { once } from 'node:events';
import { connect } from 'node:net';
import type { Duplex } from 'node:stream';
import { onTestFinished } from 'vitest';
import { systemRandom } from '../../../src/base/ports.ts';
import { xxh64 } from '../../../src/codec/xxhash.ts';
import { formatHeader, formatTrailer, type Header } from '../../../src/format/header.ts';
import type { Kind } from '../../../src/format/names.ts';
import { type Frame, FrameReader, frameType, sealFrame } from '../../../src/net/frame.ts';
import { type AccessKey, greetServer, type SessionKeys } from '../../../src/net/handshake.ts';
import { type Faults, loopback } from '../../../src/net/loopback.ts';
import { formatMessage, type Message, parseMessage } from '../../../src/net/messages.ts';
import type { Channel } from '../../../src/net/transport.ts';
import type { Account } from '../../../src/server/accounts.ts';
import { Server, type ServerOptions } from '../../../src/server/server.ts';
import { MemoryStorage, type Storage } from '../../../src/storage/index.ts';
import { type RemoteOptions, RemoteStorage } from '../../../src/storage/remote/remote.ts';
import { framesIn } from '../net/frames-in.ts';
import { header } from '../support.ts';

/** The account of clients that need no key. */
export const everybody: Account = {
  user: '',
  role: 'admin',
  repositories: ['*'],
  quotaBytes: undefined,
  key: createSecretKey(Buffer.alloc(32)),
};

/** Access key and account of a user. */
export function userOf(
  user: string,
  account: Partial<Account> = {},
): { access: AccessKey; account: Account } {
  const key = createSecretKey(Buffer.alloc(32, user));
  const made = {
    user,
    role: 'append',
    repositories: ['repo'],
    quotaBytes: undefined,
    key,
    ...account,
  } as const;
  return { access: { user, key }, account: made };
}

/** A server that ends with the test. */
export function makeServer(
  options: Partial<ServerOptions> & { storage?: Storage; users?: Account[] } = {},
): Server {
  const { storage = new MemoryStorage(), users, ...rest } = options;
  const server = new Server({
    open: async () => storage,
    find: async (user) => (users ?? [everybody]).find((account) => account.user === user),
    checkContainers: false,
    ...rest,
  });
  onTestFinished(() => server.stop(50));
  return server;
}

/** A connection to a server in this process. */
export async function dialTo(server: Server, faults: Faults = []): Promise<Channel> {
  const [mine, yours] = loopback(faults);
  void server.serve({ wire: yours, binding: Buffer.alloc(0), peer: 'test' });
  return { wire: mine, binding: Buffer.alloc(0), peer: 'test' };
}

/** A client of a server in this process. @param faults of the n-th connection: client to server, server to client */
export function makeClient(
  server: Server,
  options: Partial<RemoteOptions> = {},
  faults: (connection: number) => Faults = () => [],
): RemoteStorage {
  let count = 0;
  const client = new RemoteStorage({
    location: 'tcp://127.0.0.1:8417/repo',
    repository: 'repo',
    timeoutMs: 2000,
    dial: () => {
      count += 1;
      return dialTo(server, faults(count - 1));
    },
    ...options,
  });
  onTestFinished(() => client[Symbol.asyncDispose]());
  return client;
}

/** A client that may break every rule: frames go out as they are made. */
export class RawClient {
  readonly wire: Duplex;
  readonly answers: Frame[] = [];
  closed = false;
  #keys!: SessionKeys;
  #counter = 0;

  private constructor(wire: Duplex) {
    this.wire = wire;
    wire
      .on('error', () => {})
      .on('close', () => {
        this.closed = true;
      });
  }

  /** Connects, without a handshake. */
  static connect(server: Server): RawClient {
    const [mine, yours] = loopback();
    void server.serve({ wire: yours, binding: Buffer.alloc(0), peer: 'raw' });
    return new RawClient(mine);
  }

  /** Connects over TCP, without a handshake. */
  static async dial(port: number): Promise<RawClient> {
    const socket = connect({ port, host: '127.0.0.1', noDelay: true });
    const client = new RawClient(socket);
    onTestFinished(() => void socket.destroy());
    await once(socket, 'connect');
    return client;
  }

  /** Connects, shakes hands and opens the repository. @param to a server of this process, or its port */
  static async open(to: Server | number, access?: AccessKey, repository = 'repo'): Promise<RawClient> {
    const client = typeof to === 'number' ? await RawClient.dial(to) : RawClient.connect(to);
    const { keys } = await greetServer(client.wire, access, Buffer.alloc(0), systemRandom);
    client.#keys = keys;
    const reader = new FrameReader(keys.serverFrames);
    client.wire.on('data', (bytes: Buffer) => client.answers.push(...framesIn(reader, bytes)));
    client.send(frameType.open, 0, { repository });
    await client.until(() => client.answers.length > 0 || client.closed);
    if (client.closed) throw new Error('refused');
    return client;
  }

  /** Bytes of the next frame. */
  seal(type: number, stream: number, payload: object | Buffer = {}): Buffer {
    const bytes = Buffer.isBuffer(payload) ? payload : formatMessage(payload as Message);
    this.#counter += 1;
    return Buffer.concat(sealFrame(this.#keys.clientFrames, this.#counter - 1, type, stream, [bytes]));
  }

  send(type: number, stream: number, payload: object | Buffer = {}): void {
    this.wire.write(this.seal(type, stream, payload));
  }

  /** Waits for a condition, or fails after two seconds. */
  async until(condition: () => boolean): Promise<void> {
    for (let i = 0; !condition(); i += 1) {
      if (i > 400) throw new Error('nothing happened');
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }

  /** The last answer to a request: its type and message. */
  async answer(stream: number): Promise<{ type: number; message: Message }> {
    const last = (): Frame | undefined =>
      this.answers.find(
        (frame) =>
          frame.stream === stream && (frame.type === frameType.done || frame.type === frameType.error),
      );
    await this.until(() => last() !== undefined || this.closed);
    const frame = last();
    if (frame === undefined) return { type: -1, message: {} };
    return { type: frame.type, message: parseMessage(frame) };
  }
}

/** An id that differs with `n`; not one of those whose objects a server takes unchecked. */
export function idOf(n: number): string {
  return `019b76daa8${'5a'.repeat(10)}${n.toString(16).padStart(10, '0')}`;
}

/** A container without content that a server accepts: it looks at the readable ends only. */
export function containerOf(id: string, kind: Kind, body: Buffer): Buffer {
  const made: Header = { ...header, kind, id };
  const front = Buffer.concat([formatHeader(made), body, Buffer.alloc(16)]);
  const hint = { tableOffset: 512, tableLength: body.length, records: 0, xxh64: xxh64(front) };
  return Buffer.concat([front, formatTrailer(made, hint)]);
}
