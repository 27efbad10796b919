/** A folder or a link that leads nowhere, in the place of an object, was passed over by listings, and so by the check. */
import { mkdirSync, renameSync, rmSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { check } from '../../src/operations/check.ts';
import { openRepository } from '../../src/repo/repository.ts';
import { FsStorage } from '../../src/storage/fs.ts';
import { listAll } from '../../src/storage/storage.ts';
import { makeSample } from '../unit/operations/sample.ts';
import { temporaryFolder } from '../unit/support.ts';

it('what is no file is named by the check', async () => {
  const sample = await makeSample(2);
  const folder = temporaryFolder();
  const storage = new FsStorage(folder);
  for (const [name, bytes] of sample.storage.objects) await storage.put(name, bytes);
  const names = [...sample.storage.objects.keys()];
  for (const name of names) {
    const path = join(folder, name);
    for (const put of [() => mkdirSync(path), () => symlinkSync('nowhere', path)]) {
      renameSync(path, `${folder}.kept`);
      put();
      expect(
        (await listAll(storage, name.slice(0, name.lastIndexOf('/') + 1))).find((one) => one.name === name)
          ?.sizeBytes,
      ).toBe(0);
      const repository = await openRepository({ location: folder }, storage, sample.key);
      const found: string[] = [];
      await check(repository, { threads: 0, kitSums: sample.kitSums }, (event) => {
        if (event.type === 'damage' || event.type === 'unreadable') found.push(event.object);
      });
      expect(found).toEqual([name]);
      rmSync(path, { recursive: true });
      renameSync(`${folder}.kept`, path);
    }
  }
});
