/** When a file could not be restored because its name was taken, its hard links were made links of what had the name. */
import { linkSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { backUp, newRepository, restoreTo } from '../unit/operations/tree.ts';
import { temporaryFolder } from '../unit/support.ts';

it.each([100, 9_000_000])('does not link to what was there already (%i bytes)', async (bytes) => {
  const folder = temporaryFolder();
  writeFileSync(join(folder, 'a'), Buffer.alloc(bytes, 1));
  linkSync(join(folder, 'a'), join(folder, 'b'));
  const repository = await newRepository();
  await backUp(repository, folder);
  const target = temporaryFolder();
  writeFileSync(join(target, 'a'), 'of somebody else');
  const back = await restoreTo(repository, { target });
  expect(back.problems.map(({ path, code }) => [path, code])).toEqual([
    ['a', 'BP_TARGET_EXISTS'],
    ['b', 'BP_NOT_RESTORED'],
  ]);
  expect(() => readFileSync(join(target, 'b'))).toThrow('ENOENT');
});
