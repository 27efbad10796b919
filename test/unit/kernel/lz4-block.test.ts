/** LZ4 blocks below the frame: the encoder against a poisoned table, the decoder against hostile input. */
import { describe, expect, it } from 'vitest';
import { seed } from '../../seed.ts';
import { kinds, numbers, rawKernel, sample } from './support.ts';

const SLACK = 32;
const MARGIN = 4096;
const CANARY = 0xa5;
const { raw, bytes, start } = rawKernel(6 << 20);
const src = start + MARGIN;
const dst = start + (2 << 20);
const out = start + (4 << 20);

/** Decodes with canaries around the destination; fails if one is gone. */
function decodeGuarded(length: number, capacity: number): number {
  bytes.fill(CANARY, out - MARGIN, out + capacity + SLACK + MARGIN);
  const result = raw.decodeBlock(dst, length, out, capacity);
  const before = bytes.subarray(out - MARGIN, out);
  const after = bytes.subarray(out + capacity + SLACK, out + capacity + SLACK + MARGIN);
  if (!before.every((byte) => byte === CANARY)) throw new Error('wrote before the destination');
  if (!after.every((byte) => byte === CANARY)) throw new Error('wrote behind the slack');
  if (result > capacity) throw new Error('more than the capacity');
  return result;
}

const decodeHex = (hex: string, capacity: number): number | string => {
  const block = Buffer.from(hex.replaceAll(' ', ''), 'hex');
  bytes.set(block, dst);
  bytes.fill(0xff, dst + block.length, dst + block.length + 64);
  const result = decodeGuarded(block.length, capacity);
  bytes.fill(0, dst + block.length, dst + block.length + 64);
  expect(decodeGuarded(block.length, capacity)).toBe(result);
  return result < 0 ? result : bytes.toString('latin1', out, out + result);
};

describe('encoder', () => {
  it('is right whatever the table holds: never distance 0, never outside the block', () => {
    const input = Buffer.concat([
      sample('text', 600, 4),
      Buffer.alloc(40),
      sample('periodic', 300, 2),
      sample('text', 600, 4),
    ]);
    // The same text lies before and behind the block, so that positions there would match by content.
    bytes.set(input, src - input.length);
    bytes.set(input, src);
    bytes.set(input, src + input.length);
    const table = raw.lz4Table();
    const first = src - input.length;
    for (let position = first; position < src + 2 * input.length; position++) {
      for (let at = table; at < raw.scratch(); at += 4) bytes.writeUInt32LE(position, at);
      const length = raw.encodeBlock(src, input.length, dst);
      expect(length).toBeGreaterThan(0);
      if (decodeGuarded(length, input.length) !== input.length) throw new Error(`position ${position - src}`);
      if (!input.equals(bytes.subarray(out, out + input.length)))
        throw new Error(`position ${position - src}`);
    }
  });

  it('gives fewer bytes than the input or 0, and scribbles only in the slack', () => {
    const next = numbers(77);
    for (let round = 0; round < 3000; round++) {
      const length = 1 + next(2000);
      // Nearly incompressible: a little repetition somewhere in random data.
      const input = sample('random', length, round);
      input.copy(input, next(length), 0, next(60));
      bytes.set(input, src);
      bytes.fill(CANARY, dst - 64, dst + length + SLACK + 64);
      raw.clearTable();
      const coded = raw.encodeBlock(src, length, dst);
      expect(coded).toBeLessThan(length);
      expect(bytes.subarray(dst - 64, dst).every((byte) => byte === CANARY)).toBe(true);
      const behind = bytes.subarray(dst + length + SLACK, dst + length + SLACK + 64);
      expect(behind.every((byte) => byte === CANARY)).toBe(true);
      if (coded > 0) {
        expect(decodeGuarded(coded, length)).toBe(length);
        expect(input.equals(bytes.subarray(out, out + length))).toBe(true);
      }
    }
  });

  it.each([
    ['short sequences', (size: number) => 250_000 + size * 19],
    ['a long match', (size: number) => 4_015_600 + size * 5],
  ])('stays in the slack when long literals have used up the output: %s', (kind, lengthOf) => {
    // The lengths of a long run of literals cost 1 byte in 255, so the output is ahead of the input when the
    // compressible end is reached.
    const wide = rawKernel(14 << 20);
    const from = wide.start;
    const to = wide.start + (6 << 20);
    const input = sample('random', lengthOf(200), 5);
    if (kind === 'a long match') input.fill(0, 4_000_000);
    else
      for (let at = 250_000; at + 19 <= input.length; at += 19) {
        if (at === 250_000) input.copy(input, at, at - 5000, at - 4500);
        if (at > 250_500) input.copy(input, at, 250_100, 250_105);
      }
    wide.bytes.set(input, from);
    for (let size = 0; size <= 200; size++) {
      const length = lengthOf(size);
      wide.bytes.fill(CANARY, to + length + SLACK, to + length + SLACK + 2000);
      wide.raw.clearTable();
      expect(wide.raw.encodeBlock(from, length, to)).toBeLessThan(length);
      const behind = wide.bytes.subarray(to + length + SLACK, to + length + SLACK + 2000);
      if (!behind.every((byte) => byte === CANARY))
        throw new Error(`wrote behind the slack, length ${length}`);
    }
  });

  it('follows the rules for the end of a block: 5 literals, no match start in the last 12 bytes', () => {
    for (let length = 1; length < 80; length++) {
      bytes.fill(0, src, src + length);
      raw.clearTable();
      const coded = raw.encodeBlock(src, length, dst);
      // 13 bytes are the first with a match; they need token, literal, distance, token, 5 literals.
      expect(coded === 0).toBe(length < 13);
      if (coded === 0) continue;
      const block = bytes.subarray(dst, dst + coded);
      const lastRun = (block[4 + (length - 6 >= 19 ? 1 : 0)] as number) >> 4;
      expect(lastRun).toBe(5);
    }
  });
});

