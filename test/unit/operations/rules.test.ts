/** The lock-free rules of a backup (SPEC, "Writing and committing"): parents, marks, after-check, damaged caches. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { systemClock, systemRandom } from '../../../src/base/ports.ts';
import { ContainerReader } from '../../../src/container/container-reader.ts';
import { ContainerWriter, WriterMemory } from '../../../src/container/container-writer.ts';
import type { Kind } from '../../../src/format/names.ts';
import { makeId, packName } from '../../../src/format/names.ts';
import { parseSnapshot } from '../../../src/format/snapshot.ts';
import type { Repository } from '../../../src/repo/repository.ts';
import { listSnapshots, loadSnapshot } from '../../../src/repo/snapshots.ts';
import { MemoryStorage, type ObjectInfo } from '../../../src/storage/index.ts';
import { codeOfAsync, temporaryFolder } from '../support.ts';
import { backUp, describeTree, newRepository, noise, restoreTo, TestClock } from './tree.ts';

/** Writes a container of one record. */
async function put(repository: Repository, kind: Kind, folder: string, text: string): Promise<string> {
  const id = makeId(systemClock, systemRandom);
  const name = `${folder}/${id}.bpk`;
  const memory = new WriterMemory(1 << 20);
  const out = await repository.storage.create(name);
  const writer = new ContainerWriter(
    memory,
    repository.keyring,
    { kind, repo: repository.repo, id, app: 'test' },
    out,
  );
  const { kernel, plain } = memory.codec;
  await writer.addRecord(plain, kernel.bytes.write(text, plain));
  await writer.finish();
  await writer.commit();
  return name;
}

/** Packs that the last snapshot needs: those of contents, and those of pages. */
async function packsOf(repository: Repository): Promise<{ data: string[]; meta: string[] }> {
  const { snapshots } = await listSnapshots(repository);
  const snapshot = await loadSnapshot(repository, snapshots.at(-1)!);
  const meta = new Set(snapshot.pages.map(({ pack }) => pack));
  return { data: snapshot.packs.map(({ id }) => id).filter((id) => !meta.has(id)), meta: [...meta] };
}

function source(): string {
  const folder = temporaryFolder();
  for (let i = 0; i < 4; i += 1) writeFileSync(join(folder, `f${i}`), noise(400_000, i));
  for (let i = 0; i < 4; i += 1) writeFileSync(join(folder, `small${i}`), noise(400, i));
  return folder;
}

/** Something happens before a snapshot is put. */
class Interrupted extends MemoryStorage {
  act: (() => unknown) | undefined;
  override async put(
    name: string,
    bytes: Uint8Array,
    options?: { exclusive?: boolean },
  ): Promise<ObjectInfo> {
    if (name.startsWith('snapshots/')) await this.act?.();
    return super.put(name, bytes, options);
  }
}

describe('marks', () => {
  it('on a pack make its chunks be stored again', async () => {
    const folder = source();
    const repository = await newRepository();
    const clock = new TestClock();
    const first = await backUp(repository, folder, { clock });
    const { data } = await packsOf(repository);
    expect(data).toHaveLength(1);
    await put(
      repository,
      'mark',
      'gc',
      `{"backpack":"mark","v":1,"why":"unreferenced"}\n["X","${packName(data[0]!)}"]\n`,
    );
    clock.aheadMs += 10_000;
    const second = await backUp(repository, folder, { clock });
    expect(second.bytesRead).toBe(first.bytesRead);
    expect(second.bytesStored).toBeGreaterThan(1_600_000);
    expect((await packsOf(repository)).data).not.toContain(data[0]);
    (repository.storage as MemoryStorage).objects.delete(packName(data[0]!));
    expect(describeTree((await restoreTo(repository)).target)).toEqual(describeTree(folder));
  });

  it('on a meta pack make its pages be written again', async () => {
    const folder = source();
    const repository = await newRepository();
    const clock = new TestClock();
    await backUp(repository, folder, { clock });
    const { meta } = await packsOf(repository);
    await put(
      repository,
      'mark',
      'gc',
      `{"backpack":"mark","v":1,"why":"unreferenced"}\n["X","${packName(meta[0]!)}"]\n`,
    );
    clock.aheadMs += 10_000;
    const second = await backUp(repository, folder, { clock });
    expect(second.bytesStored).toBeLessThan(40_000);
    expect((await packsOf(repository)).meta).not.toContain(meta[0]);
  });

  it('that cannot be read stop the backup: nothing may be relied on', async () => {
    const folder = source();
    const repository = await newRepository();
    const name = await put(repository, 'mark', 'gc', '{"backpack":"mark","v":1,"why":"unreferenced"}\n');
    const bytes = (repository.storage as MemoryStorage).objects.get(name)!;
    bytes[600] = (bytes[600] as number) ^ 1;
    expect(await codeOfAsync(() => backUp(repository, folder))).toMatch(/^E_/);
    expect((await listSnapshots(repository)).snapshots).toEqual([]);
  });
});

