// XXH32, one-shot, seed 0: the checksum inside LZ4 frames.
// Source: xxHash specification, https://github.com/Cyan4973/xxHash/blob/dev/doc/xxhash_spec.md
// Must never read outside [p, p+length).

const P1: u32 = 2654435761;
const P2: u32 = 2246822519;
const P3: u32 = 3266489917;
const P4: u32 = 668265263;
const P5: u32 = 374761393;

// @ts-ignore: decorator
@inline
function round(accumulator: u32, lane: u32): u32 {
  return rotl<u32>(accumulator + lane * P2, 13) * P1;
}

/** XXH32 of `length` bytes at `p`. */
export function xxh32(p: u32, length: u32): u32 {
  const end = p + length;
  let hash: u32;
  if (length >= 16) {
    let a: u32 = P1 + P2;
    let b: u32 = P2;
    let c: u32 = 0;
    let d: u32 = 0 - P1;
    const stripesEnd = p + (length & ~15);
    while (p < stripesEnd) {
      a = round(a, load<u32>(p));
      b = round(b, load<u32>(p, 4));
      c = round(c, load<u32>(p, 8));
      d = round(d, load<u32>(p, 12));
      p += 16;
    }
    hash = rotl<u32>(a, 1) + rotl<u32>(b, 7) + rotl<u32>(c, 12) + rotl<u32>(d, 18);
  } else hash = P5;
  hash += length;
  while (end - p >= 4) {
    hash = rotl<u32>(hash + load<u32>(p) * P3, 17) * P4;
    p += 4;
  }
  while (p < end) {
    hash = rotl<u32>(hash + <u32>load<u8>(p) * P5, 11) * P1;
    p++;
  }
  hash = (hash ^ (hash >> 15)) * P2;
  hash = (hash ^ (hash >> 13)) * P3;
  return hash ^ (hash >> 16);
}
