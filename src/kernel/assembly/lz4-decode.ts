// LZ4 block decoder for hostile input.
// Source: LZ4 block format description, https://github.com/lz4/lz4/blob/dev/doc/lz4_Block_format.md
// Must never read outside [src, src+length) or write outside [dst, dst+capacity) by more than SLACK bytes,
// whatever the input is; what lies in the slack never influences the result. Lengths are compared with what
// is left, never added to an address first, so that nothing can wrap around.

/** Reasons, shared with lz4-frame.ts (numbers -20 to -29) and named in kernel.ts. */
export const BLOCK_TRUNCATED: i32 = -20;
export const BLOCK_LITERALS: i32 = -21;
export const BLOCK_DISTANCE: i32 = -22;
export const BLOCK_OUTPUT: i32 = -23;
export const BLOCK_SIZE: i32 = -24;

/** A length is at most 255 x input: with at most 8 MiB of input it stays below 2^31. */
const INPUT_MAX: u32 = 8 << 20;

/** Copies `length` bytes forward where source and destination overlap by a distance below 16. */
function copyNear(op: u32, distance: u32, length: u32): void {
  const end = op + length;
  let from = op - distance;
  if (distance == 1) {
    const run = i8x16.splat(load<u8>(from));
    do {
      v128.store(op, run);
      op += 16;
    } while (op < end);
    return;
  }
  // Write one period until the gap is at least 8 (a multiple of the distance repeats the same bytes).
  const head = op + 8;
  while (op < head) store<u8>(op++, load<u8>(from++));
  if (op >= end) return;
  let gap = distance;
  while (gap < 8) gap += distance;
  from = op - gap;
  do {
    store<u64>(op, load<u64>(from));
    op += 8;
    from += 8;
  } while (op < end);
}

/**
 * Decodes the LZ4 block [src, src+length) to `dst`. Returns the number of bytes written (at most
 * `capacity`) or a negative reason. The block may not refer to anything before `dst`.
 */
export function decodeBlock(src: u32, length: u32, dst: u32, capacity: u32): i32 {
  if (length > INPUT_MAX) return BLOCK_SIZE;
  const inEnd = src + length;
  const outEnd = dst + capacity;
  let ip = src;
  let op = dst;
  while (ip < inEnd) {
    const token: u32 = load<u8>(ip++);
    let run = token >> 4;
    if (run != 15) {
      if (run > inEnd - ip) return BLOCK_LITERALS;
      if (run > outEnd - op) return BLOCK_OUTPUT;
      v128.store(op, v128.load(ip));
      op += run;
      ip += run;
    } else {
      let byte: u32;
      do {
        if (ip >= inEnd) return BLOCK_TRUNCATED;
        byte = load<u8>(ip++);
        run += byte;
      } while (byte == 255);
      if (run > inEnd - ip) return BLOCK_LITERALS;
      if (run > outEnd - op) return BLOCK_OUTPUT;
      const runEnd = op + run;
      let from = ip;
      do {
        v128.store(op, v128.load(from));
        v128.store(op, v128.load(from, 16), 16);
        op += 32;
        from += 32;
      } while (op < runEnd);
      op = runEnd;
      ip += run;
    }
    // The last sequence is literals only.
    if (ip == inEnd) return token & 15 ? BLOCK_TRUNCATED : op - dst;

    if (inEnd - ip < 2) return BLOCK_TRUNCATED;
    const distance: u32 = load<u16>(ip);
    ip += 2;
    // Distance 0 wraps to the largest number and is refused with those that reach before the output.
    if (distance - 1 >= op - dst) return BLOCK_DISTANCE;
    let match = op - distance;
    let size = (token & 15) + 4;
    if (size != 19) {
      if (size > outEnd - op) return BLOCK_OUTPUT;
      if (distance >= 16) {
        v128.store(op, v128.load(match));
        store<u16>(op, load<u16>(match, 16), 16);
        op += size;
        continue;
      }
    } else {
      let byte: u32;
      do {
        if (ip >= inEnd) return BLOCK_TRUNCATED;
        byte = load<u8>(ip++);
        size += byte;
      } while (byte == 255);
      if (size > outEnd - op) return BLOCK_OUTPUT;
    }
    if (distance >= 16) {
      const matchEnd = op + size;
      do {
        v128.store(op, v128.load(match));
        op += 16;
        match += 16;
      } while (op < matchEnd);
      op = matchEnd;
    } else {
      copyNear(op, distance, size);
      op += size;
    }
  }
  // No closing sequence: an empty input, or one that ends with a match.
  return BLOCK_TRUNCATED;
}
