/** A file above 8 MiB (or with holes) whose name has more than 238 bytes could not be restored: its temporary name was too long. */
import { writeFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { at, backUp, describeTree, newRepository, noise, restoreTo } from '../unit/operations/tree.ts';
import { temporaryFolder } from '../unit/support.ts';

it('restores a large file whose name has 255 bytes', async () => {
  const folder = temporaryFolder();
  writeFileSync(at(folder, 'n'.repeat(255)), noise(9_000_000, 1));
  const repository = await newRepository();
  await backUp(repository, folder);
  const back = await restoreTo(repository);
  expect(back.problems).toEqual([]);
  expect(describeTree(back.target)).toEqual(describeTree(folder));
});
