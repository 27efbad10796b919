/**
 * One worker of a backup: reads files into its own memory, cuts, deduplicates, compresses, seals and packs them.
 * Bytes of files never leave it. The same code runs inline (tests) and in a worker thread.
 */

import { type ByteString, byteStringToText } from '../base/bytes.ts';
import { BackpackError, toBackpackError } from '../base/errors.ts';
import { KiB } from '../base/limits.ts';
import { type RateLimit, RateLimiter } from '../base/rate-limiter.ts';
import { chunkSizes, gearTable, nextCut } from '../codec/chunker.ts';
import type { Compression } from '../codec/compression.ts';
import { slackBytes } from '../codec/record-codec.ts';
import { WriterMemory } from '../container/container-writer.ts';
import { Keyring, type KeyringData } from '../container/keyring.ts';
import { isKeyFile } from '../format/key-file.ts';
import type { Kernel } from '../kernel/kernel.ts';
import { libc } from '../platform/libc.ts';
import { noExtras, readExtras } from '../source/extras.ts';
import { FileState, StampList } from '../source/file-state.ts';
import { type Piece, piecesOf } from '../source/holes.ts';
import {
  closeSource,
  type FileStamp,
  openQuietly,
  openSource,
  readAt,
  sameStamp,
  stampOf,
} from '../source/read-file.ts';
import type { StorageSpec } from '../storage/open.ts';
import type { Storage } from '../storage/storage.ts';
import { throttled } from '../storage/throttle.ts';
import { BatchResults } from './batch-results.ts';
import { Catalog, type CatalogMemory } from './catalog.ts';
import { DataPacks, groupBytes } from './data-packs.ts';
import { extrasText } from './entry-line.ts';
import { addExtent, addZeros, joinExtents } from './extent-list.ts';
import type {
  FileResult,
  FilesResult,
  FilesTask,
  FileTask,
  PacksResult,
  RangesResult,
  RangesTask,
} from './jobs.ts';
import { progressCounters } from './jobs.ts';
import { PackList, type PackListMemory } from './pack-list.ts';
import { chainBytes, RangeChain } from './range-chain.ts';
import { rangeBytes, ScanWindow } from './scan.ts';
import { type StreamResult, type StreamTask, storeStream } from './stream-worker.ts';

/** What a worker is made with; can be posted to a thread. */
export interface BackupWorkerOptions {
  readonly owner: number;
  readonly storage: StorageSpec;
  readonly keyring: KeyringData;
  readonly repo: string;
  readonly app: string;
  readonly packSize: number;
  readonly catalog: CatalogMemory;
  readonly packs: PackListMemory;
  /**
   * Counters for the progress line: for each worker {@link progressCounters} doubles, bytes read, bytes stored, and bytes
   * of content in these.
   */
  readonly progress: SharedArrayBuffer;
  readonly compression?: Compression | undefined;
  /** Lines of the index, in bytes, that may wait to be written; default 4 MiB. */
  readonly indexPartBytes?: number | undefined;
  /** Limits that all workers share; none without. */
  readonly readLimit?: RateLimit | undefined;
  readonly writeLimit?: RateLimit | undefined;
}

/** Times that a changing file is read before it is stored as `torn`. */
const readsMax = 3;
/** Filesystems count in ticks of the kernel's clock, of up to 10 ms. */
const tickMs = 20;
/** Files below this go to the group record. */
const smallMax: number = 256 * KiB;
const cleared: Readonly<Pick<FileResult, 'x' | 'extents'>> = { x: '', extents: [] };

