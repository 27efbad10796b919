/**
 * The main thread's part of a backup: merges the walk with the parents' pages, gives changed files to the workers,
 * puts the results back in order and builds pages. Memory does not grow with the number of files.
 */
import type { ByteString } from '../base/bytes.ts';
import { BackpackError } from '../base/errors.ts';
import { KiB, MiB } from '../base/limits.ts';
import { type Extent, hole, zeros } from '../format/extents.ts';
import { type BuiltPage, type KeptEntry, type NewEntry, PageBuilder } from '../format/page-builder.ts';
import { type FileStamp, sameStamp } from '../source/read-file.ts';
import { type Skip, type SourceItem, type SourceProblem, type SourceRoot, walk } from '../source/walk.ts';
import { entryPrefix, FilesystemNumbers, typeOf, withStamp } from './entry-line.ts';
import {
  type FileResult,
  type FilesResult,
  type FilesTask,
  type FileTask,
  noHash,
  type RangesResult,
  type RangesTask,
} from './jobs.ts';
import type { PackList } from './pack-list.ts';
import type { ParentCursor } from './parent-cursor.ts';
import { chainBytes, RangeChain } from './range-chain.ts';
import { rangeBytes } from './scan.ts';
import type { WorkerPort } from './worker-port.ts';

/** What a run needs. */
export interface BackupRunOptions {
  readonly roots: readonly SourceRoot[];
  readonly skip: Skip;
  /** Cursors over the parents; a later one wins. */
  readonly parents: readonly ParentCursor[];
  readonly workers: readonly WorkerPort[];
  readonly packs: PackList;
  readonly hashStateBytes: number;
  readonly pathHash: (path: ByteString) => number;
  /** Called before the first file is given to a worker: loads the dedup catalog. */
  readonly beforeFirstFile: () => Promise<void>;
  readonly onPage: (page: BuiltPage) => Promise<void>;
  readonly onProblem: (problem: SourceProblem) => void;
  readonly onWarning: (path: ByteString, warnings: readonly string[]) => void;
  readonly signal?: AbortSignal | undefined;
}

/** Counts of a run. */
export interface BackupCounts {
  files: number;
  bytes: number;
  newFiles: number;
  changedFiles: number;
  unchangedFiles: number;
  unchangedBytes: number;
  /** Entries that are not files. */
  others: number;
}

/** An entry on its way to the pages; results arrive out of order. */
interface Slot {
  /** undefined: not there yet; null: leaves no entry. */
  entry: NewEntry | KeptEntry | null | undefined;
}

/** A file that is with a worker. Thousands are at once: it holds no more than its result needs. */
interface Waiting {
  readonly slot: Slot;
  readonly path: ByteString;
  readonly real: ByteString;
  readonly size: number;
  readonly prefix: string;
  readonly kept: KeptEntry | NewEntry | undefined;
  readonly counter: 'changedFiles' | 'newFiles';
}

interface Batch {
  readonly files: Waiting[];
  readonly stamps: bigint[];
  bytes: number;
}

const batchFiles = 256;
const batchBytes: number = 4 * MiB;
const slotsMax = 4096;
const callsPerWorker = 2;
const yieldEvery = 256;

/** Runs once. */
export class BackupRun {
  readonly counts: BackupCounts = {
    files: 0,
    bytes: 0,
    newFiles: 0,
    changedFiles: 0,
    unchangedFiles: 0,
    unchangedBytes: 0,
    others: 0,
  };
  readonly #o: BackupRunOptions;
  readonly #filesystems = new FilesystemNumbers();
  readonly #builder: PageBuilder;
  readonly #slots: Slot[] = [];
  readonly #calls: number[];
  #head = 0;
  #batch: Batch = { files: [], stamps: [], bytes: 0 };
  #started = false;
  #failure: unknown;
  #wake: (() => void) | undefined;
  #lastYield = performance.now();

  /** The large files that are being read. */
  readonly #chains = new Set<SharedArrayBuffer>();

