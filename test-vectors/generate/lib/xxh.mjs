// XXH64 and XXH32 with seed 0, written from the xxHash specification, plus the inverse steps that
// make two different inputs with one XXH64 value (see collidingPair).
const M64 = (1n << 64n) - 1n;
const P1 = 0x9e3779b185ebca87n;
const P2 = 0xc2b2ae3d27d4eb4fn;
const P3 = 0x165667b19e3779f9n;
const P4 = 0x85ebca77c2b2ae63n;
const P5 = 0x27d4eb2f165667c5n;

const mul = (a, b) => (a * b) & M64;
const add = (a, b) => (a + b) & M64;
const rotl = (x, r) => ((x << BigInt(r)) | (x >> BigInt(64 - r))) & M64;
const round = (acc, lane) => mul(rotl(add(acc, mul(lane, P2)), 31), P1);
const merge = (h, acc) => add(mul(h ^ round(0n, acc), P1), P4);
const START = [add(P1, P2), P2, 0n, add(0n, M64 + 1n - P1)];

export function xxh64(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  let at = 0;
  let h = P5;
  if (bytes.length >= 32) {
    let [a, b, c, d] = START;
    for (; at + 32 <= bytes.length; at += 32) {
      a = round(a, view.getBigUint64(at, true));
      b = round(b, view.getBigUint64(at + 8, true));
      c = round(c, view.getBigUint64(at + 16, true));
      d = round(d, view.getBigUint64(at + 24, true));
    }
    h = add(add(rotl(a, 1), rotl(b, 7)), add(rotl(c, 12), rotl(d, 18)));
    h = merge(merge(merge(merge(h, a), b), c), d);
  }
  h = add(h, BigInt(bytes.length));
  for (; at + 8 <= bytes.length; at += 8) {
    h = add(mul(rotl(h ^ round(0n, view.getBigUint64(at, true)), 27), P1), P4);
  }
  if (at + 4 <= bytes.length) {
    h = add(mul(rotl(h ^ mul(BigInt(view.getUint32(at, true)), P1), 23), P2), P3);
    at += 4;
  }
  for (; at < bytes.length; at++) h = mul(rotl(h ^ mul(BigInt(bytes[at]), P5), 11), P1);
  h = mul(h ^ (h >> 33n), P2);
  h = mul(h ^ (h >> 29n), P3);
  return h ^ (h >> 32n);
}

/** XXH64 as the format writes it: 16 lower-case hex digits. */
export const xxh64hex = (bytes) => xxh64(bytes).toString(16).padStart(16, '0');

/**
 * Two different 64-byte inputs with the same XXH64.
 *
 * For 64 bytes each of the four accumulators takes two lanes: acc = round(round(START, l0), l1), and
 * nothing but the accumulators reaches the result. round(acc, lane) = rotl(acc + lane * P2, 31) * P1
 * depends only on acc + lane * P2, and P2 is odd, so it has an inverse mod 2^64. Whatever first lane
 * is put in, the second one that restores the sum is
 *   l1' = l1 + (round(START, l0) - round(START, l0')) * P2^-1.
 */
export function collidingPair(first, otherLane) {
  if (first.length !== 64) throw new Error('64 bytes are needed');
  const second = Buffer.from(first);
  const before = round(START[0], first.readBigUInt64LE(0));
  const after = round(START[0], otherLane);
  second.writeBigUInt64LE(otherLane, 0);
  const lane = add(first.readBigUInt64LE(32), mul(add(before, M64 + 1n - after), inverse(P2)));
  second.writeBigUInt64LE(lane, 32);
  return second;
}

/** Inverse of an odd number mod 2^64 by Newton's iteration: each step doubles the correct bits. */
function inverse(odd) {
  let x = odd;
  for (let i = 0; i < 6; i++) x = mul(x, add(2n, M64 + 1n - mul(odd, x)));
  return x;
}

const Q1 = 0x9e3779b1;
const Q2 = 0x85ebca77;
const Q3 = 0xc2b2ae3d;
const Q4 = 0x27d4eb2f;
const Q5 = 0x165667b1;
const rotl32 = (x, r) => (x << r) | (x >>> (32 - r));
const round32 = (acc, lane) => Math.imul(rotl32((acc + Math.imul(lane, Q2)) | 0, 13), Q1);

/** XXH32, needed by the LZ4 frame's header, block and content checksums. */
export function xxh32(bytes) {
  let at = 0;
  let h = Q5;
  if (bytes.length >= 16) {
    const acc = [(Q1 + Q2) | 0, Q2, 0, -Q1 | 0];
    for (; at + 16 <= bytes.length; at += 16) {
      for (let i = 0; i < 4; i++) acc[i] = round32(acc[i], bytes.readUInt32LE(at + 4 * i));
    }
    h = rotl32(acc[0], 1) + rotl32(acc[1], 7) + rotl32(acc[2], 12) + rotl32(acc[3], 18);
  }
  h = (h + bytes.length) | 0;
  for (; at + 4 <= bytes.length; at += 4) {
    h = Math.imul(rotl32((h + Math.imul(bytes.readUInt32LE(at), Q3)) | 0, 17), Q4);
  }
  for (; at < bytes.length; at++) h = Math.imul(rotl32((h + Math.imul(bytes[at], Q5)) | 0, 11), Q1);
  h = Math.imul(h ^ (h >>> 15), Q2);
  h = Math.imul(h ^ (h >>> 13), Q3);
  return (h ^ (h >>> 16)) >>> 0;
}
