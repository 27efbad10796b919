/** The pipeline as users run it, with worker threads: same cuts and content for any number of threads; a shared catalog. */
import { closeSync, ftruncateSync, openSync, readFileSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { beforeAll, describe, expect, it } from 'vitest';
import { candidatesOf, cutsOf, gearOf } from '../unit/codec/fastcdc.ts';
import { noise } from '../unit/operations/tree.ts';
import { keyFile, temporaryFolder } from '../unit/support.ts';

const dist = (file: string): string => new URL(`../../dist/${file}`, import.meta.url).href;

interface Modules {
  backup: typeof import('../../src/operations/backup.ts')['backup'];
  restore: typeof import('../../src/operations/restore.ts')['restore'];
  createRepository: typeof import('../../src/repo/create.ts')['createRepository'];
  openRepository: typeof import('../../src/repo/repository.ts')['openRepository'];
  FsStorage: typeof import('../../src/storage/fs.ts')['FsStorage'];
  listAll: typeof import('../../src/storage/storage.ts')['listAll'];
  ContainerReader: typeof import('../../src/container/container-reader.ts')['ContainerReader'];
  dedupKeysOf: typeof import('../../src/codec/kdf.ts')['dedupKeysOf'];
  rootOf: typeof import('../../src/source/walk.ts')['rootOf'];
}
let built: Modules;

beforeAll(async () => {
  const files = [
    'operations/backup.js',
    'operations/restore.js',
    'repo/create.js',
    'repo/repository.js',
    'storage/fs.js',
    'storage/storage.js',
    'container/container-reader.js',
    'codec/kdf.js',
    'source/walk.js',
  ];
  built = Object.assign({}, ...(await Promise.all(files.map((file) => import(dist(file)))))) as Modules;
});

/** Backs `folder` up with so many threads. @returns the repository and the cuts of each file, zero chunks left out */
async function cutsWith(folder: string, threads: number, packSize: number) {
  const storage = new built.FsStorage(join(temporaryFolder(), 'repo'));
  await built.createRepository(storage, keyFile, Date.now());
  const repository = await built.openRepository({ location: storage.location }, storage, keyFile);
  const options = { roots: [built.rootOf('.', folder)], host: 'h', app: 'test', threads, packSize };
  const summary = await built.backup(repository, options, () => {});
  expect(summary).toMatchObject({ sourceErrors: 0, tornFiles: 0 });
  const chunks = new Map<string, number[]>();
  for (const { name, sizeBytes } of await built.listAll(storage, 'packs/')) {
    const reader = await built.ContainerReader.open(repository.read, name, { sizeBytes, want: 'all' });
    for (const { file, fileOffset, length } of reader.table.chunks) {
      if (file === undefined || fileOffset === undefined) continue;
      const path = String(reader.table.files[file]![0]);
      chunks.set(
        path,
        [...(chunks.get(path) ?? []), fileOffset + length].sort((a, b) => a - b),
      );
    }
  }
  return { repository, chunks, summary };
}

describe('a large file', () => {
  it('has the cuts of the specification with 1, 2, 3 and 8 threads, and comes back', {
    timeout: 240_000,
  }, async () => {
    const folder = temporaryFolder();
    const bytes = noise(33 * 1024 * 1024 + 12_345, 11);
    writeFileSync(join(folder, 'file'), bytes);
    const second = noise(17 * 1024 * 1024, 12);
    writeFileSync(join(folder, 'second'), second);
    for (let i = 0; i < 300; i += 1) writeFileSync(join(folder, `small${i}`), noise(i * 20, i));
    const gear = gearOf(built.dedupKeysOf(keyFile.root, { dedup: undefined, chunk: undefined }).chunker);
    const expected = cutsOf(candidatesOf(gear, bytes), bytes.length);
    const expectedSecond = cutsOf(candidatesOf(gear, second), second.length);
    expect(expected.length).toBeGreaterThan(15);
    for (const threads of [1, 2, 3, 8]) {
      const { repository, chunks } = await cutsWith(folder, threads, threads === 3 ? 1 << 20 : 64 << 20);
      expect(chunks.get('file'), `${threads} threads`).toEqual(expected);
      expect(chunks.get('second'), `${threads} threads`).toEqual(expectedSecond);
      const target = temporaryFolder();
      const done = await built.restore(
        repository,
        { snapshot: 'latest', path: '', target, threads: threads === 8 ? 2 : threads },
        () => {},
      );
      expect(done).toMatchObject({ damaged: 0, failed: 0, files: 302 });
      expect(readFileSync(join(target, 'file')).equals(bytes)).toBe(true);
      expect(readFileSync(join(target, 'second')).equals(second)).toBe(true);
      for (const i of [0, 1, 150, 299])
        expect(readFileSync(join(target, `small${i}`)).equals(noise(i * 20, i))).toBe(true);
    }
  });

  it('of zeros with some bytes is small, and comes back', { timeout: 120_000 }, async () => {
    const folder = temporaryFolder();
    const fd = openSync(join(folder, 'sparse'), 'w');
    writeSync(fd, noise(100_000, 1), 0, 100_000, 20_000_000);
    writeSync(fd, Buffer.alloc(1_000_000), 0, 1_000_000, 30_000_000);
    ftruncateSync(fd, 40_000_001);
    closeSync(fd);
    const { repository, summary } = await cutsWith(folder, 2, 64 << 20);
    expect(summary.bytesStored).toBeLessThan(400_000);
    const target = temporaryFolder();
    const done = await built.restore(
      repository,
      { snapshot: 'latest', path: '', target, threads: 2 },
      () => {},
    );
    expect(done).toMatchObject({ damaged: 0, failed: 0 });
    expect(readFileSync(join(target, 'sparse')).equals(readFileSync(join(folder, 'sparse')))).toBe(true);
  });
});

const hammer = `
import { parentPort, workerData } from 'node:worker_threads';
const { Catalog } = await import(workerData.module);
const { owner, rounds, names } = workerData;
const catalog = new Catalog(workerData.memory, owner);
const identity = new Int32Array(7);
const place = { pack: 0, record: 0, offset: 0, whole: false };
let state = 12345 + owner * 7919;
const next = (limit) => { state = (Math.imul(state, 1103515245) + 12345) >>> 0; return (state >>> 8) % limit; };
const pending = [];
const result = { wrong: 0, found: 0, added: 0, forgotten: 0 };
for (let i = 0; i < rounds; i += 1) {
  const n = next(names);
  for (let word = 0; word < 7; word += 1) identity[word] = Math.imul(n + 1, 0x9e3779b1 + word * 0x10001) | 0;
  identity[3] = Math.imul(n >> 2, 0x9e3779b1);
  if (catalog.find(identity, place)) {
    result.found += 1;
    const good = place.record === n * 4 + place.pack && place.pack >= 0 && place.pack < 4 && place.whole === (n % 2 === 1) && place.offset === (n % 2 === 1 ? 0 : n);
    if (!good) result.wrong += 1;
  } else {
    const token = catalog.add(identity, { pack: owner, record: n * 4 + owner, offset: n % 2 === 1 ? 0 : n, whole: n % 2 === 1 });
    if (token < 0) result.forgotten += 1; else result.added += 1;
    pending.push(token);
    if (pending.length > 5) for (const one of pending.splice(0)) catalog.publish(one);
  }
}
for (const one of pending) catalog.publish(one);
parentPort.postMessage(result);
`;

describe('the catalog', () => {
  it.each([
    ['a large level', 1 << 20, 1 << 24, 20_000],
    ['tiny levels', 44 * 3, 44 * 3000, 1500],
    ['a full one', 44 * 50, 44 * 100, 400],
    ['one slot', 44, 44, 50],
  ])(
    'of four threads never gives a wrong place: %s',
    { timeout: 60_000 },
    async (_name, first, max, names) => {
      const { createCatalogMemory, Catalog } = (await import(
        dist('pipeline/catalog.js')
      )) as typeof import('../../src/pipeline/catalog.ts');
      const memory = createCatalogMemory(first, max);
      const results = await Promise.all(
        [0, 1, 2, 3].map(
          (owner) =>
            new Promise<{ wrong: number; found: number; added: number; forgotten: number }>(
              (resolve, reject) => {
                const workerData = {
                  module: dist('pipeline/catalog.js'),
                  memory,
                  owner,
                  names,
                  rounds: 30_000,
                };
                const worker = new Worker(new URL(`data:text/javascript,${encodeURIComponent(hammer)}`), {
                  workerData,
                });
                worker.once('message', resolve);
                worker.once('error', reject);
              },
            ),
        ),
      );
      const sum = (key: 'wrong' | 'found' | 'added'): number =>
        results.reduce((total, one) => total + one[key], 0);
      expect(sum('wrong')).toBe(0);
      expect(sum('found')).toBeGreaterThan(0);
      expect(new Catalog(memory, 9).size).toBe(sum('added'));
    },
  );
});
