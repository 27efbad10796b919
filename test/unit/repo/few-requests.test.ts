/** How often a storage is asked: an answer over a network takes as long as megabytes. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { MiB } from '../../../src/base/limits.ts';
import { ContainerReader } from '../../../src/container/container-reader.ts';
import { listSnapshots, loadSnapshot } from '../../../src/repo/snapshots.ts';
import { listAll, MemoryStorage } from '../../../src/storage/index.ts';
import { backUp, newRepository, noise } from '../operations/tree.ts';
import { temporaryFolder } from '../support.ts';

/** A repository with some snapshots and one large pack, and what is asked of its storage from now on. */
async function watched() {
  const storage = new MemoryStorage();
  const repository = await newRepository(storage);
  const source = temporaryFolder();
  for (let i = 0; i < 5; i += 1) {
    writeFileSync(join(source, 'file'), noise(i === 0 ? 2 * MiB : 100, i + 1));
    await backUp(repository, source);
  }
  const asked: string[] = [];
  let now = 0;
  let most = 0;
  const watch = async <R>(what: string, answer: () => Promise<R>): Promise<R> => {
    asked.push(what);
    now += 1;
    most = Math.max(most, now);
    await sleep(2);
    return answer().finally(() => {
      now -= 1;
    });
  };
  const [get, stat] = [storage.get.bind(storage), storage.stat.bind(storage)];
  storage.get = (name, options) => watch(`get ${name}`, () => get(name, options));
  storage.stat = (name, options) => watch(`stat ${name}`, () => stat(name, options));
  return { repository, asked, most: () => most };
}

it('a snapshot is read with one request, and several of them at once', async () => {
  const { repository, asked, most } = await watched();
  const list = await listSnapshots(repository);
  expect(list.snapshots.length).toBe(5);
  // The list of this storage asks for each length.
  expect(asked.filter((one) => one.startsWith('get')).length).toBe(5);
  expect(most()).toBeGreaterThan(2);
  asked.length = 0;
  await loadSnapshot(repository, list.snapshots[0]!);
  expect(asked.length).toBe(1);
});

it('the header of a pack is on its way while its length is asked for', async () => {
  const { repository, asked } = await watched();
  const packs = await listAll(repository.storage, 'packs/');
  const [large] = packs.sort((a, b) => b.sizeBytes - a.sizeBytes);
  expect(large!.sizeBytes).toBeGreaterThan(MiB);
  asked.length = 0;
  await ContainerReader.open(repository.read, large!.name);
  expect(asked).toEqual([`get ${large!.name}`, `stat ${large!.name}`, `get ${large!.name}`]);
  asked.length = 0;
  const begun = ContainerReader.open(repository.read, large!.name, { sizeBytes: large!.sizeBytes });
  expect(asked).toEqual([`get ${large!.name}`, `get ${large!.name}`]);
  await begun;
});