  constructor(options: BackupRunOptions) {
    options.signal?.addEventListener('abort', () => this.#stop(options.signal?.reason), { once: true });
    this.#o = options;
    this.#builder = new PageBuilder(options.pathHash);
    this.#calls = options.workers.map(() => 0);
  }

  /** Walks everything; resolves when all pages have been handed on. */
  async run(): Promise<void> {
    let seen = 0;
    for (const item of walk(this.#o.roots, this.#o.skip)) {
      if ('code' in item) this.#o.onProblem(item);
      else await this.#item(item);
      seen += 1;
      if (seen % yieldEvery === 0) await this.#breathe();
      if (this.#failure !== undefined) throw this.#failure;
    }
    await this.#flush();
    while (this.#calls.some((count) => count > 0)) await this.#settle();
    await this.#drain();
    for (const page of this.#builder.flush()) await this.#o.onPage(page);
  }

  /** Ends the run soon: at the next file, and within a large one. */
  #stop(reason: unknown): void {
    this.#failure ??= reason;
    for (const chain of this.#chains) new RangeChain(chain).fail();
    this.#wake?.();
  }

  /** Lets timers and messages run, and hands finished entries on. */
  async #breathe(): Promise<void> {
    if (performance.now() - this.#lastYield > 20) {
      await new Promise((resolve) => setImmediate(resolve));
      this.#lastYield = performance.now();
    }
    await this.#drain();
    while (this.#slots.length - this.#head > slotsMax) {
      await this.#flush();
      await this.#settle();
      await this.#drain();
    }
  }

  async #item(item: SourceItem): Promise<void> {
    const type = typeOf(item);
    if (type === '?') {
      this.#o.onProblem({
        stored: item.stored,
        real: item.real,
        code: 'ETYPE',
        message: 'unknown type of file',
      });
      return;
    }
    const prefix = entryPrefix(item, type, this.#filesystems);
    const { parent, known } = await this.#parentOf(item.stored, prefix);
    const size = Number(item.stat.size);
    this.#count(type, size);
    // A file that changed within the resolution of the clock looks the same: those are read again.
    const trusted = parent !== undefined && (type !== 'f' || item.stat.ctimeNs < parent.trustBeforeNs);
    if (parent !== undefined && trusted) {
      if (type === 'f') {
        this.counts.unchangedFiles += 1;
        this.counts.unchangedBytes += size;
      }
      this.#slots.push({ entry: await parent.take(item.stored, prefix) });
      return;
    }
    if (type !== 'f') {
      this.#slots.push({ entry: { path: item.stored, prefix, x: undefined, extents: [] } });
      return;
    }
    const counter = known ? 'changedFiles' : 'newFiles';
    this.counts[counter] += 1;
    const kept = parent === undefined ? undefined : await parent.take(item.stored, prefix);
    await this.#file(item, prefix, kept, counter);
  }

  #count(type: string, size: number): void {
    if (type !== 'f') {
      this.counts.others += 1;
      return;
    }
    this.counts.files += 1;
    this.counts.bytes += size;
  }

  /** The parent whose entry of this path is unchanged, and whether any parent has the path. */
  async #parentOf(
    path: ByteString,
    prefix: string,
  ): Promise<{ parent: ParentCursor | undefined; known: boolean }> {
    let parent: ParentCursor | undefined;
    let known = false;
    for (const cursor of this.#o.parents) {
      if (!cursor.matches(prefix)) {
        let found = cursor.seek(path);
        while (found === 'load') {
          await cursor.load();
          found = cursor.seek(path);
        }
        if (found === 'none') continue;
      }
      known = true;
      if (cursor.matches(prefix)) parent = cursor;
    }
    return { parent, known };
  }

