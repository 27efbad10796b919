/**
 * The state of an open file as the kernel writes it (struct statx), looked at in place: without an object and a number
 * of any size for each field, it costs hardly more than the call.
 */
import { endianness } from 'node:os';
import { type Libc, libc } from '../platform/libc.ts';
import type { FileStamp } from './read-file.ts';

const stateBytes = 256;
const typeMask = 0o170000;
const regular = 0o100000;
const billion = 1_000_000_000n;

/** Index of 32-bit words. Each field of 64 bits has its low word first. */
const modeWord = 7;
const inoWord = 8;
const sizeWord = 10;
const blocksWord = 12;
const ctimeWord = 24;
const mtimeWord = 28;
const highWord = 2 ** 32;

/** Where a {@link StampList} has what. */
const sizeOf = 0;
const mtimeOf = 1;
const ctimeOf = 2;
const inoOf = 3;

/** States of many files, four numbers each, as they are posted to another thread. */
export class StampList {
  readonly stamps: BigInt64Array;
  /** The same memory. */
  readonly words: Int32Array;

  constructor(stamps: BigInt64Array) {
    this.stamps = stamps;
    this.words = new Int32Array(stamps.buffer, stamps.byteOffset, 2 * stamps.length);
  }

  /** Sets number `index`. */
  set(index: number, size: bigint, mtimeNs: bigint, ctimeNs: bigint, ino: bigint): void {
    const { stamps } = this;
    const at = 4 * index;
    stamps[at + sizeOf] = size;
    stamps[at + mtimeOf] = mtimeNs;
    stamps[at + ctimeOf] = ctimeNs;
    stamps[at + inoOf] = ino;
  }

  /** Number `index` as an object. */
  get(index: number): FileStamp {
    const { stamps } = this;
    const at = 4 * index;
    return {
      size: Number(stamps[at + sizeOf]),
      mtimeNs: stamps[at + mtimeOf]!,
      ctimeNs: stamps[at + ctimeOf]!,
      ino: BigInt.asUintN(64, stamps[at + inoOf]!),
    };
  }

  /** Modification time of number `index`. */
  mtimeNs(index: number): bigint {
    return this.stamps[4 * index + mtimeOf]!;
  }
}

/** See the file's comment. */
export class FileState {
  readonly #stat: NonNullable<Libc['stat']>;
  readonly #bytes = new Uint8Array(stateBytes);
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
    return (this.#words[modeWord]! & typeMask) === regular;
  }

  get size(): number {
    return this.#unsigned(sizeWord);
  }

  /** Whether it takes less space than its length: it may have holes. */
  get sparse(): boolean {
    return this.#unsigned(blocksWord) * 512 < this.size;
  }

  get ctimeMs(): number {
    return this.#seconds(ctimeWord) * 1000 + this.#words[ctimeWord + 2]! / 1e6;
  }

  /** Whether it is the state number `index` of a list. */
  is(list: StampList, index: number): boolean {
    const own = this.#words;
    const { stamps, words } = list;
    const at = 4 * index;
    return (
      sameWords(own, sizeWord, words, 2 * (at + sizeOf)) &&
      sameWords(own, inoWord, words, 2 * (at + inoOf)) &&
      this.#time(mtimeWord) === stamps[at + mtimeOf] &&
      this.#time(ctimeWord) === stamps[at + ctimeOf]
    );
  }

  /** Whether another look saw the same. */
  equals(other: FileState): boolean {
    const a = this.#words;
    const b = other.#words;
    return (
      sameWords(a, inoWord, b, inoWord) &&
      sameWords(a, sizeWord, b, sizeWord) &&
      sameWords(a, mtimeWord, b, mtimeWord) &&
      a[mtimeWord + 2] === b[mtimeWord + 2] &&
      sameWords(a, ctimeWord, b, ctimeWord) &&
      a[ctimeWord + 2] === b[ctimeWord + 2]
    );
  }

  #unsigned(word: number): number {
    return (this.#words[word + 1]! >>> 0) * highWord + (this.#words[word]! >>> 0);
  }

  #seconds(word: number): number {
    return this.#words[word + 1]! * highWord + (this.#words[word]! >>> 0);
  }

  #time(word: number): bigint {
    return BigInt(this.#seconds(word)) * billion + BigInt(this.#words[word + 2]!);
  }
}

/** Whether two fields of 64 bits are the same. */
function sameWords(a: Int32Array, i: number, b: Int32Array, j: number): boolean {
  return a[i] === b[j] && a[i + 1] === b[j + 1];
}
