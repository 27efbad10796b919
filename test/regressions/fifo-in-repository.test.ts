/** A FIFO in the place of an object was waited for without an end. */
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { FsStorage } from '../../src/storage/fs.ts';
import { temporaryFolder } from '../unit/support.ts';

it('a FIFO is not waited for', async () => {
  const folder = temporaryFolder();
  execFileSync('mkfifo', [join(folder, 'backpack.json')]);
  const storage = new FsStorage(folder);
  expect((await storage.get('backpack.json')).byteLength).toBe(0);
  await expect(storage.get('backpack.json', { range: { offset: 0, length: 1 } })).rejects.toThrow();
});
