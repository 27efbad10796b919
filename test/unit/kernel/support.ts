/**
 * What the kernel tests share: raw exports below the typed door, data of different kinds from a seed, a
 * frame builder that is independent of the encoder, and the external programs.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { hash as xxh32 } from 'lz4js/xxh32.js';
import { isBackpackError } from '../../../src/base/errors.ts';
import type { KernelExports } from '../../../src/kernel/exports.ts';
import { Kernel } from '../../../src/kernel/kernel.ts';

export const MIB = 1 << 20;

/** The exports themselves over a memory of their own, for what the typed door does not show. */
export function rawKernel(sizeBytes: number): { raw: KernelExports; bytes: Buffer; start: number } {
  const memory = new WebAssembly.Memory({ initial: Math.ceil(sizeBytes / 65_536) + 48 });
  const instance = new WebAssembly.Instance(Kernel.compile(), { env: { memory } });
  const raw = instance.exports as unknown as KernelExports;
  return { raw, bytes: Buffer.from(memory.buffer), start: raw.arenaStart() };
}

/** Small fast generator (mulberry32): whole numbers below `limit`. */
export function numbers(seed: number): (limit: number) => number {
  let state = seed >>> 0;
  return (limit) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return Math.floor((((t ^ (t >>> 14)) >>> 0) / 4_294_967_296) * limit);
  };
}

export const kinds = ['random', 'text', 'periodic', 'zero', 'mixed'] as const;
export type Kind = (typeof kinds)[number];

/** `length` bytes of one kind, always the same for one seed. */
export function sample(kind: Kind, length: number, seed: number): Buffer {
  const next = numbers(seed);
  const bytes = Buffer.alloc(length);
  if (kind === 'zero') return bytes;
  if (kind === 'random') {
    for (let i = 0; i < length; i++) bytes[i] = next(256);
  } else if (kind === 'periodic') {
    const period = 1 + next(40);
    for (let i = 0; i < length; i++) bytes[i] = i < period ? next(256) : (bytes[i - period] as number);
  } else if (kind === 'text') {
    const words = Array.from({ length: 200 }, () => Buffer.from(`${next(1e9).toString(36).slice(next(4))} `));
    for (let at = 0; at < length; ) at += (words[next(200)] as Buffer).copy(bytes, at);
  } else {
    for (let at = 0; at < length; ) {
      const part = sample(kinds[next(4)] as Kind, Math.min(length - at, 1 + next(100_000)), next(1e9));
      at += part.copy(bytes, at);
    }
  }
  return bytes;
}

/** One block of a hand-made frame. */
export interface Block {
  readonly raw: boolean;
  readonly bytes: Uint8Array;
}

/** What {@link makeFrame} can get wrong on purpose or vary. */
export interface FrameParts {
  readonly flags?: number;
  readonly descriptor?: number;
  readonly contentSize?: bigint;
  readonly endMark?: boolean;
  readonly tail?: Uint8Array;
}

const word = (value: number): Buffer => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value >>> 0);
  return bytes;
};

/** A frame of given blocks, checksums as the flags say (0x10 blocks, 0x04 content). */
export function makeFrame(blocks: readonly Block[], content: Uint8Array, parts: FrameParts = {}): Buffer {
  const flags = parts.flags ?? 0x68;
  const sizeBytes = Buffer.alloc(8);
  sizeBytes.writeBigUInt64LE(parts.contentSize ?? BigInt(content.length));
  const header = Buffer.concat([Buffer.from([flags, parts.descriptor ?? 0x50]), sizeBytes]);
  const out = [word(0x184d2204), header, Buffer.from([(xxh32(0, header, 0, header.length) >>> 8) & 0xff])];
  for (const block of blocks) {
    out.push(word(block.bytes.length | (block.raw ? 0x80000000 : 0)), Buffer.from(block.bytes));
    if (flags & 0x10) out.push(word(xxh32(0, block.bytes, 0, block.bytes.length)));
  }
  if (parts.endMark !== false) out.push(word(0));
  if (flags & 0x04) out.push(word(xxh32(0, content, 0, content.length)));
  if (parts.tail) out.push(Buffer.from(parts.tail));
  return Buffer.concat(out);
}

/** Bytes, or the reason of the E_LZ4 that was thrown; anything else is thrown on. */
export function outcome(decode: () => Buffer): Buffer | string {
  try {
    return decode();
  } catch (error) {
    if (isBackpackError(error) && error.code === 'E_LZ4') return String(error.context['reason']);
    throw error;
  }
}

/** A kernel with three regions, and the two directions over ordinary buffers. */
export class Bench {
  readonly kernel: Kernel;
  readonly src: number;
  readonly dst: number;
  readonly out: number;
  readonly sizeMax: number;

  constructor(sizeMax: number) {
    this.sizeMax = sizeMax;
    this.kernel = Kernel.create(sizeMax * 3 + 65_536);
    this.src = this.kernel.reserve(sizeMax);
    this.dst = this.kernel.reserve(this.kernel.frameBound(sizeMax));
    this.out = this.kernel.reserve(sizeMax);
  }

  encode(input: Uint8Array, verify = true): Buffer {
    this.kernel.bytes.set(input, this.src);
    const length = this.kernel.frameEncode(this.src, input.length, this.dst, verify);
    return Buffer.from(this.kernel.bytes.subarray(this.dst, this.dst + length));
  }

  decode(frame: Uint8Array, capacity = this.sizeMax): Buffer {
    this.kernel.bytes.set(frame, this.dst);
    const length = this.kernel.frameDecode(this.dst, frame.length, this.out, capacity);
    return Buffer.from(this.kernel.bytes.subarray(this.out, this.out + length));
  }
}

/** True if the program starts. */
export function hasProgram(name: string): boolean {
  return spawnSync(name, ['--version']).status === 0;
}

/** Runs a program on a temporary file that holds `input` (named `{}` in `args`); its standard output. */
export function runOn(program: string, args: readonly string[], input: Uint8Array): Buffer {
  const folder = mkdtempSync(join(tmpdir(), 'backpack-kernel-'));
  try {
    const file = join(folder, 'input');
    writeFileSync(file, input);
    const done = spawnSync(
      program,
      args.map((arg) => (arg === '{}' ? file : arg)),
      { maxBuffer: 64 * MIB },
    );
    if (done.status !== 0) throw new Error(`${program} ${args.join(' ')}: ${done.stderr.toString()}`);
    return done.stdout;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** A real text file of this project, for data that nobody made up. */
export const realText: Buffer = readFileSync(new URL('../../../package-lock.json', import.meta.url));
