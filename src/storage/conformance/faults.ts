/** What must hold when things fail: canceled calls, broken answers, lost answers. */
import { listAll } from '../storage.ts';
import { define, defineFault, index, names, pack, pattern, type StorageCase, text, write } from './case.ts';
import { codeOf, expect } from './expect.ts';

/** See the file's comment. */
export const faultsCases: readonly StorageCase[] = [
  define('many abandoned writers leave nothing', async (storage, reopen) => {
    for (let i = 0; i < 10; i += 1) {
      const writer = await storage.create(pack(i));
      await writer.append([Buffer.from('x'.repeat(1000))]);
      await writer.abort();
    }
    expect(await names(await reopen(), '')).toEqual([]);
  }),
  define('a commit that fails leaves the other object as it is, and nothing else', async (storage) => {
    await storage.put(index(1), Buffer.from('first'));
    expect(await codeOf(() => write(storage, index(1), 'second'))).toBe('BP_OBJECT_EXISTS');
    expect(text(await storage.get(index(1)))).toBe('first');
    expect(await names(storage, '')).toEqual([index(1)]);
  }),
  define('an exclusive put that fails can be followed by others', async (storage) => {
    await storage.put(index(1), Buffer.from('first'), { exclusive: true });
    for (let i = 0; i < 3; i += 1)
      expect(await codeOf(() => storage.put(index(1), Buffer.from(`${i}`), { exclusive: true }))).toBe(
        'BP_OBJECT_EXISTS',
      );
    await storage.put(index(2), Buffer.from('second'), { exclusive: true });
    expect(text(await storage.get(index(1)))).toBe('first');
    expect(text(await storage.get(index(2)))).toBe('second');
  }),
  define('equal bytes are no reason to take an existing name', async (storage, reopen) => {
    await storage.put(index(1), Buffer.from('same'), { exclusive: true });
    const other = await reopen();
    expect(await codeOf(() => other.put(index(1), Buffer.from('same'), { exclusive: true }))).toBe(
      'BP_OBJECT_EXISTS',
    );
  }),
  define('a listing whose signal is aborted on the way is an error, not an end', async (storage) => {
    for (let i = 0; i < 5; i += 1) await storage.put(pack(i), Buffer.from('x'));
    const stop = new AbortController();
    const seen: string[] = [];
    const code = await codeOf(async () => {
      for await (const { name } of storage.list('packs/', { signal: stop.signal })) {
        seen.push(name);
        stop.abort();
      }
    });
    expect(code).toBe('BP_CANCELED');
    expect(seen).toEqual([pack(0)]);
  }),
  define('after a canceled call the storage works', async (storage) => {
    const stop = new AbortController();
    const calls = [
      storage.put(index(1), Buffer.from('x'), { signal: stop.signal }),
      storage.stat(index(2), { signal: stop.signal }),
      listAll(storage, '', { signal: stop.signal }),
    ];
    stop.abort();
    for (const call of calls) expect(await codeOf(() => call)).toMatch(/^(ok|BP_CANCELED)$/);
    await storage.put(index(3), Buffer.from('works'));
    expect(text(await storage.get(index(3)))).toBe('works');
    expect(await codeOf(() => storage.put(index(1), Buffer.from('x')))).toMatch(/^(ok|BP_OBJECT_EXISTS)$/);
  }),
  define('an object of several parts is whole or not there', async (storage, reopen) => {
    const bytes = pattern(17 * 1024 * 1024 + 5);
    const writer = await storage.create(pack(1));
    for (let at = 0; at < bytes.length; at += 3_000_001)
      await writer.append([bytes.subarray(at, at + 3_000_001)]);
    const other = await reopen();
    expect(await other.stat(pack(1))).toBeUndefined();
    expect(await names(other, '')).toEqual([]);
    expect((await writer.commit()).sizeBytes).toBe(bytes.length);
    const range = { offset: 8 * 1024 * 1024 - 3, length: 8 * 1024 * 1024 + 7 };
    const found = await other.get(pack(1), { range });
    expect(Buffer.compare(found, bytes.subarray(range.offset, range.offset + range.length))).toBe(0);
    expect(Buffer.compare(await other.get(pack(1)), bytes)).toBe(0);
  }),
  define('an object of several parts that is given up leaves nothing', async (storage, reopen) => {
    const writer = await storage.create(pack(1));
    const piece = pattern(6 * 1024 * 1024);
    for (let i = 0; i < 3; i += 1) await writer.append([piece]);
    await writer.abort();
    expect(await names(await reopen(), '')).toEqual([]);
    expect(await codeOf(() => writer.commit())).toBe('BP_INTERNAL');
  }),
  define('an object of exactly one part, and of one byte more', async (storage) => {
    for (const [n, length] of [
      [1, 8 * 1024 * 1024],
      [2, 8 * 1024 * 1024 + 1],
    ] as const) {
      const bytes = pattern(length);
      const writer = await storage.create(pack(n));
      await writer.append([bytes]);
      expect((await writer.commit()).sizeBytes).toBe(length);
      expect(Buffer.compare(await storage.get(pack(n)), bytes)).toBe(0);
    }
  }),
  define('two large objects grow side by side', async (storage) => {
    const bytes = [pattern(9_000_000), pattern(9_500_000).reverse()];
    const writers = [await storage.create(pack(1)), await storage.create(pack(2))];
    for (let at = 0; at < 9_500_000; at += 1_000_000)
      for (const i of [0, 1]) await writers[i]!.append([bytes[i]!.subarray(at, at + 1_000_000)]);
    await Promise.all(writers.map((writer) => writer.commit()));
    for (const i of [0, 1]) expect(Buffer.compare(await storage.get(pack(i + 1)), bytes[i]!)).toBe(0);
  }),
  define('of two writers of one large object the second to commit fails', async (storage, reopen) => {
    const other = await reopen();
    const writers = [await storage.create(pack(1)), await other.create(pack(1))];
    for (const writer of writers) await writer.append([pattern(9_000_000)]);
    await writers[0]!.commit();
    expect(await codeOf(() => writers[1]!.commit())).toBe('BP_OBJECT_EXISTS');
    expect(await names(storage, '')).toEqual([pack(1)]);
  }),
  define('a long listing has every name once', async (storage) => {
    const all = Array.from({ length: 60 }, (_, i) => index(i));
    await Promise.all(all.map((name) => storage.put(name, Buffer.from('x'))));
    expect(await names(storage, '')).toEqual(all);
    expect(await names(storage, 'index/')).toEqual(all);
  }),
  define('reads of one object at the same time do not mix', async (storage) => {
    const bytes = pattern(300_000);
    await storage.put(index(1), bytes);
    await Promise.all(
      Array.from({ length: 20 }, async (_, i) => {
        const range = { offset: i * 10_000, length: 50_000 };
        const found = await storage.get(index(1), { range });
        expect(Buffer.compare(found, bytes.subarray(range.offset, range.offset + range.length))).toBe(0);
      }),
    );
  }),
  defineFault('an exclusive put whose answer was lost succeeds once', async (storage, fault) => {
    fault('lost-answer');
    const info = await storage.put(index(1), Buffer.from('content'), { exclusive: true });
    expect([info.name, info.sizeBytes]).toEqual([index(1), 7]);
    expect(text(await storage.get(index(1)))).toBe('content');
    expect(await codeOf(() => storage.put(index(1), Buffer.from('content'), { exclusive: true }))).toBe(
      'BP_OBJECT_EXISTS',
    );
  }),
  defineFault(
    'a lost answer does not make another client lose its object',
    async (storage, fault, reopen) => {
      await (await reopen()).put(index(1), Buffer.from('theirs'), { exclusive: true });
      fault('lost-answer');
      expect(await codeOf(() => storage.put(index(1), Buffer.from('ours!!'), { exclusive: true }))).toBe(
        'BP_OBJECT_EXISTS',
      );
      expect(text(await storage.get(index(1)))).toBe('theirs');
    },
  ),
  defineFault('a busy storage is asked again, in every call', async (storage, fault) => {
    fault('busy');
    await storage.put(index(1), Buffer.from('x'));
    fault('busy');
    expect(text(await storage.get(index(1)))).toBe('x');
    fault('busy');
    expect((await storage.stat(index(1)))?.sizeBytes).toBe(1);
    fault('busy');
    expect(await names(storage, '')).toEqual([index(1)]);
    fault('busy');
    await storage.delete(index(1));
    expect(await storage.stat(index(1))).toBeUndefined();
  }),
  defineFault('an answer that breaks off is never taken for the whole', async (storage, fault) => {
    const bytes = pattern(200_000);
    await storage.put(index(1), bytes);
    fault('broken-read');
    expect(Buffer.compare(await storage.get(index(1)), bytes)).toBe(0);
    fault('broken-read');
    const range = { offset: 1000, length: 150_000 };
    expect(Buffer.compare(await storage.get(index(1), { range }), bytes.subarray(1000, 151_000))).toBe(0);
  }),
  defineFault('a listing that breaks off is never taken for the end', async (storage, fault) => {
    for (let i = 0; i < 8; i += 1) await storage.put(index(i), Buffer.from('x'));
    fault('broken-list');
    expect(await names(storage, '')).toEqual(Array.from({ length: 8 }, (_, i) => index(i)));
  }),
  defineFault('a deletion whose answer was lost is done', async (storage, fault) => {
    await storage.put(index(1), Buffer.from('x'));
    fault('lost-answer');
    await storage.delete(index(1));
    expect(await names(storage, '')).toEqual([]);
  }),
  defineFault('a large object survives a busy storage', async (storage, fault) => {
    const bytes = pattern(9_000_000);
    const writer = await storage.create(pack(1));
    fault('busy');
    await writer.append([bytes]);
    await writer.commit();
    expect(Buffer.compare(await storage.get(pack(1)), bytes)).toBe(0);
  }),
];
