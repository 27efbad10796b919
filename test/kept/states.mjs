// Files whose states prove themselves, for the mutator and its judge. A file is a row of pages; each page names its
// place and its version. A version is written from the first page to the last, so whatever is there at one moment is
// some pages of one version, and then the rest of the version before. Anything else is a mixture of two moments.
import { createCipheriv } from 'node:crypto';

const pageBytes = 4096;

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

/** One page of a file. */
export function page(version, index) {
  const key = Buffer.alloc(16);
  key.writeUInt32LE(version);
  key.writeUInt32LE(index, 4);
  const body = createCipheriv('aes-128-ctr', key, Buffer.alloc(16)).update(Buffer.alloc(pageBytes - 8));
  return Buffer.concat([key.subarray(0, 8), body]);
}

/** All pages of one version. */
export function stateOf(version, pages) {
  return Buffer.concat(Array.from({ length: pages }, (_, index) => page(version, index)));
}

/** Whether some bytes are a state that the file had at one moment. */
export function isState(bytes) {
  if (bytes.length === 0 || bytes.length % pageBytes !== 0) return false;
  let last;
  let first;
  for (let index = 0; index * pageBytes < bytes.length; index += 1) {
    const found = bytes.subarray(index * pageBytes, (index + 1) * pageBytes);
    const version = found.readUInt32LE(0);
    if (!found.equals(page(version, index))) return false;
    first ??= version;
    if (version > (last ?? version) || first - version > 1) return false;
    last = version;
  }
  return true;
}
