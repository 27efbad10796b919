/** Reading. */
import { define, index, pack, type StorageCase, text } from './case.ts';
import { codeOf, expect } from './expect.ts';

/** See the file's comment. */
export const getCases: readonly StorageCase[] = [
  define('get of a missing object is BP_OBJECT_MISSING', async (storage) => {
    expect(await codeOf(() => storage.get(pack(1)))).toBe('BP_OBJECT_MISSING');
    expect(await codeOf(() => storage.get(pack(1), { range: { offset: 0, length: 1 } }))).toBe(
      'BP_OBJECT_MISSING',
    );
    await storage.put(index(1), Buffer.from('x'));
    expect(await codeOf(() => storage.get(pack(1)))).toBe('BP_OBJECT_MISSING');
  }),
  define('get reads exactly the range', async (storage) => {
    await storage.put(index(1), Buffer.from('0123456789'));
    const get = async (offset: number, length: number): Promise<string> =>
      text(await storage.get(index(1), { range: { offset, length } }));
    expect([
      await get(0, 10),
      await get(0, 1),
      await get(9, 1),
      await get(3, 4),
      await get(10, 0),
      await get(0, 0),
    ]).toEqual(['0123456789', '0', '9', '3456', '', '']);
  }),
  define('a range beyond the end is an error, never fewer bytes', async (storage) => {
    await storage.put(index(1), Buffer.from('0123456789'));
    for (const [offset, length] of [
      [0, 11],
      [9, 2],
      [10, 1],
      [100, 1],
      [11, 5],
    ] as const)
      expect(
        await codeOf(() => storage.get(index(1), { range: { offset, length } })),
        `${offset} ${length}`,
      ).toBe('BP_STORAGE_SHORT');
  }),
  define('get fills `into` and nothing beyond', async (storage) => {
    await storage.put(index(1), Buffer.from('0123456789'));
    const wide = Buffer.alloc(12, '.');
    const found = await storage.get(index(1), { range: { offset: 2, length: 5 }, into: wide.subarray(3) });
    expect(text(found)).toBe('23456');
    expect(wide.toString()).toBe('...23456....');
    expect(found.buffer).toBe(wide.buffer);
    expect(text(await storage.get(index(1), { into: wide }))).toBe('0123456789');
  }),
  define('what get returns belongs to the caller', async (storage) => {
    await storage.put(index(1), Buffer.from('0123456789'));
    (await storage.get(index(1))).fill(0);
    (await storage.get(index(1), { range: { offset: 2, length: 3 } })).fill(0);
    expect(text(await storage.get(index(1)))).toBe('0123456789');
  }),
  define('a large object comes back, whole and in ranges', async (storage) => {
    const bytes = Buffer.alloc(5_000_011);
    for (let i = 0; i < bytes.length; i += 1) bytes[i] = (i * 31 + (i >> 8)) & 255;
    const writer = await storage.create(pack(1));
    for (let at = 0; at < bytes.length; at += 700_001)
      await writer.append([bytes.subarray(at, at + 700_001)]);
    expect((await writer.commit()).sizeBytes).toBe(bytes.length);
    expect(Buffer.compare(await storage.get(pack(1)), bytes)).toBe(0);
    const range = { offset: 1_234_567, length: 2_000_003 };
    expect(
      Buffer.compare(
        await storage.get(pack(1), { range }),
        bytes.subarray(range.offset, range.offset + range.length),
      ),
    ).toBe(0);
  }),
  define('stat of a missing object is undefined', async (storage) => {
    expect(await storage.stat(pack(1))).toBeUndefined();
    await storage.put(pack(2), Buffer.from('x'));
    expect(await storage.stat(pack(1))).toBeUndefined();
  }),
];