describe('the after-check', () => {
  it('notices a pack that vanished, and stores it again', async () => {
    const folder = source();
    const storage = new Interrupted();
    const repository = await newRepository(storage);
    const gone: string[] = [];
    storage.act = () => {
      storage.act = undefined;
      const [pack] = [...storage.objects.keys()].filter(
        (name) => name.startsWith('packs/') && storage.objects.get(name)!.length > 1_000_000,
      );
      storage.objects.delete(pack!);
      gone.push(pack!);
    };
    const done = await backUp(repository, folder);
    expect(gone).toHaveLength(1);
    const list = await listSnapshots(repository);
    expect(list.snapshots.map(({ id }) => id)).toEqual([done.snapshotId]);
    expect(list.ids.size).toBe(2);
    expect(list.snapshots[0]?.root.replaces).toHaveLength(1);
    expect(describeTree((await restoreTo(repository)).target)).toEqual(describeTree(folder));
  });

  it('notices a mark that appeared', async () => {
    const folder = source();
    const storage = new Interrupted();
    const repository = await newRepository(storage);
    let mark = '';
    storage.act = async () => {
      storage.act = undefined;
      const [pack] = [...storage.objects.keys()].filter(
        (name) => name.startsWith('packs/') && storage.objects.get(name)!.length > 1_000_000,
      );
      mark = await put(
        repository,
        'mark',
        'gc',
        `{"backpack":"mark","v":1,"why":"unreferenced"}\n["X","${pack}"]\n`,
      );
    };
    const done = await backUp(repository, folder);
    expect(storage.objects.has(mark)).toBe(true);
    const list = await listSnapshots(repository);
    expect(list.ids.size).toBe(2);
    expect(list.snapshots.map(({ id }) => id)).toEqual([done.snapshotId]);
  });

  it('acknowledges nothing when packs keep vanishing', async () => {
    const folder = source();
    const storage = new Interrupted();
    const repository = await newRepository(storage);
    storage.act = () => {
      for (const [name, bytes] of storage.objects)
        if (name.startsWith('packs/') && bytes.length > 1_000_000) storage.objects.delete(name);
    };
    expect(await codeOfAsync(() => backUp(repository, folder))).toBe('BP_PACKS_VANISHED');
  });
});

describe('what is lost', () => {
  it('a pack of the parent is stored again, from the source', async () => {
    const folder = source();
    const storage = new MemoryStorage();
    const repository = await newRepository(storage);
    const clock = new TestClock();
    await backUp(repository, folder, { clock });
    const { data } = await packsOf(repository);
    storage.objects.delete(packName(data[0]!));
    clock.aheadMs += 10_000;
    await backUp(repository, folder, { clock });
    expect(describeTree((await restoreTo(repository)).target)).toEqual(describeTree(folder));
    const old = await restoreTo(repository, { snapshot: 'latest~1' });
    expect(old.damaged).toBe(8);
    expect(new Set(old.problems.map(({ code }) => code))).toEqual(new Set(['E_MISSING']));
  });

  it('all index objects: deduplication goes on by the tables of the packs', async () => {
    const folder = source();
    const storage = new MemoryStorage();
    const repository = await newRepository(storage);
    await backUp(repository, folder);
    for (const name of [...storage.objects.keys()])
      if (name.startsWith('index/')) storage.objects.delete(name);
    const second = await backUp(repository, folder, { host: 'another' });
    expect(second.bytesRead).toBeGreaterThan(1_600_000);
    expect(second.bytesStored).toBeLessThan(40_000);
  });

  it('a damaged index object is ignored, wherever the damage is', async () => {
    const folder = source();
    for (const where of [0.02, 0.3, 0.5, 0.9]) {
      const storage = new MemoryStorage();
      const repository = await newRepository(storage);
      await backUp(repository, folder);
      for (const [name, bytes] of storage.objects) {
        if (name.startsWith('index/')) bytes[Math.floor(bytes.length * where)]! ^= 0x55;
      }
      const second = await backUp(repository, folder, { host: 'another' });
      expect(second.bytesStored).toBeLessThan(60_000);
      expect(describeTree((await restoreTo(repository)).target)).toEqual(describeTree(folder));
    }
  });

  it('a damaged snapshot is reported by the listing, hides no other, and its copy stands for it', async () => {
    const folder = source();
    const storage = new MemoryStorage();
    const repository = await newRepository(storage);
    await backUp(repository, folder);
    await backUp(repository, folder);
    const [name] = [...storage.objects.keys()].filter((key) => key.startsWith('snapshots/'));
    storage.objects.get(name!)![700]! ^= 1;
    const list = await listSnapshots(repository);
    expect(list.snapshots.map(({ copy }) => copy === undefined)).toEqual([false, true]);
    expect(list.unreadable.map((one) => one.name)).toEqual([name]);
    expect((await backUp(repository, folder)).bytesStored).toBeLessThan(40_000);
  });

  it('the pages of the parent: everything is read again, nothing is stored twice', async () => {
    const folder = source();
    const storage = new MemoryStorage();
    const repository = await newRepository(storage);
    const clock = new TestClock();
    await backUp(repository, folder, { clock });
    for (const pack of (await packsOf(repository)).meta) storage.objects.delete(packName(pack));
    clock.aheadMs += 10_000;
    const second = await backUp(repository, folder, { clock });
    expect(second.bytesStored).toBeLessThan(40_000);
    expect(describeTree((await restoreTo(repository)).target)).toEqual(describeTree(folder));
  });
});

