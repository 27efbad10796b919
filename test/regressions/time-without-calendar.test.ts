/** One snapshot with a time that no calendar has made `list` fail for all of them. */
import { expect, it } from 'vitest';
import { isoTime, when } from '../../src/cli/render/text.ts';

it.each(['8640000000001.000000000', '-9999999999999999.000000000'])('shows %s as it is', (time) => {
  expect(isoTime(time)).toBe(time);
  expect(when(time)).toBe(time);
});
