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

/** A repository with 48 MiB that a seed stands for, and its largest pack. */
async function stored(seed: number) {
  const source = temporaryFolder();
  const content = noise(48 * MiB, seed);
  writeFileSync(join(source, 'file'), content);
  const repository = await newRepository();
  await backUp(repository, source);
  const packs = await listAll(repository.storage, 'packs/');
  const [largest] = packs.sort((a, b) => b.sizeBytes - a.sizeBytes);
  return { content, repository, largest };
}

it('waits for a read that nobody wants before its memory is used again', async () => {
  const { content, repository, largest } = await stored(5);

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
  const room = 48 * MiB;
  const codec = new RecordCodec(4 * MiB, RecordSource.bytes + room + 4096);
  const records = new RecordSource(context, codec);
  const into = codec.kernel.reserve(room);
  const pack = await ContainerReader.open(context, largest!.name);
  expect(pack.records).toBeGreaterThan(20);

  // The one that is given up ends while the fourth one, which would have its memory, has its bytes and says so later.
  turns.push([100, 100], [0, 0], [0, 0], [0, 300]);
  records.ahead({ reader: pack, record: 18, count: 1 });
  const length = await records.run({ reader: pack, record: 0, count: 17 }, into);
  expect(length).toBeGreaterThan(12 * MiB);
  const got = Buffer.from(codec.kernel.bytes.subarray(into, into + length));
  expect(got.equals(content.subarray(0, length))).toBe(true);
});

it('has several reads on their way at once, and no more than it has memory for', async () => {
  const { content, repository, largest } = await stored(6);
  const { storage } = repository;
  const get = storage.get.bind(storage);
  let now = 0;
  let most = 0;
  storage.get = async (name, options = {}) => {
    if (options.into === undefined) return get(name, options);
    now += 1;
    most = Math.max(most, now);
    await sleep(5 + (now % 3) * 5);
    return get(name, options).finally(() => {
      now -= 1;
    });
  };
  const codec = new RecordCodec(4 * MiB, RecordSource.bytes + 48 * MiB + 4096);
  const records = new RecordSource(repository.read, codec);
  const into = codec.kernel.reserve(48 * MiB);
  const pack = await ContainerReader.open(repository.read, largest!.name);
  const length = await records.run({ reader: pack, record: 0, count: pack.records }, into);
  expect(most).toBe(2);
  const got = Buffer.from(codec.kernel.bytes.subarray(into, into + length));
  expect(content.includes(got.subarray(0, 1000))).toBe(true);
  expect(got.equals(content.subarray(content.indexOf(got.subarray(0, 1000))).subarray(0, length))).toBe(true);
});

it('begins what is asked for next while it opens the last of this, and reads nothing twice', async () => {
  const { content, repository, largest } = await stored(7);
  const { storage } = repository;
  const get = storage.get.bind(storage);
  const begun: number[] = [];
  storage.get = async (name, options = {}) => {
    if (options.into !== undefined) begun.push(options.range!.offset);
    return get(name, options);
  };
  const codec = new RecordCodec(4 * MiB, RecordSource.bytes + 48 * MiB + 4096);
  const records = new RecordSource(repository.read, codec);
  const into = codec.kernel.reserve(48 * MiB);
  const pack = await ContainerReader.open(repository.read, largest!.name);
  const half = Math.floor(pack.records / 2);
  const next = { reader: pack, record: half, count: pack.records - half };
  begun.length = 0;
  const first = await records.run({ reader: pack, record: 0, count: half }, into, () => next);
  expect(begun.filter((offset) => offset >= pack.rangeOf(half, 1).offset).length).toBe(2);
  const second = await records.run(next, into + first);
  expect(new Set(begun).size).toBe(begun.length);
  const got = Buffer.from(codec.kernel.bytes.subarray(into, into + first + second));
  expect(got.equals(content.subarray(content.indexOf(got.subarray(0, 1000))).subarray(0, got.length))).toBe(
    true,
  );

  // What was begun and is not what is asked for is no harm.
  records.ahead(next);
  const again = await records.run({ reader: pack, record: 0, count: 3 }, into);
  expect(codec.kernel.bytes.subarray(into, into + again).equals(got.subarray(0, again))).toBe(true);
});
