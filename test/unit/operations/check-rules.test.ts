/** Rules that only a faulty or hostile writer breaks: the check names each, and goes on. */
import { randomBytes } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { MiB } from '../../../src/base/limits.ts';
import { xxh64 } from '../../../src/codec/xxhash.ts';
import { ContainerWriter, WriterMemory } from '../../../src/container/container-writer.ts';
import { makeId, packName, snapshotName } from '../../../src/format/names.ts';
import { type CheckEvent, check } from '../../../src/operations/check.ts';
import { formatHint, openRepository, type Repository } from '../../../src/repo/repository.ts';
import { MemoryStorage } from '../../../src/storage/memory.ts';
import { newKey, putContainer, putKit } from './sample.ts';

type Damage = Extract<CheckEvent, { type: 'damage' | 'unreadable' }>;
type Kind = 'data' | 'meta' | 'snap' | 'indx' | 'move';

const clock = { now: (): number => Date.now() };
const random = { bytes: (count: number): Buffer => randomBytes(count) };
const freshId = (): string => makeId(clock, random);

/** A record and where its chunks lie. */
interface Record {
  readonly text: string;
  readonly chunks?: readonly (readonly [offset: number, length: number])[];
}

/** A repository that is written container by container. */
class World {
  readonly storage = new MemoryStorage();
  readonly key = newKey();
  repository!: Repository;
  kitSums: string[] = [];

  static async make(): Promise<World> {
    const world = new World();
    const { repo, keyid } = world.key;
    world.kitSums = await putKit(world.storage);
    const hint = formatHint({ repo, keys: [keyid], made: '0.000000000' });
    await world.storage.put('backpack.json', Buffer.from(hint));
    world.repository = await openRepository({ location: 'memory' }, world.storage, world.key);
    return world;
  }

  /** Writes a container. @returns its id */
  async put(
    kind: Kind,
    records: readonly Record[],
    id: string = freshId(),
    name = packName(id),
  ): Promise<string> {
    const memory = new WriterMemory(MiB);
    const { keyring, repo } = this.repository;
    const out = await this.storage.create(name);
    const writer = new ContainerWriter(memory, keyring, { kind, repo, id, app: 'test' }, out);
    for (const { text, chunks = [] } of records) {
      const { kernel, plain } = memory.codec;
      await writer.addRecord(plain, kernel.bytes.write(text, plain, 'utf8'));
      for (const [offset, length] of chunks) {
        const hash = xxh64(Buffer.from(text).subarray(offset, offset + length));
        writer.addLines(`["C",${offset},${length},"${hash}","${'0'.repeat(32)}"]\n`);
      }
    }
    await writer.finish();
    await writer.commit();
    return id;
  }

  size(pack: string): number {
    return this.storage.objects.get(packName(pack))?.byteLength ?? 4096;
  }

  /** A snapshot of one page in the meta pack `meta`. @param changes of its K and G lines */
  async snapshot(
    packs: readonly string[],
    meta: string,
    page: { entries: number; first: string; last: string },
    change: (lines: string) => string = (lines) => lines,
  ): Promise<string> {
    const id = freshId();
    const sorted = [...packs, meta].sort();
    const root = {
      ...{
        backpack: 'snapshot',
        v: 1,
        id,
        seq: 1,
        time: '0.000000000',
        host: 'h',
        roots: ['.'],
        parents: [],
      },
      ...{ prev: null, known: [], partial: false },
      params: { dedup: 'xxh64+gmac', chunker: 'fastcdc-1', packSize: 1 << 26 },
      stats: { files: 1, bytes: 1, stored: 1 },
    };
    const k = sorted.map((pack) => `["K","${pack}",${this.size(pack)}]\n`).join('');
    const g = `["G",${sorted.indexOf(meta)},0,${page.entries},"${page.first}","${page.last}"]\n`;
    const records = [{ text: `${JSON.stringify(root)}\n` }, { text: change(k + g) }];
    return this.put('snap', records, id, snapshotName(id));
  }

  /** One file `f` with these extents over the packs. */
  async file(packs: readonly string[], size: number, extents: string, before = ''): Promise<string> {
    const head = `{"backpack":"page","v":1,"packs":${JSON.stringify(packs)}}\n`;
    const entry = `{"p":"f","t":"f","s":${size},"m":"0.000000000","o":"0644","x":"${'0'.repeat(16)}","e":${extents}}\n`;
    const meta = await this.put('meta', [{ text: head + before + entry }]);
    await this.snapshot(packs, meta, {
      entries: 1 + (before === '' ? 0 : 1),
      first: before === '' ? 'f' : 'b',
      last: 'f',
    });
    return packName(meta);
  }

