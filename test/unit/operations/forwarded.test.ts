/** The after-check counts a pack that was compacted meanwhile as there, as far as unmarked moved objects lead. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { systemClock, systemRandom } from '../../../src/base/ports.ts';
import { ContainerReader } from '../../../src/container/container-reader.ts';
import { ContainerWriter, WriterMemory } from '../../../src/container/container-writer.ts';
import { rootWriter } from '../../../src/format/header.ts';
import { type Kind, makeId, packName } from '../../../src/format/names.ts';
import type { Repository } from '../../../src/repo/repository.ts';
import { listSnapshots } from '../../../src/repo/snapshots.ts';
import { MemoryStorage, type ObjectInfo } from '../../../src/storage/index.ts';
import { temporaryFolder } from '../support.ts';
import { backUp, describeTree, newRepository, noise, restoreTo } from './tree.ts';

/** A storage in which something happens before the first snapshot is put. */
class Interrupted extends MemoryStorage {
  act: (() => Promise<void>) | undefined;
  override async put(
    name: string,
    bytes: Uint8Array,
    options?: { exclusive?: boolean },
  ): Promise<ObjectInfo> {
    const act = name.startsWith('snapshots/') ? this.act : undefined;
    if (act !== undefined) {
      this.act = undefined;
      await act();
    }
    return super.put(name, bytes, options);
  }
}

async function put(
  repository: Repository,
  kind: Kind,
  nameOf: (id: string) => string,
  records: readonly Uint8Array[],
): Promise<{ id: string; name: string }> {
  const id = makeId(systemClock, systemRandom);
  const memory = new WriterMemory(4 << 20);
  const out = await repository.storage.create(nameOf(id));
  const { repo, keyring } = repository;
  const writer = new ContainerWriter(memory, keyring, { kind, repo, id, app: 'test' }, out);
  const { kernel, plain } = memory.codec;
  for (const bytes of records) {
    kernel.bytes.set(bytes, plain);
    await writer.addRecord(plain, bytes.byteLength);
  }
  await writer.finish();
  return { id, name: (await writer.commit()).name };
}

const lines = (head: string, ...rest: string[]): Uint8Array[] => [
  Buffer.from(`${[head, ...rest].join('\n')}\n`),
];

interface Case {
  readonly kind: 'data' | 'meta';
  /** Records that the moved object leaves out, at the end. */
  readonly without?: number;
  readonly mark?: 'moved' | 'target';
  readonly writer?: string;
}

/** Backs up while the largest pack of a kind is compacted between pages and snapshot. */
async function run(c: Case): Promise<{ ids: number; stored: number }> {
  const folder = temporaryFolder();
  for (let i = 0; i < 4; i += 1) writeFileSync(join(folder, `f${i}`), noise(400_000, i));
  for (let i = 0; i < 4; i += 1) writeFileSync(join(folder, `small${i}`), noise(400, i));
  const storage = new Interrupted();
  const repository = await newRepository(storage);
  storage.act = async () => {
    for (const name of [...storage.objects.keys()].filter((one) => one.startsWith('packs/'))) {
      const reader = await ContainerReader.open(repository.read, name);
      if (reader.header.kind !== c.kind) continue;
      const records: Uint8Array[] = [];
      for (let i = 0; i < reader.records; i += 1) records.push(await reader.read(i));
      const target = await put(repository, c.kind, packName, records);
      const from = reader.header.id;
      const moved = await put(
        repository,
        'move',
        (id) => `moved/${from}-${id}.bpk`,
        lines(
          `{"backpack":"moved","v":1,"from":"${from}","writer":"${c.writer ?? rootWriter}"}`,
          `["V",0,${records.length - (c.without ?? 0)},"${target.id}",0]`,
        ),
      );
      const marked = c.mark === undefined ? [] : [c.mark === 'moved' ? moved.name : target.name];
      await put(
        repository,
        'mark',
        (id) => `gc/${id}.bpk`,
        lines(
          '{"backpack":"mark","v":1,"why":"compacted"}',
          ...[name, ...marked].map((one) => `["X","${one}"]`),
        ),
      );
      storage.objects.delete(name);
    }
  };
  const { bytesStored } = await backUp(repository, folder);
  const { ids } = await listSnapshots(repository);
  const { target } = await restoreTo(repository);
  expect(describeTree(target)).toEqual(describeTree(folder));
  return { ids: ids.size, stored: bytesStored };
}

describe('a pack that was compacted while a snapshot was written', () => {
  it('is there, when moved objects lead to all its records', async () => {
    for (const kind of ['data', 'meta'] as const) expect((await run({ kind })).ids).toBe(1);
  });

  it('is there, when they lead to all records that the snapshot uses', async () => {
    // The last records of a meta pack are the copy of the snapshot, which no snapshot names.
    expect((await run({ kind: 'meta', without: 1 })).ids).toBe(1);
  });

  it('is missing, and stored again, when anything is not as it must be', async () => {
    for (const c of [
      { kind: 'data', without: 1 },
      { kind: 'data', mark: 'moved' },
      { kind: 'data', mark: 'target' },
      { kind: 'data', writer: '0123456789abcdef' },
      { kind: 'meta', mark: 'moved' },
    ] as const) {
      expect((await run(c)).ids, JSON.stringify(c)).toBe(2);
    }
  });
});
