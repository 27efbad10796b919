// Section 5: keyed FastCDC, one byte at a time, with the 64-bit hash held in two 32-bit halves.
import { createCipheriv } from 'node:crypto';

const MIN = 262144;
const NORMAL = 1048576;
const MAX = 4194304;

/** 2048 bytes: 256 little-endian u64. */
export const gearTable = (kChunker) =>
  createCipheriv('aes-256-ctr', kChunker, Buffer.alloc(16)).update(Buffer.alloc(2048));

/** Cut points (ends of chunks) of `data`, the last one being its length. */
export function cutPoints(kChunker, data) {
  const gear = gearTable(kChunker);
  const low = Array.from({ length: 256 }, (_, i) => gear.readUInt32LE(8 * i));
  const high = Array.from({ length: 256 }, (_, i) => gear.readUInt32LE(8 * i + 4));
  const cuts = [];
  let start = 0;
  let lo = 0;
  let hi = 0;
  for (let at = 1; at <= data.length; at++) {
    const byte = data[at - 1];
    const sum = ((lo << 1) >>> 0) + low[byte];
    hi = (((hi << 1) | (lo >>> 31)) + high[byte] + (sum > 0xffffffff ? 1 : 0)) >>> 0;
    lo = sum >>> 0;
    const length = at - start;
    const strict = length >= MIN && hi >>> 10 === 0;
    const loose = length >= NORMAL && hi >>> 14 === 0;
    if (strict || loose || length === MAX) {
      cuts.push(at);
      start = at;
    }
  }
  if (start < data.length) cuts.push(data.length);
  return cuts;
}

/** Aligned pieces of a fixed size. */
export function fixedCuts(size, length) {
  const cuts = [];
  for (let at = size; at < length; at += size) cuts.push(at);
  if (length > 0) cuts.push(length);
  return cuts;
}