  async moved(from: string, moves: string, writer = '0'.repeat(16)): Promise<void> {
    const id = freshId();
    const text = `{"backpack":"moved","v":1,"from":"${from}","writer":"${writer}"}\n${moves}`;
    await this.put('move', [{ text }], id, `moved/${from}-${id}.bpk`);
  }

  async check(): Promise<Damage[]> {
    const events: CheckEvent[] = [];
    const options = { readData: true, threads: 0, kitSums: this.kitSums };
    await check(this.repository, options, (event) => events.push(event));
    return events.filter((event): event is Damage => event.type === 'damage' || event.type === 'unreadable');
  }
}

const data: readonly Record[] = [
  {
    text: 'hello world',
    chunks: [
      [0, 5],
      [5, 6],
    ],
  },
  { text: 'abc', chunks: [[0, 3]] },
  {
    text: 'with a gap',
    chunks: [
      [0, 4],
      [6, 4],
    ],
  },
];

describe('extents', () => {
  const good = [
    '[[0,0,1,11]]',
    '[[0,0,2,14]]',
    '[[0,0,1,5]]',
    '[[0,0,1,6,5]]',
    '[[0,2,1,4,6]]',
    '[[-1,0,0,9],[0,1,1,3]]',
  ];
  test.each(good)('%s is right', async (extents) => {
    const world = await World.make();
    const pack = await world.put('data', data);
    await world.file([pack], sizeOf(extents), extents);
    expect(await world.check()).toEqual([]);
  });

  const bad = [
    '[[0,0,1,4]]',
    '[[0,0,1,10,1]]',
    '[[0,0,1,6,4]]',
    '[[0,2,1,10]]',
    '[[0,2,1,4,4]]',
    '[[0,0,2,13]]',
    '[[0,0,4,24]]',
    '[[0,3,1,5]]',
    '[[0,0,1,12]]',
    '[[0,0,1,6,6]]',
    '[[1,0,1,5]]',
    '[[0,0,9007199254740991,5]]',
    '[[0,4294967296,1,5]]',
  ];
  test.each(bad)('%s is not', async (extents) => {
    const world = await World.make();
    const pack = await world.put('data', data);
    const meta = await world.file([pack], sizeOf(extents), extents);
    const damage = await world.check();
    expect(damage).toMatchObject([
      { code: 'E_EXTENT', object: meta, record: 0, snapshots: { length: 1 }, paths: ['f'] },
    ]);
  });

  test('of a file that do not add up', async () => {
    const world = await World.make();
    const pack = await world.put('data', data);
    const meta = await world.file([pack], 12, '[[0,0,1,11]]');
    expect(await world.check()).toMatchObject([{ code: 'E_EXTENT', object: meta, record: 0, paths: ['f'] }]);
  });

  test('in a meta pack', async () => {
    const world = await World.make();
    const pack = await world.put('meta', data);
    const meta = await world.file([pack], 11, '[[0,0,1,11]]');
    expect(await world.check()).toMatchObject([{ code: 'E_KIND', object: meta, record: 0, paths: ['f'] }]);
  });

  function sizeOf(extents: string): number {
    return (JSON.parse(extents) as number[][]).reduce((sum, extent) => sum + extent[3]!, 0);
  }
});

