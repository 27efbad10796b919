// Fixed addresses of the kernels' own tables at the bottom of the memory, and the sizes the typed door
// relies on. Everything from ARENA_START upwards belongs to the caller; no kernel may keep state there.
// Must never overlap: the slack of a decode into SCRATCH (32 bytes) has to end before ARENA_START.

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
/**
 * First address of the caller. More than 65,535 on purpose: an empty table entry (0) is then farther away
 * than any LZ4 match may reach.
 */
export const ARENA_START: u32 = 0x60000;

/** How far beyond their nominal end the kernels may read or write. */
export const SLACK: u32 = 32;
