/** When the folder of a new object could not be made durable, commit failed and the object was there nevertheless. */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it, vi } from 'vitest';
import { FsStorage } from '../../src/storage/fs.ts';
import { codeOfAsync, idOf, temporaryFolder } from '../unit/support.ts';

const fault = vi.hoisted(() => ({ on: false }));
vi.mock('node:fs/promises', async (original) => {
  const fs = await original<{ open(...args: unknown[]): Promise<{ sync(): Promise<void> }> }>();
  const open = async (...args: unknown[]): Promise<unknown> => {
    const handle = await fs.open(...args);
    const sync = handle.sync.bind(handle);
    handle.sync = async () => {
      if (fault.on) throw Object.assign(new Error('EIO: i/o error'), { code: 'EIO', errno: -5 });
      return sync();
    };
    return handle;
  };
  return { ...fs, open };
});

it('leaves no object behind a commit that failed', async () => {
  const folder = temporaryFolder();
  const storage = new FsStorage(folder);
  await storage.put(`index/${idOf(1)}.bpk`, Buffer.from('x'));
  fault.on = true;
  expect(await codeOfAsync(() => storage.put(`index/${idOf(2)}.bpk`, Buffer.from('x')))).toBe(
    'BP_STORAGE_IO',
  );
  fault.on = false;
  expect(readdirSync(join(folder, 'index'))).toEqual([`${idOf(1)}.bpk`]);
});