describe('pages and snapshots', () => {
  test('a page in a data pack', async () => {
    const world = await World.make();
    const text = '{"backpack":"page","v":1,"packs":[]}\n{"p":"d","t":"d","m":"0.000000000","o":"0755"}\n';
    const pack = await world.put('data', [{ text, chunks: [[0, text.length]] }]);
    await world.snapshot([], pack, { entries: 1, first: 'd', last: 'd' });
    expect(await world.check()).toMatchObject([
      { code: 'E_KIND', object: packName(pack), record: 0, paths: ['d'] },
    ]);
  });

  test('a page that is not as the snapshot says', async () => {
    for (const page of [
      { entries: 2, first: 'd', last: 'd' },
      { entries: 1, first: 'c', last: 'd' },
      { entries: 1, first: 'd', last: 'e' },
    ]) {
      const world = await World.make();
      const text = '{"backpack":"page","v":1,"packs":[]}\n{"p":"d","t":"d","m":"0.000000000","o":"0755"}\n';
      const meta = await world.put('meta', [{ text }]);
      await world.snapshot([], meta, page);
      expect(await world.check()).toMatchObject([{ code: 'E_ORDER', object: packName(meta), record: 0 }]);
    }
  });

  test('entries out of order, without parent, with an impossible path', async () => {
    const lines = {
      E_ORDER: '{"p":"g","t":"d","m":"0.000000000","o":"0755"}\n',
      E_PATH: '{"p":"../b","t":"d","m":"0.000000000","o":"0755"}\n',
      E_JSON: '{"p":"b","p":"b","t":"d","m":"0.000000000","o":"0755"}\n',
      E_NEED: '{"p":"b","t":"d","m":"0.000000000","o":"0755","need":["z"]}\n',
    };
    for (const [code, line] of Object.entries(lines)) {
      const world = await World.make();
      const pack = await world.put('data', data);
      await world.file([pack], 11, '[[0,0,1,11]]', line);
      expect((await world.check()).map((one) => one.code)).toContain(code);
    }
  });

  test('K lines with a wrong size, out of order, or a line that must be understood', async () => {
    const changes: [string, (lines: string) => string][] = [
      ['E_EXTRA', (lines) => lines.replace(',4096]', ',4095]')],
      ['E_TRUNC', (lines) => lines.replace(',4096]', ',4097]')],
      ['E_ORDER', (lines) => lines.replace(/(.*\n)(.*\n)/, '$2$1')],
      ['E_NEED', (lines) => `${lines}["Z",1]\n`],
      ['E_JSON', (lines) => lines.slice(0, -1)],
    ];
    for (const [code, change] of changes) {
      const world = await World.make();
      const pack = await world.put('data', data);
      const text = '{"backpack":"page","v":1,"packs":[]}\n{"p":"d","t":"d","m":"0.000000000","o":"0755"}\n';
      const meta = await world.put('meta', [{ text }]);
      await world.snapshot([pack], meta, { entries: 1, first: 'd', last: 'd' }, change);
      expect(
        (await world.check()).map((one) => one.code),
        code,
      ).toEqual([code]);
    }
  });

  test('a chunk that is not what its table says', async () => {
    const world = await World.make();
    const pack = await world.put('data', [{ text: 'abc', chunks: [[0, 3]] }]);
    await world.file([pack], 3, '[[0,0,1,3]]');
    // The same table with the hash of other bytes: an encoder or memory that failed.
    const broken = xxh64(Buffer.from('abd'));
    const without = await world.put('data', [{ text: 'abc' }]);
    const memory = new WriterMemory(MiB);
    const id = freshId();
    const { keyring, repo } = world.repository;
    const out = await world.storage.create(packName(id));
    const writer = new ContainerWriter(memory, keyring, { kind: 'data', repo, id, app: 'test' }, out);
    await writer.addRecord(memory.codec.plain, memory.codec.kernel.bytes.write('abc', memory.codec.plain));
    writer.addLines(`["C",0,3,"${broken}","${'0'.repeat(32)}"]\n`);
    await writer.finish();
    await writer.commit();
    expect(await world.check()).toMatchObject(
      [
        { code: 'E_TABLE', object: packName(without) },
        { code: 'E_HASH', object: packName(id), record: 0 },
      ].sort((a, b) => (a.object < b.object ? -1 : 1)),
    );
  });

  test('an index that says otherwise than the table', async () => {
    const world = await World.make();
    const pack = await world.put('data', [{ text: 'abc', chunks: [[0, 3]] }]);
    const lines = (length: number): string =>
      `{"backpack":"index","v":1}\n["P","${pack}",4096,"${'0'.repeat(16)}"]\n["R",512,26,${length}]\n["C",0,${length},"${'0'.repeat(16)}","${'0'.repeat(32)}"]\n`;
    await putContainer(world.repository, 'indx', (id) => `index/${id}.bpk`, [lines(3)]);
    expect(await world.check()).toEqual([]);
    const name = await putContainer(world.repository, 'indx', (id) => `index/${id}.bpk`, [lines(4)]);
    expect(await world.check()).toMatchObject([{ code: 'E_TABLE', object: name }]);
  });
});

