/** An empty file that was made within two seconds before a backup made the next one write its page again. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { listSnapshots, loadSnapshot } from '../../src/repo/snapshots.ts';
import { backUp, newRepository, TestClock } from '../unit/operations/tree.ts';
import { temporaryFolder } from '../unit/support.ts';

it('uses the page of an unchanged empty file again', async () => {
  const folder = temporaryFolder();
  writeFileSync(join(folder, 'empty'), '');
  const repository = await newRepository();
  const clock = new TestClock();
  clock.aheadMs = 0;
  await backUp(repository, folder, { clock });
  await backUp(repository, folder, { clock });
  const { snapshots } = await listSnapshots(repository);
  const [first, second] = await Promise.all(snapshots.map((info) => loadSnapshot(repository, info)));
  expect(second?.pages).toEqual(first?.pages);
});
