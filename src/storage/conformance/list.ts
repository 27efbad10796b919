/** Listing. */
import { listAll } from '../storage.ts';
import { define, id, index, names, pack, type StorageCase, write } from './case.ts';
import { expect } from './expect.ts';

/** See the file's comment. */
export const listCases: readonly StorageCase[] = [
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
];