describe('two at once', () => {
  it('both are complete, whatever they store twice', async () => {
    const storage = new MemoryStorage();
    const [a, b] = [source(), source()];
    writeFileSync(join(b, 'only in b'), noise(300_000, 99));
    const repository = await newRepository(storage);
    const [first, second] = await Promise.all([
      backUp(repository, a, { host: 'a' }),
      backUp(repository, b, { host: 'b' }),
    ]);
    expect(first.snapshotId).not.toBe(second.snapshotId);
    for (const [id, folder] of [
      [first.snapshotId, a],
      [second.snapshotId, b],
    ] as const) {
      const back = await restoreTo(repository, { snapshot: id });
      expect(back.problems).toEqual([]);
      expect(describeTree(back.target)).toEqual(describeTree(folder));
    }
  });
});

describe('parents', () => {
  it('are of the same host and set only', async () => {
    const folder = source();
    const repository = await newRepository();
    const one = await backUp(repository, folder, { host: 'one' });
    expect((await backUp(repository, folder, { host: 'two' })).parents).toEqual([]);
    expect((await backUp(repository, folder, { host: 'one', set: 's' })).parents).toEqual([]);
    expect((await backUp(repository, folder, { host: 'one' })).parents).toEqual([one.snapshotId]);
  });

  it('order snapshots by seq, one above all that were seen', async () => {
    const folder = source();
    const repository = await newRepository();
    const seqs: number[] = [];
    for (const host of ['a', 'b', 'a']) seqs.push((await backUp(repository, folder, { host })).seq);
    expect(seqs).toEqual([1, 2, 3]);
    const { snapshots } = await listSnapshots(repository);
    expect(snapshots.map(({ root }) => root.prev)).toEqual([null, snapshots[0]?.id, snapshots[1]?.id]);
    expect(snapshots[2]?.root.known).toEqual([snapshots[0]?.id, snapshots[1]?.id]);
  });
});

describe('the snapshot', () => {
  it('has a copy in its last meta pack, with size 0 for that pack', async () => {
    const folder = source();
    const repository = await newRepository();
    await backUp(repository, folder);
    const { snapshots } = await listSnapshots(repository);
    const snapshot = await loadSnapshot(repository, snapshots[0]!);
    const meta = snapshot.pages.at(-1)!.pack;
    const reader = await ContainerReader.open(repository.read, packName(meta));
    const texts: string[] = [];
    for (let i = 0; i < reader.records; i += 1) texts.push((await reader.read(i)).toString());
    const from = texts.findIndex((text) => text.startsWith('{"backpack":"snapshot"'));
    const copy = parseSnapshot(texts.slice(from).join(''), snapshots[0]!.id);
    expect(copy.root).toEqual(snapshot.root);
    expect(copy.pages).toEqual(snapshot.pages);
    expect(copy.packs).toEqual(
      snapshot.packs.map((pack) => (pack.id === meta ? { ...pack, sizeBytes: 0 } : pack)),
    );
  });
});
