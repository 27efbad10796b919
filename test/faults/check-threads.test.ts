/** The check with worker threads, from what was built, over a folder: it finds what the inline one finds. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type * as CheckModule from '../../src/operations/check.ts';
import type * as RepositoryModule from '../../src/repo/repository.ts';
import type * as FsModule from '../../src/storage/fs.ts';
import { makeSample, type Sample } from '../unit/operations/sample.ts';

const dist = (path: string): string => new URL(`../../dist/${path}`, import.meta.url).href;

let folder: string;
let sample: Sample;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'backpack-threads-'));
  sample = await makeSample(2);
});
afterAll(() => rmSync(folder, { recursive: true }));

test.each([1, 2, 3])('with %d threads', async (threads) => {
  const { check }: typeof CheckModule = await import(dist('operations/check.js'));
  const { openRepository }: typeof RepositoryModule = await import(dist('repo/repository.js'));
  const { FsStorage }: typeof FsModule = await import(dist('storage/fs.js'));
  const packs = [...sample.storage.objects.keys()].filter((name) => name.startsWith('packs/')).sort();
  for (const [name, bytes] of sample.storage.objects) {
    const copy = Buffer.from(bytes);
    if (name === packs[0]) copy[600]! ^= 1;
    if (name === packs[2]) copy[3000]! ^= 1;
    mkdirSync(dirname(join(folder, name)), { recursive: true });
    writeFileSync(join(folder, name), copy);
  }
  const repository = await openRepository({ location: folder }, new FsStorage(folder), sample.key);
  const events: CheckModule.CheckEvent[] = [];
  const options = { readData: true, threads, kitSums: sample.kitSums };
  const summary = await check(repository, options, (event) => events.push(event));
  const damage = events.filter((event) => event.type === 'damage');
  expect(damage).toMatchObject([
    { code: 'E_TAG', object: packs[0], record: 0, snapshots: { length: 2 } },
    { code: 'E_TAG', object: packs[2], snapshots: { length: 1 } },
  ]);
  expect(summary).toMatchObject({ damaged: 2, unreadable: 0, warnings: 0, objects: 11 });
});
