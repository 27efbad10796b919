// LZ4 block encoder for small output: the longest match at every position by hash chains, then the cheapest way
// through the block, chosen from its end. In LZ4 every distance costs the same two bytes, so of all matches at a
// position only the longest counts, and each of its shorter forms can be had for nothing. The price of a way is its
// exact length in bytes, runs of literals included.
// Source: LZ4 block format description, https://github.com/lz4/lz4/blob/dev/doc/lz4_Block_format.md
// Must never emit distance 0, reach below the block, or return a block that is not smaller than its input; the
// output depends on the input and the depth only.

import { HIGH_CHAIN, HIGH_COST, HIGH_HEADS, HIGH_MATCHES, HIGH_SHORT } from './layout';
import { finish, matchLength, writeLength, writeLiterals } from './lz4-encode';

/** Chains connect positions with the same 8 bytes; of the same 6 and 4 bytes only the last position is kept. */
const CHAIN_BITS: u32 = 15;
const SHORT_BITS: u32 = 14;
const MIN_MATCH: u32 = 4;
/** The format wants the last 5 bytes as literals and no match to start within the last 12. */
const LAST_LITERALS: u32 = 5;
const MATCH_START_MARGIN: u32 = 12;
const DISTANCE_MAX: u32 = 65535;
/** Lengths are kept in 16 bits. */
const LENGTH_MAX: u32 = 65535;
/** Where a match of this length is known, no other is looked for: the next positions inherit it. */
const ENOUGH: u32 = 48;
/** A match as long as this ends the search. */
const PLENTY: u32 = 1024;
/** The longest match whose length fits in the token. */
const TOKEN_MATCH: u32 = 18;
/** Token and distance. */
const MATCH_COST: u32 = 3;
const PRIME: u64 = 0x9e3779b185ebca87;

/** Bytes of a match's length beyond the token. */
// @ts-ignore: decorator
@inline
function lengthCost(length: u32): u32 {
  return length > TOKEN_MATCH ? 1 + (length - TOKEN_MATCH - 1) / 255 : 0;
}

/** Writes for each position the longest match found: length in the upper, distance in the lower 16 bits, or 0. */
function findMatches(src: u32, length: u32, depth: u32): void {
  memory.fill(HIGH_HEADS, 0, (4 << CHAIN_BITS) + (8 << SHORT_BITS));
  const end = src + length;
  const matchEnd = end - LAST_LITERALS;
  const searchEnd = end - MATCH_START_MARGIN;
  let best: u32 = 0;
  let distance: u32 = 0;
  let out = HIGH_MATCHES;
  for (let ip = src; ip <= searchEnd; ip++, out += 4) {
    const value = load<u64>(ip);
    const head8 = <u32>((value * PRIME) >> (64 - CHAIN_BITS)) << 2;
    const head6 = <u32>(((value << 16) * PRIME) >> (64 - SHORT_BITS)) << 2;
    const head4 = <u32>(((value << 32) * PRIME) >> (64 - SHORT_BITS)) << 2;
    let at = load<u32>(head8, HIGH_HEADS);
    const at6 = load<u32>(head6, HIGH_SHORT);
    const at4 = load<u32>(head4, HIGH_SHORT + (4 << SHORT_BITS));
    store<u32>(head8, ip, HIGH_HEADS);
    store<u32>(head6, ip, HIGH_SHORT);
    store<u32>(head4, ip, HIGH_SHORT + (4 << SHORT_BITS));
    store<u16>((ip & 0xffff) << 1, <u16>min<u32>(ip - at, DISTANCE_MAX), HIGH_CHAIN);
    // What matched one position before matches here, one byte shorter.
    best = best > MIN_MATCH ? best - 1 : MIN_MATCH - 1;
    if (best < ENOUGH) {
      const low = ip - src > DISTANCE_MAX ? ip - DISTANCE_MAX : src;
      let tail = load<u32>(ip + best - 3);
      for (let tries = depth; at >= low && tries; tries--) {
        if (load<u32>(at + best - 3) == tail && load<u64>(at) == value) {
          const found = matchLength(ip, at, matchEnd);
          if (found > best) {
            best = found;
            distance = ip - at;
            if (best >= PLENTY) break;
            tail = load<u32>(ip + best - 3);
          }
        }
        at -= load<u16>((at & 0xffff) << 1, HIGH_CHAIN);
      }
      if (best < 8) {
        if (at6 >= low) {
          const found = matchLength(ip, at6, matchEnd);
          if (found > best) {
            best = found;
            distance = ip - at6;
          }
        }
        if (best < 6 && at4 >= low) {
          const found = matchLength(ip, at4, matchEnd);
          if (found > best) {
            best = found;
            distance = ip - at4;
          }
        }
      }
    }
    if (best > LENGTH_MAX) best = LENGTH_MAX;
    store<u32>(out, best >= MIN_MATCH ? (best << 16) | distance : 0);
  }
  memory.fill(out, 0, (MATCH_START_MARGIN - 1) << 2);
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
      if (longest < ENOUGH) {
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
