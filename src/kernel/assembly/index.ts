// The kernels' exports: the byte-crunching loops behind src/kernel/kernel.ts, which documents the
// contracts. AssemblyScript; compiled by scripts/build.mjs to dist/kernel/kernel.wasm. The memory is
// imported (one per thread).
// Must never allocate: all working memory is at fixed addresses (layout.ts) or given by the caller.

import {
  ARENA_START,
  GEAR_TABLE,
  HASH_RESULT,
  LZ4_TABLE,
  SCRATCH,
  SCRATCH_BYTES,
  SLACK,
  STAGING_STATE,
} from './layout';
import { HASH_STATE_BYTES } from './xxh64';

export { decodeBlock } from './lz4-decode';
export { clearTable, encodeBlock } from './lz4-encode';
export { encodeBlockHigh } from './lz4-high';
export { frameBound, frameBytes, frameContentSize, frameDecode, frameEncode } from './lz4-frame';
export { hashDigest, hashInit, hashOnce, hashUpdate, hashZeros } from './xxh64';
export { xxh32 } from './xxh32';
export { gearCandidates } from './gear';
export { equal, isZero } from './zero';

// Read once by the typed door, so that no number is written down twice.
export function arenaStart(): u32 {
  return ARENA_START;
}
export function gearTable(): u32 {
  return GEAR_TABLE;
}
export function hashResult(): u32 {
  return HASH_RESULT;
}
export function hashStateBytes(): u32 {
  return HASH_STATE_BYTES;
}
export function lz4Table(): u32 {
  return LZ4_TABLE;
}
export function scratch(): u32 {
  return SCRATCH;
}
export function scratchBytes(): u32 {
  return SCRATCH_BYTES;
}
export function stagingState(): u32 {
  return STAGING_STATE;
}
export function slackBytes(): u32 {
  return SLACK;
}
