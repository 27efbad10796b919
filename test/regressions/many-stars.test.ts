/** Patterns with many stars, and names that match them nearly, took for ever. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { Filter } from '../../src/source/filter.ts';
import { patternRule } from '../../src/source/pattern.ts';
import { rootOf, walk } from '../../src/source/walk.ts';
import { temporaryFolder } from '../unit/support.ts';

const place = { cwd: '/', home: '/' };

/** What is left out of some names in a folder. */
function leftOut(folder: string, pattern?: string): string[] {
  const rules =
    pattern === undefined
      ? []
      : [patternRule(pattern, { include: false, nocase: false, label: pattern }, place)];
  return [...walk([rootOf(folder, '/')], new Filter({ rules }))].flatMap((item) =>
    'code' in item ? [item.real.slice(folder.length + 1)] : [],
  );
}

it('of the command line', () => {
  const folder = temporaryFolder();
  writeFileSync(join(folder, 'a'.repeat(250)), '');
  writeFileSync(join(folder, `${'a'.repeat(249)}b`), '');
  const started = performance.now();
  expect(leftOut(folder, `${'*a'.repeat(20)}*b`)).toEqual([`${'a'.repeat(249)}b`]);
  expect(leftOut(folder, `${'*?a'.repeat(20)}*[bc]*d`)).toEqual([]);
  expect(performance.now() - started).toBeLessThan(5000);
});

it('of .backpackignore: such lines are not used', () => {
  const folder = temporaryFolder();
  const deep = Array.from({ length: 300 }, () => 'a').join('/');
  mkdirSync(join(folder, deep), { recursive: true });
  writeFileSync(join(folder, deep, 'x'), '');
  writeFileSync(join(folder, 'a'.repeat(250)), '');
  const slow = ['*a*a*a*ab', '*a*a*a*a*a*b', '**/a/**/a/**/a/**/a/x/y', 'a/**/a/**/a/**/x'];
  const quick = ['*a*a*b', 'a/**/b/**/x', '**/y/**/*.o', 'q/**/'];
  const warnings: string[] = [];
  writeFileSync(join(folder, '.backpackignore'), [...slow, ...quick].join('\n'));
  const filter = new Filter({}, { onIgnored: (_, message) => warnings.push(message) });
  const started = performance.now();
  const items = [...walk([rootOf('.', folder)], filter)];
  expect(items.length).toBe(303);
  expect(warnings).toEqual([expect.stringMatching(/^4 of its rules/)]);
  expect(performance.now() - started).toBeLessThan(5000);
});

it('means the same as with retries', () => {
  const piece = fc.constantFrom('*', '*', 'a', 'b', '?', '[ab]', '.', '1');
  const pattern = fc.array(piece, { minLength: 4, maxLength: 9 }).map((parts) => parts.join(''));
  const name = fc
    .array(fc.constantFrom('a', 'b', '.', '1'), { minLength: 1, maxLength: 9 })
    .map((c) => c.join(''));
  const folder = temporaryFolder();
  const names = fc.sample(fc.uniqueArray(name, { minLength: 60, maxLength: 60 }), {
    numRuns: 1,
    seed: 1,
  })[0]!;
  const usable = names.filter((one) => one !== '.' && one !== '..');
  for (const one of usable) writeFileSync(join(folder, one), '');
  fc.assert(
    fc.property(pattern, (text) => {
      const source = text.replaceAll('.', '\\.').replaceAll('?', '[^/]').replaceAll(/\*+/g, '.*');
      const slow = new RegExp(`^${source}$`);
      expect(leftOut(folder, text).sort()).toEqual(usable.filter((one) => slow.test(one)).sort());
    }),
    { numRuns: 500 },
  );
});
