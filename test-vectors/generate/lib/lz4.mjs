// LZ4 frames: the profile of the format, every variation a reader has to accept, and hooks for the
// ones it has to refuse. The block compressor is a plain greedy one with a hash table of 4-byte words.
import { u32le, u64le } from './bytes.mjs';
import { xxh32 } from './xxh.mjs';

const BLOCK_CODE = { 65536: 4, 262144: 5, 1048576: 6, 4194304: 7 };

/** One LZ4 block (no frame around it). */
export function compressBlock(input) {
  const out = [];
  const table = new Map();
  const lastMatchStart = input.length - 12; // the format ends a block with literals
  const lastMatchEnd = input.length - 5;
  let anchor = 0;
  let at = 0;
  while (at < lastMatchStart) {
    const word = input.readUInt32LE(at);
    const before = table.get(word);
    table.set(word, at);
    if (before === undefined || at - before > 65535) {
      at++;
      continue;
    }
    let length = 4;
    while (at + length < lastMatchEnd && input[before + length] === input[at + length]) length++;
    sequence(out, input.subarray(anchor, at), at - before, length);
    at += length;
    anchor = at;
  }
  sequence(out, input.subarray(anchor), 0, 0);
  return Buffer.concat(out);
}

function sequence(out, literals, offset, matchLength) {
  const rest = matchLength - 4;
  const high = Math.min(literals.length, 15);
  const low = matchLength ? Math.min(rest, 15) : 0;
  const head = [(high << 4) | low];
  if (high === 15) lengthBytes(head, literals.length - 15);
  out.push(Buffer.from(head), Buffer.from(literals));
  if (!matchLength) return;
  const tail = [offset & 255, offset >> 8];
  if (low === 15) lengthBytes(tail, rest - 15);
  out.push(Buffer.from(tail));
}

function lengthBytes(bytes, length) {
  let left = length;
  for (; left >= 255; left -= 255) bytes.push(255);
  bytes.push(left);
}

/**
 * An LZ4 frame.
 * blockSize: 65536, 262144, 1048576 or 4194304; raw: store every block; blockChecksum,
 * contentChecksum: write them. The rest makes invalid frames: contentSize (another number, or null to
 * leave the field out), independent: false, dictionary (an id), magic, version, reserved, headerChecksum,
 * blockSum, contentSum (wrong values), end: false (no end mark), blockCode (block size code), blocks: finished
 * blocks as [{ bytes, stored: true when not compressed }].
 */
export function frame(plain, options = {}) {
  const { blockSize = 262144, raw = false, blockChecksum = false, contentChecksum = false } = options;
  const { contentSize = plain.length, independent = true, dictionary = null, end = true } = options;
  const { magic = 0x184d2204, version = 1, reserved = 0, headerChecksum, blockSum, contentSum } = options;
  const { blockCode = BLOCK_CODE[blockSize], blocks = cut(plain, blockSize, raw) } = options;
  const flg =
    (version << 6) |
    (independent ? 32 : 0) |
    (blockChecksum ? 16 : 0) |
    (contentSize === null ? 0 : 8) |
    (contentChecksum ? 4 : 0) |
    (reserved << 1) |
    (dictionary === null ? 0 : 1);
  const descriptor = Buffer.concat([
    Buffer.from([flg, blockCode << 4]),
    contentSize === null ? Buffer.alloc(0) : u64le(contentSize),
    dictionary === null ? Buffer.alloc(0) : u32le(dictionary),
  ]);
  const parts = [u32le(magic), descriptor, Buffer.from([headerChecksum ?? (xxh32(descriptor) >>> 8) & 255])];
  for (const { bytes, stored } of blocks) {
    parts.push(u32le(stored ? (bytes.length | 0x80000000) >>> 0 : bytes.length), bytes);
    if (blockChecksum) parts.push(u32le(blockSum ?? xxh32(bytes)));
  }
  if (end) parts.push(u32le(0));
  if (contentChecksum) parts.push(u32le(contentSum ?? xxh32(plain)));
  return Buffer.concat(parts);
}

function cut(plain, blockSize, raw) {
  const blocks = [];
  for (let at = 0; at < plain.length; at += blockSize) {
    const block = plain.subarray(at, at + blockSize);
    const packed = raw ? block : compressBlock(block);
    const stored = packed.length >= block.length;
    blocks.push({ bytes: stored ? block : packed, stored });
  }
  return blocks;
}

/** A skippable frame of `size` bytes in all (at least 8). */
export const skippable = (size) =>
  Buffer.concat([u32le(0x184d2a50), u32le(size - 8), Buffer.alloc(size - 8)]);

/** A frame of the old `lz4 -l` form, which the format refuses. */
export function legacyFrame(plain) {
  const block = compressBlock(plain);
  return Buffer.concat([u32le(0x184c2102), u32le(block.length), block]);
}
