/**
 * The typed door to the kernels (assembly/*.ts, compiled to dist/kernel/kernel.wasm): LZ4 frames and gear
 * candidates of SPEC section 5, XXH64, zero test. One Kernel per thread; its memory is never shared and
 * never grows, so views over it stay valid for its whole life. Addresses are byte offsets in that memory.
 * Must never allocate in the methods that run per block or per chunk, and must never let a kernel write
 * outside a region the caller owns (but for the slack named at each method).
 */
import { readFileSync } from 'node:fs';
import { BackpackError } from '../base/errors.ts';
import type { KernelExports } from './exports.ts';
import { frameReason } from './reasons.ts';

const PAGE_BYTES = 65_536;
/** Room for alignment and guards on top of what the caller asks for. */
const SPARE_BYTES = 65_536;
/** Behind every region: more than the slack of any kernel, so that it never reaches a neighbour. */
const GUARD_BYTES = 64;
/** Pages with the kernels' own tables. */
const TABLE_PAGES = 48;
const MEMORY_MAX_PAGES = 32_768;
const GEAR_TABLE_BYTES = 2_048;
/** The hash looks at this many bytes before a cut. */
const GEAR_WINDOW_BYTES = 64;

let compiled: WebAssembly.Module | undefined;

/** Kernels over one private memory. Not for concurrent use: methods share fixed tables. */
export class Kernel {
  /** The whole memory; hand slices of it to `fs.readSync` and `cipher.update` without copying. */
  readonly bytes: Buffer;
  readonly memory: WebAssembly.Memory;
  /** Bytes of one hash state, see {@link hashInit}. */
  readonly hashStateBytes: number;
  readonly #exports: KernelExports;
  readonly #hashResult: number;
  readonly #arenaStart: number;
  readonly #arenaEnd: number;
  #next: number;

  private constructor(memory: WebAssembly.Memory, exports: KernelExports) {
    this.memory = memory;
    this.bytes = Buffer.from(memory.buffer);
    this.#exports = exports;
    this.hashStateBytes = exports.hashStateBytes();
    this.#hashResult = exports.hashResult();
    this.#arenaStart = exports.arenaStart();
    this.#arenaEnd = this.bytes.length - GUARD_BYTES;
    this.#next = this.#arenaStart;
  }

  /**
   * The compiled module, made on the first call of this thread. A module may be posted to a worker and
   * given to {@link create} there, which saves compiling it again. Throws what `readFileSync` throws if the
   * build is missing.
   */
  static compile(): WebAssembly.Module {
    compiled ??= new WebAssembly.Module(
      readFileSync(new URL('../../dist/kernel/kernel.wasm', import.meta.url)),
    );
    return compiled;
  }

  /**
   * A kernel whose caller may reserve `sizeBytes` in total; 64 KiB more are there for alignment and guards.
   * @throws BackpackError `BP_KERNEL_MEMORY` (kind `internal`) if that is more than 2 GiB.
   */
  static create(sizeBytes: number, module: WebAssembly.Module = Kernel.compile()): Kernel {
    // The arena starts within the first pages; the exact address is only known to the instance.
    const pages = TABLE_PAGES + Math.ceil((sizeBytes + SPARE_BYTES) / PAGE_BYTES);
    if (!(sizeBytes >= 0 && pages <= MEMORY_MAX_PAGES)) {
      throw new BackpackError('BP_KERNEL_MEMORY', `a kernel cannot have ${sizeBytes} bytes of memory`, {
        kind: 'internal',
        context: { sizeBytes },
      });
    }
    const memory = new WebAssembly.Memory({ initial: pages, maximum: pages });
    const instance = new WebAssembly.Instance(module, { env: { memory } });
    return new Kernel(memory, instance.exports as unknown as KernelExports);
  }

