// LZ4 block encoder for small output: looks for long matches by hash chains, then takes the cheapest way through the
// block, chosen from its end. In LZ4 every distance costs the same two bytes, so of all matches that cover a position
// only the longest counts, and each of its shorter forms can be had for nothing. So a match is looked for where the
// last one ends, extended to both sides, and noted at every position that it improves. The price of a way is its
// exact length in bytes, runs of literals included.
// Source: LZ4 block format description, https://github.com/lz4/lz4/blob/dev/doc/lz4_Block_format.md
// Must never emit distance 0, reach below the block, or return a block that is not smaller than its input; the
// output depends on the input and the depth only.

import { HIGH_CHAIN, HIGH_COST, HIGH_HEADS, HIGH_MATCHES } from './layout';
import { finish, matchLength, writeLength, writeLiterals } from './lz4-encode';

const HEAD_BITS: u32 = 15;
const MIN_MATCH: u32 = 4;
/** The format wants the last 5 bytes as literals and no match to start within the last 12. */
const LAST_LITERALS: u32 = 5;
const MATCH_START_MARGIN: u32 = 12;
const DISTANCE_MAX: u32 = 65535;
/** Lengths are kept in 16 bits. */
const LENGTH_MAX: u32 = 65535;
/** So long a match is taken whole: what its shorter forms would save is nothing beside it. */
const LONG: u32 = 64;
/** The longest match whose length fits in the token. */
const TOKEN_MATCH: u32 = 18;
/** Token and distance. */
const MATCH_COST: u32 = 3;

// @ts-ignore: decorator
@inline
function headOf(value: u32): u32 {
  return ((value * 2654435761) >>> (32 - HEAD_BITS)) << 2;
}

/** Bytes of a match's length beyond the token. */
// @ts-ignore: decorator
@inline
function lengthCost(length: u32): u32 {
  return length > TOKEN_MATCH ? 1 + (length - TOKEN_MATCH - 1) / 255 : 0;
}

/** Puts the positions [from, to) into the chains. */
// @ts-ignore: decorator
@inline
function insert(from: u32, to: u32): void {
  for (; from < to; from++) {
    const head = headOf(load<u32>(from));
    const before = load<u32>(head, HIGH_HEADS);
    store<u32>(head, from, HIGH_HEADS);
    store<u16>((from & 0xffff) << 1, <u16>min<u32>(from - before, DISTANCE_MAX), HIGH_CHAIN);
  }
}

/** Notes a match of [start, end) at the positions where it is longer than what is known. */
// @ts-ignore: decorator
@inline
function note(src: u32, start: u32, end: u32, distance: u32): void {
  let slot = HIGH_MATCHES + ((start - src) << 2);
  for (let at = start; at + MIN_MATCH <= end; at++, slot += 4) {
    const length = min<u32>(end - at, LENGTH_MAX);
    if (load<u32>(slot) >>> 16 < length) store<u32>(slot, (length << 16) | distance);
  }
}

/** Writes matches for the positions of a block: length in the upper, distance in the lower 16 bits, or 0. */
function findMatches(src: u32, length: u32, depth: u32): void {
  memory.fill(HIGH_HEADS, 0, 4 << HEAD_BITS);
  memory.fill(HIGH_MATCHES, 0, length << 2);
  const end = src + length;
  const matchEnd = end - LAST_LITERALS;
  const searchEnd = end - MATCH_START_MARGIN;
  let inserted = src;
  /** Start and end of the match found last; a search before its end must find a longer one. */
  let start: u32 = src;
  let behind: u32 = src;
  let ip = src;
  while (ip <= searchEnd) {
    insert(inserted, ip);
    inserted = ip;
    const value = load<u32>(ip);
    const low = ip - src > DISTANCE_MAX ? ip - DISTANCE_MAX : src;
    const wide = ip < behind;
    /** How far before this position a match may begin. */
    const back = wide ? ip - start : 0;
    const floor = ip - back;
    let best: u32 = wide ? behind - start : MIN_MATCH - 1;
    let bestStart: u32 = 0;
    let distance: u32 = 0;
    let at = load<u32>(headOf(value), HIGH_HEADS);
    for (let tries = depth; at >= low && tries; tries--) {
      // Longer than the best from anywhere behind the floor means: equal where the best would end.
      if (load<u16>(at - back + best - 1) == load<u16>(floor + best - 1) && load<u32>(at) == value) {
        let left: u32 = 0;
        while (left < back && at - left > src && load<u8>(at - left - 1) == load<u8>(ip - left - 1)) left++;
        const found = left + MIN_MATCH + matchLength(ip + MIN_MATCH, at + MIN_MATCH, matchEnd);
        if (found > best) {
          best = found;
          bestStart = ip - left;
          distance = ip - at;
          if (bestStart + best == matchEnd) break;
        }
      }
      at -= load<u16>((at & 0xffff) << 1, HIGH_CHAIN);
    }
    if (distance) {
      start = bestStart;
      behind = bestStart + best;
      note(src, start, behind, distance);
      ip = max<u32>(ip + 1, behind - 2);
    } else ip = wide ? behind : ip + 1;
  }
}

