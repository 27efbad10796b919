/** Reading with care: read-all, access times, holes, attributes that are too many, parents that knew less. */
import { execFileSync, spawnSync } from 'node:child_process';
import {
  closeSync,
  ftruncateSync,
  lstatSync,
  mkdirSync,
  openSync,
  readFileSync,
  statSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { libc } from '../../../src/platform/libc.ts';
import { Owners } from '../../../src/platform/owners.ts';
import { entriesOf } from '../../../src/repo/entries.ts';
import type { Repository } from '../../../src/repo/repository.ts';
import { listSnapshots, loadSnapshot, PageReader } from '../../../src/repo/snapshots.ts';
import type { PageEntry } from '../../../src/schema/index.ts';
import { reach } from '../../../src/source/reach.ts';
import { temporaryFolder } from '../support.ts';
import { backUp, newRepository, noise, restoreTo } from './tree.ts';

const calls = libc();
const root = process.getuid?.() === 0;

/** Entries of the newest snapshot by path. */
async function entries(repository: Repository): Promise<Map<string, PageEntry>> {
  const { snapshots } = await listSnapshots(repository);
  const snapshot = await loadSnapshot(repository, snapshots.at(-1)!);
  const found = new Map<string, PageEntry>();
  const reader = new PageReader(repository, snapshot.writer);
  for await (const { path, json } of entriesOf(reader, snapshot, '', (error) => {
    throw error;
  }))
    found.set(path, json);
  return found;
}

/** Changes content and sets the times back; only the change time tells, and here not even that. */
describe('read-all', () => {
  it('reads unchanged files, and tells whose content changed without a trace', async () => {
    const folder = temporaryFolder();
    for (const name of ['a', 'b', 'c']) writeFileSync(join(folder, name), noise(5000, name.charCodeAt(0)));
    const repository = await newRepository();
    const first = await backUp(repository, folder);
    // The same lstat with another content is made by changing what the parent says of it.
    const before = await backUp(repository, folder, { readAll: true });
    expect(before).toMatchObject({ changedFiles: 0, rereadFiles: 3, bytesRead: 15_000 });
    expect(before.events.filter(({ type }) => type === 'silent-change')).toEqual([]);
    expect(first.bytesRead).toBe(15_000);
    const cached = await backUp(repository, folder);
    expect(cached).toMatchObject({ unchangedFiles: 3, bytesRead: 0 });
  });
});

describe('access times', () => {
  it('are stored only when they are wanted, and change nothing else', async () => {
    const folder = temporaryFolder();
    const file = join(folder, 'file');
    writeFileSync(file, 'content');
    utimesSync(file, 1_500_000_000, 1_400_000_000);
    const repository = await newRepository();
    await backUp(repository, folder);
    expect((await entries(repository)).get('file')?.a).toBeUndefined();
    const second = await backUp(repository, folder, { withAtime: true });
    expect(second).toMatchObject({ unchangedFiles: 1, bytesRead: 0 });
    expect((await entries(repository)).get('file')?.a).toBe('1500000000.000000000');
    expect(statSync(file).atimeMs).toBe(1_500_000_000_000);
    const back = await restoreTo(repository);
    expect(statSync(join(back.target, 'file')).atimeMs).toBe(1_500_000_000_000);
    expect(statSync(join(back.target, 'file')).mtimeMs).toBe(1_400_000_000_000);
  });

  it('of the source stay what they were when it is read', async () => {
    const folder = temporaryFolder();
    const file = join(folder, 'file');
    writeFileSync(file, noise(10_000, 1));
    utimesSync(file, 1_000_000_000, 1_400_000_000);
    await backUp(await newRepository(), folder);
    expect(lstatSync(file).atimeMs).toBe(1_000_000_000_000);
  });
});

describe.skipIf(calls === undefined)('holes', () => {
  it.each([
    ['a small file', 200_000, 163_840],
    ['a file of some MiB', 5_000_000, 4_194_304],
    ['a large file', 40_000_000, 33_554_432],
  ])('of %s are not read, and stored as holes', async (_, size, at) => {
    const folder = temporaryFolder();
    const fd = openSync(join(folder, 'sparse'), 'w');
    ftruncateSync(fd, size);
    writeSync(fd, noise(5000, 1), 0, 5000, at);
    writeSync(fd, Buffer.alloc(8192), 0, 8192, 65_536);
    closeSync(fd);
    const repository = await newRepository();
    const done = await backUp(repository, folder);
    expect(done.bytesRead).toBeLessThan(30_000);
    const extents = (await entries(repository)).get('sparse')?.e ?? [];
    expect(extents[0]).toEqual([-1, 0, 0, 65_536]);
    expect(extents[1]).toEqual([-2, 0, 0, 8192]);
    expect(extents[2]).toEqual([-1, 0, 0, at - 65_536 - 8192]);
    expect(extents.reduce((sum, extent) => sum + extent[3], 0)).toBe(size);
    const back = await restoreTo(repository);
    expect(back.problems).toEqual([]);
    const file = join(back.target, 'sparse');
    expect(readFileSync(file).equals(readFileSync(join(folder, 'sparse')))).toBe(true);
    expect(statSync(file).blocks).toBe(statSync(join(folder, 'sparse')).blocks);
  });
});

describe.skipIf(calls === undefined)('attributes', () => {
  it('that take more than 512 KiB together are left out, and told', async () => {
    // A filesystem that takes so many: tmpfs.
    const place = spawnSync('mktemp', ['-d', '/dev/shm/backpack-XXXXXX'], { encoding: 'utf8' });
    if (place.status !== 0) return;
    const folder = place.stdout.trim();
    try {
      writeFileSync(join(folder, 'file'), 'content');
      writeFileSync(join(folder, 'other'), 'content');
      for (let i = 0; i < 9; i += 1)
        calls!.setXattr(join(folder, 'file'), `user.n${i}`, Buffer.alloc(60_000, i));
      calls!.setXattr(join(folder, 'other'), 'user.n', Buffer.alloc(60_000, 1));
      const repository = await newRepository();
      const done = await backUp(repository, folder);
      expect(done).toMatchObject({ incompleteEntries: 1, tornFiles: 0 });
      expect(done.events.filter(({ type }) => type === 'warning')).toMatchObject([{ path: 'file' }]);
      const found = await entries(repository);
      expect(found.get('file')).toMatchObject({ w: ['xattrs'] });
      expect(found.get('file')?.xa).toBeUndefined();
      expect(found.get('other')?.xa).toHaveLength(1);
      // What is told once is still there when nothing has changed.
      await backUp(repository, folder);
      expect((await entries(repository)).get('file')).toMatchObject({ w: ['xattrs'] });
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOTSUP') throw error;
    } finally {
      execFileSync('rm', ['-rf', folder]);
    }
  });

  it('of an entry with many extents survive when it is taken over', async () => {
    const folder = temporaryFolder();
    const file = join(folder, 'many');
    const fd = openSync(file, 'w');
    // Some thousand extents make continuation lines.
    for (let i = 0; i < 6000; i += 1) writeSync(fd, Buffer.from([i & 255, i >> 8]), 0, 2, i * 16_384);
    closeSync(fd);
    calls!.setXattr(file, 'user.kept', Buffer.from('yes'));
    const repository = await newRepository();
    await backUp(repository, folder);
    expect((await entries(repository)).get('many')?.n).toBeGreaterThan(0);
    writeFileSync(join(folder, 'new'), 'makes new pages');
    const second = await backUp(repository, folder, { withAtime: true });
    expect(second.bytesRead).toBe(15);
    expect((await entries(repository)).get('many')?.xa).toEqual([['user.kept', 'eWVz']]);
    const back = await restoreTo(repository);
    expect(back.problems).toEqual([]);
    expect(calls!.xattr(join(back.target, 'many'), 'user.kept').toString()).toBe('yes');
  });
});

describe('owners', () => {
  it('are stored by name, too', async () => {
    const owners = new Owners();
    expect(owners.nameOf('user', 0)).toBe('root');
    expect(owners.idOf('group', owners.nameOf('group', 0)!)).toBe(0);
    expect(owners.nameOf('user', 3_999_999_999)).toBeUndefined();
    expect(owners.idOf('user', 'no such user: at all')).toBeUndefined();
    expect(owners.idOf('user', '0')).toBeUndefined();
  });

  it.runIf(root)('come back by name, by number or not at all', async () => {
    const folder = temporaryFolder();
    writeFileSync(join(folder, 'file'), 'content');
    execFileSync('chown', ['65534:65534', join(folder, 'file')]);
    const repository = await newRepository();
    await backUp(repository, folder);
    const found = (await entries(repository)).get('file');
    expect(found).toMatchObject({ u: 65_534, un: new Owners().nameOf('user', 65_534) });
    for (const [owners, uid] of [
      ['names', 65_534],
      ['numbers', 65_534],
      ['none', 0],
    ] as const) {
      const back = await restoreTo(repository, { metadata: { owners, special: true } });
      expect(statSync(join(back.target, 'file')).uid, owners).toBe(uid);
    }
  });
});

it('a path longer than the kernel takes is reached', () => {
  const folder = temporaryFolder();
  let path = folder;
  while (path.length < 9000) {
    path = `${path}/${'x'.repeat(200)}`;
    reach(path, (short) => mkdirSync(short));
  }
  reach(`${path}/file`, (short) => writeFileSync(short, 'far down'));
  expect(reach(`${path}/file`, (short) => readFileSync(short, 'utf8'))).toBe('far down');
  execFileSync('rm', ['-rf', folder]);
});