  /**
   * Reserves a region for the life of the kernel and returns its address, a multiple of `align` (a power of
   * two). At least 64 bytes behind it belong to nobody, so a kernel's slack at the end of the region harms
   * nothing.
   * @throws BackpackError `BP_KERNEL_MEMORY` (kind `internal`) if the memory is used up.
   */
  reserve(sizeBytes: number, align = 64): number {
    const address = Math.ceil(this.#next / align) * align;
    const end = address + sizeBytes;
    if (!(sizeBytes >= 0 && end <= this.#arenaEnd)) {
      throw new BackpackError('BP_KERNEL_MEMORY', `no room for ${sizeBytes} bytes of kernel memory`, {
        kind: 'internal',
        context: { sizeBytes, freeBytes: this.#arenaEnd - this.#next },
      });
    }
    this.#next = end + GUARD_BYTES;
    return address;
  }

  /** Bytes {@link frameEncode} may write for `length` bytes of input, slack included. */
  frameBound(length: number): number {
    return this.#exports.frameBound(length);
  }

  /**
   * Encodes `length` bytes at `src` as one LZ4 frame (independent blocks of 256 KiB, content size, no
   * checksums) at `dst`, where {@link frameBound} bytes must be free. Returns the length of the frame.
   * Equal input gives equal output, whatever was encoded before. With `verify` every compressed block is
   * decoded and compared first. `effort` 0 compresses nothing, 1 is fast, more is the number of candidates that
   * are compared at each position: slow, for small output.
   * @throws BackpackError `BP_ENCODE_VERIFY` (kind `internal`) if a block does not decode to its input.
   */
  frameEncode(src: number, length: number, dst: number, verify: boolean, effort = 1): number {
    this.#readable(src, length);
    this.#writable(dst, this.#exports.frameBound(length));
    const result = this.#exports.frameEncode(src, length, dst, verify ? 1 : 0, effort);
    if (result < 0) {
      throw new BackpackError('BP_ENCODE_VERIFY', 'compressed data did not decode to what was compressed', {
        kind: 'internal',
        context: { length },
      });
    }
    return result;
  }

  /**
   * Decodes the one LZ4 frame that the `length` bytes at `src` consist of to `dst` and returns the content
   * size, which never exceeds `capacity`. Up to 32 bytes behind the content may be scribbled on. The caller
   * compares the result with the length it knows.
   * @throws BackpackError `E_LZ4` (kind `damaged`, `context.reason`) for anything outside SPEC section 5.
   */
  frameDecode(src: number, length: number, dst: number, capacity: number): number {
    this.#readable(src, length);
    this.#writable(dst, capacity);
    const result = this.#exports.frameDecode(src, length, dst, capacity, 0);
    return result < 0 ? this.#damaged(result) : result;
  }

  /**
   * Like {@link frameDecode}, but skippable LZ4 frames of zeros (padding of a table) may follow the frame.
   * Returns `length`, the bytes of plaintext, and `frameBytes`, how far from `src` the padding begins.
   * @throws BackpackError `E_LZ4` as above, also if the padding is not whole frames of zeros.
   */
  tableFrameDecode(
    src: number,
    length: number,
    dst: number,
    capacity: number,
  ): { length: number; frameBytes: number } {
    this.#readable(src, length);
    this.#writable(dst, capacity);
    const result = this.#exports.frameDecode(src, length, dst, capacity, 1);
    if (result < 0) this.#damaged(result);
    return { length: result, frameBytes: this.#exports.frameBytes() };
  }

  /**
   * The content size that the frame header at `src` announces, after checking the header and its checksum.
   * Nothing behind the header is read, so this is a claim until the frame is decoded.
   * @throws BackpackError `E_LZ4` (kind `damaged`, `context.reason`).
   */
  frameContentSize(src: number, length: number): number {
    this.#readable(src, length);
    const result = this.#exports.frameContentSize(src, length);
    return result < 0 ? this.#damaged(result) : result;
  }

  /**
   * Starts an XXH64 (seed 0) in the {@link hashStateBytes} bytes at `state`. A state holds no addresses: it
   * may be copied to another place or to another thread's kernel and continued there.
   */
  hashInit(state: number): void {
    this.#exports.hashInit(state);
  }

  /** Adds `length` bytes at `src`. The result does not depend on how the input is split. */
  hashUpdate(state: number, src: number, length: number): void {
    this.#readable(src, length);
    this.#exports.hashUpdate(state, src, length);
  }

  /** Adds `length` zero bytes (up to 2^53) without reading memory: holes of sparse files. */
  hashZeros(state: number, length: number): void {
    this.#exports.hashZeros(state, length);
  }

  /** XXH64 of everything so far, 16 lower-case hex digits. Does not change the state. */
  hashHex(state: number): string {
    this.#exports.hashDigest(state);
    return this.bytes.toString('hex', this.#hashResult, this.#hashResult + 8);
  }

  /** XXH64 of `length` bytes at `src`, 16 lower-case hex digits. */
  hashOf(src: number, length: number): string {
    const at = this.hashAt(src, length);
    return this.bytes.toString('hex', at, at + 8);
  }

  /** XXH64 of `length` bytes at `src`. @returns where its 8 bytes are, big endian, until the next hash is made */
  hashAt(src: number, length: number): number {
    this.#readable(src, length);
    this.#exports.hashOnce(src, length);
    return this.#hashResult;
  }

  /**
   * Sets the 256 gear values, 8 bytes little endian each.
   * @throws BackpackError `BP_INTERNAL` if the table is not 2,048 bytes long.
   */
  gearLoad(table: Uint8Array): void {
    if (table.length !== GEAR_TABLE_BYTES) {
      throw new BackpackError('BP_INTERNAL', `a gear table has 2048 bytes, not ${table.length}`, {
        kind: 'internal',
      });
    }
    this.bytes.set(table, this.#exports.gearTable());
  }

  /**
   * Finds the addresses c in [`start`, `end`) with gear hash h over the bytes [c-64, c): for each where the
   * top 18 bits of h are 0, writes two u32 (little endian) to `out`: c - `start`, and 1 if the top 22 bits
   * are 0 (strict), else 0. Returns the number of pairs, in ascending order; stops after `max`. The 64
   * bytes before `start` are read, and they must be the bytes that come before it in the file; a file may
   * be scanned in any pieces with the same result.
   */
  gearCandidates(start: number, end: number, out: number, max: number): number {
    this.#readable(start - GEAR_WINDOW_BYTES, GEAR_WINDOW_BYTES);
    this.#readable(start, end - start);
    this.#writable(out, max * 8);
    return this.#exports.gearCandidates(start, end, out, max);
  }

  /** True if all `length` bytes at `address` are zero. */
  isZero(address: number, length: number): boolean {
    this.#readable(address, length);
    return this.#exports.isZero(address, length) !== 0;
  }

  /** True if the `length` bytes at `left` and at `right` are the same. Not constant time. */
  equal(left: number, right: number, length: number): boolean {
    this.#readable(left, length);
    this.#readable(right, length);
    return this.#exports.equal(left, right, length) !== 0;
  }

  /** @internal The work of {@link hashBytes}. */
  hashArray(bytes: Uint8Array): string {
    const scratch = this.#exports.scratch();
    const state = this.#exports.stagingState();
    const size = this.#exports.scratchBytes();
    this.hashInit(state);
    for (let at = 0; at < bytes.length; at += size) {
      const piece = bytes.subarray(at, at + size);
      this.bytes.set(piece, scratch);
      this.hashUpdate(state, scratch, piece.length);
    }
    return this.hashHex(state);
  }

  #damaged(number: number): never {
    const reason = frameReason(number);
    throw new BackpackError('E_LZ4', `compressed data is damaged: ${reason}`, {
      kind: 'damaged',
      context: { reason },
    });
  }

  #readable(address: number, length: number): void {
    if (address >= 0 && length >= 0 && address + length <= this.bytes.length) return;
    this.#outside(address, length);
  }

  /** The kernels' own tables are below the arena; the guard at the end takes the slack. */
  #writable(address: number, length: number): void {
    if (address >= this.#arenaStart && length >= 0 && address + length <= this.#arenaEnd) return;
    this.#outside(address, length);
  }

  #outside(address: number, length: number): never {
    throw new BackpackError('BP_INTERNAL', 'a range is outside the kernel memory', {
      kind: 'internal',
      context: { address, length },
    });
  }
}

/**
 * XXH64 of an ordinary byte array, 16 lower-case hex digits. Copies it through the kernel's scratch memory
 * in pieces: for code off the hot path.
 */
export function hashBytes(kernel: Kernel, bytes: Uint8Array): string {
  return kernel.hashArray(bytes);
}
