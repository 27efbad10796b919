/**
 * What lstat tells of an entry of the source, in plain numbers: Node's own object has eighteen numbers of any size and
 * four dates, and a walk makes one for each entry. Where the C library can be called, it is read from the kernel's own
 * form (struct statx), which costs two thirds; everywhere else it is made from Node's.
 */
import { type BigIntStats, lstatSync, statSync } from 'node:fs';
import { endianness } from 'node:os';
import { nanosecondsOf, secondsOf } from '../base/nanoseconds.ts';
import { type Libc, libc } from '../platform/libc.ts';
import { secondsAt, statWord, statxBytes, unsignedAt } from './statx.ts';

const highWord = 2 ** 32;

/** Types by the four high bits of the mode; `?`: no letter stands for it. */
const letters = '?pc?d?b?f?l?s???';

/** A whole number of up to 64 bits: a plain one where that is exact. */
export type Whole = number | bigint;

/** See the file's comment. */
export interface SourceStat {
  /** Letter of a snapshot's entries: f, d, l, p, s, b or c; `?` for anything else. */
  readonly type: string;
  /** Permissions, with the bits that are kept with them. */
  readonly mode: number;
  readonly nlink: number;
  readonly uid: number;
  readonly gid: number;
  readonly size: number;
  /** Whether it takes less space than its length: it may have holes. */
  readonly sparse: boolean;
  readonly ino: Whole;
  /** Filesystem that it is in: major times 2^32, plus minor. */
  readonly dev: number;
  /** Device that it is, in the same form. */
  readonly rdev: number;
  /** Seconds since 1970, rounded down, and the nanoseconds after them. */
  readonly atimeSec: number;
  readonly atimeNsec: number;
  readonly mtimeSec: number;
  readonly mtimeNsec: number;
  readonly ctimeSec: number;
  readonly ctimeNsec: number;
}

const words: Int32Array = new Int32Array(statxBytes / 4);
const bytes: Uint8Array = new Uint8Array(words.buffer);
let call: { readonly look: Libc['statAt'] } | undefined;

/** What is at a path; a link is not followed. @throws Error of the system */
export function lstat(path: string | Buffer): SourceStat {
  call ??= { look: endianness() === 'LE' ? libc()?.statAt : undefined };
  return call.look?.(path, bytes) === true ? fromKernel(words) : fromNode(lstatSync(path, { bigint: true }));
}

/** What is at a path; a link is followed. @throws Error of the system */
export function stat(path: string | Buffer): SourceStat {
  return fromNode(statSync(path, { bigint: true }));
}

/** Major and minor number of {@link SourceStat.dev} or {@link SourceStat.rdev}. */
export function deviceNumbers(device: number): readonly [major: number, minor: number] {
  return [Math.floor(device / highWord), device % highWord];
}

/** @param w the words of a struct statx */
function fromKernel(w: Int32Array): SourceStat {
  const mode = w[statWord.mode]!;
  const size = unsignedAt(w, statWord.size);
  return {
    type: letters[(mode >>> 12) & 15]!,
    mode: mode & 0o7777,
    nlink: w[statWord.nlink]! >>> 0,
    uid: w[statWord.uid]! >>> 0,
    gid: w[statWord.gid]! >>> 0,
    size,
    sparse: unsignedAt(w, statWord.blocks) * 512 < size,
    ino: wholeOf(w[statWord.ino + 1]! >>> 0, w[statWord.ino]! >>> 0),
    dev: (w[statWord.devMajor]! >>> 0) * highWord + (w[statWord.devMinor]! >>> 0),
    rdev: (w[statWord.rdevMajor]! >>> 0) * highWord + (w[statWord.rdevMinor]! >>> 0),
    atimeSec: secondsAt(w, statWord.atime),
    atimeNsec: w[statWord.atime + 2]!,
    mtimeSec: secondsAt(w, statWord.mtime),
    mtimeNsec: w[statWord.mtime + 2]!,
    ctimeSec: secondsAt(w, statWord.ctime),
    ctimeNsec: w[statWord.ctime + 2]!,
  };
}

/** The same of Node's form. */
export function fromNode(s: BigIntStats): SourceStat {
  const mode = Number(s.mode);
  const size = Number(s.size);
  return {
    type: letters[(mode >>> 12) & 15]!,
    mode: mode & 0o7777,
    nlink: Number(s.nlink),
    uid: Number(s.uid),
    gid: Number(s.gid),
    size,
    sparse: Number(s.blocks) * 512 < size,
    ino: s.ino <= Number.MAX_SAFE_INTEGER ? Number(s.ino) : s.ino,
    dev: deviceOf(s.dev),
    rdev: deviceOf(s.rdev),
    atimeSec: secondsOf(s.atimeNs),
    atimeNsec: nanosecondsOf(s.atimeNs),
    mtimeSec: secondsOf(s.mtimeNs),
    mtimeNsec: nanosecondsOf(s.mtimeNs),
    ctimeSec: secondsOf(s.ctimeNs),
    ctimeNsec: nanosecondsOf(s.ctimeNs),
  };
}

/** The high 32 bits of a number. */
export function highOf(value: Whole): number {
  return typeof value === 'number' ? Math.floor(value / highWord) : Number(value >> 32n);
}

/** The low 32 bits of a number. */
export function lowOf(value: Whole): number {
  return typeof value === 'number' ? value % highWord : Number(value & 0xffff_ffffn);
}

/** A number of its high and its low 32 bits. */
export function wholeOf(high: number, low: number): Whole {
  // Below 2^53.
  return high < 0x20_0000 ? high * highWord + low : (BigInt(high) << 32n) | BigInt(low);
}

/** Linux's C libraries: 12 bits of the major at 8 and the rest from 32 on; 8 bits of the minor at 0, the rest from 12. */
function deviceOf(dev: bigint): number {
  const major = ((dev >> 8n) & 0xfffn) | ((dev >> 32n) & 0xfffff000n);
  const minor = (dev & 0xffn) | ((dev >> 12n) & 0xffffff00n);
  return Number(major) * highWord + Number(minor);
}
