/** Which names are taken and which are refused. */
import { listAll } from '../storage.ts';
import { allowed, define, refused, type StorageCase, text, write } from './case.ts';
import { codeOf, expect } from './expect.ts';

/** See the file's comment. */
export const namesCases: readonly StorageCase[] = [
  define('put refuses every name that is not specified, and writes nothing', async (storage) => {
    for (const name of refused)
      expect(await codeOf(() => storage.put(name, Buffer.from('x'))), name).toBe('BP_OBJECT_NAME');
    expect(await codeOf(() => listAll(storage, ''))).toMatch(/^(ok|BP_OBJECT_MISSING)$/);
  }),
  define('create refuses every name that is not specified', async (storage) => {
    for (const name of refused) expect(await codeOf(() => storage.create(name)), name).toBe('BP_OBJECT_NAME');
  }),
  define('get refuses every name that is not specified', async (storage) => {
    for (const name of refused) expect(await codeOf(() => storage.get(name)), name).toBe('BP_OBJECT_NAME');
  }),
  define('stat refuses every name that is not specified', async (storage) => {
    for (const name of refused) expect(await codeOf(() => storage.stat(name)), name).toBe('BP_OBJECT_NAME');
  }),
  define('delete refuses every name that is not specified', async (storage) => {
    for (const name of refused) expect(await codeOf(() => storage.delete(name)), name).toBe('BP_OBJECT_NAME');
  }),
  define('put takes every specified name', async (storage) => {
    for (const name of allowed) await storage.put(name, Buffer.from(name));
    for (const name of allowed) expect(text(await storage.get(name))).toBe(name);
  }),
  define('create takes every specified name', async (storage) => {
    for (const name of allowed) await write(storage, name, name);
    for (const name of allowed) expect(text(await storage.get(name))).toBe(name);
  }),
];
