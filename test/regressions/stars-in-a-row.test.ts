/** `**` three times in a row, which means what one means, made a line of .backpackignore one that is not used. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { Filter } from '../../src/source/filter.ts';
import { rootOf, walk } from '../../src/source/walk.ts';
import { temporaryFolder } from '../unit/support.ts';

it.each([
  ['**/**/**/a', ['a', 'x/a', 'x/y/a']],
  ['!**/**/**/a', []],
  ['x/**/**/**/**/a', ['x/a', 'x/y/a']],
  ['/**/**/**/y/**/**/a', ['x/y/a']],
  ['x/**/**/**/', ['x/y/a']],
  ['**/**/**', ['a', 'b', 'x/a', 'x/y/a', '.backpackignore']],
])('%s', (line, left) => {
  const folder = temporaryFolder();
  mkdirSync(join(folder, 'x/y'), { recursive: true });
  const files = ['a', 'b', 'x/a', 'x/y/a'];
  for (const file of files) writeFileSync(join(folder, file), '');
  writeFileSync(join(folder, '.backpackignore'), `${line}\n`);
  const warnings: string[] = [];
  const filter = new Filter({}, { onIgnored: (_, message) => warnings.push(message) });
  const items = [...walk([rootOf(folder, '/')], filter)].filter((item) => !('code' in item));
  const stored = new Set(items.map((item) => item.real.slice(folder.length + 1)));
  expect([...files, '.backpackignore'].filter((file) => !stored.has(file))).toEqual(left);
  expect(warnings).toEqual([]);
});
