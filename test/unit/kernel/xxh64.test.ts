/** XXH64 against xxhash-wasm and xxhsum; streaming, copied states, zero runs. XXH32 against lz4js. */
import { hash as xxh32 } from 'lz4js/xxh32.js';
import { expect, it } from 'vitest';
import xxhash from 'xxhash-wasm';
import { hashBytes, Kernel } from '../../../src/kernel/kernel.ts';
import { hasProgram, numbers, rawKernel, realText, runOn, sample } from './support.ts';

const kernel = Kernel.create(4 << 20);
const region = kernel.reserve(3 << 20);
const state = kernel.reserve(kernel.hashStateBytes);
const copy = kernel.reserve(kernel.hashStateBytes);
const { h64Raw } = await xxhash();
const reference = (input: Uint8Array): string => h64Raw(input).toString(16).padStart(16, '0');

it('knows the published values', () => {
  expect(kernel.hashOf(region, 0)).toBe('ef46db3751d8e999');
  expect(hashBytes(kernel, Buffer.from('a'))).toBe('d24ec4f1a98c6e5b');
  expect(hashBytes(kernel, Buffer.from('abc'))).toBe('44bc2cf5ad770999');
});

it('agrees with xxhash-wasm for every length to 300 and some large ones, at every alignment', () => {
  for (let length = 0; length <= 300; length++) {
    const input = sample('random', length, length);
    const at = region + (length % 17);
    kernel.bytes.set(input, at);
    expect(kernel.hashOf(at, length)).toBe(reference(input));
    expect(hashBytes(kernel, input)).toBe(reference(input));
  }
  for (const length of [65_535, 262_144, 262_145, 2_000_003]) {
    const input = sample('random', length, length);
    expect(hashBytes(kernel, input)).toBe(reference(input));
  }
});

it.skipIf(!hasProgram('xxhsum'))('agrees with the xxhsum program', () => {
  for (const input of [Buffer.alloc(0), realText, sample('mixed', 1_000_000, 3)])
    expect(runOn('xxhsum', ['-H64', '{}'], input).toString().slice(0, 16)).toBe(hashBytes(kernel, input));
});

it('does not depend on the split, nor on zeros being fed without memory, nor on copies of the state', () => {
  const next = numbers(11);
  for (let round = 0; round < 300; round++) {
    const pieces: Buffer[] = [];
    kernel.hashInit(state);
    for (let n = next(8); n >= 0; n--) {
      const zero = next(2) === 0;
      const length = next(3) ? next(100) : next(5000);
      const piece = zero ? Buffer.alloc(length) : sample('random', length, round * 10 + n);
      pieces.push(piece);
      if (zero && next(2)) kernel.hashZeros(state, length);
      else {
        kernel.bytes.set(piece, region);
        kernel.hashUpdate(state, region, length);
      }
      if (next(3) === 0) {
        kernel.bytes.copyWithin(copy, state, state + kernel.hashStateBytes);
        kernel.bytes.fill(0xff, state, state + kernel.hashStateBytes);
        kernel.bytes.copyWithin(state, copy, copy + kernel.hashStateBytes);
      }
      expect(kernel.hashHex(state)).toBe(reference(Buffer.concat(pieces)));
    }
  }
});

it('is continued in another kernel from the bytes of the state', () => {
  const other = Kernel.create(1 << 20);
  const there = other.reserve(other.hashStateBytes);
  const data = other.reserve(realText.length);
  kernel.bytes.set(realText.subarray(0, 1001), region);
  kernel.hashInit(state);
  kernel.hashUpdate(state, region, 1001);
  other.bytes.set(kernel.bytes.subarray(state, state + kernel.hashStateBytes), there);
  other.bytes.set(realText.subarray(1001), data);
  other.hashUpdate(there, data, realText.length - 1001);
  expect(other.hashHex(there)).toBe(reference(realText));
});

it('takes runs of zeros beyond 4 GiB', () => {
  kernel.hashInit(state);
  kernel.hashInit(copy);
  const size = 2 ** 32 + 77;
  kernel.hashZeros(state, size);
  kernel.hashZeros(copy, 2 ** 31 + 5);
  kernel.hashZeros(copy, size - 2 ** 31 - 5);
  expect(kernel.hashHex(state)).toBe(kernel.hashHex(copy));
  expect(kernel.bytes.readBigUInt64LE(state)).toBe(BigInt(size));
});

it('XXH32 agrees with lz4js', () => {
  const { raw, bytes, start } = rawKernel(65_536);
  for (let length = 0; length <= 200; length++) {
    const input = sample('random', length, length);
    bytes.set(input, start + (length % 7));
    expect(raw.xxh32(start + (length % 7), length) >>> 0).toBe(xxh32(0, input, 0, length) >>> 0);
  }
});
