/**
 * The state of an open file as the kernel writes it (struct statx), looked at in place: without an object and a number
 * of any size for each field, it costs hardly more than the call.
 */
import { endianness } from 'node:os';
import { joinNanoseconds } from '../base/nanoseconds.ts';
import { type Libc, libc } from '../platform/libc.ts';
import type { FileStamp } from './read-file.ts';
import { highOf, lowOf, type SourceStat } from './source-stat.ts';
import { secondsAt, statWord, statxBytes, unsignedAt } from './statx.ts';

/** What a state consists of. */
type StampFields = Pick<SourceStat, 'size' | 'mtimeSec' | 'mtimeNsec' | 'ctimeSec' | 'ctimeNsec' | 'ino'>;

const typeMask = 0o170000;
const regular = 0o100000;

/** Where a {@link StampList} has what. */
const sizeOf = 0;
const mtimeOf = 1;
const ctimeOf = 3;
const inoOf = 5;
/** Numbers of one state: length, two times of two numbers each, and the two words of the inode. */
export const stampNumbers = 7;

/** States of many files in plain numbers, as they are posted to another thread. */
export class StampList {
  readonly numbers: Float64Array;

  /** @param numbers {@link stampNumbers} for each */
  constructor(numbers: Float64Array) {
    this.numbers = numbers;
  }

  /** Sets number `index`. */
  set(index: number, { size, mtimeSec, mtimeNsec, ctimeSec, ctimeNsec, ino }: StampFields): void {
    const { numbers } = this;
    const at = stampNumbers * index;
    numbers[at + sizeOf] = size;
    numbers[at + mtimeOf] = mtimeSec;
    numbers[at + mtimeOf + 1] = mtimeNsec;
    numbers[at + ctimeOf] = ctimeSec;
    numbers[at + ctimeOf + 1] = ctimeNsec;
    numbers[at + inoOf] = lowOf(ino);
    numbers[at + inoOf + 1] = highOf(ino);
  }

  /** Number `index` as an object. */
  get(index: number): FileStamp {
    const { numbers } = this;
    const at = stampNumbers * index;
    return {
      size: numbers[at + sizeOf]!,
      mtimeNs: this.mtimeNs(index),
      ctimeNs: joinNanoseconds(numbers[at + ctimeOf]!, numbers[at + ctimeOf + 1]!),
      ino: (BigInt(numbers[at + inoOf + 1]!) << 32n) | BigInt(numbers[at + inoOf]!),
    };
  }

  /** Modification time of number `index`. */
  mtimeNs(index: number): bigint {
    const at = stampNumbers * index + mtimeOf;
    return joinNanoseconds(this.numbers[at]!, this.numbers[at + 1]!);
  }
}

/** See the file's comment. */
export class FileState {
  readonly #stat: NonNullable<Libc['stat']>;
  readonly #bytes = new Uint8Array(statxBytes);
  readonly #words = new Int32Array(this.#bytes.buffer);

  private constructor(stat: NonNullable<Libc['stat']>) {
    this.#stat = stat;
  }

  /** Undefined where the system has no such call, or another order of bytes. */
  static create(): FileState | undefined {
    const stat = libc()?.stat;
    return stat === undefined || endianness() !== 'LE' ? undefined : new FileState(stat);
  }

  /** Looks at an open file. @returns whether that worked */
  load(fd: number): boolean {
    return this.#stat(fd, this.#bytes);
  }

  get isFile(): boolean {
    return (this.#words[statWord.mode]! & typeMask) === regular;
  }

  get size(): number {
    return unsignedAt(this.#words, statWord.size);
  }

  /** Whether it takes less space than its length: it may have holes. */
  get sparse(): boolean {
    return unsignedAt(this.#words, statWord.blocks) * 512 < this.size;
  }

  get ctimeMs(): number {
    return secondsAt(this.#words, statWord.ctime) * 1000 + this.#words[statWord.ctime + 2]! / 1e6;
  }

  /** Whether it is the state number `index` of a list. */
  is({ numbers }: StampList, index: number): boolean {
    const own = this.#words;
    const at = stampNumbers * index;
    return (
      this.size === numbers[at + sizeOf] &&
      secondsAt(own, statWord.mtime) === numbers[at + mtimeOf] &&
      own[statWord.mtime + 2] === numbers[at + mtimeOf + 1] &&
      secondsAt(own, statWord.ctime) === numbers[at + ctimeOf] &&
      own[statWord.ctime + 2] === numbers[at + ctimeOf + 1] &&
      own[statWord.ino]! >>> 0 === numbers[at + inoOf] &&
      own[statWord.ino + 1]! >>> 0 === numbers[at + inoOf + 1]
    );
  }

  /** Whether another look at the same file saw the same. */
  equals(other: FileState): boolean {
    const a = this.#words;
    const b = other.#words;
    return (
      sameWords(a, b, statWord.size) &&
      sameWords(a, b, statWord.mtime) &&
      a[statWord.mtime + 2] === b[statWord.mtime + 2] &&
      sameWords(a, b, statWord.ctime) &&
      a[statWord.ctime + 2] === b[statWord.ctime + 2]
    );
  }
}

/** Whether a field of 64 bits is the same. */
function sameWords(a: Int32Array, b: Int32Array, at: number): boolean {
  return a[at] === b[at] && a[at + 1] === b[at + 1];
}

/** The state that lstat told. */
export function stampOfStat(stat: SourceStat): FileStamp {
  const { size, sparse } = stat;
  const mtimeNs = joinNanoseconds(stat.mtimeSec, stat.mtimeNsec);
  const ctimeNs = joinNanoseconds(stat.ctimeSec, stat.ctimeNsec);
  return { size, mtimeNs, ctimeNs, ino: BigInt(stat.ino), sparse };
}
