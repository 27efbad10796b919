/** `fastcdc-1` straight from the specification (appendix "FastCDC-1"), slow and independent of src. */
import { createCipheriv } from 'node:crypto';

const mask = (1n << 64n) - 1n;

/** The gear table of a key. */
export function gearOf(key: Uint8Array): bigint[] {
  const bytes = createCipheriv('aes-256-ctr', key, Buffer.alloc(16)).update(Buffer.alloc(2048));
  return Array.from({ length: 256 }, (_, i) => bytes.readBigUInt64LE(i * 8));
}

/** A candidate: the offset after its last byte. */
export interface Candidate {
  readonly at: number;
  readonly strict: boolean;
}

/** All candidates of a file, by the definition. */
export function candidatesByDefinition(gear: readonly bigint[], bytes: Uint8Array): Candidate[] {
  const found: Candidate[] = [];
  let h = 0n;
  for (let at = 1; at <= bytes.length; at += 1) {
    h = ((h << 1n) + gear[bytes[at - 1]!]!) & mask;
    if (at >= 64 && h >> 46n === 0n) found.push({ at, strict: h >> 42n === 0n });
  }
  return found;
}

/** The same with two halves of 32 bits, for files of many MiB. */
export function candidatesOf(gear: readonly bigint[], bytes: Uint8Array): Candidate[] {
  const high = Float64Array.from(gear, (value) => Number(value >> 32n));
  const low = Float64Array.from(gear, (value) => Number(value & 0xffff_ffffn));
  const found: Candidate[] = [];
  let hi = 0;
  let lo = 0;
  for (let at = 1; at <= bytes.length; at += 1) {
    const byte = bytes[at - 1]!;
    const sum = lo * 2 + low[byte]!;
    const carry = sum >= 2 ** 33 ? 2 : sum >= 2 ** 32 ? 1 : 0;
    lo = sum - carry * 2 ** 32;
    hi = (hi * 2 + high[byte]! + carry) % 2 ** 32;
    if (at >= 64 && hi < 2 ** 14) found.push({ at, strict: hi < 2 ** 10 });
  }
  return found;
}

const KiB = 1024;
const MiB = 1024 * KiB;

/** The cuts of a file: ends of its chunks. */
export function cutsOf(candidates: readonly Candidate[], size: number): number[] {
  const cuts: number[] = [];
  for (let s = 0; s < size; ) {
    const strict = candidates.find(({ at, strict: is }) => is && at >= s + 256 * KiB && at < s + MiB);
    const loose = candidates.find(({ at }) => at >= s + MiB && at < s + 4 * MiB);
    s = Math.min(size, strict?.at ?? loose?.at ?? s + 4 * MiB);
    cuts.push(s);
  }
  return cuts;
}
