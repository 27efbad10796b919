/** Containers written and read again, by src and by code that knows the specification only. */
import { createDecipheriv, createHmac } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { xxh64 } from '../../../src/codec/xxhash.ts';
import { ContainerReader } from '../../../src/container/container-reader.ts';
import { ContainerWriter, WriterMemory } from '../../../src/container/container-writer.ts';
import { ReaderMemory } from '../../../src/container/reader-memory.ts';
import type { Kind } from '../../../src/format/names.ts';
import { packName, snapshotName } from '../../../src/format/names.ts';
import { MemoryStorage } from '../../../src/storage/index.ts';
import { noise } from '../operations/tree.ts';
import { codeOfAsync, idOf, keyring, repo, root, runs } from '../support.ts';

const memory = new WriterMemory(1 << 20);
const reading = new ReaderMemory();

const nameOf = (kind: Kind, id: string): string =>
  ({
    data: packName(id),
    meta: packName(id),
    snap: snapshotName(id),
    indx: `index/${id}.bpk`,
    move: `moved/${idOf(0)}-${id}.bpk`,
    mark: `gc/${id}.bpk`,
    drop: `drop/${id}.bpk`,
  })[kind];

async function write(
  kind: Kind,
  id: string,
  records: readonly Uint8Array[],
): Promise<{ storage: MemoryStorage; name: string; bytes: Buffer; size: number }> {
  const storage = new MemoryStorage();
  const name = nameOf(kind, id);
  const writer = new ContainerWriter(
    memory,
    keyring(),
    { kind, repo, id, app: 'test' },
    await storage.create(name),
  );
  const { kernel, plain } = memory.codec;
  for (const record of records) {
    kernel.bytes.set(record, plain);
    await writer.addRecord(plain, record.byteLength);
    if (kind === 'data')
      writer.addLines(`["C",0,${record.byteLength},"${'0'.repeat(16)}","${'0'.repeat(32)}"]\n`);
  }
  const size = await writer.finish();
  expect(storage.objects.size).toBe(0);
  expect((await writer.commit()).sizeBytes).toBe(size);
  return { storage, name, bytes: storage.objects.get(name)!, size };
}

const context = (storage: MemoryStorage) => ({ storage, keyring: keyring(), memory: reading });

/** One LZ4 frame of raw and compressed blocks, decoded from its description. */
function lz4(frame: Buffer): Buffer {
  const out = Buffer.alloc(Number(frame.readBigUInt64LE(6)));
  let filled = 0;
  for (let at = 15; ; ) {
    const word = frame.readUInt32LE(at);
    at += 4;
    if (word === 0) return out;
    const length = word % 2 ** 31;
    const block = frame.subarray(at, at + length);
    at += length;
    if (word >= 2 ** 31) {
      filled += block.copy(out, filled);
      continue;
    }
    for (let i = 0; i < block.length; ) {
      const token = block[i++]!;
      const extra = (start: number): number => {
        let sum = start;
        if (start === 15) {
          let byte = 255;
          while (byte === 255) {
            byte = block[i++]!;
            sum += byte;
          }
        }
        return sum;
      };
      const literals = extra(token >> 4);
      filled += block.copy(out, filled, i, i + literals);
      i += literals;
      if (i >= block.length) break;
      const distance = block.readUInt16LE(i);
      i += 2;
      for (let left = extra(token & 15) + 4; left > 0; left -= 1, filled += 1)
        out[filled] = out[filled - distance]!;
    }
  }
}

/** Opens a container as the specification says, with nothing of src. */
function openByHand(bytes: Buffer): { head: Record<string, unknown>; records: Buffer[]; padding: number } {
  const header = bytes.subarray(0, 512).toString('latin1');
  const line = (name: string): string => new RegExp(`^${name}=(.*)$`, 'm').exec(header)![1]!;
  const expand = (key: Uint8Array, info: Uint8Array | string): Buffer =>
    createHmac('sha512', key).update(info).update('\x01').digest();
  const okm = expand(expand(root, `backpack/1 ${line('kind')}`).subarray(0, 32), bytes.subarray(0, 440));
  expect(okm.toString('hex', 32)).toBe(line('commit'));
  const message = (domain: number, counter: number, offset: number, length: number): Buffer => {
    const nonce = Buffer.alloc(12);
    nonce.writeUInt32BE(domain, 0);
    nonce.writeBigUInt64BE(BigInt(counter), 4);
    const decipher = createDecipheriv('aes-256-gcm', okm.subarray(0, 32), nonce, { authTagLength: 16 });
    decipher.setAuthTag(bytes.subarray(offset + length, offset + length + 16));
    return Buffer.concat([decipher.update(bytes.subarray(offset, offset + length)), decipher.final()]);
  };
  const trailer = bytes.subarray(-512).toString('latin1');
  const [, offset, length] = /^table=(\d{16}) (\d{12})$/m.exec(trailer)!.map(Number) as [
    number,
    number,
    number,
  ];
  expect(/^xxh64=(.*)$/m.exec(trailer)![1]).toBe(xxh64(bytes.subarray(0, -512)));
  expect(offset + length + 16 + 512).toBe(bytes.length);
  const table = message(1, 0, offset, length);
  const skippable = table.lastIndexOf(Buffer.from('502a4d18', 'hex'));
  const [head, ...lines] = lz4(table)
    .toString()
    .trimEnd()
    .split('\n')
    .map((text) => JSON.parse(text) as Record<string, unknown>);
  const places = (lines as unknown as [string, number, number, number][]).filter(
    ([letter]) => letter === 'R',
  );
  expect(head).toMatchObject({ records: places.length });
  const records = places.map(([, from, clen, plain], i) => {
    const record = lz4(message(0, i, from, clen));
    expect(record.length).toBe(plain);
    return record;
  });
  return { head: head!, records, padding: skippable < 0 ? 0 : table.length - skippable };
}

