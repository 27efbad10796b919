/** Gear candidates against the definition in SPEC section 5, computed with BigInt. */
import { createCipheriv } from 'node:crypto';
import { expect, it } from 'vitest';
import { Kernel } from '../../../src/kernel/kernel.ts';
import { numbers, sample } from './support.ts';

const MASK = (1n << 64n) - 1n;
const kernel = Kernel.create(3 << 20);
const region = kernel.reserve(2 << 20);
const out = kernel.reserve(1 << 20);

interface Candidate {
  readonly at: number;
  readonly strict: boolean;
}

const keyed = createCipheriv('aes-256-ctr', Buffer.alloc(32, 7), Buffer.alloc(16)).update(Buffer.alloc(2048));
/** Mostly zeros, so that nearly every rule of the scan is met in few bytes: many hits, strict and loose. */
const dense = Buffer.from(keyed);
for (let i = 0; i < 240; i++) dense.writeBigUInt64LE(0n, i * 8);
for (let i = 240; i < 248; i++) dense.writeBigUInt64LE(1n << BigInt(38 + (i - 240)), i * 8);

/** All candidates in (64.. input.length) by the recurrence; exact, as 64 shifts drop what is older. */
function byRecurrence(table: Buffer, input: Buffer): Candidate[] {
  const gear = Array.from({ length: 256 }, (_, i) => table.readBigUInt64LE(i * 8));
  const found: Candidate[] = [];
  let hash = 0n;
  for (let at = 0; at < input.length; at++) {
    if (at >= 64 && hash >> 46n === 0n) found.push({ at, strict: hash >> 42n === 0n });
    hash = ((hash << 1n) + (gear[input[at] as number] as bigint)) & MASK;
  }
  return found;
}

/** The sum over the window, written out. */
function byDefinition(table: Buffer, input: Buffer, at: number): bigint {
  let sum = 0n;
  for (let i = 0; i < 64; i++) {
    const value = table.readBigUInt64LE((input[at - 1 - i] as number) * 8);
    sum = (sum + (value << BigInt(i))) & MASK;
  }
  return sum;
}

function scan(from: number, to: number, max = 100_000): Candidate[] {
  const count = kernel.gearCandidates(region + from, region + to, out, max);
  return Array.from({ length: count }, (_, i) => ({
    at: from + kernel.bytes.readUInt32LE(out + i * 8),
    strict: kernel.bytes.readUInt32LE(out + i * 8 + 4) === 1,
  }));
}

it.each([
  ['dense table', dense, 20_000, 100],
  ['keyed table', keyed, 2 << 20, 1],
])('equals the reference: %s', (_name, table, length, atLeast) => {
  const input = sample('random', length, 42);
  kernel.gearLoad(table);
  kernel.bytes.set(input, region);
  const expected = byRecurrence(table, input);
  expect(expected.length).toBeGreaterThan(atLeast);
  expect(scan(64, length)).toEqual(expected);
  for (const { at, strict } of expected.slice(0, 50)) {
    const hash = byDefinition(table, input, at);
    expect(hash >> 46n).toBe(0n);
    expect(hash >> 42n === 0n).toBe(strict);
  }
});

/** Random bytes with runs of zeros among them, shorter and longer than what the scan passes over at once. */
function withZeroRuns(length: number, seed: number): Buffer {
  const input = sample('random', length, seed);
  const next = numbers(seed);
  for (let at = 0; at < length; ) {
    const run = next(5000);
    input.fill(0, at, Math.min(length, at + run));
    at += run + 1 + next(300);
  }
  return input;
}

it.each([
  ['keyed table', keyed],
  // A zero byte is worth 0: in a run of zeros every place is a candidate.
  ['dense table', dense],
])('equals the reference where runs of zeros are passed over: %s', (_name, table) => {
  const length = 60_000;
  kernel.gearLoad(table);
  for (let seed = 1; seed < 8; seed += 1) {
    const input = withZeroRuns(length, seed);
    kernel.bytes.set(input, region);
    const expected = byRecurrence(table, input);
    const found: Candidate[] = [];
    const pieces = numbers(seed + 100);
    for (let from = 64; from < length; ) {
      const to = Math.min(length, from + 1 + pieces(9000));
      found.push(...scan(from, to));
      from = to;
    }
    expect(found).toEqual(expected);
  }
});

it('has loose and strict candidates in the dense data, so that both are tested', () => {
  const found = byRecurrence(dense, sample('random', 20_000, 42));
  expect(found.filter((candidate) => candidate.strict).length).toBeGreaterThan(20);
  expect(found.filter((candidate) => !candidate.strict).length).toBeGreaterThan(20);
});

it('does not depend on where the scan is split', () => {
  const length = 5000;
  const next = numbers(8);
  kernel.gearLoad(dense);
  kernel.bytes.set(sample('random', length, 4), region);
  const whole = scan(64, length);
  for (let round = 0; round < 200; round++) {
    const found: Candidate[] = [];
    for (let at = 64; at < length; ) {
      const end = Math.min(length, at + next(round % 2 ? 20 : 900));
      found.push(...scan(at, end));
      at = end;
    }
    expect(found).toEqual(whole);
  }
});

it('stops at max and can go on behind the last one', () => {
  const length = 3000;
  kernel.gearLoad(dense);
  kernel.bytes.set(sample('random', length, 4), region);
  const whole = scan(64, length);
  const found: Candidate[] = [];
  for (let at = 64; at < length; ) {
    const some = scan(at, length, 3);
    expect(some.length).toBeLessThanOrEqual(3);
    found.push(...some);
    at = some.length < 3 ? length : (some[2] as Candidate).at + 1;
  }
  expect(found).toEqual(whole);
  expect(scan(64, length, 0)).toEqual([]);
  expect(scan(64, 64)).toEqual([]);
});

it('reads nothing outside [start-64, end-1)', () => {
  kernel.gearLoad(dense);
  const input = sample('random', 1000, 6);
  kernel.bytes.set(input, region);
  const found = scan(200, 800);
  kernel.bytes.fill(0xff, region, region + 136);
  kernel.bytes.fill(0xff, region + 799, region + 1000);
  expect(scan(200, 800)).toEqual(found);
});

it('wants a table of 2048 bytes', () => {
  expect(() => kernel.gearLoad(new Uint8Array(2047))).toThrow('2048');
});
