// LZ4 frames in the profile of SPEC section 5 (records and tables).
// Source: LZ4 frame format, https://github.com/lz4/lz4/blob/dev/doc/lz4_Frame_format.md
// Writes: independent blocks of 256 KiB, content size, no block or content checksums. Reads the same with
// blocks of 64 KiB to 4 MiB and checks every checksum there is. Must never accept a frame whose output is
// not exactly the announced size, write beyond the capacity (but for the decoder's slack), or read beyond
// the input it was given.

import { decodeBlock } from './lz4-decode';
import { clearTable, encodeBlock } from './lz4-encode';
import { encodeBlockHigh } from './lz4-high';
import { SCRATCH, SCRATCH_BYTES, SLACK } from './layout';
import { xxh32 } from './xxh32';
import { equal, isZero } from './zero';

const MAGIC: u32 = 0x184d2204;
const SKIPPABLE_MAGIC: u32 = 0x184d2a50;
const HEADER_BYTES: u32 = 15;
const END_MARK_BYTES: u32 = 4;
const RAW_BLOCK: u32 = 0x80000000;
/** The verification decodes one block into the scratch region. */
const BLOCK_BYTES: u32 = SCRATCH_BYTES;
/** Version 01, independent blocks, content size. */
const FLAGS: u32 = 0x68;
/** 256 KiB is number 5. */
const DESCRIPTOR: u32 = 0x50;
const FLAG_BLOCK_CHECKSUM: u32 = 0x10;
const FLAG_CONTENT_CHECKSUM: u32 = 0x04;
/** Results are i32, so no content may be larger. */
const CONTENT_MAX: u64 = 0x7fffffff;

// Reasons, named in kernel.ts; -20 to -29 come from lz4-decode.ts.
const FRAME_TRUNCATED: i32 = -1;
const FRAME_MAGIC: i32 = -2;
const FRAME_VERSION: i32 = -3;
const FRAME_RESERVED: i32 = -4;
const FRAME_DEPENDENT: i32 = -5;
const FRAME_DICTIONARY: i32 = -6;
const FRAME_NO_SIZE: i32 = -7;
const FRAME_BLOCK_MAX: i32 = -8;
const FRAME_HEADER_CHECKSUM: i32 = -9;
const FRAME_CAPACITY: i32 = -10;
const FRAME_BLOCK_SIZE: i32 = -11;
const FRAME_BLOCK_CHECKSUM: i32 = -12;
const FRAME_CONTENT_CHECKSUM: i32 = -13;
const FRAME_TOO_LONG: i32 = -14;
const FRAME_TOO_SHORT: i32 = -15;
const FRAME_TRAILING: i32 = -16;
const FRAME_PADDING: i32 = -17;
const FRAME_VERIFY: i32 = -30;

/** Length in bytes of the frame decoded last, without what follows it. */
let lastFrameBytes: u32 = 0;

/** Bytes of the frame whose end {@link frameDecode} saw last. */
export function frameBytes(): u32 {
  return lastFrameBytes;
}

/** Space that {@link frameEncode} may write to for `length` bytes, slack included. */
export function frameBound(length: u32): u32 {
  return HEADER_BYTES + length + ((length + BLOCK_BYTES - 1) / BLOCK_BYTES) * 4 + END_MARK_BYTES + SLACK;
}

/** One block by the fast search, or by the deep one where the fast one shows that the block shrinks at all. */
function encodeOne(src: u32, size: u32, dst: u32, effort: u32): u32 {
  clearTable();
  const fast = encodeBlock(src, size, dst);
  if (fast == 0 || effort == 1) return fast;
  const high = encodeBlockHigh(src, size, dst, effort);
  if (high) return high;
  clearTable();
  return encodeBlock(src, size, dst);
}

/**
 * Encodes [src, src+length) as one frame at `dst` (frameBound(length) bytes) and returns its length.
 * `effort` 0 stores every block raw, 1 searches fast, more is the depth of the search for small output.
 * With `verify`, each compressed block is decoded and compared; a difference gives FRAME_VERIFY.
 */
export function frameEncode(src: u32, length: u32, dst: u32, verify: u32, effort: u32): i32 {
  store<u32>(dst, MAGIC);
  store<u8>(dst, FLAGS, 4);
  store<u8>(dst, DESCRIPTOR, 5);
  store<u64>(dst, <u64>length, 6);
  store<u8>(dst, <u8>(xxh32(dst + 4, 10) >> 8), 14);
  let op = dst + HEADER_BYTES;
  let left = length;
  while (left) {
    const size = left < BLOCK_BYTES ? left : BLOCK_BYTES;
    const coded = effort == 0 ? 0 : encodeOne(src, size, op + 4, effort);
    if (coded == 0) {
      store<u32>(op, size | RAW_BLOCK);
      memory.copy(op + 4, src, size);
      op += 4 + size;
    } else {
      if (verify) {
        const decoded = decodeBlock(op + 4, coded, SCRATCH, size);
        if (decoded != <i32>size || !equal(SCRATCH, src, size)) return FRAME_VERIFY;
      }
      store<u32>(op, coded);
      op += 4 + coded;
    }
    src += size;
    left -= size;
  }
  store<u32>(op, 0);
  return op + END_MARK_BYTES - dst;
}

