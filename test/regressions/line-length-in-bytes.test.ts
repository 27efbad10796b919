/** A line of 1 MiB with its LF was counted in characters and without the LF, so that longer ones were accepted. */
import { expect, it } from 'vitest';
import { linesOf } from '../../src/format/json-lines.ts';
import { codeOf } from '../unit/support.ts';

it('counts the bytes of a line and its LF', () => {
  const read = (text: string): string => codeOf(() => [...linesOf(text)]);
  expect(read(`${'x'.repeat(1_048_575)}\n`)).toBe('ok');
  expect(read(`${'x'.repeat(1_048_576)}\n`)).toBe('E_LIMIT');
  expect(read(`${'é'.repeat(524_288)}\n`)).toBe('E_LIMIT');
});