describe('moved packs', () => {
  test('content that was forwarded is not missed', async () => {
    const world = await World.make();
    const old = freshId();
    const [one, two] = [await world.put('data', data.slice(0, 1)), await world.put('data', data.slice(1))];
    const between = freshId();
    await world.moved(old, `["V",0,1,"${one}",0]\n["V",1,2,"${between}",5]\n`);
    await world.moved(between, `["V",5,2,"${two}",0]\n`);
    await world.file([old], 14, '[[0,0,2,14]]');
    await world.file([old], 4, '[[0,2,1,4,6]]');
    expect(await world.check()).toEqual([]);
  });

  test('a damaged record names the files that were forwarded to it', async () => {
    const world = await World.make();
    const old = freshId();
    const pack = await world.put('data', data);
    await world.moved(old, `["V",7,1,"${pack}",1]\n`);
    await world.file([old], 3, '[[0,7,1,3]]');
    const bytes = world.storage.objects.get(packName(pack))!;
    for (let at = 512; at < 640; at += 1) bytes[at]! ^= 0x55;
    const damage = await world.check();
    expect(damage.find((one) => one.record === 1)).toMatchObject({ object: packName(pack), paths: ['f'] });
    expect(damage.find((one) => one.record === 2)).toMatchObject({ paths: [] });
  });

  test('loops, long chains, gaps and other writers are named', async () => {
    const cases: [string, (world: World, old: string, pack: string) => Promise<void>][] = [
      ['E_MOVED', (world, old) => world.moved(old, `["V",0,1,"${old}",0]\n`)],
      [
        'E_MOVED',
        async (world, old, pack) => {
          const chain = [old, ...Array.from({ length: 8 }, freshId), pack];
          for (let i = 0; i + 1 < chain.length; i += 1)
            await world.moved(chain[i]!, `["V",0,1,"${chain[i + 1]}",0]\n`);
        },
      ],
      ['E_MISSING', (world, old, pack) => world.moved(old, `["V",1,1,"${pack}",0]\n`)],
      ['E_EXTENT', (world, old, pack) => world.moved(old, `["V",0,1,"${pack}",9]\n`)],
      ['E_EXTENT', (world, old, pack) => world.moved(old, `["V",0,1,"${pack}",1]\n`)],
      ['E_WRITER', (world, old, pack) => world.moved(old, `["V",0,1,"${pack}",0]\n`, '0123456789abcdef')],
    ];
    for (const [code, make] of cases) {
      const world = await World.make();
      const old = freshId();
      const pack = await world.put('data', data);
      await make(world, old, pack);
      await world.file([old], 11, '[[0,0,1,11]]');
      const damage = await world.check();
      expect(damage, code).toMatchObject([{ code, paths: ['f'] }]);
    }
  });
});

describe('large records', () => {
  test('of up to 16 MiB are read in pieces, and damage in them is found', async () => {
    const world = await World.make();
    const memory = new WriterMemory(16 * MiB);
    const id = freshId();
    const { keyring, repo } = world.repository;
    const out = await world.storage.create(packName(id));
    const writer = new ContainerWriter(memory, keyring, { kind: 'data', repo, id, app: 'test' }, out);
    const { kernel, plain } = memory.codec;
    const ends: number[] = [];
    for (const length of [5 * MiB, 100, 16 * MiB, MiB, MiB, 3 * MiB]) {
      randomBytes(length).copy(kernel.bytes, plain);
      const hash = kernel.hashOf(plain, length);
      await writer.addRecord(plain, length);
      writer.addLines(`["C",0,${length},"${hash}","${'0'.repeat(32)}"]\n`);
      ends.push(writer.sizeBytes);
    }
    await writer.finish();
    await writer.commit();
    expect(await world.check()).toEqual([]);
    const bytes = world.storage.objects.get(packName(id))!;
    for (const [record, end] of ends.entries()) {
      for (const at of [record === 0 ? 512 : ends[record - 1]!, end - 17, end - 1]) {
        bytes[at]! ^= 128;
        expect(await world.check()).toMatchObject([{ code: 'E_TAG', object: packName(id), record }]);
        bytes[at]! ^= 128;
      }
    }
    for (const at of [ends[5]!, bytes.byteLength - 513]) {
      bytes[at]! ^= 1;
      expect((await world.check())[0]?.message).toContain('the table');
      bytes[at]! ^= 1;
    }
    bytes[bytes.byteLength - 512 + 380]! ^= 1;
    expect(await world.check()).toMatchObject([{ code: 'E_TRAILER', object: packName(id) }]);
  }, 60_000);
});
