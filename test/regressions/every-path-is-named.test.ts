/** What a restore could not write below a folder was told with the folder's name only, and with a way through /proc. */
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { backUp, newRepository, restoreTo } from '../unit/operations/tree.ts';
import { temporaryFolder } from '../unit/support.ts';

it('names each', async () => {
  const source = temporaryFolder();
  mkdirSync(join(source, 'folder'));
  for (const name of ['a', 'b']) writeFileSync(join(source, 'folder', name), name);
  writeFileSync(join(source, 'x'.repeat(200)), 'long');
  const repository = await newRepository();
  await backUp(repository, source);
  const target = temporaryFolder();
  symlinkSync('/nowhere', join(target, 'folder'));
  const { problems } = await restoreTo(repository, { target });
  expect(problems.map(({ path }) => path).sort()).toEqual(['folder', 'folder/a', 'folder/b']);
  for (const { path, message } of problems) {
    expect(message).toContain(path);
    expect(message).not.toContain('/proc/');
  }
});