  async #file(
    item: SourceItem,
    prefix: string,
    kept: KeptEntry | NewEntry | undefined,
    counter: 'changedFiles' | 'newFiles',
  ): Promise<void> {
    const { stat, real } = item;
    const size = Number(stat.size);
    const slot: Slot = { entry: undefined };
    this.#slots.push(slot);
    if (size === 0) {
      slot.entry = kept ?? { path: item.stored, prefix, x: undefined, extents: [] };
      return;
    }
    if (!this.#started) {
      this.#started = true;
      await this.#o.beforeFirstFile();
    }
    const file: Waiting = { slot, path: item.stored, real, size, prefix, kept, counter };
    const { mtimeNs, ctimeNs, ino } = stat;
    if (size > rangeBytes)
      return this.#large(file, { size, mtimeNs, ctimeNs, ino }, stat.blocks * 512n < stat.size);
    const batch = this.#batch;
    batch.files.push(file);
    batch.stamps.push(stat.size, mtimeNs, ctimeNs, ino);
    batch.bytes += size + 4 * KiB;
    if (batch.files.length >= batchFiles || batch.bytes >= batchBytes) await this.#flush();
  }

  /** A file that could not be read is none of the snapshot's files. */
  #uncount(size: number, counter: 'changedFiles' | 'newFiles'): void {
    this.counts.files -= 1;
    this.counts.bytes -= size;
    this.counts[counter] -= 1;
  }

  #finish(file: Waiting, result: Omit<FileResult, 'extents'>, extents: ArrayLike<number>): void {
    const { slot, path, real, kept } = file;
    const { error, stamp, warnings } = result;
    if (error !== undefined) {
      this.#uncount(file.size, file.counter);
      const cause = BackpackError.fromJSON(error);
      const code = String(cause.context['errno'] ?? cause.code);
      this.#o.onProblem({ stored: path, real, code, message: cause.message });
      slot.entry = null;
      return;
    }
    if (warnings !== undefined) this.#o.onWarning(path, warnings);
    const start = stamp === undefined ? file.prefix : withStamp(file.prefix, stamp);
    const entry: NewEntry = {
      path,
      prefix: warnings === undefined ? start : `${start},"w":${JSON.stringify(warnings)}`,
      x: result.x === '' ? undefined : result.x,
      extents: this.#extents(extents),
    };
    // Read again only to be sure, and found in the same place: the old line, and with it the old page, can stay.
    slot.entry = kept !== undefined && sameContent(kept, entry) ? kept : entry;
  }

  #finishBatch(files: readonly Waiting[], result: FilesResult): void {
    const odd = new Map(result.odd);
    let at = 0;
    for (const [i, file] of files.entries()) {
      const x = result.x.slice(16 * i, 16 * i + 16);
      const next = at + result.counts[i]!;
      this.#finish(file, { x: x === noHash ? '' : x, ...odd.get(i) }, result.extents.subarray(at, next));
      at = next;
    }
  }

  #extents(flat: ArrayLike<number>): Extent[] {
    const extents: Extent[] = [];
    for (let i = 0; i < flat.length; i += 5) {
      const number = flat[i]!;
      const pack = number === -1 ? hole : number === -2 ? zeros : this.#o.packs.get(number);
      const offset = Math.max(0, flat[i + 4]!);
      extents.push({ pack, record: flat[i + 1]!, count: flat[i + 2]!, length: flat[i + 3]!, offset });
    }
    return extents;
  }

  /** Gives the gathered batch to the worker with the least to do. */
  async #flush(): Promise<void> {
    const batch = this.#batch;
    const { files } = batch;
    if (files.length === 0) return;
    this.#batch = { files: [], stamps: [], bytes: 0 };
    while (Math.min(...this.#calls) >= callsPerWorker) await this.#settle();
    const index = this.#calls.indexOf(Math.min(...this.#calls));
    const task: FilesTask = {
      paths: files.map((file) => file.real),
      stored: files.map((file) => file.path),
      stamps: BigInt64Array.from(batch.stamps, (value) => BigInt.asIntN(64, value)),
    };
    this.#call<FilesResult>(index, 'files', task, (result) => this.#finishBatch(files, result));
  }

  /** All workers read one large file together. */
  async #large(waiting: Waiting, stamp: FileStamp, sparse: boolean): Promise<void> {
    const file: FileTask = { path: waiting.real, stored: waiting.path, stamp };
    await this.#flush();
    const chain = new SharedArrayBuffer(chainBytes(this.#o.hashStateBytes));
    const task: RangesTask = { file, chain, sparse };
    const results: RangesResult[] = [];
    while (Math.max(...this.#calls) > callsPerWorker) await this.#settle();
    this.#chains.add(chain);
    this.#o.workers.forEach((_, index) => {
      this.#call<RangesResult>(index, 'ranges', task, (result) => {
        results.push(result);
        if (results.length < this.#o.workers.length) return;
        this.#chains.delete(chain);
        const joined = joinRanges(results, file);
        this.#finish(waiting, joined, joined.extents);
      });
    });
  }

  #call<R>(index: number, method: string, argument: unknown, done: (result: R) => void): void {
    this.#calls[index]! += 1;
    this.#o.workers[index]!.call<R>(method, argument)
      .then(done)
      .catch((error: unknown) => {
        this.#failure ??= error;
      })
      .finally(() => {
        this.#calls[index]! -= 1;
        this.#wake?.();
      });
  }

  /** Waits until a call ends. */
  async #settle(): Promise<void> {
    if (this.#calls.some((count) => count > 0)) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    this.#wake = undefined;
    if (this.#failure !== undefined) throw this.#failure;
  }

  async #drain(): Promise<void> {
    for (; this.#head < this.#slots.length; this.#head += 1) {
      const { entry } = this.#slots[this.#head]!;
      if (entry === undefined) break;
      if (entry !== null) for (const page of this.#builder.add(entry)) await this.#o.onPage(page);
    }
    if (this.#head > 4096) {
      this.#slots.splice(0, this.#head);
      this.#head = 0;
    }
  }
}

