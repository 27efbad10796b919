// Gear candidates of FastCDC (`fastcdc-1`, SPEC section 5): every place where a chunk might end. h = (h <<
// 1) + G[byte] mod 2^64; after 64 bytes the older ones are shifted out, so h is a function of the 64 bytes
// before a cut and of nothing else: neither of where the scan nor of where the chunk began.
// Must never read outside [start-64, end-1).

import { GEAR_TABLE } from './layout';

const WINDOW: u32 = 64;
/** Top 18 bits are 0. */
const LOOSE: u64 = <u64>1 << 46;
/** Top 22 bits are 0. */
const STRICT: u64 = <u64>1 << 42;
/** A run of zeros is noticed this late, bytes: looking more often costs more than it saves. */
const LOOK_EVERY: u32 = 1024;

// @ts-ignore: decorator
@inline
function roll(hash: u64, byte: u32): u64 {
  return (hash << 1) + load<u64>(byte << 3, GEAR_TABLE);
}

/** How many of the `length` bytes at `p` are zero before the first 64 that are not all zero. */
function zeroRun(p: u32, length: u32): u32 {
  let done: u32 = 0;
  while (length - done >= 64) {
    const at = p + done;
    const low = v128.or(v128.load(at), v128.load(at, 16));
    const high = v128.or(v128.load(at, 32), v128.load(at, 48));
    if (v128.any_true(v128.or(low, high))) break;
    done += 64;
  }
  return done;
}

/**
 * Writes a pair of u32 (cut - start; 1 if strict, else 0) to `out` for each cut in [start, end) whose 64
 * bytes before it are a candidate, in order, at most `max` pairs. Returns the number of pairs.
 */
export function gearCandidates(start: u32, end: u32, out: u32, max: u32): u32 {
  if (start >= end || max == 0) return 0;
  const last = end - 1;
  // A zero byte leaves this hash as it is: where it is no candidate, a run of zeros has none.
  const still: u64 = 0 - load<u64>(0, GEAR_TABLE);
  let hash: u64 = 0;
  for (let p = start - WINDOW; p < start; p++) hash = roll(hash, load<u8>(p));
  let count: u32 = 0;
  let cut = start;
  let look = start;
  while (true) {
    if (hash < LOOSE) {
      store<u32>(out, cut - start);
      store<u32>(out, hash < STRICT ? 1 : 0, 4);
      out += 8;
      if (++count == max) return count;
    } else if (cut >= look) {
      if (hash == still) cut += zeroRun(cut, last - cut);
      look = cut + LOOK_EVERY;
    }
    if (last - cut >= 8) {
      // Eight steps at a time; a hit leaves for the common bookkeeping above.
      hash = roll(hash, load<u8>(cut));
      if (hash < LOOSE) {
        cut += 1;
        continue;
      }
      hash = roll(hash, load<u8>(cut, 1));
      if (hash < LOOSE) {
        cut += 2;
        continue;
      }
      hash = roll(hash, load<u8>(cut, 2));
      if (hash < LOOSE) {
        cut += 3;
        continue;
      }
      hash = roll(hash, load<u8>(cut, 3));
      if (hash < LOOSE) {
        cut += 4;
        continue;
      }
      hash = roll(hash, load<u8>(cut, 4));
      if (hash < LOOSE) {
        cut += 5;
        continue;
      }
      hash = roll(hash, load<u8>(cut, 5));
      if (hash < LOOSE) {
        cut += 6;
        continue;
      }
      hash = roll(hash, load<u8>(cut, 6));
      if (hash < LOOSE) {
        cut += 7;
        continue;
      }
      hash = roll(hash, load<u8>(cut, 7));
      cut += 8;
    } else {
      if (cut == last) return count;
      hash = roll(hash, load<u8>(cut++));
    }
  }
}
