/**
 * What every storage promises (SPEC, "Duties of the storage"; src/storage/storage.ts), as cases that any storage can
 * be put through. Each case gets a new, empty storage.
 */
import { expect } from 'vitest';
import { BackpackError, isBackpackError } from '../../src/base/errors.ts';
import { listAll, type Storage } from '../../src/storage/index.ts';

/** Makes an empty storage, and opens the same one again as another client would. */
export interface StorageFactory {
  create(): Promise<{ readonly storage: Storage; reopen(): Promise<Storage> }>;
}

/** One promise. */
export interface StorageCase {
  readonly name: string;
  run(factory: StorageFactory): Promise<void>;
}

const id = (n: number): string => `019b76daa8${n.toString(16).padStart(30, '0')}`;
const pack = (n: number): string => `packs/019b7/${id(n)}.bpk`;
const index = (n: number): string => `index/${id(n)}.bpk`;
const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString('latin1');

/** Code of what `action` throws; it must be a BackpackError. */
async function code(action: () => unknown): Promise<string> {
  try {
    await action();
    return 'ok';
  } catch (error) {
    if (isBackpackError(error)) return error.code;
    throw error;
  }
}

function define(
  name: string,
  run: (storage: Storage, reopen: () => Promise<Storage>) => Promise<void>,
): StorageCase {
  return {
    name,
    run: async (factory) => {
      const { storage, reopen } = await factory.create();
      try {
        await run(storage, reopen);
      } finally {
        await storage[Symbol.asyncDispose]();
      }
    },
  };
}

async function names(storage: Storage, prefix: string): Promise<string[]> {
  return (await listAll(storage, prefix)).map(({ name }) => name);
}

/** Writes an object in two pieces. */
async function write(storage: Storage, name: string, content: string): Promise<void> {
  const writer = await storage.create(name);
  const half = Math.ceil(content.length / 2);
  await writer.append([Buffer.from(content.slice(0, half))]);
  await writer.append([Buffer.from(content.slice(half))]);
  await writer.commit();
}

const refused = [
  '',
  '/',
  'x',
  '.',
  '..',
  'packs',
  'packs/',
  'tmp/x',
  '../README.txt',
  'packs/../README.txt',
  '/README.txt',
  'readme.txt',
  'README.txt/',
  'README.txt\n',
  'README.txt\0',
  'recover/',
  'recover/..',
  'recover/.',
  'recover/a/b',
  'recover/a b',
  'parity/../x',
  `packs/${id(1)}.bpk`,
  `packs/019B7/${id(1)}.bpk`,
  `packs/019b7/${id(1)}.bpk.bpk`,
  `packs/019b7/${id(1)}.tmp`,
  `packs/019b7/${id(1).toUpperCase()}.bpk`,
  `index/${id(1).slice(1)}.bpk`,
  `index//${id(1)}.bpk`,
  `snapshots/${id(1)}.bpk`,
  `moved/${id(1)}.bpk`,
  'keys/1b6d5acd6262e111.json',
  `lock/${id(1)}.bpk`,
];
const allowed = [
  pack(1),
  `snapshots/20260101T000000Z-${id(1)}.bpk`,
  index(1),
  `gc/${id(1)}.bpk`,
  `drop/${id(1)}.bpk`,
  `moved/${id(1)}-${id(2)}.bpk`,
  'keys/1b6d5acd6262e111-00000000.json',
  'README.txt',
  'backpack.json',
  'recover/recover.js',
  'recover/SHA256SUMS',
  'parity/group.vol000-01.par2',
];
const replaceable = ['README.txt', 'backpack.json', 'recover/recover.js', 'recover/SHA256SUMS'];
const onceOnly = allowed.filter((name) => !replaceable.includes(name));