function joinRanges(results: readonly RangesResult[], file: FileTask): FileResult {
  const failed = results.find((result) => result.error !== undefined)?.error;
  if (failed !== undefined) {
    if (failed.kind !== 'source') throw BackpackError.fromJSON(failed);
    return { x: '', extents: [], error: failed };
  }
  const ranges = results.flatMap((result) => [...result.ranges]).sort((a, b) => a[0] - b[0]);
  const end = results.find((result) => result.end !== undefined)?.end;
  const extents: number[] = [];
  for (const [, list] of ranges) for (let i = 0; i < list.length; i += 5) joinExtent(extents, list, i);
  if (end === undefined) throw new RangeError(`no worker saw the end of a file of ${file.stamp.size} bytes`);
  const states = results.flatMap(({ before }) => (before === undefined ? [] : [before]));
  // Each worker opens the file for itself: when it changed in between, each range is of one state, but not the whole.
  const mixed = states.some((state) => !sameStamp(state, states[0]!));
  const warnings = mixed && end.warnings === undefined ? { warnings: ['torn'] } : {};
  return { ...end, ...warnings, extents };
}

/** Appends one extent, as part of the last one when it goes on there: whole records of one pack, or zeros. */
function joinExtent(extents: number[], list: readonly number[], at: number): void {
  const last = extents.length - 5;
  const pack = list[at]!;
  const whole = pack >= 0 && list[at + 4] === -1 && extents[last + 4] === -1;
  const follows = whole && extents[last + 1]! + extents[last + 2]! === list[at + 1];
  if (last >= 0 && extents[last] === pack && (pack < 0 || follows)) {
    extents[last + 2]! += list[at + 2]!;
    extents[last + 3]! += list[at + 3]!;
  } else {
    extents.push(...list.slice(at, at + 5));
  }
}

function sameContent(kept: KeptEntry | NewEntry, entry: NewEntry): boolean {
  if (!('page' in kept)) return false;
  const found = JSON.parse(kept.text.slice(0, kept.text.indexOf('\n'))) as {
    x?: string;
    n?: number;
    e?: number[][];
  };
  if (found.x !== entry.x || found.n !== undefined || !kept.text.startsWith(entry.prefix)) return false;
  const old = found.e ?? [];
  return (
    old.length === entry.extents.length &&
    entry.extents.every((e, i) => {
      const [k, record, count, length, offset = 0] = old[i]!;
      const pack = k === -1 ? hole : k === -2 ? zeros : kept.page.packs[k!];
      return (
        pack === e.pack &&
        record === e.record &&
        count === e.count &&
        length === e.length &&
        offset === e.offset
      );
    })
  );
}
