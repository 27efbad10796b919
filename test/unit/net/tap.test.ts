/** Sockets that read to given memory: it changes hands, and nothing is lost at the change. */
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { expect, it, onTestFinished } from 'vitest';
import { Tap, tapAccepted, tapOf } from '../../../src/net/tap.ts';

const wait = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** A connection over TCP: an ordinary end, and one that was accepted and has a tap. */
async function pair(): Promise<[Socket, Socket]> {
  const server = createServer({ pauseOnConnect: true });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const client = connect((server.address() as AddressInfo).port, '127.0.0.1');
  const [accepted] = (await once(server, 'connection')) as [Socket];
  const made = tapAccepted(accepted);
  onTestFinished(() => {
    client.destroy();
    server.close();
  });
  return [client, made];
}

it('what came before the intake comes first, the rest into its memory, and the listener can close', async () => {
  const [client, made] = await pair();
  client.write('early');
  await wait(30);
  const memory = Buffer.alloc(1000);
  const got: string[] = [];
  tapOf(made)!.begin({ space: () => memory, take: (bytes) => got.push(Buffer.from(bytes).toString()) });
  client.write('late');
  await wait(30);
  expect(got.join('')).toBe('earlylate');
  client.write('more');
  await wait(30);
  expect(memory.toString('latin1', 0, 4)).toBe('more');
  made.resume();
  client.end();
  await once(made, 'close');
});

it('memory that is no longer wanted is let go of before the next read', async () => {
  const [client, made] = await pair();
  const [first, second] = [Buffer.alloc(100_000), Buffer.alloc(100)];
  let space = first;
  let taken = 0;
  const tap = tapOf(made)!;
  tap.begin({
    space: () => space,
    take: (bytes) => {
      taken += bytes.length;
    },
  });
  for (let i = 0; i < 5; i += 1) {
    client.write('x'.repeat(50));
    await wait(20);
    space = i % 2 === 0 ? second : first;
    space.fill(0);
    tap.renew();
    client.write('y'.repeat(50));
    await wait(20);
    expect(space.toString('latin1', 0, 50)).toBe('y'.repeat(50));
  }
  expect(taken).toBe(500);
});

it('a socket without a handle that reads to memory stays what it is', () => {
  const socket = { _handle: null, resume: () => socket } as unknown as Socket;
  expect(tapAccepted(socket)).toBe(socket);
  expect(tapOf(socket)).toBeUndefined();
  expect(new Tap().onread.callback).toBeTypeOf('function');
});
