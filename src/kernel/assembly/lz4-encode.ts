// LZ4 block encoder: the greedy single-probe search of the reference implementation at level 1.
// Source: LZ4 block format description, https://github.com/lz4/lz4/blob/dev/doc/lz4_Block_format.md
// Must never emit distance 0, reach below the block, or return a block that is not smaller than its input;
// the table may hold anything left over from earlier work, because every entry is proved by content,
// distance and lower bound.

import { LZ4_TABLE } from './layout';

/** 8,192 positions of 4 bytes; docs/decisions/0001 has the measured trade. */
const HASH_BITS: u32 = 13;
/** The search step grows by one every 2^SKIP_BITS misses: incompressible data passes quickly. */
const SKIP_BITS: u32 = 6;
const MIN_MATCH: u32 = 4;
/** The format wants the last 5 bytes as literals and no match to start within the last 12. */
const LAST_LITERALS: u32 = 5;
const MATCH_START_MARGIN: u32 = 12;
const DISTANCE_MAX: u32 = 65535;
/**
 * Multiplier for 6 bytes, shifted so that the upper 2 of the 8 loaded bytes drop out. Matches of 4 and 5 bytes save
 * at most 2 and are found by chance only: fewer sequences, which are what encoding time is spent on.
 */
const HASH_PRIME: u64 = <u64>227718039650203 << 16;

/** Byte offset in the table for the 6 low bytes of `value`. */
// @ts-ignore: decorator
@inline
function hashOffset(value: u64): u32 {
  return <u32>((value * HASH_PRIME) >> (64 - HASH_BITS)) << 2;
}

// @ts-ignore: decorator
@inline
export function writeLength(op: u32, length: u32): u32 {
  while (length >= 255) {
    store<u8>(op++, 255);
    length -= 255;
  }
  store<u8>(op++, <u8>length);
  return op;
}

/** The closing literals. 0 if the block would not be smaller than its input (`limit`). */
export function finish(op: u32, anchor: u32, end: u32, dst: u32, limit: u32): u32 {
  const run = end - anchor;
  const extra: u32 = run >= 15 ? (run - 15) / 255 + 1 : 0;
  if (op + 1 + extra + run > limit) return 0;
  if (run >= 15) {
    store<u8>(op++, 0xf0);
    op = writeLength(op, run - 15);
  } else store<u8>(op++, <u8>(run << 4));
  memory.copy(op, anchor, run);
  return op + run - dst;
}

/** Number of equal bytes at `a` and `b` (b < a), `a` going no further than `limit`. */
// @ts-ignore: decorator
@inline
export function matchLength(a: u32, b: u32, limit: u32): u32 {
  const start = a;
  while (a + 8 <= limit) {
    const difference = load<u64>(a) ^ load<u64>(b);
    if (difference) return a - start + <u32>(ctz<u64>(difference) >> 3);
    a += 8;
    b += 8;
  }
  while (a < limit && load<u8>(a) == load<u8>(b)) {
    a++;
    b++;
  }
  return a - start;
}

/**
 * The literals before a match, with their length if the token cannot hold it. 0 if the block can no longer
 * become smaller: what must still follow is counted too (offset 2, last token 1, last literals 5), so nothing
 * shrinkable is given up, and the 16-byte copies stay within the slack.
 */
// @ts-ignore: decorator
@inline
export function writeLiterals(op: u32, anchor: u32, run: u32, limit: u32): u32 {
  if (run < 15) {
    if (op + run + 8 > limit) return 0;
    v128.store(op, v128.load(anchor));
    return op + run;
  }
  if (op + run + (run - 15) / 255 + 9 > limit) return 0;
  op = writeLength(op, run - 15);
  const end = op + run;
  do {
    v128.store(op, v128.load(anchor));
    op += 16;
    anchor += 16;
  } while (op < end);
  return end;
}

/** Forgets all positions, so that equal input gives equal output. */
export function clearTable(): void {
  memory.fill(LZ4_TABLE, 0, 4 << HASH_BITS);
}

/**
 * Encodes [src, src+length) as one LZ4 block at `dst`. Returns its length, always less than `length`, or 0
 * if it would not be smaller (then up to `length` + SLACK bytes at `dst` are scribbled on). Reads at most
 * 16 bytes beyond the source.
 */
export function encodeBlock(src: u32, length: u32, dst: u32): u32 {
  if (length == 0) return 0;
  const end = src + length;
  const limit = dst + length - 1;
  let op = dst;
  let anchor = src;
  if (length <= MATCH_START_MARGIN) return finish(op, anchor, end, dst, limit);

  const searchEnd = end - MATCH_START_MARGIN + 1;
  const matchEnd = end - LAST_LITERALS;
  let ip = src;
  store<u32>(hashOffset(load<u64>(ip)), ip, LZ4_TABLE);
  ip++;
  let nextValue = load<u64>(ip);
  let nextHash = hashOffset(nextValue);

  while (true) {
    // Search: content first (it rejects most), then distance 1..65535 in one unsigned comparison, then the
    // block start.
    let match: u32;
    let value: u32;
    let next = ip;
    let step: u32 = 1;
    let misses: u32 = 1 << SKIP_BITS;
    do {
      const hash = nextHash;
      ip = next;
      value = <u32>nextValue;
      next += step;
      step = misses++ >> SKIP_BITS;
      if (next > searchEnd) return finish(op, anchor, end, dst, limit);
      match = load<u32>(hash, LZ4_TABLE);
      nextValue = load<u64>(next);
      nextHash = hashOffset(nextValue);
      store<u32>(hash, ip, LZ4_TABLE);
    } while (load<u32>(match) != value || ip - match - 1 >= DISTANCE_MAX || match < src);

    while (ip > anchor && match > src && load<u8>(ip - 1) == load<u8>(match - 1)) {
      ip--;
      match--;
    }

    const run = ip - anchor;
    let token = op;
    let high = min<u32>(run, 15) << 4;
    op = writeLiterals(op + 1, anchor, run, limit);
    if (op == 0) return 0;

    while (true) {
      store<u16>(op, <u16>(ip - match));
      op += 2;
      let code = matchLength(ip + MIN_MATCH, match + MIN_MATCH, matchEnd);
      ip += MIN_MATCH + code;
      if (code >= 15) {
        code -= 15;
        if (op + code / 255 + 7 > limit) return 0;
        store<u8>(token, high | 15);
        op = writeLength(op, code);
      } else store<u8>(token, high | code);
      anchor = ip;
      if (ip >= searchEnd) return finish(op, anchor, end, dst, limit);

      // A match directly behind a match needs no literals.
      store<u32>(hashOffset(load<u64>(ip - 2)), ip - 2, LZ4_TABLE);
      const here = load<u64>(ip);
      const hash = hashOffset(here);
      match = load<u32>(hash, LZ4_TABLE);
      store<u32>(hash, ip, LZ4_TABLE);
      if (load<u32>(match) != <u32>here || ip - match - 1 >= DISTANCE_MAX || match < src) break;
      if (op + 9 > limit) return 0;
      token = op++;
      high = 0;
    }
    ip++;
    nextValue = load<u64>(ip);
    nextHash = hashOffset(nextValue);
  }
}