/** Checks the frame header of [src, src+length). Returns the content size or a negative reason. */
export function frameContentSize(src: u32, length: u32): i32 {
  if (length < 4) return FRAME_TRUNCATED;
  if (load<u32>(src) != MAGIC) return FRAME_MAGIC;
  if (length < HEADER_BYTES) return FRAME_TRUNCATED;
  const flags: u32 = load<u8>(src, 4);
  if (flags >> 6 != 1) return FRAME_VERSION;
  if (flags & 0x02) return FRAME_RESERVED;
  if (!(flags & 0x20)) return FRAME_DEPENDENT;
  if (flags & 0x01) return FRAME_DICTIONARY;
  if (!(flags & 0x08)) return FRAME_NO_SIZE;
  const descriptor: u32 = load<u8>(src, 5);
  if (descriptor & 0x8f) return FRAME_RESERVED;
  if (descriptor >> 4 < 4) return FRAME_BLOCK_MAX;
  if (((xxh32(src + 4, 10) >> 8) & 0xff) != <u32>load<u8>(src, 14)) return FRAME_HEADER_CHECKSUM;
  const content = load<u64>(src, 6);
  if (content > CONTENT_MAX) return FRAME_CAPACITY;
  return <i32>content;
}

/** What follows a table's frame: nothing, or whole skippable frames of zeros. */
function checkPadding(ip: u32, end: u32): i32 {
  while (ip != end) {
    if (end - ip < 8) return FRAME_PADDING;
    if ((load<u32>(ip) & 0xfffffff0) != SKIPPABLE_MAGIC) return FRAME_PADDING;
    const size = load<u32>(ip, 4);
    ip += 8;
    if (size > end - ip || !isZero(ip, size)) return FRAME_PADDING;
    ip += size;
  }
  return 0;
}

/**
 * Decodes the one frame that [src, src+length) consists of to `dst` and returns its content size, or a
 * negative reason. With `padded`, skippable frames of zeros may follow; see {@link frameBytes} for where
 * the frame ended.
 */
export function frameDecode(src: u32, length: u32, dst: u32, capacity: u32, padded: u32): i32 {
  const content = frameContentSize(src, length);
  if (content < 0) return content;
  if (<u32>content > capacity) return FRAME_CAPACITY;
  const flags: u32 = load<u8>(src, 4);
  const blockMax: u32 = 1 << (((<u32>load<u8>(src, 5) >> 4) << 1) + 8);
  const checksumBytes: u32 = flags & FLAG_BLOCK_CHECKSUM ? 4 : 0;
  const inEnd = src + length;
  const outEnd = dst + <u32>content;
  let ip = src + HEADER_BYTES;
  let op = dst;
  while (true) {
    if (inEnd - ip < 4) return FRAME_TRUNCATED;
    const word = load<u32>(ip);
    ip += 4;
    if (word == 0) break;
    const size = word & ~RAW_BLOCK;
    if (size > blockMax) return FRAME_BLOCK_SIZE;
    if (inEnd - ip < size + checksumBytes) return FRAME_TRUNCATED;
    if (checksumBytes && xxh32(ip, size) != load<u32>(ip + size)) return FRAME_BLOCK_CHECKSUM;
    const room = outEnd - op;
    if (word & RAW_BLOCK) {
      if (size > room) return FRAME_TOO_LONG;
      memory.copy(op, ip, size);
      op += size;
    } else {
      const decoded = decodeBlock(ip, size, op, room < blockMax ? room : blockMax);
      if (decoded < 0) return decoded;
      op += decoded;
    }
    ip += size + checksumBytes;
  }
  if (op != outEnd) return FRAME_TOO_SHORT;
  if (flags & FLAG_CONTENT_CHECKSUM) {
    if (inEnd - ip < 4) return FRAME_TRUNCATED;
    if (xxh32(dst, <u32>content) != load<u32>(ip)) return FRAME_CONTENT_CHECKSUM;
    ip += 4;
  }
  lastFrameBytes = ip - src;
  if (padded) {
    const bad = checkPadding(ip, inEnd);
    if (bad) return bad;
  } else if (ip != inEnd) return FRAME_TRAILING;
  return content;
}
