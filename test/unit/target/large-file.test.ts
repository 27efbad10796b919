/** A large file has the bytes that were written, whichever of them could go past the page cache. */
import { randomBytes } from 'node:crypto';
import type * as Fs from 'node:fs';
import { closeSync, ftruncateSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { Jail } from '../../../src/target/jail.ts';
import { LargeFile, pageBytes } from '../../../src/target/large-file.ts';
import { createFile } from '../../../src/target/write-file.ts';

const { refuse, direct } = vi.hoisted(() => ({
  refuse: { after: Number.POSITIVE_INFINITY },
  direct: { fds: new Set<number>(), writes: 0 },
}));

vi.mock('node:fs', async (load) => {
  const fs = await load<typeof Fs>();
  return {
    ...fs,
    openSync: (...args: Parameters<typeof fs.openSync>) => {
      const fd = fs.openSync(...args);
      if (((args[1] as number) & fs.constants.O_DIRECT) !== 0) direct.fds.add(fd);
      else direct.fds.delete(fd);
      return fd;
    },
    writeSync: (fd: number, ...rest: [Uint8Array, number, number, number]) => {
      if (direct.fds.has(fd)) {
        if (direct.writes >= refuse.after) throw Object.assign(new Error('EINVAL'), { code: 'EINVAL' });
        direct.writes += 1;
      }
      return fs.writeSync(fd, ...rest);
    },
  };
});

const sizeBytes = 21_000_000;
let root: string;
let jail: Jail;
const content = randomBytes(sizeBytes);
// Memory of WebAssembly begins on a page, as the workers' does.
const memory = new Uint8Array(new WebAssembly.Memory({ initial: 512 }).buffer);

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'backpack-large-'));
  jail = new Jail(root);
  direct.writes = 0;
  refuse.after = Number.POSITIVE_INFINITY;
  const fd = createFile(jail, 'file');
  ftruncateSync(fd, sizeBytes);
  closeSync(fd);
});
afterEach(() => {
  jail.close();
  rmSync(root, { recursive: true });
});

/** Writes the content in parts of odd lengths, the last first, each as far behind a page in memory as in the file. */
function writeParts(shiftBy = 0): void {
  const [a, b] = [new LargeFile(jail, 'file'), new LargeFile(jail, 'file')];
  const cuts = [0, 8_388_607, 8_388_608, 8_389_000, 16_777_213, sizeBytes];
  for (let i = cuts.length - 2; i >= 0; i -= 1) {
    const [from, to] = [cuts[i]!, cuts[i + 1]!];
    const at = (from % pageBytes) + shiftBy;
    memory.set(content.subarray(from, to), at);
    (i % 2 === 0 ? a : b).write(memory.subarray(at, at + to - from), from);
  }
  a.close();
  b.close();
}

test('parts of any length, by two writers; whole pages directly where the filesystem can', () => {
  writeParts();
  expect(readFileSync(join(root, 'file')).equals(content)).toBe(true);
  if (direct.fds.size > 0) expect(direct.writes).toBeGreaterThanOrEqual(3);
});

test('memory with other boundaries than the file', () => {
  writeParts(17);
  expect(direct.writes).toBe(0);
  expect(readFileSync(join(root, 'file')).equals(content)).toBe(true);
});

test.each([0, 1])('a filesystem that refuses direct writes after %i of them', (after) => {
  refuse.after = after;
  writeParts();
  expect(readFileSync(join(root, 'file')).equals(content)).toBe(true);
});

test('a link is not written to', () => {
  symlinkSync('file', join(root, 'link'));
  expect(() => new LargeFile(jail, 'link')).toThrow(/ELOOP/);
});
