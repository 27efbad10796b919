/**
 * A client and a server with a bad line between them: cut at exact bytes, silent, slow. Each run completes, or ends with
 * a clear error in less than twice the timeout; what was acknowledged is there, and nothing is there in part.
 */
import { describe, expect, it } from 'vitest';
import type { Fault, Faults } from '../../../src/net/loopback.ts';
import type { Server } from '../../../src/server/server.ts';
import { MemoryStorage } from '../../../src/storage/index.ts';
import type { RemoteStorage } from '../../../src/storage/remote/remote.ts';
import { codeOfAsync, idOf } from '../support.ts';
import { containerOf, dialTo, makeClient, makeServer } from './rig.ts';

const pack = (n: number): string => `packs/${idOf(n).slice(0, 5)}/${idOf(n)}.bpk`;
const contents = [1, 2].map((n) => {
  const body = Buffer.alloc(n === 1 ? 420_000 : 3000);
  for (let i = 0; i < body.length; i += 1) body[i] = (i * 7 + n + (i >> 9)) & 255;
  return containerOf(idOf(n), 'data', body);
});
const wait = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** Writes two objects, lists, reads one back, as a backup and a restore would. @returns how it ended */
async function session(client: RemoteStorage): Promise<string> {
  return codeOfAsync(async () => {
    const writer = await client.create(pack(1));
    for (let at = 0; at < contents[0]!.length; at += 100_000) {
      await writer.append([contents[0]!.subarray(at, at + 100_000)]);
    }
    await Promise.all([writer.commit(), client.put(pack(2), contents[1]!, { exclusive: true })]);
    const names: string[] = [];
    for await (const { name } of client.list('packs/')) names.push(name);
    expect(names).toEqual([pack(1), pack(2)]);
    expect(contents[0]!.equals(await client.get(pack(1)))).toBe(true);
    expect(
      contents[1]!.equals(await client.get(pack(2), { range: { offset: 0, length: contents[1]!.length } })),
    ).toBe(true);
    await client.delete(pack(2));
  });
}

/** Nothing may be there in part, whatever happened. */
function expectWhole(storage: MemoryStorage): void {
  for (const [name, bytes] of storage.objects) {
    expect([name, bytes.equals(contents[name === pack(1) ? 0 : 1]!)]).toEqual([name, true]);
  }
}

async function run(
  faults: (connection: number) => Faults,
  timeoutMs: number,
  options: { server?: Server; storage?: MemoryStorage } = {},
): Promise<{ code: string; ms: number; storage: MemoryStorage }> {
  const storage = options.storage ?? new MemoryStorage();
  const limits = { parkMs: 2000, graceMs: timeoutMs / 2, handshakeMs: timeoutMs };
  const server = options.server ?? makeServer({ storage, checkContainers: true, limits });
  const client = makeClient(server, { timeoutMs }, faults);
  const from = performance.now();
  const code = await session(client);
  const ms = performance.now() - from;
  await client[Symbol.asyncDispose]();
  if (options.server === undefined) await server.stop(10);
  expectWhole(storage);
  return { code, ms, storage };
}

/** Bytes that a whole session sends in each direction, about. */
const toServer = 430_000;

describe('a bad line', () => {
  it('cut once at any byte: the run completes, exactly', async () => {
    const positions: [number, 0 | 1][] = [];
    // Every byte of the handshake and of the first frames, then steps, then the last frames.
    for (let at = 0; at < 420; at += 10) positions.push([at, 0], [at, 1]);
    for (let at = 420; at < toServer; at += 24_011) positions.push([at, 0], [at, 1]);
    for (let at = 420_500; at < 426_000; at += 397) positions.push([at, 0], [at, 1]);
    for (const [cutAt, direction] of positions) {
      const fault: Faults = direction === 0 ? [{ cutAt }] : [undefined, { cutAt }];
      const { code, storage } = await run((connection) => (connection === 0 ? fault : []), 2000);
      expect([cutAt, direction, code]).toEqual([cutAt, direction, 'ok']);
      expect([...storage.objects.keys()]).toEqual([pack(1)]);
    }
  }, 60_000);

  it('cut again and again: goes on where it was', async () => {
    let connections = 0;
    const { code } = await run((connection) => {
      connections = connection + 1;
      return connection < 12 ? [{ cutAt: 60_000 }, { cutAt: 200_000 }] : [];
    }, 2000);
    expect(code).toBe('ok');
    // Were everything sent again each time, 60,000 bytes would never be enough.
    expect(connections).toBeGreaterThan(4);
  });

  it('a black hole ends with a clear error in less than twice the timeout', async () => {
    for (const stallAt of [0, 100, 200, 1500]) {
      for (const direction of [0, 1]) {
        const hole: Fault = { stallAt };
        const { code, ms } = await run(() => (direction === 0 ? [hole] : [undefined, hole]), 250);
        expect(['BP_TIMEOUT', 'BP_CONNECTION']).toContain(code);
        expect(ms).toBeLessThan(2 * 250 + 250);
      }
    }
  });

  it('a black hole that ends is left by a new connection', async () => {
    const { code } = await run((connection) => (connection < 1 ? [undefined, { stallAt: 1000 }] : []), 300);
    expect(code).toBe('ok');
  });

  it('a peer of one byte per second ends with a clear error in less than twice the timeout', async () => {
    for (const direction of [0, 1]) {
      const drip: Fault = { rate: 1 };
      const { code, ms } = await run(() => (direction === 0 ? [drip] : [undefined, drip]), 300);
      expect(['BP_TIMEOUT', 'BP_CONNECTION']).toContain(code);
      expect(ms).toBeLessThan(2 * 300 + 250);
    }
  });

  it('a slow line is no reason to stop', async () => {
    const { code } = await run(() => [{ rate: 2_000_000 }, { rate: 2_000_000 }], 1000);
    expect(code).toBe('ok');
  });

  it('an upload that waits for its own side is kept, and goes on', async () => {
    const storage = new MemoryStorage();
    const server = makeServer({ storage, limits: { idleMs: 80 } });
    const client = makeClient(server, { timeoutMs: 500 });
    const writer = await client.create(pack(1));
    await writer.append([contents[0]!.subarray(0, 200_000)]);
    await wait(400);
    await writer.append([contents[0]!.subarray(200_000)]);
    await writer.commit();
    expectWhole(storage);
    expect(storage.objects.size).toBe(1);
  });
});

describe('a server that was restarted in the middle', () => {
  const restart = async (keepBytes: number): Promise<{ code: string; storage: MemoryStorage }> => {
    const storage = new MemoryStorage();
    let server = makeServer({ storage, checkContainers: true });
    const client = makeClient(server, { timeoutMs: 1000, keepBytes, dial: () => dialTo(server) });
    const code = await codeOfAsync(async () => {
      const writer = await client.create(pack(1));
      await writer.append([contents[0]!.subarray(0, 350_000)]);
      await wait(30);
      const stopped = server.stop(10);
      server = makeServer({ storage, checkContainers: true });
      await stopped;
      await writer.append([contents[0]!.subarray(350_000)]);
      await writer.commit();
    });
    expectWhole(storage);
    return { code, storage };
  };

  it('gets the same bytes again where they were kept', async () => {
    const { code, storage } = await restart(16e6);
    expect(code).toBe('ok');
    expect(storage.objects.size).toBe(1);
  });

  it('ends the run with a clear error where they were not', async () => {
    const { code, storage } = await restart(1000);
    expect(code).toBe('BP_RESUME_LOST');
    expect(storage.objects.size).toBe(0);
  });
});
