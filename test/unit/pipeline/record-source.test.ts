/** Records are read ahead into memory that is used again: what was begun for nothing must not come into what follows. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { MiB } from '../../../src/base/limits.ts';
import { RecordCodec } from '../../../src/codec/record-codec.ts';
import { ContainerReader } from '../../../src/container/container-reader.ts';
import { RecordSource } from '../../../src/pipeline/record-source.ts';
import { listAll } from '../../../src/storage/storage.ts';
import { backUp, newRepository, noise } from '../operations/tree.ts';
import { temporaryFolder } from '../support.ts';

it('waits for a read that nobody wants before its memory is used again', async () => {
  const source = temporaryFolder();
  const content = noise(24 * MiB, 5);
  writeFileSync(join(source, 'file'), content);
  const repository = await newRepository();
  await backUp(repository, source);
  const [largest] = (await listAll(repository.storage, 'packs/')).sort((a, b) => b.sizeBytes - a.sizeBytes);

  // Of the reads in turn: when the bytes come, and when the storage says so.
  const turns: [bytesMs: number, endMs: number][] = [];
  const { storage } = repository;
  const get = storage.get.bind(storage);
  storage.get = async (name, options = {}) => {
    const { into, ...rest } = options;
    const turn = into === undefined ? undefined : turns.shift();
    if (into === undefined || turn === undefined) return get(name, options);
    const bytes = await get(name, rest);
    await sleep(turn[0]);
    into.set(bytes);
    await sleep(turn[1] - turn[0]);
    return into;
  };
  const context = repository.read;
  const room = 24 * MiB;
  const codec = new RecordCodec(4 * MiB, RecordSource.bytes + room + 4096);
  const records = new RecordSource(context, codec);
  const into = codec.kernel.reserve(room);
  const pack = await ContainerReader.open(context, largest!.name);
  expect(pack.records).toBeGreaterThan(12);

  // The one that is given up ends while the third one, which would have its memory, has its bytes and says so later.
  turns.push([100, 100], [0, 0], [0, 300]);
  records.ahead(pack, 10, 2);
  const length = await records.run(pack, 0, 9, into);
  expect(length).toBeGreaterThan(8 * MiB);
  const got = Buffer.from(codec.kernel.bytes.subarray(into, into + length));
  expect(got.equals(content.subarray(0, length))).toBe(true);
});
