/** The jail stays fast and within its handles however deep folders are nested, and leads nowhere else. */
import { spawnSync } from 'node:child_process';
import { fstatSync, mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { Jail } from '../../../src/target/jail.ts';

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
    expect(performance.now() - started).toBeLessThan(15_000);
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
});

describe('links', () => {
  test('no path leads through a link', () => {
    mkdirSync(join(root, 'b'));
    symlinkSync('b', join(root, 'c'));
    expect(() => jail.at('c/file')).toThrow(/is a link or no folder/);
    expect(String(jail.at('b/file'))).toMatch(/\/file$/);
  });
});
