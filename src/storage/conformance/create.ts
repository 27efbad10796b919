/** Writing objects that grow. */
import { define, index, names, pack, type StorageCase, text, write } from './case.ts';
import { codeOf, expect } from './expect.ts';

/** See the file's comment. */
export const createCases: readonly StorageCase[] = [
  define('append leaves its pieces free again', async (storage) => {
    const writer = await storage.create(pack(1));
    const piece = Buffer.alloc(4);
    for (const word of ['one ', 'two ', 'end.']) {
      piece.write(word);
      await writer.append([piece]);
    }
    piece.fill(0);
    await writer.commit();
    expect(text(await storage.get(pack(1)))).toBe('one two end.');
  }),
  define('append takes several pieces, empty ones and none', async (storage) => {
    const writer = await storage.create(pack(1));
    await writer.append([]);
    await writer.append([Buffer.from('a'), new Uint8Array(0), Buffer.from('bc')]);
    await writer.append([new Uint8Array(0)]);
    await writer.append(Array.from({ length: 3000 }, (_, i) => Buffer.from([i & 0x7f])));
    const { name, sizeBytes } = await writer.commit();
    expect({ name, sizeBytes }).toEqual({ name: pack(1), sizeBytes: 3003 });
    const found = await storage.get(pack(1));
    expect(text(found.subarray(0, 3))).toBe('abc');
    expect([...found.subarray(3)]).toEqual(Array.from({ length: 3000 }, (_, i) => i & 0x7f));
  }),
  define('an object is invisible until commit', async (storage, reopen) => {
    const writer = await storage.create(pack(1));
    await writer.append([Buffer.from('half')]);
    const other = await reopen();
    expect(await storage.stat(pack(1))).toBeUndefined();
    expect(await codeOf(() => other.get(pack(1)))).toBe('BP_OBJECT_MISSING');
    expect(await names(other, '')).toEqual([]);
    await writer.append([Buffer.from(' whole')]);
    await writer.commit();
    expect(text(await other.get(pack(1)))).toBe('half whole');
    expect(await names(other, '')).toEqual([pack(1)]);
  }),
  define('abort leaves nothing, and the name can be used', async (storage) => {
    const writer = await storage.create(pack(1));
    await writer.append([Buffer.from('x')]);
    await writer.abort();
    await writer.abort();
    expect(await names(storage, '')).toEqual([]);
    await write(storage, pack(1), 'yes');
    expect(text(await storage.get(pack(1)))).toBe('yes');
  }),
  define('abort after commit changes nothing', async (storage) => {
    const writer = await storage.create(pack(1));
    await writer.append([Buffer.from('x')]);
    await writer.commit();
    await writer.abort();
    expect(text(await storage.get(pack(1)))).toBe('x');
  }),
  define('commit after abort fails and publishes nothing', async (storage) => {
    const writer = await storage.create(pack(1));
    await writer.append([Buffer.from('x')]);
    await writer.abort();
    expect(await codeOf(() => writer.commit())).toBe('BP_INTERNAL');
    expect(await names(storage, '')).toEqual([]);
  }),
  define('a writer commits once', async (storage) => {
    const writer = await storage.create(pack(1));
    await writer.append([Buffer.from('x')]);
    await writer.commit();
    // What is written next must not be touched by the finished writer.
    const next = await storage.create(pack(2));
    await next.append([Buffer.from('next')]);
    expect(await codeOf(() => writer.commit())).toBe('BP_INTERNAL');
    expect(await codeOf(() => writer.append([Buffer.from('y')]))).toBe('BP_INTERNAL');
    await next.append([Buffer.from(' one')]);
    await next.commit();
    expect(text(await storage.get(pack(1)))).toBe('x');
    expect(text(await storage.get(pack(2)))).toBe('next one');
  }),
  define('the second commit of one name fails, the first object stays', async (storage, reopen) => {
    const other = await reopen();
    const [first, second] = [await storage.create(pack(1)), await other.create(pack(1))];
    await first.append([Buffer.from('first')]);
    await second.append([Buffer.from('second')]);
    await first.commit();
    expect(await codeOf(() => second.commit())).toBe('BP_OBJECT_EXISTS');
    expect(text(await storage.get(pack(1)))).toBe('first');
    expect(await names(other, '')).toEqual([pack(1)]);
  }),
  define('create of a replaceable name that exists fails at commit', async (storage) => {
    await storage.put('README.txt', Buffer.from('old'));
    expect(await codeOf(() => write(storage, 'README.txt', 'new'))).toBe('BP_OBJECT_EXISTS');
    expect(text(await storage.get('README.txt'))).toBe('old');
  }),
  define(
    'of many that create one name at once exactly one wins, where creation is atomic',
    async (storage, reopen) => {
      const clients = await Promise.all(Array.from({ length: 8 }, () => reopen()));
      const results = await Promise.all(
        clients.map((client, i) =>
          codeOf(() =>
            i % 2 === 0
              ? write(client, index(1), `${i}`)
              : client.put(index(1), Buffer.from(`${i}`), { exclusive: true }),
          ),
        ),
      );
      const winners = results.filter((result) => result === 'ok').length;
      expect(results.filter((result) => result === 'BP_OBJECT_EXISTS')).toHaveLength(8 - winners);
      expect(winners).toBeAtLeast(1);
      if (clients.some(({ capabilities }) => capabilities.exclusivePut === 'atomic')) expect(winners).toBe(1);
      expect(results[Number(text(await storage.get(index(1))))]).toBe('ok');
    },
  ),
  define('many objects can be written at once', async (storage) => {
    await Promise.all(
      Array.from({ length: 40 }, (_, i) => write(storage, i % 2 ? pack(i) : index(i), `content ${i}`)),
    );
    expect(await names(storage, '')).toHaveLength(40);
    for (let i = 0; i < 40; i += 1)
      expect(text(await storage.get(i % 2 ? pack(i) : index(i)))).toBe(`content ${i}`);
  }),
  define('a writer whose signal is aborted publishes nothing', async (storage) => {
    const aborting = new AbortController();
    const writer = await storage.create(pack(1), { signal: aborting.signal });
    await writer.append([Buffer.from('x')]);
    aborting.abort();
    expect(await codeOf(() => writer.append([Buffer.from('y')]))).toBe('BP_CANCELED');
    expect(await codeOf(() => writer.commit())).toBe('BP_CANCELED');
    await writer.abort();
    expect(await names(storage, '')).toEqual([]);
  }),
];
