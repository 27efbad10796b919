/** A hole of terabytes was hashed in one go: a signal was seen minutes later. */
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { BackpackError } from '../../src/base/errors.ts';
import { WriterMemory } from '../../src/container/container-writer.ts';
import { makeId, packName } from '../../src/format/names.ts';
import { putSnapshot } from '../../src/repo/commit.ts';
import { listSnapshots, loadSnapshot } from '../../src/repo/snapshots.ts';
import { putContainer } from '../unit/operations/sample.ts';
import { backUp, newRepository, restoreTo } from '../unit/operations/tree.ts';
import { codeOfAsync, temporaryFolder } from '../unit/support.ts';

it.each([
  ['hole', -1],
  ['run of zeros', -2],
])('a restore stops soon in the middle of a %s of 2 TiB', async (_, kind) => {
  const repository = await newRepository();
  await backUp(repository, temporaryFolder());
  const [info] = (await listSnapshots(repository)).snapshots;
  const { root } = await loadSnapshot(repository, info!);
  const size = 2 ** 41;
  const entry = `{"p":"huge","t":"f","s":${size},"m":"0.000000000","o":"0644","x":"0123456789abcdef","e":[[${kind},0,0,${size}]]}`;
  const page = `{"backpack":"page","v":1,"packs":[]}\n${entry}\n`;
  const name = await putContainer(repository, 'meta', packName, [page]);
  const pack = name.slice(-44, -4);
  const id = makeId({ now: Date.now }, { bytes: (n) => Buffer.alloc(n, 7) });
  const sizeBytes = (await repository.storage.stat(name))!.sizeBytes;
  const snapshot = {
    root: { ...root, id, seq: root.seq + 1 },
    packs: [{ id: pack, sizeBytes }],
    pages: [{ pack, record: 0, entries: 1, first: 'huge', last: 'huge' }],
    errors: [],
  };
  await putSnapshot(repository, new WriterMemory(1 << 20), snapshot, 'test');
  const stop = new AbortController();
  const target = temporaryFolder();
  const started = performance.now();
  setTimeout(() => stop.abort(new BackpackError('BP_CANCELED', 'stopped', { kind: 'canceled' })), 300);
  expect(await codeOfAsync(() => restoreTo(repository, { target, signal: stop.signal }))).toBe('BP_CANCELED');
  expect(performance.now() - started).toBeLessThan(10_000);
  expect(existsSync(join(target, 'huge'))).toBe(false);
  expect(readdirSync(target)).toEqual([]);
});
