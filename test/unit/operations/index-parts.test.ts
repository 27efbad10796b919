/** The index of a large run is written in parts, which must say all that the tables of the packs say. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { ContainerReader } from '../../../src/container/container-reader.ts';
import { packName } from '../../../src/format/names.ts';
import type { Repository } from '../../../src/repo/repository.ts';
import { MemoryStorage, type ObjectWriter } from '../../../src/storage/index.ts';
import { temporaryFolder } from '../support.ts';
import { backUp, newRepository, noise } from './tree.ts';

/** A storage that remembers what was read, and can refuse index objects. */
class Watched extends MemoryStorage {
  readonly order: string[] = [];
  refuse = false;
  readonly read = new Set<string>();
  override async get(...given: Parameters<MemoryStorage['get']>): ReturnType<MemoryStorage['get']> {
    this.read.add(given[0]);
    return super.get(...given);
  }
  override async create(...given: Parameters<MemoryStorage['create']>): Promise<ObjectWriter> {
    const [name] = given;
    if (this.refuse && name.startsWith('index/')) throw new Error('no index here');
    const writer = await super.create(...given);
    return {
      append: (pieces) => writer.append(pieces),
      abort: () => writer.abort(),
      commit: async () => {
        // As slow as a disk: what does not wait for it comes too early.
        await new Promise((resolve) => setTimeout(resolve, name.startsWith('packs/') ? 20 : 0));
        const info = await writer.commit();
        this.order.push(name);
        return info;
      },
    };
  }
  names(prefix: string): string[] {
    return [...this.objects.keys()].filter((name) => name.startsWith(prefix)).sort();
  }
}

function source(files: number): string {
  const folder = temporaryFolder();
  for (let i = 0; i < files; i += 1) {
    const sub = join(folder, String(i % 5));
    mkdirSync(sub, { recursive: true });
    // A record of its own, and with it a pack.
    writeFileSync(join(sub, String(i)), noise(263_000 + i, i));
  }
  return folder;
}

/** Lines of all index objects, by pack. */
async function indexed(repository: Repository): Promise<Map<string, string[]>> {
  const found = new Map<string, string[]>();
  const storage = repository.storage as unknown as Watched;
  for (const name of storage.names('index/')) {
    const reader = await ContainerReader.open(repository.read, name);
    let text = '';
    for (let i = 0; i < reader.records; i += 1) text += (await reader.read(i)).toString();
    const [head, ...lines] = text.trimEnd().split('\n');
    expect(head).toBe('{"backpack":"index","v":1}');
    let pack: string[] = [];
    for (const line of lines) {
      if (line.startsWith('["P"')) {
        const id = (JSON.parse(line) as string[])[1]!;
        expect(found.has(id), 'a pack is in two index objects').toBe(false);
        pack = [];
        found.set(id, pack);
      } else pack.push(line);
    }
  }
  return found;
}

/** What the table of a pack says of chunks, in the form of the index. */
async function chunksOf(repository: Repository, pack: string): Promise<string[]> {
  const { table } = await ContainerReader.open(repository.read, packName(pack), { want: 'all' });
  return table.chunks.map(({ offset, length, xxh64, g }) => JSON.stringify(['C', offset, length, xxh64, g]));
}

const options = { packSize: 200_000, indexPartBytes: 600 };

describe('an index in parts', () => {
  it('says of each pack what its table says, once', async () => {
    const storage = new Watched();
    const repository = await newRepository(storage);
    await backUp(repository, source(40), options);
    expect(storage.names('index/').length).toBeGreaterThan(3);
    const index = await indexed(repository);
    let chunks = 0;
    for (const name of storage.names('packs/')) {
      const id = name.slice(-44, -4);
      const expected = await chunksOf(repository, id);
      expect(index.get(id)!.filter((line) => line.startsWith('["C"'))).toEqual(expected);
      chunks += expected.length;
    }
    expect(chunks).toBe(40);
  });

  it('names only packs that are durable', async () => {
    const storage = new Watched();
    const repository = await newRepository(storage);
    await backUp(repository, source(40), options);
    const index = storage.order.filter((name) => name.startsWith('index/'));
    for (const name of index.slice(0, -1)) {
      const before = new Set(storage.order.slice(0, storage.order.indexOf(name)));
      const reader = await ContainerReader.open(repository.read, name);
      for (const line of (await reader.read(0)).toString().split('\n')) {
        if (!line.startsWith('["P"')) continue;
        const id = (JSON.parse(line) as string[])[1]!;
        expect(before.has(packName(id)), `${name} names ${id}`).toBe(true);
      }
    }
    expect(index.length).toBeGreaterThan(3);
  });

  it('is used by the next run, which reads no table, and when it is lost it is made again', async () => {
    const storage = new Watched();
    const repository = await newRepository(storage);
    const folder = source(40);
    await backUp(repository, folder, options);
    const dataPacks = [...(await indexed(repository))]
      .filter(([, lines]) => lines.length > 0)
      .map(([id]) => id);
    storage.read.clear();
    expect((await backUp(repository, folder, { ...options, host: 'b' })).bytesStored).toBeLessThan(40_000);
    expect(dataPacks.filter((id) => storage.read.has(packName(id)))).toEqual([]);
    for (const name of storage.names('index/')) storage.objects.delete(name);
    storage.read.clear();
    expect((await backUp(repository, folder, { ...options, host: 'c' })).bytesStored).toBeLessThan(40_000);
    expect(dataPacks.filter((id) => storage.read.has(packName(id)))).toEqual(dataPacks);
    expect(storage.names('index/').length).toBeGreaterThan(3);
    const again = await indexed(repository);
    for (const id of dataPacks)
      expect(again.get(id)!.filter((line) => line.startsWith('["C"'))).toEqual(
        await chunksOf(repository, id),
      );
  });

  it('is merged when it has too many objects', async () => {
    const storage = new Watched();
    const repository = await newRepository(storage);
    await backUp(repository, source(70), { ...options, indexPartBytes: 1 });
    expect(storage.names('index/').length).toBeGreaterThan(64);
    const before = await indexed(repository);
    const more = source(71);
    await backUp(repository, more, { host: 'b' });
    expect(storage.names('index/').length).toBe(1);
    const after = await indexed(repository);
    for (const [id, lines] of before) expect(after.get(id)).toEqual(lines);
  });

  it('that cannot be written costs nothing but the reading of tables', async () => {
    const storage = new Watched();
    const repository = await newRepository(storage);
    const folder = source(40);
    storage.refuse = true;
    expect((await backUp(repository, folder, options)).files).toBe(40);
    expect(storage.names('index/')).toEqual([]);
    expect((await backUp(repository, folder, { ...options, host: 'b' })).bytesStored).toBeLessThan(40_000);
  });
});
