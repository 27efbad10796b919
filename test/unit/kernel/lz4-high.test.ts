/** The encoder for small output: the same rules as the fast one, checked by decoders that know neither. */
import { decompress } from 'lz4js';
import { describe, expect, it } from 'vitest';
import { Bench, hasProgram, kinds, MIB, numbers, rawKernel, realText, runOn, sample } from './support.ts';

const SLACK = 32;
const CANARY = 0xa5;
const depths = [2, 32, 300] as const;
const bench = new Bench(2 * MIB);

/** Encodes with a depth; the frame is a copy. */
function encode(input: Uint8Array, effort: number): Buffer {
  bench.kernel.bytes.set(input, bench.src);
  const length = bench.kernel.frameEncode(bench.src, input.length, bench.dst, true, effort);
  return Buffer.from(bench.kernel.bytes.subarray(bench.dst, bench.dst + length));
}

/** Data at which searches like to go wrong. */
function awkward(): [string, Buffer][] {
  const random = sample('random', 70_000, 9);
  return [
    ['zeros', Buffer.alloc(300_000)],
    ['one byte, then another', Buffer.concat([Buffer.alloc(100_000, 1), Buffer.alloc(100_000, 2)])],
    ['period 3', Buffer.alloc(250_000, 'abc')],
    ['a copy 65,535 bytes back', Buffer.concat([random.subarray(0, 65_535), random.subarray(0, 400)])],
    ['a copy 65,536 bytes back', Buffer.concat([random.subarray(0, 65_536), random.subarray(0, 400)])],
    ['a copy across the end of a block', Buffer.concat([random, Buffer.alloc(191_944), random])],
    ['short matches everywhere', Buffer.from(Array.from({ length: 60_000 }, (_, i) => ((i * i) % 251) & 7))],
    ['real text', realText],
  ];
}

describe('encoder for small output', () => {
  it('gives back every input of 0 to 300 bytes', () => {
    for (const kind of kinds)
      for (let length = 0; length <= 300; length += 1) {
        const input = sample(kind, length, length);
        expect(bench.decode(encode(input, 32)).equals(input)).toBe(true);
      }
  });

  it.each(depths)('gives back all kinds of data, depth %i; lz4js reads it, too', (depth) => {
    for (const kind of kinds) {
      const input = sample(kind, 600_001, depth);
      const frame = encode(input, depth);
      expect(bench.decode(frame).equals(input)).toBe(true);
      expect(Buffer.from(decompress(frame)).equals(input)).toBe(true);
    }
    for (const [name, input] of awkward())
      expect(bench.decode(encode(input, depth)).equals(input), name).toBe(true);
  });

  it.skipIf(!hasProgram('lz4'))('writes what the lz4 program reads', () => {
    for (const [name, input] of awkward())
      expect(runOn('lz4', ['-d', '-c', '{}'], encode(input, 32)).equals(input), name).toBe(true);
  });

  it('stays inside the output, also when hardly anything can be gained', () => {
    const { raw, bytes, start } = rawKernel(6 * MIB);
    const [src, dst, out] = [start + 4096, start + 2 * MIB, start + 4 * MIB];
    const next = numbers(5);
    for (let round = 0; round < 1500; round += 1) {
      const length = 1 + next(round % 50 === 0 ? 262_144 : 2000);
      const input = sample('random', length, round);
      for (let n = next(4); n > 0; n -= 1) input.copy(input, next(length), 0, next(60));
      bytes.set(input, src);
      bytes.fill(CANARY, dst - 64, dst + length + SLACK + 64);
      const coded = raw.encodeBlockHigh(src, length, dst, 16, length);
      expect(coded).toBeLessThan(length);
      expect(bytes.subarray(dst - 64, dst).every((byte) => byte === CANARY)).toBe(true);
      const behind = bytes.subarray(dst + length + SLACK, dst + length + SLACK + 64);
      expect(behind.every((byte) => byte === CANARY)).toBe(true);
      if (coded === 0) continue;
      expect(raw.decodeBlock(dst, coded, out, length)).toBe(length);
      expect(input.equals(bytes.subarray(out, out + length))).toBe(true);
    }
  });

  it('is never larger than the fast one, and a good deal smaller on text', () => {
    for (const [name, input] of awkward())
      expect(encode(input, 32).length, name).toBeLessThanOrEqual(encode(input, 1).length);
    expect(encode(realText, 32).length).toBeLessThan(0.92 * encode(realText, 1).length);
    expect(encode(realText, 300).length).toBeLessThanOrEqual(encode(realText, 4).length);
  });

  it.skipIf(!hasProgram('lz4'))('is about as small as lz4 -9', () => {
    const input = sample('text', MIB, 3);
    for (const data of [input, realText]) {
      const program = runOn('lz4', ['-9', '-B5', '-BI', '--no-frame-crc', '-c', '{}'], data).length;
      expect(encode(data, 32).length).toBeLessThan(1.05 * program);
    }
  });

  it('gives equal bytes for equal input, whatever came before', () => {
    const first = encode(realText, 32);
    for (const kind of kinds) encode(sample(kind, 700_000, 3), 32);
    expect(encode(realText, 32).equals(first)).toBe(true);
  });
});

describe('no compression', () => {
  it('stores every block as it is', () => {
    const input = Buffer.alloc(700_000, 'compressible ');
    const frame = encode(input, 0);
    expect(frame.length).toBe(input.length + 19 + 3 * 4);
    expect(frame.includes(input.subarray(0, 262_144))).toBe(true);
    expect(bench.decode(frame).equals(input)).toBe(true);
  });
});
