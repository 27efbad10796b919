/** A name such as `constructor/x` was looked up in the prototype of the table of folders and ended in a TypeError. */
import { expect, it } from 'vitest';
import { parseContainerName } from '../../src/format/names.ts';

it('knows no folder that it was not given', () => {
  for (const name of ['constructor/x', '__proto__/x', 'toString/x', 'hasOwnProperty/x'])
    expect(parseContainerName(name)).toBeUndefined();
});