describe('a container', () => {
  it.each(['data', 'meta', 'snap', 'indx', 'move', 'mark', 'drop'] as const)(
    'of kind %s comes back, from src and by hand',
    async (kind) => {
      const records = [
        noise(1, 1),
        noise(70_000, 2),
        Buffer.from('all work and no play '.repeat(9000)),
        Buffer.alloc(300_000),
      ];
      const { storage, name, bytes } = await write(kind, idOf(7), records);
      const reader = await ContainerReader.open(context(storage), name, { want: 'all' });
      expect(reader.header.kind).toBe(kind);
      expect(reader.trailerFits).toBe(true);
      expect(reader.table.lengths).toEqual(records.map(({ length }) => length));
      for (const [i, record] of records.entries()) expect((await reader.read(i)).equals(record)).toBe(true);
      const byHand = openByHand(bytes);
      expect(byHand.records.every((record, i) => record.equals(records[i]!))).toBe(true);
      expect(byHand.head).toMatchObject({ backpack: 'table', v: 1, records: 4 });
    },
  );

  it('of few bytes is padded: sizes tell little', async () => {
    const sizes = new Set<number>();
    for (let length = 1; length < 20_000; length += 131) {
      const { size, bytes } = await write('meta', idOf(length), [noise(length, length)]);
      expect(size).toBeGreaterThanOrEqual(4096);
      expect(bytes.length).toBe(size);
      sizes.add(size);
    }
    expect(sizes.size).toBeLessThan(60);
  });

  it('of no record is a container', async () => {
    const { storage, name, bytes } = await write('snap', idOf(1), []);
    expect((await ContainerReader.open(context(storage), name)).records).toBe(0);
    expect(openByHand(bytes).records).toEqual([]);
  });

  it('of many records comes back', async () => {
    const records = Array.from({ length: 3000 }, (_, i) => Buffer.from(`record ${i}`));
    const { storage, name } = await write('data', idOf(2), records);
    const reader = await ContainerReader.open(context(storage), name, { want: 'all' });
    expect(reader.records).toBe(3000);
    expect(reader.table.chunks).toHaveLength(3000);
    for (const i of [0, 1, 1500, 2999]) expect((await reader.read(i)).toString()).toBe(`record ${i}`);
    expect(await codeOfAsync(() => reader.read(3000))).toBe('E_EXTENT');
  });

  it('of any records comes back', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.integer({ min: 1, max: 100_000 }), { maxLength: 8 }), async (lengths) => {
        const records = lengths.map((length, i) =>
          i % 2 ? noise(length, length) : Buffer.alloc(length, `${i} `),
        );
        const { storage, name } = await write('data', idOf(3), records);
        const reader = await ContainerReader.open(context(storage), name, { want: 'all' });
        for (const [i, record] of records.entries()) expect((await reader.read(i)).equals(record)).toBe(true);
      }),
      runs(20),
    );
  });

  it('with any byte changed is never read as something else', async () => {
    const records = [noise(900, 1), noise(2000, 2)];
    const { storage, name, bytes } = await write('data', idOf(4), records);
    const good = Buffer.from(bytes);
    let rejected = 0;
    for (let at = 0; at < good.length; at += at < 512 || at > good.length - 512 ? 3 : 29) {
      const bad = Buffer.from(good);
      bad[at]! ^= 0x20;
      storage.objects.set(name, bad);
      const code = await codeOfAsync(async () => {
        const reader = await ContainerReader.open(context(storage), name, { want: 'all' });
        for (const [i, record] of records.entries()) expect((await reader.read(i)).equals(record)).toBe(true);
        // Only the trailer is not needed to read.
        expect(at).toBeGreaterThanOrEqual(good.length - 512);
        expect(reader.trailerFits && xxh64(bad.subarray(0, -512)) === reader.trailer.xxh64).toBe(false);
      });
      if (code !== 'ok') rejected += 1;
      expect(code).toMatch(/^(ok|E_[A-Z]+)$/);
    }
    expect(rejected).toBeGreaterThan(200);
  });

  it('cut or lengthened anywhere is refused', async () => {
    const { storage, name, bytes } = await write('data', idOf(5), [noise(900, 1)]);
    for (const length of [0, 1, 511, 512, 1058, 2000, bytes.length - 512, bytes.length - 1]) {
      storage.objects.set(name, bytes.subarray(0, length));
      expect(await codeOfAsync(() => ContainerReader.open(context(storage), name)), `${length}`).toBe(
        'E_TRUNC',
      );
    }
    for (const more of [1, 100, 491]) {
      storage.objects.set(name, Buffer.concat([bytes, Buffer.alloc(more, 'x')]));
      expect(await codeOfAsync(() => ContainerReader.open(context(storage), name)), `${more}`).toBe(
        'E_EXTRA',
      );
    }
  });

  it('under another name is E_NAME', async () => {
    const { storage, name, bytes } = await write('data', idOf(6), [noise(900, 1)]);
    storage.objects.set(packName(idOf(8)), bytes);
    storage.objects.set(`index/${idOf(6)}.bpk`, bytes);
    for (const other of [packName(idOf(8)), `index/${idOf(6)}.bpk`])
      expect(await codeOfAsync(() => ContainerReader.open(context(storage), other))).toBe('E_NAME');
    expect(await codeOfAsync(() => ContainerReader.open(context(storage), name))).toBe('ok');
    expect(await codeOfAsync(() => ContainerReader.open(context(storage), packName(idOf(9))))).toBe(
      'E_MISSING',
    );
  });
});
