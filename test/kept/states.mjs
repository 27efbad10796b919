// States of files that prove themselves, for the mutator and its judge.
import { createCipheriv } from 'node:crypto';

/** Repeatable random numbers (mulberry32): from 0 up to, not including, `below`. */
export function dice(start) {
  let state = start >>> 0;
  return (below) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return Math.floor((((t ^ (t >>> 14)) >>> 0) / 2 ** 32) * below);
  };
}

/** The state of a seed: the seed, the length, and bytes that follow from both. */
export function stateOf(seed, length) {
  const head = Buffer.alloc(8);
  head.writeUInt32LE(seed);
  head.writeUInt32LE(length, 4);
  const key = Buffer.alloc(16);
  head.copy(key);
  const body = createCipheriv('aes-128-ctr', key, Buffer.alloc(16)).update(
    Buffer.alloc(Math.max(0, length - 8)),
  );
  return Buffer.concat([head, body]).subarray(0, length);
}

/** Whether some bytes are one of the states, whole. */
export function isState(bytes) {
  if (bytes.length < 8) return false;
  const length = bytes.readUInt32LE(4);
  return length === bytes.length && stateOf(bytes.readUInt32LE(0), length).equals(bytes);
}
