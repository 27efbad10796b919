/**
 * The awkward tree with 1, 2, 3 and 8 worker threads, a catalog that has to grow, and each compression: what comes back
 * is what was there. With SLOW=1 also 40,000 files, which fill the first MiB of the catalog.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { describeTree, hostileTree, noise, TestClock } from '../unit/operations/tree.ts';
import { keyFile, temporaryFolder } from '../unit/support.ts';

interface Modules {
  backup: typeof import('../../src/operations/backup.ts')['backup'];
  restore: typeof import('../../src/operations/restore.ts')['restore'];
  createRepository: typeof import('../../src/repo/create.ts')['createRepository'];
  openRepository: typeof import('../../src/repo/repository.ts')['openRepository'];
  FsStorage: typeof import('../../src/storage/fs.ts')['FsStorage'];
  rootOf: typeof import('../../src/source/walk.ts')['rootOf'];
}
let built: Modules;

beforeAll(async () => {
  const files = [
    'operations/backup.js',
    'operations/restore.js',
    'repo/create.js',
    'repo/repository.js',
    'storage/fs.js',
    'source/walk.js',
  ];
  const load = (file: string) => import(new URL(`../../dist/${file}`, import.meta.url).href);
  built = Object.assign({}, ...(await Promise.all(files.map(load)))) as Modules;
});

const slow = process.env['SLOW'] === '1';
const many = 40_000;

function tree(): string {
  const folder = hostileTree();
  for (let i = 0; i < (slow ? many : 300); i += 1) {
    const parent = join(folder, `many${Math.floor(i / 1000)}`);
    if (i % 1000 === 0) mkdirSync(parent);
    writeFileSync(join(parent, `${i}`), noise(1 + (i % 700), i + 1));
  }
  return folder;
}

describe.each([1, 2, 3, 8])('with %i threads', (threads) => {
  it('a tree comes back, and a second run finds everything', {
    timeout: slow ? 600_000 : 120_000,
  }, async () => {
    const folder = tree();
    const storage = new built.FsStorage(join(temporaryFolder(), 'repo'));
    await built.createRepository(storage, keyFile, Date.now());
    const repository = await built.openRepository({ location: storage.location }, storage, keyFile);
    const clock = new TestClock();
    const options = {
      roots: [built.rootOf('.', folder)],
      own: [],
      host: 'h',
      app: 'test',
      threads,
      clock,
      // 93 identities, or the MiB that every run begins with.
      catalogBytes: slow ? 1 << 20 : 4096,
      compression: ({ 1: 'none', 2: 'fast', 3: 'high', 8: 'fast' } as const)[threads as 1 | 2 | 3 | 8],
    };
    const first = await built.backup(repository, options, () => {});
    expect(first).toMatchObject({ sourceErrors: 0, tornFiles: 0 });
    clock.aheadMs += 10_000;
    // Another set has no parent: everything is read again, and all of it is known.
    const again = await built.backup(repository, { ...options, set: 'again' }, () => {});
    expect(again).toMatchObject({ sourceErrors: 0, bytesRead: first.bytesRead, newFiles: first.newFiles });
    expect(again.bytesStored).toBeLessThan(slow ? 12_000_000 : 400_000);
    const unchanged = await built.backup(repository, options, () => {});
    expect(unchanged).toMatchObject({ bytesRead: 0, unchangedFiles: first.files });
    const target = temporaryFolder();
    const back = await built.restore(repository, { snapshot: 'latest', path: '', target, threads }, () => {});
    expect(back).toMatchObject({ damaged: 0, failed: 0, files: first.files });
    expect(describeTree(target)).toEqual(describeTree(folder));
  });
});
