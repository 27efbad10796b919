/** A page whose extents name millions of records kept the check from seeing a signal until it was through. */
import { expect, it } from 'vitest';
import { BackpackError } from '../../src/base/errors.ts';
import { xxh64 } from '../../src/codec/xxhash.ts';
import { ContainerWriter, WriterMemory } from '../../src/container/container-writer.ts';
import { makeId, packName } from '../../src/format/names.ts';
import { check } from '../../src/operations/check.ts';
import { putSnapshot } from '../../src/repo/commit.ts';
import type { Repository } from '../../src/repo/repository.ts';
import { listSnapshots, loadSnapshot } from '../../src/repo/snapshots.ts';
import { putContainer } from '../unit/operations/sample.ts';
import { backUp, newRepository } from '../unit/operations/tree.ts';
import { codeOfAsync, temporaryFolder } from '../unit/support.ts';

/** A pack of records of one byte. */
async function dataPack(repository: Repository, records: number): Promise<string> {
  const memory = new WriterMemory(1 << 20);
  const id = makeId({ now: Date.now }, { bytes: (n) => Buffer.alloc(n, 8) });
  const { repo, keyring, storage } = repository;
  const out = await storage.create(packName(id));
  const writer = new ContainerWriter(memory, keyring, { kind: 'data', repo, id, app: 'test' }, out);
  const { kernel, plain } = memory.codec;
  kernel.bytes[plain] = 120;
  for (let i = 0; i < records; i += 1) {
    await writer.addRecord(plain, 1);
    writer.addLines(`["C",0,1,"${xxh64(Buffer.from('x'))}","${'0'.repeat(32)}"]\n`);
  }
  await writer.finish();
  return (await writer.commit()).name;
}

it('a check is stopped within a page', async () => {
  const repository = await newRepository();
  await backUp(repository, temporaryFolder());
  const [info] = (await listSnapshots(repository)).snapshots;
  const { root } = await loadSnapshot(repository, info!);
  const records = 30_000;
  const extents = 40_000;
  const data = await dataPack(repository, records);
  const extent = `[0,0,${records},${records}]`;
  const entry = `{"p":"huge","t":"f","s":${records * extents},"m":"0.000000000","o":"0644","x":"0123456789abcdef","e":[${Array(extents).fill(extent).join(',')}]}`;
  const meta = await putContainer(repository, 'meta', packName, [
    `{"backpack":"page","v":1,"packs":["${data.slice(-44, -4)}"]}\n${entry}\n`,
  ]);
  const packs = [];
  for (const name of [data, meta].sort())
    packs.push({ id: name.slice(-44, -4), sizeBytes: (await repository.storage.stat(name))!.sizeBytes });
  const id = makeId({ now: Date.now }, { bytes: (n) => Buffer.alloc(n, 7) });
  const pages = [{ pack: meta.slice(-44, -4), record: 0, entries: 1, first: 'huge', last: 'huge' }];
  const snapshot = { root: { ...root, id, seq: root.seq + 1 }, packs, pages, errors: [] };
  await putSnapshot(repository, new WriterMemory(1 << 20), snapshot, 'test');
  const stop = new AbortController();
  let asked = 0;
  const events: string[] = [];
  setTimeout(() => {
    asked = performance.now();
    stop.abort(new BackpackError('BP_CANCELED', 'stopped', { kind: 'canceled' }));
  }, 150);
  const options = { threads: 0, kitSums: [], signal: stop.signal };
  expect(await codeOfAsync(() => check(repository, options, (event) => events.push(event.type)))).toBe(
    'BP_CANCELED',
  );
  expect(events).not.toContain('damage');
  expect(performance.now() - asked).toBeLessThan(1_000);
});