/** See the file's comment. Calls must not overlap. */
export class BackupWorker {
  readonly #kernel: Kernel;
  readonly #packs: DataPacks;
  readonly #window: ScanWindow;
  readonly #state: number;
  readonly #progress: Float64Array;
  readonly #readLimiter: RateLimiter | undefined;
  /** States of a file before and after it was read. */
  readonly #states: readonly [FileState | undefined, FileState | undefined] = [
    FileState.create(),
    FileState.create(),
  ];

  /** @param own the worker's storage, opened from `options.storage`; inline workers share the repository's */
  constructor(options: BackupWorkerOptions, own: Storage) {
    const { owner, repo, app, packSize, indexPartBytes } = options;
    const memory = new WriterMemory(
      chunkSizes.max,
      ScanWindow.bytes + groupBytes + 64 * KiB + 8 * slackBytes,
      options.compression,
    );
    this.#readLimiter = RateLimiter.of(options.readLimit);
    const keyring = new Keyring(options.keyring);
    this.#kernel = memory.codec.kernel;
    this.#kernel.gearLoad(gearTable(keyring.dedupKeys.chunker));
    this.#window = new ScanWindow(this.#kernel);
    this.#state = this.#kernel.reserve(this.#kernel.hashStateBytes);
    this.#progress = new Float64Array(options.progress, owner * 8 * progressCounters, progressCounters);
    const catalog = new Catalog(options.catalog, owner);
    const packs = new PackList(options.packs);
    const stored = (bytes: number, contentBytes: number): void => {
      this.#progress[1]! += bytes;
      this.#progress[2]! += contentBytes;
    };
    const storage = throttled(own, options.writeLimit);
    const given = { repo, app, packSize, indexPartBytes };
    this.#packs = new DataPacks({ ...given, storage, keyring, memory, catalog, packs, stored });
  }

  /** Reads and stores a batch of files of up to one range each. */
  async files(batch: FilesTask): Promise<FilesResult> {
    const paths = batch.paths.split('\0');
    const names = batch.stored.split('\0');
    const stamps = new StampList(batch.stamps);
    const results = new BatchResults(paths.length);
    for (let i = 0; i < paths.length; i += 1) {
      const path = paths[i]!;
      const stored = names[i]!;
      if (this.#quick(path, stored, stamps, i, results)) continue;
      results.add(await this.#file({ path, stored, stamp: stamps.get(i) }));
    }
    return results.take();
  }

  /** Reads and stores ranges of one large file until none is left. */
  async ranges(task: RangesTask): Promise<RangesResult> {
    const chain = new RangeChain(task.chain);
    const ranges: (readonly [number, readonly number[]])[] = [];
    let fd = -1;
    try {
      fd = openSource(task.file.path);
      const before = await this.#settled(task.file, fd);
      let end: Omit<FileResult, 'extents'> | undefined;
      for (let range = chain.take(); pieceAt(task, range) !== undefined; range = chain.take()) {
        const done = await this.#range(task, chain, fd, range, before);
        if (done === undefined) return { ranges };
        ranges.push([range, done.extents]);
        end ??= done.end;
      }
      if (ranges.length === 0) return { ranges };
      return end === undefined ? { ranges, before } : { ranges, before, end };
    } catch (error) {
      chain.fail();
      return { ranges, error: toBackpackError(error).toJSON() };
    } finally {
      if (fd >= 0) closeSource(fd);
    }
  }

  /** Reads and stores bytes of unknown length. */
  async stream(task: StreamTask): Promise<StreamResult> {
    const onRead = (bytes: number): void => {
      this.#progress[0]! += bytes;
    };
    const lent = { kernel: this.#kernel, window: this.#window, packs: this.#packs, state: this.#state };
    return storeStream({ ...lent, onRead }, task);
  }

  /** Takes lines for the index, before anything is stored. */
  async index(lines: Uint8Array): Promise<void> {
    await this.#packs.addIndexLines(lines);
  }

  /** Makes everything durable. */
  async finish(): Promise<PacksResult> {
    return this.#packs.finish();
  }

  /** Gives up. */
  async abort(): Promise<void> {
    await this.#packs.abort();
  }

  /**
   * A file that is small, there, and as the walk saw it, as nearly all of them are: without waiting for anything, and
   * with next to no objects.
   * @returns false when it is none of these, or a group or a pack has to be made room for: {@link #file} will see
   */
  #quick(path: ByteString, stored: ByteString, stamps: StampList, i: number, results: BatchResults): boolean {
    const [before, after] = this.#states;
    if (before === undefined || after === undefined) return false;
    const fd = openQuietly(path);
    if (fd < 0) return false;
    try {
      if (!before.load(fd) || !before.isFile || before.sparse || !before.is(stamps, i)) return false;
      const { size } = before;
      const age = Date.now() - before.ctimeMs;
      if (size === 0 || size >= smallMax || (age >= 0 && age <= tickMs + 1)) return false;
      if (this.#packs.groupIsFull(size)) return false;
      const at = this.#packs.group + this.#packs.groupFill;
      this.#readLimiter?.takeSync(size);
      if (readAt(fd, this.#kernel.bytes, at, size, 0, path) !== size) return false;
      const extras = readExtras(libc()!, fd, fd);
      if (extras.incomplete || !after.load(fd) || !before.equals(after)) return false;
      const place = this.#packs.addNow(size, { stored, stamp: { size, mtimeNs: stamps.mtimeNs(i) } });
      if (place === undefined) return false;
      this.#progress[0]! += size;
      results.addSmall(this.#packs.hash, place, size);
      const text = extras === noExtras ? '' : extrasText(extras);
      const keyFile = isKeyFile(this.#kernel.bytes, at, size);
      if (text !== '' || keyFile) results.odd({ extras: text, ...(keyFile ? { keyFile } : {}) });
      return true;
    } catch {
      return false;
    } finally {
      closeSource(fd);
    }
  }

  async #file(task: FileTask): Promise<FileResult> {
    let fd = -1;
    try {
      fd = openSource(task.path);
      const { stamp, ...result } = await this.#tries(task, fd);
      return sameStamp(stamp, task.stamp) ? result : { ...result, stamp };
    } catch (error) {
      const found = toBackpackError(error);
      if (found.kind !== 'source') throw found;
      return { ...cleared, error: found.toJSON() };
    } finally {
      if (fd >= 0) closeSource(fd);
    }
  }

  /** Reads a file until it stayed the same meanwhile, but not for ever. */
  async #tries(task: FileTask, fd: number): Promise<Read> {
    for (let reads = 1; ; reads += 1) {
      const stamp = await this.#settled(task, fd);
      const small = stamp.size < smallMax && !(stamp.sparse && libc() !== undefined);
      const last = reads === readsMax;
      const result = small ? await this.#small(task, fd, stamp, last) : await this.#whole(task, fd, stamp);
      if (result !== undefined && (last || !result.warnings?.includes('torn'))) return result;
    }
  }

  /** The state of a file, once the clock of the filesystem has gone on: another change in one tick would not show. */
  async #settled(task: FileTask, fd: number): Promise<FileStamp> {
    const stamp = stampOf(fd, task.path);
    const age = Date.now() - Number(stamp.ctimeNs / 1_000_000n);
    if (age < 0 || age > tickMs) return stamp;
    await new Promise((resolve) => setTimeout(resolve, tickMs));
    return stampOf(fd, task.path);
  }

  /** A file that goes into the group record. @returns undefined when it changed and is to be read again */
  async #small(task: FileTask, fd: number, stamp: FileStamp, last: boolean): Promise<Read | undefined> {
    if (this.#packs.groupIsFull(stamp.size)) await this.#packs.closeGroup();
    const at = this.#packs.group + this.#packs.groupFill;
    this.#readLimiter?.takeSync(stamp.size);
    const got = readAt(fd, this.#kernel.bytes, at, stamp.size, 0, task.path);
    let after = stamp;
    let torn = false;
    const found = extrasOf(fd, () => {
      after = stampOf(fd, task.path);
      torn = !sameStamp(stamp, after) || got !== stamp.size;
      return torn ? ['torn'] : [];
    });
    if (torn && !last) return undefined;
    this.#progress[0]! += got;
    const own = { ...after, size: got };
    const keyFile = isKeyFile(this.#kernel.bytes, at, got) ? { keyFile: true } : {};
    const read = { stamp: own, ...found, ...keyFile };
    if (got === 0) return { ...cleared, ...read };
    const place = await this.#packs.addToGroup(got, { stored: task.stored, stamp: own });
    const x = this.#packs.hash.toString('hex');
    const extents: number[] = [];
    addExtent(extents, place, got);
    return { x, extents, ...read };
  }

  /** A file of one range, read by this worker alone. */
  async #whole(task: FileTask, fd: number, stamp: FileStamp): Promise<Read> {
    if (stamp.size > rangeBytes) {
      // It has grown since the walk saw it, and is now one for all workers together.
      throw new BackpackError(
        'BP_SOURCE_GROWN',
        `${byteStringToText(task.path)} grew while it was being read`,
        {
          kind: 'source',
          context: { errno: 'EGROWN' },
        },
      );
    }
    const memory = new SharedArrayBuffer(chainBytes(this.#kernel.hashStateBytes));
    const chain = new RangeChain(memory);
    const file = { ...task, stamp };
    const pieces = stamp.sparse === true ? piecesOf(libc(), fd, stamp.size, rangeBytes) : undefined;
    const all: RangesTask = { file, chain: memory, pieces };
    const extents: number[] = [];
    for (;;) {
      const done = (await this.#range(all, chain, fd, chain.take(), stamp))!;
      joinExtents(extents, done.extents);
      if (done.end !== undefined) return { stamp, ...done.end, extents };
    }
  }

  async #range(
    task: RangesTask,
    chain: RangeChain,
    fd: number,
    range: number,
    before: FileStamp,
  ): Promise<{ extents: number[]; end?: Omit<FileResult, 'extents'> } | undefined> {
    const { file } = task;
    const { size } = file.stamp;
    const { lo, hi, limit, hole } = pieceAt(task, range)!;
    if (hole) return this.#hole(task, chain, fd, range, before);
    const window = this.#window;
    const begin = window.reset(lo);
    let short = this.#read(task, fd, begin.address, begin.position, hi);
    window.end = hi;
    window.scan();
    if (!(await chain.turn(range))) return undefined;
    const start = range === 0 ? 0 : chain.start;
    const cuts: number[] = [];
    let next = start;
    for (let index = 0; next < hi; ) {
      const cut = nextCut(window.candidates, index, next, window.known, limit);
      if (cut === 'more') {
        const more = Math.min(limit, window.end + chunkSizes.normal);
        short = this.#read(task, fd, window.address(window.end), window.end, more) || short;
        window.end = more;
        window.scan();
        continue;
      }
      cuts.push(cut.at);
      index = cut.next;
      next = cut.at;
    }
    // The last chunk may end beyond the candidates that were needed to find its end.
    if (next > window.end) {
      short = this.#read(task, fd, window.address(window.end), window.end, next) || short;
      window.end = next;
    }
    this.#hashTurn(chain, range, start, next);
    const end = next >= size ? this.#end(fd, task, before, short) : undefined;
    chain.pass(range, next);
    this.#progress[0]! += next - start;
    const extents = await this.#chunks(task, start, cuts);
    return end === undefined ? { extents } : { extents, end };
  }

  /** A hole is not read; it counts as zeros in the file's hash. */
  async #hole(
    task: RangesTask,
    chain: RangeChain,
    fd: number,
    range: number,
    before: FileStamp,
  ): Promise<{ extents: number[]; end?: Omit<FileResult, 'extents'> } | undefined> {
    const { lo, hi } = pieceAt(task, range)!;
    if (!(await chain.turn(range))) return undefined;
    this.#hashTurn(chain, range, lo, hi, true);
    const end = hi >= task.file.stamp.size ? this.#end(fd, task, before, false) : undefined;
    chain.pass(range, hi);
    const extents: number[] = [];
    addZeros(extents, hi - lo, true);
    return end === undefined ? { extents } : { extents, end };
  }

  /** Continues the file's hash over exactly the bytes that are stored as this range's chunks. */
  #hashTurn(chain: RangeChain, range: number, start: number, end: number, hole = false): void {
    const kernel = this.#kernel;
    const bytes = kernel.hashStateBytes;
    if (range === 0) kernel.hashInit(this.#state);
    else kernel.bytes.set(chain.state.subarray(0, bytes), this.#state);
    if (hole) kernel.hashZeros(this.#state, end - start);
    else if (end > start) kernel.hashUpdate(this.#state, this.#window.address(start), end - start);
    chain.state.set(kernel.bytes.subarray(this.#state, this.#state + bytes));
  }

  #end(
    fd: number,
    { file, pieces }: RangesTask,
    before: FileStamp,
    short: boolean,
  ): Omit<FileResult, 'extents'> {
    const x = this.#kernel.hashHex(this.#state);
    let own = file.stamp;
    const found = extrasOf(fd, () => {
      const after = stampOf(fd, file.path);
      own = { ...after, size: file.stamp.size };
      // Holes were listed in the task's state; in another one there may be data.
      const moved = pieces !== undefined && !sameStamp(own, file.stamp);
      if (short) return ['torn', 'short'];
      return moved || !sameStamp(before, after) ? ['torn'] : [];
    });
    return { x, ...found, ...(sameStamp(own, file.stamp) ? {} : { stamp: own }) };
  }

  /** Reads up to file position `to`; what a shrunken file does not have is zeros. @returns whether it was short */
  #read(task: RangesTask, fd: number, address: number, position: number, to: number): boolean {
    const wanted = to - position;
    this.#readLimiter?.takeSync(wanted);
    const got = readAt(fd, this.#kernel.bytes, address, wanted, position, task.file.path);
    if (got < wanted) this.#kernel.bytes.fill(0, address + got, address + wanted);
    return got < wanted;
  }

  async #chunks(task: RangesTask, start: number, cuts: readonly number[]): Promise<number[]> {
    const extents: number[] = [];
    let from = start;
    for (const cut of cuts) {
      const address = this.#window.address(from);
      const length = cut - from;
      if (this.#kernel.isZero(address, length)) {
        addZeros(extents, length, mayBeHole(task));
      } else {
        addExtent(extents, await this.#packs.addRecord(address, length, task.file, from), length);
      }
      from = cut;
    }
    return extents;
  }
}

type Read = FileResult & { readonly stamp: FileStamp };

/**
 * Extended attributes and flags of an open file, as part of a result; `extras` is missing where they cannot be read.
 * @param wrong what else went wrong
 */
function extrasOf(fd: number, wrong: () => string[]): Pick<FileResult, 'extras' | 'warnings'> {
  const calls = libc();
  const found = calls === undefined ? undefined : readExtras(calls, fd, fd);
  const warnings = found?.incomplete === true ? [...wrong(), 'xattrs'] : wrong();
  return {
    ...(found === undefined ? {} : { extras: extrasText(found) }),
    ...(warnings.length === 0 ? {} : { warnings }),
  };
}

/** The range of a number; undefined beyond the file. */
function pieceAt({ file, pieces }: RangesTask, range: number): Piece | undefined {
  if (pieces !== undefined) return pieces[range];
  const { size } = file.stamp;
  const lo = range * rangeBytes;
  if (lo >= size) return undefined;
  return { lo, hi: Math.min(size, lo + rangeBytes), limit: size, hole: false };
}

/** Zeros of a sparse file whose holes are not known are taken for holes; where they are known, for what they are. */
function mayBeHole({ file, pieces }: RangesTask): boolean {
  return pieces === undefined && file.stamp.sparse === true;
}
