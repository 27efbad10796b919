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

// @ts-ignore: decorator
@inline
function roll(hash: u64, byte: u32): u64 {
  return (hash << 1) + load<u64>(byte << 3, GEAR_TABLE);
}

/**
 * Writes a pair of u32 (cut - start; 1 if strict, else 0) to `out` for each cut in [start, end) whose 64
 * bytes before it are a candidate, in order, at most `max` pairs. Returns the number of pairs.
 */
export function gearCandidates(start: u32, end: u32, out: u32, max: u32): u32 {
  if (start >= end || max == 0) return 0;
  let hash: u64 = 0;
  for (let p = start - WINDOW; p < start; p++) hash = roll(hash, load<u8>(p));
  let count: u32 = 0;
  let cut = start;
  while (true) {
    if (hash < LOOSE) {
      store<u32>(out, cut - start);
      store<u32>(out, hash < STRICT ? 1 : 0, 4);
      out += 8;
      if (++count == max) return count;
    }
    if (end - cut > 8) {
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
      if (end - cut == 1) return count;
      hash = roll(hash, load<u8>(cut++));
    }
  }
}
