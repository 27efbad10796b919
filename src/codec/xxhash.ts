/**
 * XXH64 (seed 0) of ordinary bytes, off the hot path. xxHash finds damage; it is not cryptographic and never an
 * identity.
 */
import { KiB } from '../base/limits.ts';
import { hashBytes, Kernel } from '../kernel/kernel.ts';

let kernel: Kernel | undefined;

/** XXH64 as 16 lower-case hex digits: what `xxhsum -H1` prints. */
export function xxh64(bytes: Uint8Array): string {
  kernel ??= Kernel.create(0);
  return hashBytes(kernel, bytes);
}

const stagingBytes = 128 * KiB;
let shared: { readonly kernel: Kernel; readonly state: number; readonly staging: number } | undefined;

function sharedKernel(): NonNullable<typeof shared> {
  if (shared === undefined) {
    const made = Kernel.create(stagingBytes + 4 * KiB);
    shared = { kernel: made, state: made.reserve(made.hashStateBytes), staging: made.reserve(stagingBytes) };
  }
  return shared;
}

/** XXH64 (seed 0) of bytes that come in pieces. All of a thread share one kernel: a state is only copied in and out. */
export class Xxh64 {
  readonly #state: Buffer;

  constructor() {
    const { kernel, state } = sharedKernel();
    kernel.hashInit(state);
    this.#state = Buffer.from(kernel.bytes.subarray(state, state + kernel.hashStateBytes));
  }

  /** Adds bytes. */
  update(bytes: Uint8Array): void {
    const { kernel, state, staging } = sharedKernel();
    kernel.bytes.set(this.#state, state);
    for (let at = 0; at < bytes.byteLength; at += stagingBytes) {
      const piece = bytes.subarray(at, at + stagingBytes);
      kernel.bytes.set(piece, staging);
      kernel.hashUpdate(state, staging, piece.byteLength);
    }
    kernel.bytes.copy(this.#state, 0, state, state + kernel.hashStateBytes);
  }

  /** 16 lower-case hex digits of everything so far. */
  hex(): string {
    const { kernel, state } = sharedKernel();
    kernel.bytes.set(this.#state, state);
    return kernel.hashHex(state);
  }
}
