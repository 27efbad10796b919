/** Attributes that cannot be read are told; those that are gone are none. */
import { expect, it } from 'vitest';
import type { Libc } from '../../../src/platform/libc.ts';
import { readExtras } from '../../../src/source/extras.ts';

const failing = (code: string): (() => never) => {
  return () => {
    throw Object.assign(new Error(code), { code });
  };
};

it.each([
  ['EIO', true],
  ['EACCES', true],
  ['ENODATA', false],
  ['ENOENT', false],
])('%s: incomplete is %s', (code, incomplete) => {
  const good = Buffer.from('value');
  const xattr = (_: unknown, name: string): Buffer => (name === 'user.bad' ? failing(code)() : good);
  const one = { xattrNames: () => ['user.bad', 'user.good'], xattr } as Partial<Libc> as Libc;
  expect(readExtras(one, 0)).toEqual({ xattrs: [{ name: 'user.good', value: good }], flags: '', incomplete });
  const all = { xattrNames: failing(code) } as Partial<Libc> as Libc;
  expect(readExtras(all, 0).incomplete).toBe(incomplete);
});