/** Whether a way from behind one of the shorter forms of a match may cost less than `limit`: four at a time. */
// @ts-ignore: decorator
@inline
function isCheaper(here: u32, longest: u32, limit: u32): bool {
  let least = v128.load(here, 16);
  if (longest > 8) least = i32x4.min_u(least, v128.load(here, 32));
  if (longest > 12) least = i32x4.min_u(least, v128.load(here, 48));
  if (longest > 16) least = i32x4.min_u(least, v128.load(here, 64));
  return v128.any_true(i32x4.lt_u(least, i32x4.splat(limit)));
}

/** Shortens each match to what is best there, or to 0 for a literal. Returns the length of the block. */
function choose(length: u32): u32 {
  // The token of the last run.
  store<u32>(HIGH_COST + (length << 2), 1);
  let cost: u32 = 1;
  /** Literals from here on, and how many there may be before the run takes another byte of length. */
  let run: u32 = 0;
  let step: u32 = 15;
  for (let i = <i32>length - 1; i >= 0; i--) {
    const here = HIGH_COST + (i << 2);
    const slot = HIGH_MATCHES + (i << 2);
    run++;
    let best = cost + 1;
    if (run == step) best++;
    const match = load<u32>(slot);
    let taken: u32 = 0;
    if (match) {
      const longest = match >>> 16;
      const whole = load<u32>(here + (longest << 2)) + MATCH_COST + lengthCost(longest);
      if (whole <= best) {
        best = whole;
        taken = longest;
      }
      if (longest > MIN_MATCH && longest < LONG && isCheaper(here, longest, best - MATCH_COST)) {
        for (let size = min<u32>(longest - 1, TOKEN_MATCH); size >= MIN_MATCH; size--) {
          const shorter = load<u32>(here + (size << 2)) + MATCH_COST;
          if (shorter < best) {
            best = shorter;
            taken = size;
          }
        }
      }
      store<u32>(slot, taken ? (taken << 16) | (match & 0xffff) : 0);
    }
    if (taken) {
      run = 0;
      step = 15;
    } else if (run == step) step += 255;
    cost = best;
    store<u32>(here, cost);
  }
  return cost;
}

/**
 * Encodes [src, src+length) as one LZ4 block at `dst`; `length` is at most one block (256 KiB), `depth` is how many
 * candidates are looked at for each position. Returns its length, always less than `length`, or 0 if it would not
 * shrink. Writes at most `length` bytes and the slack.
 */
export function encodeBlockHigh(src: u32, length: u32, dst: u32, depth: u32): u32 {
  if (length <= MATCH_START_MARGIN) return 0;
  findMatches(src, length, depth);
  if (choose(length) >= length) return 0;
  const end = src + length;
  const limit = dst + length - 1;
  let op = dst;
  let anchor = src;
  let slot = HIGH_MATCHES;
  for (let ip = src; ip < end; ) {
    const match = load<u32>(slot);
    if (match == 0) {
      ip++;
      slot += 4;
      continue;
    }
    const run = ip - anchor;
    const token = op;
    op = writeLiterals(op + 1, anchor, run, limit);
    if (op == 0) return 0;
    store<u16>(op, <u16>match);
    op += 2;
    const size = match >>> 16;
    const code = size - MIN_MATCH;
    const high = min<u32>(run, 15) << 4;
    if (code >= 15) {
      if (op + (code - 15) / 255 + 7 > limit) return 0;
      store<u8>(token, high | 15);
      op = writeLength(op, code - 15);
    } else store<u8>(token, high | code);
    ip += size;
    slot += size << 2;
    anchor = ip;
  }
  return finish(op, anchor, end, dst, limit);
}
