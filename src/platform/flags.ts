/**
 * File flags as the letters of chattr. Kept are those that a user can set again; what only tells how the filesystem
 * stores the file (extents, index, inline, encrypted) comes with the filesystem it is restored to.
 */

/** Letter and bit, in the order of lsattr. */
const table: readonly (readonly [string, number])[] = [
  ['s', 0x1],
  ['u', 0x2],
  ['S', 0x8],
  ['D', 0x10000],
  ['i', 0x10],
  ['a', 0x20],
  ['d', 0x40],
  ['A', 0x80],
  ['c', 0x4],
  ['j', 0x4000],
  ['t', 0x8000],
  ['T', 0x20000],
  ['C', 0x800000],
  ['P', 0x20000000],
  ['m', 0x400],
  ['x', 0x2000000],
];

/** All bits that have a letter here. */
export const keptFlags: number = table.reduce((sum, [, bit]) => sum | bit, 0) >>> 0;

/** Letters of the flags that are set. */
export function flagLetters(flags: number): string {
  let letters = '';
  for (const [letter, bit] of table) if ((flags & bit) !== 0) letters += letter;
  return letters;
}

/** Bits of letters; letters without a bit are left out. */
export function flagBits(letters: string): number {
  let bits = 0;
  for (const [letter, bit] of table) if (letters.includes(letter)) bits |= bit;
  return bits >>> 0;
}
