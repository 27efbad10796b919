// All-zero test and comparison of two byte ranges, 64 and 32 bytes at a time.
// Must never read outside the given ranges.

/** 1 if all `length` bytes at `p` are zero (also if there are none). */
export function isZero(p: u32, length: u32): u32 {
  const end = p + length;
  const wideEnd = p + (length & ~63);
  while (p < wideEnd) {
    const low = v128.or(v128.load(p), v128.load(p, 16));
    const high = v128.or(v128.load(p, 32), v128.load(p, 48));
    if (v128.any_true(v128.or(low, high))) return 0;
    p += 64;
  }
  while (end - p >= 8) {
    if (load<u64>(p)) return 0;
    p += 8;
  }
  while (p < end) if (load<u8>(p++)) return 0;
  return 1;
}

/** 1 if the `length` bytes at `p` and at `q` are the same (also if there are none). */
export function equal(p: u32, q: u32, length: u32): u32 {
  const end = p + length;
  const wideEnd = p + (length & ~31);
  while (p < wideEnd) {
    const low = v128.xor(v128.load(p), v128.load(q));
    const high = v128.xor(v128.load(p, 16), v128.load(q, 16));
    if (v128.any_true(v128.or(low, high))) return 0;
    p += 32;
    q += 32;
  }
  while (p < end) if (load<u8>(p++) != load<u8>(q++)) return 0;
  return 1;
}
