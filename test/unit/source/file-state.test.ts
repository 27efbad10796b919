import { closeSync, mkdirSync, openSync, truncateSync, utimesSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { nanosecondsOf, secondsOf } from '../../../src/base/nanoseconds.ts';
import { libc } from '../../../src/platform/libc.ts';
import { FileState, StampList, stampNumbers } from '../../../src/source/file-state.ts';
import { type FileStamp, stampOf } from '../../../src/source/read-file.ts';
import { temporaryFolder } from '../support.ts';

const here = libc() === undefined ? it.skip : it;

function listOf({ size, mtimeNs, ctimeNs, ino }: FileStamp): StampList {
  const list = new StampList(new Float64Array(2 * stampNumbers));
  list.set(1, {
    size,
    mtimeSec: secondsOf(mtimeNs),
    mtimeNsec: nanosecondsOf(mtimeNs),
    ctimeSec: secondsOf(ctimeNs),
    ctimeNsec: nanosecondsOf(ctimeNs),
    ino: ino <= Number.MAX_SAFE_INTEGER ? Number(ino) : ino,
  });
  return list;
}

here('sees what fstat sees, and each change of it', () => {
  const path = join(temporaryFolder(), 'file');
  writeFileSync(path, 'content');
  const fd = openSync(path, 'r+');
  const before = FileState.create()!;
  const after = FileState.create()!;
  // Times before 1970 and beyond 2038, and whole seconds.
  for (const seconds of [-1_000.25, 0, 1_700_000_000.123456, 5_000_000_000]) {
    utimesSync(path, seconds, seconds);
    const stamp = stampOf(fd, path);
    expect(before.load(fd)).toBe(true);
    expect(before).toMatchObject({ isFile: true, size: 7, sparse: false });
    expect(Math.abs(before.ctimeMs - Number(stamp.ctimeNs / 1_000_000n))).toBeLessThan(2);
    expect(listOf(stamp).get(1)).toEqual({ ...stamp, sparse: undefined });
    expect(before.is(listOf(stamp), 1)).toBe(true);
    for (const other of [
      { size: 8 },
      { mtimeNs: stamp.mtimeNs + 1n },
      { mtimeNs: stamp.mtimeNs - 1_000_000_000n },
      { ctimeNs: stamp.ctimeNs + 1n },
      { ctimeNs: stamp.ctimeNs - 1_000_000_000n },
      { ino: stamp.ino + 1n },
      { ino: stamp.ino + (1n << 40n) },
      { ino: stamp.ino + (1n << 63n) },
    ])
      expect(before.is(listOf({ ...stamp, ...other }), 1)).toBe(false);
    expect(after.load(fd)).toBe(true);
    expect(before.equals(after)).toBe(true);
  }
  writeSync(fd, 'more content', 0);
  expect(after.load(fd)).toBe(true);
  expect(before.equals(after)).toBe(false);
  truncateSync(path, 1 << 20);
  expect(after.load(fd)).toBe(true);
  expect(after).toMatchObject({ sparse: true, size: 1 << 20 });
  closeSync(fd);
  expect(after.load(fd)).toBe(false);
});

here('tells a folder from a file', () => {
  const folder = join(temporaryFolder(), 'folder');
  mkdirSync(folder);
  const fd = openSync(folder, 'r');
  const state = FileState.create()!;
  expect(state.load(fd)).toBe(true);
  expect(state.isFile).toBe(false);
  closeSync(fd);
});
