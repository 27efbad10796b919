/** The typed door: memory regions, range checks, zero test and comparison. */
import { expect, it } from 'vitest';
import { Kernel } from '../../../src/kernel/kernel.ts';

const kernel = Kernel.create(1 << 20);
const region = kernel.reserve(200_000);

it('compiles once', () => {
  expect(Kernel.compile()).toBe(Kernel.compile());
});

it('reserves aligned regions that do not touch', () => {
  const other = Kernel.create(100_000);
  const a = other.reserve(100);
  const b = other.reserve(100, 4096);
  const c = other.reserve(1);
  expect([a % 64, b % 4096, c % 64]).toEqual([0, 0, 0]);
  expect(b).toBeGreaterThanOrEqual(a + 164);
  expect(c).toBeGreaterThanOrEqual(b + 164);
  other.reserve(90_000);
  expect(() => other.reserve(4_000_000)).toThrowError(expect.objectContaining({ code: 'BP_KERNEL_MEMORY' }));
  expect(() => other.reserve(Number.NaN)).toThrowError(expect.objectContaining({ code: 'BP_KERNEL_MEMORY' }));
});

it('refuses impossible sizes', () => {
  for (const size of [-1, Number.NaN, 2 ** 31, Number.POSITIVE_INFINITY])
    expect(() => Kernel.create(size)).toThrowError(expect.objectContaining({ code: 'BP_KERNEL_MEMORY' }));
});

it('gives every byte that was asked for', () => {
  for (const size of [0, 1, 65_536, 1_000_000])
    expect(Kernel.create(size).reserve(size)).toBeGreaterThan(65_535);
});

it('keeps kernels inside the memory and out of their own tables', () => {
  const end = kernel.bytes.length;
  const refused = expect.objectContaining({ code: 'BP_INTERNAL' });
  expect(() => kernel.frameEncode(region, 10, 0, false)).toThrowError(refused);
  expect(() => kernel.frameEncode(end - 5, 10, region, false)).toThrowError(refused);
  expect(() => kernel.frameEncode(region, 100, end - 100, false)).toThrowError(refused);
  expect(() => kernel.frameDecode(region, 100, end - 100, 90)).toThrowError(refused);
  expect(() => kernel.frameDecode(region, -1, region, 90)).toThrowError(refused);
  expect(() => kernel.gearCandidates(region, region - 1, region, 1)).toThrowError(refused);
  expect(() => kernel.hashOf(end, 1)).toThrowError(refused);
});

it('finds a single bit anywhere', () => {
  for (let length = 0; length < 200; length++) {
    const at = region + (length % 5);
    kernel.bytes.fill(0xff, region, region + 300);
    kernel.bytes.fill(0, at, at + length);
    expect(kernel.isZero(at, length)).toBe(true);
    expect(kernel.isZero(at, length + 1)).toBe(false);
    for (let bit = 0; bit < length; bit++) {
      kernel.bytes[at + bit] = 0x80;
      if (kernel.isZero(at, length)) throw new Error(`missed byte ${bit} of ${length}`);
      kernel.bytes[at + bit] = 0;
    }
  }
});

it('finds a single difference anywhere', () => {
  const other = region + 1003;
  for (let length = 0; length < 200; length++) {
    for (let i = 0; i <= length; i++) kernel.bytes[region + i] = kernel.bytes[other + i] = i * 7;
    kernel.bytes[other + length] = 1 + length * 7;
    expect(kernel.equal(region, other, length)).toBe(true);
    expect(kernel.equal(region, other, length + 1)).toBe(false);
    for (let at = 0; at < length; at++) {
      const byte = kernel.bytes[other + at] as number;
      kernel.bytes[other + at] = byte ^ 1;
      if (kernel.equal(region, other, length)) throw new Error(`missed byte ${at} of ${length}`);
      kernel.bytes[other + at] = byte;
    }
  }
});
