/** Checkpoints of long runs (SPEC, "Checkpoints"): partial snapshots that can be restored and that the next run uses. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { check } from '../../../src/operations/check.ts';
import type { Repository } from '../../../src/repo/repository.ts';
import { findSnapshot, listSnapshots } from '../../../src/repo/snapshots.ts';
import { MemoryStorage } from '../../../src/storage/index.ts';
import { temporaryFolder } from '../support.ts';
import { backUp, describeTree, newRepository, noise, restoreTo, TestClock } from './tree.ts';

/** Enough names for several pages. */
function source(): string {
  const folder = temporaryFolder();
  for (let d = 0; d < 40; d += 1) {
    mkdirSync(join(folder, `d${d}`));
    for (let f = 0; f < 40; f += 1)
      writeFileSync(join(folder, `d${d}`, `${'x'.repeat(150)}${f}`), noise(100, d * 40 + f));
  }
  return folder;
}

/** A clock on which every look takes a minute. */
class FastClock extends TestClock {
  override now(): number {
    this.aheadMs += 60_000;
    return super.now();
  }
}

async function problems(repository: Repository): Promise<string[]> {
  const found: string[] = [];
  await check(repository, { readData: true, threads: 0, kitSums: [] }, (event) => {
    if (event.type === 'damage' || event.type === 'unreadable') found.push(`${event.code} ${event.object}`);
    if (event.type === 'warning' && event.code !== 'BP_KIT_UNKNOWN') found.push(event.code);
  });
  return found;
}

describe('a long run', () => {
  it('makes partial snapshots, which its complete one replaces', async () => {
    const folder = source();
    const repository = await newRepository();
    const done = await backUp(repository, folder, { clock: new FastClock(), checkpointMs: 0 });
    const checkpoints = done.events.filter((event) => event.type === 'checkpoint');
    expect(checkpoints.length).toBeGreaterThanOrEqual(2);
    const { snapshots, ids } = await listSnapshots(repository);
    expect(snapshots.map(({ id }) => id)).toEqual([done.snapshotId]);
    expect(ids.size).toBe(checkpoints.length + 1);
    expect(snapshots[0]!.root).toMatchObject({ partial: false, seq: checkpoints.length + 1 });
    expect(describeTree((await restoreTo(repository)).target)).toEqual(describeTree(folder));
    expect(await problems(repository)).toEqual([]);
  });

  it('makes none before its time has come', async () => {
    const repository = await newRepository();
    const done = await backUp(repository, source());
    expect(done.events.filter((event) => event.type === 'checkpoint')).toEqual([]);
  });

  it('that is killed leaves what it had done: restorable, and not done again', async () => {
    const folder = source();
    const storage = new MemoryStorage();
    const repository = await newRepository(storage);
    // The kill: what the storage holds after the first checkpoint is all that is left.
    const kept = new Map<string, Buffer>();
    const put = storage.put.bind(storage);
    let snapshots = 0;
    storage.put = async (name, bytes, options) => {
      const info = await put(name, bytes, options);
      if (name.startsWith('snapshots/')) snapshots += 1;
      if (name.startsWith('snapshots/') && snapshots === 1)
        for (const [one, held] of storage.objects) kept.set(one, Buffer.from(held));
      return info;
    };
    await backUp(repository, folder, { clock: new FastClock(), checkpointMs: 0 });
    storage.put = put;
    expect(snapshots).toBeGreaterThanOrEqual(3);
    storage.objects.clear();
    for (const [name, bytes] of kept) storage.objects.set(name, bytes);

    const list = await listSnapshots(repository);
    expect(list.snapshots.map(({ root }) => root.partial)).toEqual([true]);
    const partial = list.snapshots[0]!;
    const all = describeTree(folder);
    const restored = await restoreTo(repository, { snapshot: partial.id });
    expect(restored.problems).toEqual([]);
    const part = describeTree(restored.target);
    const files = part.filter((line) => line.startsWith('f')).length;
    expect(files).toBeGreaterThan(300);
    expect(part.length).toBeLessThan(all.length);
    expect(part.filter((line) => line.startsWith('f') && !all.includes(line))).toEqual([]);
    expect(await problems(repository)).toEqual([]);

    const clock = new TestClock();
    clock.aheadMs += 3_600_000;
    const next = await backUp(repository, folder, { clock });
    expect(next.parents).toEqual([partial.id]);
    expect(next.unchangedFiles).toBe(files);
    expect(next.newFiles).toBe(1600 - files);
    expect(next.bytesRead).toBe((1600 - files) * 100);
    const after = await listSnapshots(repository);
    expect(after.snapshots.map(({ root }) => root.partial)).toEqual([true, false]);
    expect(findSnapshot(after, 'latest').id).toBe(next.snapshotId);
    expect(describeTree((await restoreTo(repository)).target)).toEqual(all);
  });
});
