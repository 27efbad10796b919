/** What the walk says of paths, beside what rules leave out (filter.test.ts). */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { pathMax } from '../../../src/base/limits.ts';
import { Filter } from '../../../src/source/filter.ts';
import { rootOf, type SourceRoot, walk } from '../../../src/source/walk.ts';
import { temporaryFolder } from '../support.ts';

/** Stored paths of what is found, and codes of what is not. */
const found = (roots: readonly SourceRoot[]): string[] =>
  [...walk(roots, new Filter())].map((item) => ('code' in item ? item.code : item.stored));

it('a path that a snapshot has no place for is told; the longest one is stored', () => {
  const real = temporaryFolder();
  const longest = 'x'.repeat(pathMax);
  expect(found([{ real, stored: longest }])).toEqual([longest]);
  expect(found([{ real, stored: `${longest}x` }])).toEqual(['ENAMETOOLONG']);
});

it('folders above several roots come once each, before what is in them', () => {
  const top = temporaryFolder();
  for (const name of ['p/a/1', 'p/b/q/2', 'p/b/r/3']) {
    mkdirSync(join(top, name, '..'), { recursive: true });
    writeFileSync(join(top, name), name);
  }
  const roots = ['p/a', 'p/b/q', 'p/b/r'].map((path) => rootOf(path, top));
  expect(found(roots)).toEqual(['p', 'p/a', 'p/a/1', 'p/b', 'p/b/q', 'p/b/q/2', 'p/b/r', 'p/b/r/3']);
});
