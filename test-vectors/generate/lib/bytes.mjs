// Byte helpers and the two injected sources every generator uses instead of the machine's: randomness and time.
import { createHash } from 'node:crypto';

export const hex = (bytes) => Buffer.from(bytes).toString('hex');
export const unhex = (text) => Buffer.from(text, 'hex');
export const text = (string) => Buffer.from(string, 'utf8');
export const concat = (...parts) => Buffer.concat(parts.flat());
export const sha256 = (bytes) => createHash('sha256').update(bytes).digest('hex');

export function u32be(value) {
  const out = Buffer.alloc(4);
  out.writeUInt32BE(value);
  return out;
}

export function u32le(value) {
  const out = Buffer.alloc(4);
  out.writeUInt32LE(value);
  return out;
}

export function u64be(value) {
  const out = Buffer.alloc(8);
  out.writeBigUInt64BE(BigInt(value));
  return out;
}

export function u64le(value) {
  const out = Buffer.alloc(8);
  out.writeBigUInt64LE(BigInt(value));
  return out;
}

/** A copy of `bytes` with one bit of byte `at` inverted; a negative `at` counts from the end. */
export function flip(bytes, at, bit = 0) {
  const out = Buffer.from(bytes);
  out[at < 0 ? out.length + at : at] ^= 1 << bit;
  return out;
}

/** A copy of `bytes` in which `patch` replaces what stands at `at`. */
export function overwrite(bytes, at, patch) {
  const out = Buffer.from(bytes);
  Buffer.from(patch).copy(out, at);
  return out;
}

/** Deterministic byte stream: SHA-512(label || u64be 0) || SHA-512(label || u64be 1) || ... */
export class Random {
  constructor(label) {
    this.label = text(`backpack test vectors/${label}`);
    this.counter = 0;
    this.left = Buffer.alloc(0);
  }

  bytes(length) {
    const parts = [this.left];
    let have = this.left.length;
    while (have < length) {
      const block = createHash('sha512')
        .update(this.label)
        .update(u64be(this.counter++))
        .digest();
      parts.push(block);
      have += block.length;
    }
    const all = Buffer.concat(parts);
    this.left = all.subarray(length);
    return Buffer.from(all.subarray(0, length));
  }

  /** A new object id: 6 bytes of Unix milliseconds, 14 random bytes. */
  id(milliseconds) {
    return hex(u64be(milliseconds).subarray(2)) + hex(this.bytes(14));
  }
}

/** `yyyymmddThhmmssZ` of the time inside an id. */
export function stampOf(id) {
  const date = new Date(Number.parseInt(id.slice(0, 12), 16));
  return `${date.toISOString().slice(0, 19).replace(/[-:]/g, '')}Z`;
}

/** The object name of a container, from its kind and id (`old` is the pack a moved object replaces). */
export function objectName(kind, id, old) {
  switch (kind) {
    case 'data':
    case 'meta':
      return `packs/${id.slice(0, 5)}/${id}.bpk`;
    case 'snap':
      return `snapshots/${stampOf(id)}-${id}.bpk`;
    case 'indx':
      return `index/${id}.bpk`;
    case 'move':
      return `moved/${old}-${id}.bpk`;
    case 'mark':
      return `gc/${id}.bpk`;
    case 'drop':
      return `drop/${id}.bpk`;
    default:
      throw new Error(`no name for kind ${kind}`);
  }
}
