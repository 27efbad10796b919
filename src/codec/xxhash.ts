/**
 * XXH64 (seed 0) of ordinary bytes, off the hot path. xxHash finds damage; it is not cryptographic and never an
 * identity.
 */
import { hashBytes, Kernel } from '../kernel/kernel.ts';

let kernel: Kernel | undefined;

/** XXH64 as 16 lower-case hex digits: what `xxhsum -H1` prints. */
export function xxh64(bytes: Uint8Array): string {
  kernel ??= Kernel.create(0);
  return hashBytes(kernel, bytes);
}
