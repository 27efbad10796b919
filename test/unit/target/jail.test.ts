/** The jail stays fast and within its handles however deep folders are nested, and leads nowhere else. */
import { spawnSync } from 'node:child_process';
import type * as Fs from 'node:fs';
import { fstatSync, mkdirSync, mkdtempSync, renameSync, rmSync, statSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { Jail } from '../../../src/target/jail.ts';

/** Makes any folder look like another one, and counts steps upwards. */
const seen = vi.hoisted(() => ({ devicePlus: 0n, inodePlus: 0n, climbs: 0 }));
vi.mock('node:fs', async (load) => {
  const fs = await load<typeof Fs>();
  return {
    ...fs,
    fstatSync: (fd: number, options?: Fs.StatOptions & { bigint: true }) => {
      if (options === undefined) return fs.fstatSync(fd);
      const stat = fs.fstatSync(fd, options);
      stat.dev += seen.devicePlus;
      stat.ino += seen.inodePlus;
      return stat;
    },
    openSync: (...args: Parameters<typeof fs.openSync>) => {
      if (String(args[0]).endsWith('/..')) seen.climbs += 1;
      return fs.openSync(...args);
    },
  };
});

let root: string;
let jail: Jail;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'backpack-jail-'));
  jail = new Jail(root);
});
afterEach(() => {
  jail.close();
  // A tree this deep has no path that rmSync could use.
  spawnSync('rm', ['-rf', root]);
});

describe('deep folders', () => {
  const depth = 10_000;

  test(`${depth} nested folders are made, and finished from the inside out, in seconds`, () => {
    const paths = Array.from({ length: depth }, (_, i) => `a${'/a'.repeat(i)}`);
    const started = performance.now();
    let made = 0;
    for (const path of paths) made += jail.makeFolder(path) ? 1 : 0;
    expect(made).toBe(depth);
    for (const path of paths.toReversed()) made -= fstatSync(jail.folder(path)).isDirectory() ? 1 : 0;
    expect(made).toBe(0);
    // 0.5 s; it took minutes while each step up went down again from the top.
    expect(performance.now() - started).toBeLessThan(40_000);
  });

  test('going up again leads to the folder that was come through, or is refused', () => {
    const deep = `a${'/a'.repeat(200)}`;
    for (let at = 1; at <= 401; at += 2) jail.makeFolder(deep.slice(0, at));
    jail.folder(deep);
    // Half way up the tree is moved away, and another one put into its place.
    const half = join(root, deep.slice(0, 101));
    const away = `${root}.away`;
    renameSync(half, away);
    symlinkSync('/', half);
    try {
      expect(() => jail.at(`${deep.slice(0, 101)}/file`)).toThrow(/is a link or no folder/);
      expect(() => jail.at(`${deep.slice(0, 103)}/file`)).toThrow(/is a link or no folder/);
      jail.folder(deep.slice(0, 51));
    } finally {
      rmSync(half);
      rmSync(away, { recursive: true });
    }
  });

  test.each(['devicePlus', 'inodePlus'] as const)('another folder above (%s) is not gone on from', (plus) => {
    const deep = `a${'/a'.repeat(200)}`;
    for (let at = 1; at <= 401; at += 2) jail.makeFolder(deep.slice(0, at));
    jail.folder(deep);
    Object.assign(seen, { [plus]: 1n, climbs: 0 });
    try {
      // The next one is looked for from the top.
      const real = jail.real(deep.slice(0, 201));
      expect(statSync(real).ino).toBe(statSync(join(root, deep.slice(0, 201))).ino);
    } finally {
      seen[plus] = 0n;
    }
    expect(seen.climbs).toBe(1);
  });
});

test('a new folder is for its owner only until it has its mode', () => {
  jail.makeFolder('d');
  expect(statSync(join(root, 'd')).mode & 0o7777).toBe(0o700);
});

describe('links', () => {
  test('no path leads through a link', () => {
    mkdirSync(join(root, 'b'));
    symlinkSync('b', join(root, 'c'));
    expect(() => jail.at('c/file')).toThrow(/is a link or no folder/);
    expect(String(jail.at('b/file'))).toMatch(/\/file$/);
  });
});
