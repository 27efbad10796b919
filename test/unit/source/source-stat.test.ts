import { spawnSync } from 'node:child_process';
import { chmodSync, linkSync, lstatSync, mkdirSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { libc } from '../../../src/platform/libc.ts';
import { deviceNumbers, fromNode, lstat } from '../../../src/source/source-stat.ts';
import { temporaryFolder } from '../support.ts';

const here = libc() === undefined ? it.skip : it;

/** Both forms of what is at a path. */
function both(path: string | Buffer): [unknown, unknown] {
  return [lstat(path), fromNode(lstatSync(path, { bigint: true }))];
}

here('says the same in both forms, of every type of entry', async () => {
  const folder = temporaryFolder();
  const at = (name: string): string => join(folder, name);
  writeFileSync(at('file'), 'content');
  chmodSync(at('file'), 0o4751);
  linkSync(at('file'), at('other name'));
  mkdirSync(at('folder'), 0o1777);
  symlinkSync('nowhere', at('link'));
  writeFileSync(at('sparse'), '');
  truncateSync(at('sparse'), 5 * 2 ** 40);
  spawnSync('mkfifo', [at('fifo')]);
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(at('socket'), resolve));
  const types: Record<string, string> = {};
  for (const name of ['file', 'other name', 'folder', 'link', 'sparse', 'fifo', 'socket']) {
    const [kernel, node] = both(at(name));
    expect(kernel, name).toEqual(node);
    types[name] = lstat(at(name)).type;
  }
  server.close();
  expect(Object.values(types).join('')).toBe('ffdlfps');
  expect(lstat(at('file'))).toMatchObject({ mode: 0o4751, nlink: 2, size: 7, sparse: false });
  expect(lstat(at('sparse'))).toMatchObject({ size: 5 * 2 ** 40, sparse: true });
  for (const path of ['/dev/null', '/proc/self/status', '/sys', '/']) {
    const [kernel, node] = both(path);
    const times = { atimeSec: 0, atimeNsec: 0, mtimeSec: 0, mtimeNsec: 0, ctimeSec: 0, ctimeNsec: 0 };
    expect(Object.assign({}, kernel, times), path).toEqual(Object.assign({}, node, times));
  }
  expect(lstat('/dev/null').type).toBe('c');
  expect(deviceNumbers(lstat('/dev/null').rdev)).toEqual([1, 3]);
});

here('says the same of times before 1970 and after 2038', () => {
  const path = join(temporaryFolder(), 'file');
  writeFileSync(path, '');
  for (const time of [-1, -1_000_000.75, -0.000_001, 0, 1.5, 2 ** 31, 5_000_000_000.25]) {
    // Node takes times before 1970 for now.
    expect(spawnSync('touch', ['-d', `@${time.toFixed(6)}`, path]).status).toBe(0);
    const [kernel, node] = both(path);
    expect(kernel, String(time)).toEqual(node);
    const { mtimeSec, mtimeNsec } = lstat(path);
    expect(Math.abs(mtimeSec + mtimeNsec / 1e9 - time)).toBeLessThan(1e-5);
  }
});

here('takes names of bytes, and refuses what the kernel would cut off', () => {
  const name = Buffer.concat([Buffer.from(`${temporaryFolder()}/`), Buffer.from([0xff, 0x0a, 0x80])]);
  writeFileSync(name, 'x');
  const [kernel, node] = both(name);
  expect(kernel).toEqual(node);
  expect(() => lstat('/dev/null\0/and more')).toThrow(/null bytes/);
  expect(() => lstat('/nowhere')).toThrow(expect.objectContaining({ code: 'ENOENT', syscall: 'lstat' }));
});

it('keeps numbers that a plain one cannot hold', () => {
  const stat = lstatSync('/', { bigint: true });
  const of = (ino: bigint): unknown => fromNode(Object.assign(Object.create(stat), { ino })).ino;
  expect(of(2n ** 53n - 1n)).toBe(2 ** 53 - 1);
  expect(of(2n ** 53n + 1n)).toBe(2n ** 53n + 1n);
  expect(of(2n ** 64n - 1n)).toBe(2n ** 64n - 1n);
});