describe('decoder, hand-made blocks', () => {
  it.each([
    ['literals only', '30 616263', 'abc'],
    ['empty', '00', ''],
    ['overlapping match, distance 1', '15 61 0100 00', 'aaaaaaaaaa'],
    ['overlapping match, distance 3', '38 616263 0300 10 7a', 'abcabcabcabcabcz'],
    ['long match', `1f 61 0100 ff00 00`, 'a'.repeat(1 + 4 + 15 + 255)],
    ['long literals', `f003 ${'62'.repeat(18)}`, 'b'.repeat(18)],
  ])('%s', (_name, hex, expected) => {
    expect(decodeHex(hex, 1000)).toBe(expected);
  });

  it.each([
    ['no input', '', -20],
    ['distance 0', '10 61 0000 00', -22],
    ['distance beyond the output', '10 61 0200 00', -22],
    ['distance at the very start', '00 0100 00', -22],
    ['literals beyond the block', '40 616263', -21],
    ['literal length cut', 'f0 ff', -20],
    ['match length cut', '1f 61 0100 ff', -20],
    ['distance cut', '10 61 01', -20],
    ['ends with a match', '10 61 0100', -20],
    ['match length on the last literals', '15 61', -20],
  ])('%s', (_name, hex, reason) => {
    expect(decodeHex(hex, 1000)).toBe(reason);
  });

  it('stops at the capacity, for each kind of copy', () => {
    for (const [hex, size] of [
      ['30 616263', 3],
      [`f003 ${'62'.repeat(18)}`, 18],
      ['15 61 0100 00', 10],
      ['1f 61 0100 ff00 00', 275],
      ['38 616263 0300 00', 15],
      [`f005 ${'62'.repeat(20)} 1400 00`, 24],
      [`ff05 ${'62'.repeat(20)} 1400 80 00`, 20 + 19 + 128],
    ] as const) {
      expect(decodeHex(hex, size)).toHaveLength(size);
      for (let capacity = 0; capacity < size; capacity++) expect(decodeHex(hex, capacity)).toBe(-23);
    }
  });

  it('copies matches of every distance and length like a byte-by-byte loop', () => {
    for (let distance = 1; distance <= 40; distance++)
      for (let size = 4; size <= 60; size++) {
        const head = sample('random', 40, distance);
        const code = size - 4;
        const parts = [Buffer.from([0xf0 | Math.min(code, 15), 25]), head, Buffer.from([distance, 0])];
        if (code >= 15) parts.push(Buffer.from([code - 15]));
        parts.push(Buffer.from([0]));
        const expected = Buffer.concat([head, Buffer.alloc(size)]);
        for (let i = 40; i < 40 + size; i++) expected[i] = expected[i - distance] as number;
        expect(decodeHex(Buffer.concat(parts).toString('hex'), 40 + size)).toBe(expected.toString('latin1'));
      }
  });

  it('counts lengths without overflow', () => {
    const length = 2 << 20;
    const literals = Buffer.alloc(length, 0xff);
    literals[0] = 0xf0;
    bytes.set(literals.subarray(0, 1_000_000), dst);
    expect(decodeGuarded(1_000_000, 1000)).toBe(-20);
    expect(raw.decodeBlock(dst, (8 << 20) + 1, out, 1000)).toBe(-24);
    expect(raw.decodeBlock(dst, 0xffffffff, out, 1000)).toBe(-24);
  });
});

describe('decoder, fuzz', () => {
  it('survives damaged blocks and does not depend on what lies around the input', () => {
    console.log(`lz4 block fuzz: FUZZ_SEED=${seed}`);
    const next = numbers(seed);
    const until = performance.now() + 2500;
    const blocks = kinds.map((kind) => {
      const input = sample(kind, 3000, seed);
      bytes.set(input, src);
      raw.clearTable();
      const coded = raw.encodeBlock(src, input.length, dst);
      return coded ? Buffer.from(bytes.subarray(dst, dst + coded)) : input;
    });
    let runs = 0;
    while (performance.now() < until) {
      const block = Buffer.from(blocks[next(blocks.length)] as Buffer).subarray(0, 1 + next(3000));
      for (let n = next(6); n >= 0; n--)
        block[next(block.length)] = [0, 0xff, 0xf0, 0x0f, next(256)][next(5)] as number;
      const capacity = next(2) ? 3000 : next(4000);
      bytes.fill(0, dst, dst + block.length + 64);
      bytes.set(block, dst);
      const result = decodeGuarded(block.length, capacity);
      const plain = result > 0 ? Buffer.from(bytes.subarray(out, out + result)) : Buffer.alloc(0);
      bytes.fill(0xee, dst + block.length, dst + block.length + 64);
      expect(decodeGuarded(block.length, capacity)).toBe(result);
      if (result > 0) expect(plain.equals(bytes.subarray(out, out + result))).toBe(true);
      runs++;
    }
    expect(runs).toBeGreaterThan(100);
  });
});
