/** Names of a folder in order, read in passes that keep few of them. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { type FolderEntry, sortedNames } from '../../../src/storage/folder-names.ts';
import { temporaryFolder } from '../support.ts';

async function all(names: AsyncIterable<string>): Promise<string[]> {
  const found: string[] = [];
  for await (const name of names) found.push(name);
  return found;
}

it('are all there once, in order, however few are kept at a time', async () => {
  const folder = temporaryFolder();
  for (let i = 0; i < 101; i += 1) {
    const name = `${(i * 37) % 101}`;
    if (i % 10 === 0) mkdirSync(join(folder, name));
    else writeFileSync(join(folder, name), '');
  }
  const wanted = Array.from({ length: 101 }, (_, i) => `${(i * 37) % 101}${i % 10 === 0 ? '/' : ''}`)
    .filter((name) => !name.startsWith('5'))
    .sort();
  for (const most of [1, 2, 3, 7, 10, 50, 89, 90, 91, 1000]) {
    let looks = 0;
    const keyOf = (entry: FolderEntry): string | undefined => {
      looks += 1;
      return entry.name.startsWith('5') ? undefined : entry.name + (entry.isDirectory() ? '/' : '');
    };
    expect(await all(sortedNames(folder, keyOf, most))).toEqual(wanted);
    // One pass for each `most` names: that is what bounds the memory.
    expect(looks).toBe(101 * Math.ceil(wanted.length / most));
  }
});

it('of an empty folder are none; of a missing one an error', async () => {
  const folder = temporaryFolder();
  expect(await all(sortedNames(folder, ({ name }) => name))).toEqual([]);
  const missing = sortedNames(join(folder, 'missing'), ({ name }) => name);
  await expect(all(missing)).rejects.toMatchObject({ code: 'ENOENT' });
});
