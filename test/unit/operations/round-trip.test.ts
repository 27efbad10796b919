/** Backup and restore inline over a storage in memory: what comes back is what was there. */
import {
  appendFileSync,
  mkdirSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  unlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { listSnapshots, loadSnapshot } from '../../../src/repo/snapshots.ts';
import { rootOf } from '../../../src/source/walk.ts';
import { MemoryStorage } from '../../../src/storage/index.ts';
import { codeOfAsync, temporaryFolder } from '../support.ts';
import { at, backUp, describeTree, hostileTree, newRepository, noise, restoreTo, TestClock } from './tree.ts';

async function pagesOf(repository: Awaited<ReturnType<typeof newRepository>>): Promise<string[]> {
  const { snapshots } = await listSnapshots(repository);
  const snapshot = await loadSnapshot(repository, snapshots.at(-1)!);
  return snapshot.pages.map(({ pack, record }) => `${pack} ${record}`);
}

describe('a tree of everything awkward', () => {
  it('comes back as it was', async () => {
    const folder = hostileTree();
    const repository = await newRepository();
    const done = await backUp(repository, folder);
    expect(done).toMatchObject({ sourceErrors: 0, tornFiles: 0 });
    const back = await restoreTo(repository);
    expect(back.problems).toEqual([]);
    expect(back).toMatchObject({ damaged: 0, failed: 0, files: done.files });
    expect(describeTree(back.target)).toEqual(describeTree(folder));
  });

  it('is not read again when nothing changed, and all pages stay', async () => {
    const folder = hostileTree();
    const repository = await newRepository();
    const clock = new TestClock();
    const first = await backUp(repository, folder, { clock });
    const pages = await pagesOf(repository);
    clock.aheadMs += 10_000;
    const second = await backUp(repository, folder, { clock });
    expect(second).toMatchObject({
      bytesRead: 0,
      newFiles: 0,
      changedFiles: 0,
      unchangedFiles: first.files,
      parents: [first.snapshotId],
    });
    expect(await pagesOf(repository)).toEqual(pages);
    expect(second.bytesStored).toBeLessThan(30_000);
    expect(describeTree((await restoreTo(repository)).target)).toEqual(describeTree(folder));
  });

  it('is read again within the resolution of clocks, and still nothing is stored', async () => {
    const folder = hostileTree();
    const repository = await newRepository();
    const clock = new TestClock();
    clock.aheadMs = 0;
    await backUp(repository, folder, { clock });
    const pages = await pagesOf(repository);
    const second = await backUp(repository, folder, { clock });
    expect(second.bytesRead).toBeGreaterThan(10_000_000);
    expect(second.bytesAdded).toBe(0);
    expect(second.bytesStored).toBeLessThan(30_000);
    expect(await pagesOf(repository)).toEqual(pages);
  });

  it('has the same content with any pack size', async () => {
    const folder = hostileTree();
    const expected = describeTree(folder);
    for (const packSize of [64 * 1024, 1024 * 1024, 64 * 1024 * 1024]) {
      const repository = await newRepository();
      await backUp(repository, folder, { packSize });
      const back = await restoreTo(repository);
      expect(back.problems).toEqual([]);
      expect(describeTree(back.target)).toEqual(expected);
    }
  });

  it('has the same content when the catalog forgets everything', async () => {
    const folder = hostileTree();
    const repository = await newRepository();
    await backUp(repository, folder, { catalogBytes: 44 });
    expect(describeTree((await restoreTo(repository)).target)).toEqual(describeTree(folder));
  });
});

describe('changes', () => {
  it('of every kind are found', async () => {
    const folder = temporaryFolder();
    for (let i = 0; i < 20; i += 1) writeFileSync(join(folder, `f${i}`), `file ${i}`);
    mkdirSync(join(folder, 'd'));
    writeFileSync(join(folder, 'd/x'), 'x');
    const repository = await newRepository();
    const clock = new TestClock();
    await backUp(repository, folder, { clock });
    clock.aheadMs += 10_000;
    appendFileSync(join(folder, 'f1'), 'more');
    unlinkSync(join(folder, 'f2'));
    renameSync(join(folder, 'f3'), join(folder, 'renamed'));
    utimesSync(join(folder, 'f4'), 5, 5);
    writeFileSync(join(folder, 'new'), 'new');
    rmSync(join(folder, 'd'), { recursive: true });
    symlinkSync('f0', join(folder, 'd'));
    const done = await backUp(repository, folder, { clock });
    expect(done).toMatchObject({ newFiles: 2, changedFiles: 2, unchangedFiles: 16 });
    expect(describeTree((await restoreTo(repository)).target)).toEqual(describeTree(folder));
    expect((await restoreTo(repository, { snapshot: 'latest~1' })).files).toBe(21);
  });

  it('of one byte at the front of 32 MiB store little', async () => {
    const folder = temporaryFolder();
    const bytes = noise(32 * 1024 * 1024, 7);
    writeFileSync(join(folder, 'file'), bytes);
    const repository = await newRepository();
    const clock = new TestClock();
    expect((await backUp(repository, folder, { clock })).bytesStored).toBeGreaterThan(32 * 1024 * 1024);
    clock.aheadMs += 10_000;
    writeFileSync(join(folder, 'file'), Buffer.concat([Buffer.from('!'), bytes]));
    const second = await backUp(repository, folder, { clock });
    expect(second.bytesRead).toBeGreaterThan(32 * 1024 * 1024);
    expect(second.bytesStored).toBeLessThan(4.5 * 1024 * 1024);
    expect(describeTree((await restoreTo(repository)).target)).toEqual(describeTree(folder));
  });

  it('many entries: one new name rewrites at most two pages', async () => {
    const folder = temporaryFolder();
    for (let d = 0; d < 40; d += 1) {
      mkdirSync(join(folder, `dir-${d}`));
      for (let i = 0; i < 120; i += 1)
        writeFileSync(join(folder, `dir-${d}/${i} ${'long '.repeat(24)}`), `${d} ${i}`);
    }
    const repository = await newRepository();
    const clock = new TestClock();
    await backUp(repository, folder, { clock });
    const before = await pagesOf(repository);
    expect(before.length).toBeGreaterThan(3);
    clock.aheadMs += 10_000;
    const stat = statSync(join(folder, 'dir-20'));
    writeFileSync(join(folder, 'dir-20/new'), 'new');
    utimesSync(join(folder, 'dir-20'), stat.atime, stat.mtime);
    await backUp(repository, folder, { clock });
    const after = await pagesOf(repository);
    expect(after.filter((page) => !before.includes(page)).length).toBeLessThanOrEqual(2);
    expect(describeTree((await restoreTo(repository)).target)).toEqual(describeTree(folder));
  });
});

describe('part of a snapshot', () => {
  it('is restored with the folders above it', async () => {
    const folder = temporaryFolder();
    mkdirSync(join(folder, 'a/b/c'), { recursive: true });
    for (const name of ['a/b/c/1', 'a/b/c/2', 'a/b/x', 'a/b-c', 'y']) writeFileSync(join(folder, name), name);
    const repository = await newRepository();
    await backUp(repository, folder);
    const back = await restoreTo(repository, { path: 'a/b' });
    expect(describeTree(back.target).map((line) => line.split(' ')[1])).toEqual([
      '"a"',
      '"a/b"',
      '"a/b/c"',
      '"a/b/c/1"',
      '"a/b/c/2"',
      '"a/b/x"',
    ]);
    expect((await restoreTo(repository, { path: 'a/b/c/2' })).files).toBe(1);
    expect(await codeOfAsync(() => restoreTo(repository, { path: 'a/nothing' }))).toBe('BP_NO_PATH');
  });

  it('of an absolute root has the ancestors, marked as such', async () => {
    const folder = temporaryFolder();
    mkdirSync(join(folder, 'sub'));
    writeFileSync(join(folder, 'sub/file'), 'x');
    const repository = await newRepository();
    await backUp(repository, folder, { roots: [rootOf(join(folder, 'sub'), '/')] });
    const back = await restoreTo(repository);
    expect(back.problems).toEqual([]);
    expect(statSync(join(back.target, folder, 'sub/file')).size).toBe(1);
  });

  it('of two roots below one folder has that folder once', async () => {
    const folder = temporaryFolder();
    for (const name of ['p/a/1', 'p/b/2']) {
      mkdirSync(join(folder, name, '..'), { recursive: true });
      writeFileSync(join(folder, name), name);
    }
    const repository = await newRepository();
    const done = await backUp(repository, folder, { roots: [rootOf('p/a', folder), rootOf('p/b', folder)] });
    expect(done).toMatchObject({ files: 2, otherEntries: 3, sourceErrors: 0 });
    expect((await restoreTo(repository)).files).toBe(2);
  });
});

describe('the target', () => {
  it('keeps what is there already', async () => {
    const folder = temporaryFolder();
    writeFileSync(join(folder, 'a'), 'new');
    writeFileSync(join(folder, 'b'), noise(9_000_000, 1));
    symlinkSync('elsewhere', join(folder, 'c'));
    const repository = await newRepository();
    await backUp(repository, folder);
    const target = temporaryFolder();
    for (const name of ['a', 'b', 'c']) writeFileSync(join(target, name), 'old');
    const before = describeTree(target);
    const back = await restoreTo(repository, { target });
    expect(back.problems.map(({ path, code }) => `${path} ${code}`).sort()).toEqual([
      'a BP_TARGET_EXISTS',
      'b BP_TARGET_EXISTS',
      'c BP_TARGET_EXISTS',
    ]);
    expect(describeTree(target)).toEqual(before);
  });

  it('is never left through a link that is in it', async () => {
    const folder = temporaryFolder();
    mkdirSync(join(folder, 'd'));
    writeFileSync(join(folder, 'd/file'), 'x');
    writeFileSync(join(folder, 'd/large'), noise(9_000_000, 1));
    mkdirSync(join(folder, 'd/sub'));
    symlinkSync('x', join(folder, 'd/link'));
    const repository = await newRepository();
    await backUp(repository, folder);
    const outside = temporaryFolder();
    const target = temporaryFolder();
    symlinkSync(outside, join(target, 'd'));
    const back = await restoreTo(repository, { target });
    expect(describeTree(outside)).toEqual([]);
    expect(new Set(back.problems.map(({ code }) => code))).toEqual(new Set(['BP_TARGET_ESCAPE']));
    expect(back.files).toBe(0);
  });

  it('takes a large file whose name is as long as a name can be', async () => {
    const folder = temporaryFolder();
    writeFileSync(at(folder, 'n'.repeat(255)), noise(9_000_000, 1));
    const repository = await newRepository();
    await backUp(repository, folder);
    const back = await restoreTo(repository);
    expect(back.problems).toEqual([]);
    expect(describeTree(back.target)).toEqual(describeTree(folder));
  });
});

describe('packs', () => {
  it('hold each content once', async () => {
    const folder = temporaryFolder();
    for (let i = 0; i < 10; i += 1) writeFileSync(join(folder, `f${i}`), noise(2_000_000, 1));
    for (let i = 0; i < 10; i += 1) writeFileSync(join(folder, `s${i}`), noise(20_000, 2));
    const storage = new MemoryStorage();
    const done = await backUp(await newRepository(storage), folder);
    expect(done.bytesStored).toBeLessThan(2_100_000);
  });

  it('of tiny files are few: a million files would not overfill a table', async () => {
    const folder = temporaryFolder();
    for (let i = 0; i < 3000; i += 1) writeFileSync(join(folder, `f${i}`), `${i}`);
    const storage = new MemoryStorage();
    const repository = await newRepository(storage);
    await backUp(repository, folder);
    expect([...storage.objects.keys()].filter((name) => name.startsWith('packs/')).length).toBe(2);
    expect((await restoreTo(repository)).files).toBe(3000);
  });
});
