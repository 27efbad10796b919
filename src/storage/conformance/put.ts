/** Writing at once. */
import { define, index, names, onceOnly, replaceable, type StorageCase, text } from './case.ts';
import { codeOf, expect } from './expect.ts';

/** See the file's comment. */
export const putCases: readonly StorageCase[] = [
  define('put returns name, size and a plausible time', async (storage) => {
    const before = Date.now();
    const info = await storage.put(index(1), Buffer.from('12345'));
    expect([info?.name, info?.sizeBytes]).toEqual([index(1), 5]);
    expect(Math.abs(info.timeMs - before)).toBeLessThan(60_000);
  }),
  define('stat says the same after put', async (storage) => {
    await storage.put(index(1), Buffer.from('12345'));
    const info = await storage.stat(index(1));
    expect([info?.name, info?.sizeBytes]).toEqual([index(1), 5]);
    expect(Math.abs((info?.timeMs ?? 0) - Date.now())).toBeLessThan(60_000);
  }),
  define('exclusive put of an existing name fails and keeps the object', async (storage) => {
    await storage.put(index(1), Buffer.from('old'), { exclusive: true });
    expect(await codeOf(() => storage.put(index(1), Buffer.from('new'), { exclusive: true }))).toBe(
      'BP_OBJECT_EXISTS',
    );
    expect(text(await storage.get(index(1)))).toBe('old');
  }),
  define('exclusive put holds for replaceable names too', async (storage) => {
    await storage.put('README.txt', Buffer.from('old'));
    expect(await codeOf(() => storage.put('README.txt', Buffer.from('new'), { exclusive: true }))).toBe(
      'BP_OBJECT_EXISTS',
    );
    expect(text(await storage.get('README.txt'))).toBe('old');
  }),
  define('replaceable names can be put again', async (storage) => {
    for (const name of replaceable) {
      await storage.put(name, Buffer.from('a longer old text'));
      await storage.put(name, Buffer.from('new'));
      expect(text(await storage.get(name))).toBe('new');
      expect((await storage.stat(name))?.sizeBytes).toBe(3);
    }
  }),
  define('all other names are written once, also without exclusive', async (storage) => {
    for (const name of onceOnly) {
      await storage.put(name, Buffer.from('old'));
      expect(await codeOf(() => storage.put(name, Buffer.from('new'))), name).toBe('BP_OBJECT_EXISTS');
      expect(text(await storage.get(name))).toBe('old');
    }
  }),
  define('an object of no bytes is an object', async (storage) => {
    await storage.put(index(1), new Uint8Array(0));
    expect((await storage.stat(index(1)))?.sizeBytes).toBe(0);
    expect((await storage.get(index(1))).byteLength).toBe(0);
    const writer = await storage.create(index(2));
    await writer.commit();
    expect((await storage.stat(index(2)))?.sizeBytes).toBe(0);
    expect(await names(storage, '')).toEqual([index(1), index(2)]);
  }),
  define('put copies the bytes: the caller may change them', async (storage) => {
    const bytes = Buffer.from('before');
    await storage.put(index(1), bytes);
    bytes.fill('x');
    expect(text(await storage.get(index(1)))).toBe('before');
  }),
];
