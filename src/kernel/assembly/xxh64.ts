// XXH64, seed 0, over arbitrary pieces.
// Source: xxHash specification, https://github.com/Cyan4973/xxHash/blob/dev/doc/xxhash_spec.md
// The state is plain bytes without addresses, so it may be copied, kept, or handed to another thread.
// Must never read outside the piece it is given; digest must never change the state.
//
// State, little endian: 0 total length u64; 8, 16, 24, 32 accumulators u64; 40..71 bytes of the unfinished
// stripe (total mod 32 of them; what lies behind is undefined).

import { HASH_RESULT, HASH_SCRATCH } from './layout';

const P1: u64 = 11400714785074694791;
const P2: u64 = 14029467366897019727;
const P3: u64 = 1609587929392839161;
const P4: u64 = 9650029242287828579;
const P5: u64 = 2870177450012600261;

/** Bytes of one state. */
export const HASH_STATE_BYTES: u32 = 72;
const PENDING: u32 = 40;

// @ts-ignore: decorator
@inline
function round(accumulator: u64, lane: u64): u64 {
  return rotl<u64>(accumulator + lane * P2, 31) * P1;
}

// @ts-ignore: decorator
@inline
function merge(hash: u64, accumulator: u64): u64 {
  return (hash ^ round(0, accumulator)) * P1 + P4;
}

/** Starts a hash at `state` (HASH_STATE_BYTES bytes). */
export function hashInit(state: u32): void {
  store<u64>(state, 0);
  store<u64>(state, P1 + P2, 8);
  store<u64>(state, P2, 16);
  store<u64>(state, 0, 24);
  store<u64>(state, 0 - P1, 32);
  memory.fill(state + PENDING, 0, 32);
}

/** Hashes whole stripes of 32 bytes. */
function stripes(state: u32, p: u32, end: u32): void {
  let a = load<u64>(state, 8);
  let b = load<u64>(state, 16);
  let c = load<u64>(state, 24);
  let d = load<u64>(state, 32);
  while (p < end) {
    a = round(a, load<u64>(p));
    b = round(b, load<u64>(p, 8));
    c = round(c, load<u64>(p, 16));
    d = round(d, load<u64>(p, 24));
    p += 32;
  }
  store<u64>(state, a, 8);
  store<u64>(state, b, 16);
  store<u64>(state, c, 24);
  store<u64>(state, d, 32);
}

/** Adds `length` bytes at `p`. */
export function hashUpdate(state: u32, p: u32, length: u32): void {
  const pending = <u32>load<u64>(state) & 31;
  store<u64>(state, load<u64>(state) + length);
  if (pending) {
    const missing: u32 = 32 - pending;
    if (length < missing) {
      memory.copy(state + PENDING + pending, p, length);
      return;
    }
    memory.copy(state + PENDING + pending, p, missing);
    stripes(state, state + PENDING, state + PENDING + 32);
    p += missing;
    length -= missing;
  }
  const whole = length & ~31;
  stripes(state, p, p + whole);
  memory.copy(state + PENDING, p + whole, length & 31);
}

/** Adds `count` zero bytes (a whole number) without reading any. */
export function hashZeros(state: u32, count: f64): void {
  let length = <u64>count;
  const pending = <u32>load<u64>(state) & 31;
  store<u64>(state, load<u64>(state) + length);
  if (pending) {
    const missing: u32 = 32 - pending;
    if (length < missing) {
      memory.fill(state + PENDING + pending, 0, <u32>length);
      return;
    }
    memory.fill(state + PENDING + pending, 0, missing);
    stripes(state, state + PENDING, state + PENDING + 32);
    length -= missing;
  }
  let a = load<u64>(state, 8);
  let b = load<u64>(state, 16);
  let c = load<u64>(state, 24);
  let d = load<u64>(state, 32);
  for (let n = length >> 5; n; n--) {
    a = rotl<u64>(a, 31) * P1;
    b = rotl<u64>(b, 31) * P1;
    c = rotl<u64>(c, 31) * P1;
    d = rotl<u64>(d, 31) * P1;
  }
  store<u64>(state, a, 8);
  store<u64>(state, b, 16);
  store<u64>(state, c, 24);
  store<u64>(state, d, 32);
  memory.fill(state + PENDING, 0, <u32>length & 31);
}

/** Writes the hash of everything so far to HASH_RESULT (big endian); the state stays as it is. */
export function hashDigest(state: u32): void {
  const total = load<u64>(state);
  let p = state + PENDING;
  let left = <u32>total & 31;
  let hash: u64;
  if (total >= 32) {
    const a = load<u64>(state, 8);
    const b = load<u64>(state, 16);
    const c = load<u64>(state, 24);
    const d = load<u64>(state, 32);
    hash = rotl<u64>(a, 1) + rotl<u64>(b, 7) + rotl<u64>(c, 12) + rotl<u64>(d, 18);
    hash = merge(merge(merge(merge(hash, a), b), c), d);
  } else hash = P5;
  hash += total;
  while (left >= 8) {
    hash = rotl<u64>(hash ^ round(0, load<u64>(p)), 27) * P1 + P4;
    p += 8;
    left -= 8;
  }
  if (left >= 4) {
    hash = rotl<u64>(hash ^ (<u64>load<u32>(p) * P1), 23) * P2 + P3;
    p += 4;
    left -= 4;
  }
  while (left) {
    hash = rotl<u64>(hash ^ (<u64>load<u8>(p) * P5), 11) * P1;
    p++;
    left--;
  }
  hash = (hash ^ (hash >> 33)) * P2;
  hash = (hash ^ (hash >> 29)) * P3;
  store<u64>(HASH_RESULT, bswap<u64>(hash ^ (hash >> 32)));
}

/** Writes the hash of `length` bytes at `p` to HASH_RESULT. */
export function hashOnce(p: u32, length: u32): void {
  hashInit(HASH_SCRATCH);
  hashUpdate(HASH_SCRATCH, p, length);
  hashDigest(HASH_SCRATCH);
}
