/** The table of attacks in docs/testing.md: every test that it names is there. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';

const root = join(import.meta.dirname, '../..');
const text = readFileSync(join(root, 'docs/testing.md'), 'utf8');
const section = /^### Attacks[^\n]*\n([\s\S]*?)^## /m.exec(text)?.[1] ?? '';
const rows = section
  .split('\n')
  .filter((line) => line.startsWith('| ') && !/^\|[^|]*\| File \| Case \|$/.test(line));

test('there is a test for each of many attacks', () => {
  expect(rows.length).toBeGreaterThan(70);
});

test.each(rows)('%s', (row) => {
  const [attack, file, wanted] = row.slice(2, -2).split(' | ');
  expect([attack, file]).toEqual([expect.stringMatching(/./), expect.stringMatching(/^`test[^`]+`$/)]);
  const path = join(root, file!.slice(1, -1));
  expect(existsSync(path), `${path} is not there`).toBe(true);
  const source = readFileSync(path, 'utf8');
  // The name of a case or group in a test, or what a vector or transcript expects.
  const named = path.endsWith('.ts')
    ? new RegExp(`(?:['\`].*${escaped(wanted!)})`).test(source)
    : source.includes(wanted!);
  expect(named, `${file} has no case "${wanted}"`).toBe(true);
});

function escaped(words: string): string {
  return words.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
}
