// Fixed addresses of the kernels' own tables at the bottom of the memory, and the sizes the typed door
// relies on. Everything from ARENA_START upwards belongs to the caller; no kernel may keep state there.
// Must never overlap: the slack of a decode into SCRATCH (32 bytes) ends where HIGH_HEADS begins at the latest.
// Memory that nobody touches costs nothing: the tables of lz4-high.ts exist only where it is used.

/** One finished 64-bit hash, big endian as people write it (xxh64.ts). */
export const HASH_RESULT: u32 = 0x0100;
/** State of the one-shot hash (xxh64.ts). */
export const HASH_SCRATCH: u32 = 0x0140;
/** State for {@link hashBytes} of the typed door. */
export const STAGING_STATE: u32 = 0x01c0;
/** 256 x u64 little endian (gear.ts). */
export const GEAR_TABLE: u32 = 0x1000;
/** Positions of the LZ4 encoder, 2^LZ4_HASH_BITS x u32 (lz4-encode.ts). */
export const LZ4_TABLE: u32 = 0x4000;
/**
 * One decoded block plus slack, for the verification of what was just encoded (lz4-frame.ts). The typed
 * door passes pieces of ordinary arrays through it as well; nothing lives there between two calls.
 */
export const SCRATCH: u32 = 0x10000;
export const SCRATCH_BYTES: u32 = 256 << 10;
/** Tables of the encoder for small output (lz4-high.ts): last position of each 4 bytes, 2^15 x u32. */
export const HIGH_HEADS: u32 = 0x60000;
/** Distance to the position before with the same hash, 65,536 x u16. */
export const HIGH_CHAIN: u32 = 0x80000;
/** Longest match at each position of a block, u32. */
export const HIGH_MATCHES: u32 = 0xa0000;
/** Bytes from each position of a block to its end, u32, and one more. */
export const HIGH_COST: u32 = 0x1a0000;
/**
 * First address of the caller. More than 65,535 on purpose: an empty table entry (0) is then farther away
 * than any LZ4 match may reach.
 */
export const ARENA_START: u32 = 0x2a1000;

/** How far beyond their nominal end the kernels may read or write. */
export const SLACK: u32 = 32;