/** All cases. */
export const storageSuite: readonly StorageCase[] = [
  define('put refuses every name that is not specified, and writes nothing', async (storage) => {
    for (const name of refused)
      expect(await code(() => storage.put(name, Buffer.from('x'))), name).toBe('BP_OBJECT_NAME');
    expect(await code(() => listAll(storage, ''))).toMatch(/^(ok|BP_OBJECT_MISSING)$/);
  }),
  define('create refuses every name that is not specified', async (storage) => {
    for (const name of refused) expect(await code(() => storage.create(name)), name).toBe('BP_OBJECT_NAME');
  }),
  define('get refuses every name that is not specified', async (storage) => {
    for (const name of refused) expect(await code(() => storage.get(name)), name).toBe('BP_OBJECT_NAME');
  }),
  define('stat refuses every name that is not specified', async (storage) => {
    for (const name of refused) expect(await code(() => storage.stat(name)), name).toBe('BP_OBJECT_NAME');
  }),
  define('delete refuses every name that is not specified', async (storage) => {
    for (const name of refused) expect(await code(() => storage.delete(name)), name).toBe('BP_OBJECT_NAME');
  }),
  define('put takes every specified name', async (storage) => {
    for (const name of allowed) await storage.put(name, Buffer.from(name));
    for (const name of allowed) expect(text(await storage.get(name))).toBe(name);
  }),
  define('create takes every specified name', async (storage) => {
    for (const name of allowed) await write(storage, name, name);
    for (const name of allowed) expect(text(await storage.get(name))).toBe(name);
  }),
  define('put returns name, size and a plausible time', async (storage) => {
    const before = Date.now();
    const info = await storage.put(index(1), Buffer.from('12345'));
    expect(info).toMatchObject({ name: index(1), sizeBytes: 5 });
    expect(Math.abs(info.timeMs - before)).toBeLessThan(60_000);
  }),
  define('stat says the same after put', async (storage) => {
    await storage.put(index(1), Buffer.from('12345'));
    const info = await storage.stat(index(1));
    expect(info).toMatchObject({ name: index(1), sizeBytes: 5 });
    expect(Math.abs((info?.timeMs ?? 0) - Date.now())).toBeLessThan(60_000);
  }),
  define('exclusive put of an existing name fails and keeps the object', async (storage) => {
    await storage.put(index(1), Buffer.from('old'), { exclusive: true });
    expect(await code(() => storage.put(index(1), Buffer.from('new'), { exclusive: true }))).toBe(
      'BP_OBJECT_EXISTS',
    );
    expect(text(await storage.get(index(1)))).toBe('old');
  }),
  define('exclusive put holds for replaceable names too', async (storage) => {
    await storage.put('README.txt', Buffer.from('old'));
    expect(await code(() => storage.put('README.txt', Buffer.from('new'), { exclusive: true }))).toBe(
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
      expect(await code(() => storage.put(name, Buffer.from('new'))), name).toBe('BP_OBJECT_EXISTS');
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
    expect(await writer.commit()).toMatchObject({ name: pack(1), sizeBytes: 3003 });
    const found = await storage.get(pack(1));
    expect(text(found.subarray(0, 3))).toBe('abc');
    expect([...found.subarray(3)]).toEqual(Array.from({ length: 3000 }, (_, i) => i & 0x7f));
  }),
  define('an object is invisible until commit', async (storage, reopen) => {
    const writer = await storage.create(pack(1));
    await writer.append([Buffer.from('half')]);
    const other = await reopen();
    expect(await storage.stat(pack(1))).toBeUndefined();
    expect(await code(() => other.get(pack(1)))).toBe('BP_OBJECT_MISSING');
    expect(await names(other, '')).toEqual([]);
    await writer.append([Buffer.from(' whole')]);
    await writer.commit();
    expect(text(await other.get(pack(1)))).toBe('half whole');
    expect(await names(other, '')).toEqual([pack(1)]);
  }),
  define('another client sees what was committed at once', async (storage, reopen) => {
    const other = await reopen();
    await storage.put(index(1), Buffer.from('x'));
    expect(await names(other, 'index/')).toEqual([index(1)]);
    await other.delete(index(1));
    expect(await storage.stat(index(1))).toBeUndefined();
    expect(await names(storage, '')).toEqual([]);
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
    await expect(writer.commit()).rejects.toThrow();
    expect(await names(storage, '')).toEqual([]);
  }),
  define('a writer commits once', async (storage) => {
    const writer = await storage.create(pack(1));
    await writer.append([Buffer.from('x')]);
    await writer.commit();
    // What is written next must not be touched by the finished writer.
    const next = await storage.create(pack(2));
    await next.append([Buffer.from('next')]);
    await expect(writer.commit()).rejects.toThrow();
    await expect((async () => writer.append([Buffer.from('y')]))()).rejects.toThrow();
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
    expect(await code(() => second.commit())).toBe('BP_OBJECT_EXISTS');
    expect(text(await storage.get(pack(1)))).toBe('first');
    expect(await names(other, '')).toEqual([pack(1)]);
  }),
  define('create of a replaceable name that exists fails at commit', async (storage) => {
    await storage.put('README.txt', Buffer.from('old'));
    expect(await code(() => write(storage, 'README.txt', 'new'))).toBe('BP_OBJECT_EXISTS');
    expect(text(await storage.get('README.txt'))).toBe('old');
  }),
  define('of many that create one name at once exactly one wins', async (storage, reopen) => {
    const clients = await Promise.all(Array.from({ length: 8 }, () => reopen()));
    const results = await Promise.all(
      clients.map((client, i) =>
        code(() =>
          i % 2 === 0
            ? write(client, index(1), `${i}`)
            : client.put(index(1), Buffer.from(`${i}`), { exclusive: true }),
        ),
      ),
    );
    expect(results.filter((result) => result === 'ok')).toHaveLength(1);
    expect(results.filter((result) => result === 'BP_OBJECT_EXISTS')).toHaveLength(7);
    expect(text(await storage.get(index(1)))).toBe(String(results.indexOf('ok')));
  }),
  define('many objects can be written at once', async (storage) => {
    await Promise.all(
      Array.from({ length: 40 }, (_, i) => write(storage, i % 2 ? pack(i) : index(i), `content ${i}`)),
    );
    expect(await names(storage, '')).toHaveLength(40);
    for (let i = 0; i < 40; i += 1)
      expect(text(await storage.get(i % 2 ? pack(i) : index(i)))).toBe(`content ${i}`);
  }),
  define('get of a missing object is BP_OBJECT_MISSING', async (storage) => {
    expect(await code(() => storage.get(pack(1)))).toBe('BP_OBJECT_MISSING');
    expect(await code(() => storage.get(pack(1), { range: { offset: 0, length: 1 } }))).toBe(
      'BP_OBJECT_MISSING',
    );
    await storage.put(index(1), Buffer.from('x'));
    expect(await code(() => storage.get(pack(1)))).toBe('BP_OBJECT_MISSING');
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
        await code(() => storage.get(index(1), { range: { offset, length } })),
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
  define('list gives all names in byte order, whatever the order of writing', async (storage) => {
    const mixed = [
      pack(9),
      'README.txt',
      index(2),
      'recover/z',
      'backpack.json',
      pack(1),
      index(1),
      'recover/A',
      `packs/00000/${'0'.repeat(40)}.bpk`,
      `gc/${id(3)}.bpk`,
      'recover/a.b',
      'recover/a-b',
      `drop/${id(1)}.bpk`,
    ];
    for (const name of mixed) await storage.put(name, Buffer.from(name));
    const byBytes = [...mixed].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
    expect(await names(storage, '')).toEqual(byBytes);
    expect((await listAll(storage, '')).map(({ sizeBytes }) => sizeBytes)).toEqual(
      byBytes.map((name) => name.length),
    );
  }),
  define('list gives only names with the prefix', async (storage) => {
    for (const name of [pack(1), pack(2), index(1), `packs/00000/${'0'.repeat(40)}.bpk`, 'README.txt'])
      await storage.put(name, Buffer.from('x'));
    expect(await names(storage, 'packs/')).toEqual([`packs/00000/${'0'.repeat(40)}.bpk`, pack(1), pack(2)]);
    expect(await names(storage, 'packs/019b7/')).toEqual([pack(1), pack(2)]);
    expect(await names(storage, 'packs/01')).toEqual([pack(1), pack(2)]);
    expect(await names(storage, 'index/')).toEqual([index(1)]);
    expect(await names(storage, pack(2))).toEqual([pack(2)]);
    expect(await names(storage, 'i')).toEqual([index(1)]);
    expect(await names(storage, 'pack/')).toEqual([]);
  }),
  define('list of a folder without objects is empty, not an error', async (storage) => {
    await storage.put('README.txt', Buffer.from('x'));
    for (const prefix of ['packs/', 'gc/', 'drop/', 'moved/', 'snapshots/', 'packs/00000/'])
      expect(await names(storage, prefix)).toEqual([]);
    await storage.put(pack(1), Buffer.from('x'));
    await storage.delete(pack(1));
    expect(await names(storage, 'packs/')).toEqual([]);
    expect(await names(storage, 'packs/019b7/')).toEqual([]);
  }),
  define('list says size and time as stat does', async (storage) => {
    await storage.put(pack(1), Buffer.from('abc'));
    await write(storage, index(1), 'defg');
    for (const info of await listAll(storage, '')) expect(await storage.stat(info.name)).toEqual(info);
  }),
  define('list({after}) goes on behind a name', async (storage) => {
    const all = [pack(1), pack(2), index(1), `packs/00000/${'0'.repeat(40)}.bpk`, 'README.txt'];
    for (const name of all) await storage.put(name, Buffer.from('x'));
    const sorted = [...all].sort();
    for (const after of [
      ...all,
      'packs/',
      'packs',
      'packs/019b7/',
      'packs/01',
      'q',
      'A',
      '',
      `${pack(1)}.x`,
    ]) {
      const found = (await listAll(storage, '', { after })).map(({ name }) => name);
      expect(found, after).toEqual(sorted.filter((name) => name > after));
    }
    expect((await listAll(storage, 'packs/', { after: pack(1) })).map(({ name }) => name)).toEqual([pack(2)]);
    expect(await listAll(storage, 'index/', { after: 'packs/' })).toEqual([]);
  }),
  define('a call whose signal is aborted ends with the reason of the signal', async (storage) => {
    await storage.put(index(1), Buffer.from('x'));
    const signal = AbortSignal.abort();
    const calls: (() => unknown)[] = [
      () => storage.put(index(2), Buffer.from('x'), { signal }),
      () => storage.get(index(1), { signal }),
      () => storage.stat(index(1), { signal }),
      () => listAll(storage, '', { signal }),
      () => storage.delete(index(1), { signal }),
      () => storage.create(index(3), { signal }),
    ];
    for (const call of calls) expect(await code(call)).toBe('BP_CANCELED');
    const reason = new BackpackError('BP_CANCELED', 'the reason', { kind: 'canceled' });
    await expect(storage.stat(index(1), { signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
    expect(await names(storage, '')).toEqual([index(1)]);
  }),
  define('a writer whose signal is aborted publishes nothing', async (storage) => {
    const aborting = new AbortController();
    const writer = await storage.create(pack(1), { signal: aborting.signal });
    await writer.append([Buffer.from('x')]);
    aborting.abort();
    expect(await code(() => writer.append([Buffer.from('y')]))).toBe('BP_CANCELED');
    expect(await code(() => writer.commit())).toBe('BP_CANCELED');
    await writer.abort();
    expect(await names(storage, '')).toEqual([]);
  }),
  define('a listing that is left early does no harm', async (storage) => {
    for (let i = 0; i < 20; i += 1) await storage.put(pack(i), Buffer.from('x'));
    for await (const info of storage.list('packs/')) {
      expect(info.name).toBe(pack(0));
      break;
    }
    expect(await names(storage, 'packs/')).toHaveLength(20);
  }),
  define('objects may be deleted while they are listed', async (storage) => {
    for (let i = 0; i < 20; i += 1) await storage.put(pack(i), Buffer.from('x'));
    const seen: string[] = [];
    for await (const { name } of storage.list('packs/')) {
      seen.push(name);
      await storage.delete(name);
    }
    expect(seen).toHaveLength(20);
    expect(await names(storage, '')).toEqual([]);
  }),
  define('delete removes, and a missing object is no error', async (storage) => {
    await storage.delete(pack(1));
    await storage.put(pack(1), Buffer.from('x'));
    await storage.put(pack(2), Buffer.from('y'));
    await storage.delete(pack(1));
    await storage.delete(pack(1));
    expect(await storage.stat(pack(1))).toBeUndefined();
    expect(await code(() => storage.get(pack(1)))).toBe('BP_OBJECT_MISSING');
    expect(await names(storage, '')).toEqual([pack(2)]);
    await storage.put(pack(1), Buffer.from('again'));
    expect(text(await storage.get(pack(1)))).toBe('again');
  }),
  define('capabilities and location are plain', async (storage, reopen) => {
    expect(structuredClone(storage.capabilities)).toEqual(storage.capabilities);
    expect(storage.capabilities.parallelMax).toBeGreaterThan(0);
    expect(storage.capabilities.objectSizeMax).toBeGreaterThanOrEqual(512 * 1024 * 1024);
    expect(typeof storage.location).toBe('string');
    expect((await reopen()).location).toBe(storage.location);
  }),
];
