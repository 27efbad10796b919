/**
 * The main thread's part of a backup: merges the walk with the parents' pages, gives changed files to the workers,
 * puts the results back in order and builds pages. Memory does not grow with the number of files.
 */
import { lstatSync } from 'node:fs';
import type { ByteString } from '../base/bytes.ts';
import { BackpackError } from '../base/errors.ts';
import { KiB, MiB } from '../base/limits.ts';
import { type Extent, hole, zeros } from '../format/extents.ts';
import { type BuiltPage, type KeptEntry, type NewEntry, PageBuilder } from '../format/page-builder.ts';
import { type Libc, libc } from '../platform/libc.ts';
import { Owners } from '../platform/owners.ts';
import { type Extras, noExtras, readExtras, readExtrasAt } from '../source/extras.ts';
import { piecesOf } from '../source/holes.ts';
import { reach } from '../source/reach.ts';
import {
  closeSource,
  type FileStamp,
  openSource,
  sameStamp,
  stampOf,
  stampOfStat,
} from '../source/read-file.ts';
import { type Skip, type SourceItem, type SourceProblem, type SourceRoot, walk } from '../source/walk.ts';
import { ancestorText, EntryLines, extrasOfLine, extrasText, typeOf } from './entry-line.ts';
import { joinExtents } from './extent-list.ts';
import type { FileResult, FileTask, RangesResult, RangesTask } from './jobs.ts';
import { contentOf, sameEntry } from './kept-entry.ts';
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
  /** Whether access times are kept. */
  readonly atime?: boolean | undefined;
  /** Whether unchanged files are read, too. */
  readonly readAll?: boolean | undefined;
  /** Called before the first file is given to a worker: loads the dedup catalog. */
  readonly beforeFirstFile: () => Promise<void>;
  readonly onPage: (page: BuiltPage) => Promise<void>;
  readonly onProblem: (problem: SourceProblem) => void;
  readonly onWarning: (path: ByteString, warnings: readonly string[]) => void;
  /** A file whose content is another one though nothing else of it changed; only found when it is read again. */
  readonly onSilentChange?: (path: ByteString) => void;
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
  /** New and changed entries whose extended attributes and flags could not be looked at. */
  withoutExtras: number;
}

/** An entry on its way to the pages; results arrive out of order. */
interface Slot {
  /** undefined: not there yet; null: leaves no entry. */
  entry: NewEntry | KeptEntry | null | undefined;
}

/** A file on its way to a worker. */
interface OpenFile {
  readonly item: SourceItem;
  readonly prefix: string;
  /** Its entry in a parent, when lstat shows no change. */
  readonly kept: KeptEntry | NewEntry | undefined;
  readonly counter: 'changedFiles' | 'newFiles';
  /** Whether the parent would have been believed. */
  readonly trusted: boolean;
}

interface Batch {
  tasks: FileTask[];
  finish: ((result: FileResult) => void)[];
  bytes: number;
}

const batchFiles = 256;
const batchBytes: number = 4 * MiB;
const slotsMax = 4096;
const callsPerWorker = 2;
const yieldEvery = 256;
/** Times that a changing file is read before it is stored as `torn`. */
const readsMax = 3;
/** A larger file that changes is read once: what is written all the time will not stand still for the second time. */
const readAgainMax: number = 1024 * MiB;

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
    withoutExtras: 0,
  };
  readonly #o: BackupRunOptions;
  readonly #lines: EntryLines;
  readonly #libc: Libc | undefined = libc();
  readonly #builder: PageBuilder;
  readonly #slots: Slot[] = [];
  readonly #calls: number[];
  #head = 0;
  #batch: Batch = { tasks: [], finish: [], bytes: 0 };
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
    this.#lines = new EntryLines(new Owners(), options.atime === true);
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
    const head = this.#lines.head(item, type);
    const prefix = head + this.#lines.rest(item, type);
    const { parent, known } = await this.#parentOf(item.stored, prefix, head);
    const size = Number(item.stat.size);
    this.#count(type, size);
    // What changed within the resolution of the clock looks the same: it is looked at again.
    const trusted = parent !== undefined && item.stat.ctimeNs < parent.trustBeforeNs;
    if (trusted && !(type === 'f' && this.#o.readAll === true)) {
      if (type === 'f') {
        this.counts.unchangedFiles += 1;
        this.counts.unchangedBytes += size;
      }
      this.#slots.push({ entry: await this.#unchanged(parent, item, type, prefix, head) });
      return;
    }
    const kept = parent === undefined ? undefined : await parent.take(item.stored, head);
    if (type !== 'f') {
      this.#slots.push({ entry: this.#withoutContent(item, type, prefix, kept) });
      return;
    }
    const counter = known ? 'changedFiles' : 'newFiles';
    this.counts[counter] += 1;
    await this.#file({ item, prefix, kept, counter, trusted });
  }

  /** The parent's entry; rewritten where something is new that is no change of the file. */
  async #unchanged(
    parent: ParentCursor,
    item: SourceItem,
    type: string,
    prefix: string,
    head: string,
  ): Promise<KeptEntry | NewEntry> {
    const hasExtras = parent.hasExtras || this.#libc === undefined;
    const exact = hasExtras && parent.matches(prefix);
    if (exact && (type !== 'd' || parent.line!.includes(',"an":1') === item.ancestor))
      return parent.take(item.stored, prefix);
    const old = extrasOfLine(parent.line!);
    const kept = await parent.take(item.stored, head);
    const extras = hasExtras ? old.text : this.#extras(item, type).text;
    const line = prefix + extras + ancestorText(item) + old.warnings;
    const entry = { path: item.stored, prefix: line, ...contentOf(kept) };
    return sameEntry(kept, entry) ? kept : entry;
  }

  /** An entry that is no file, or an empty one. */
  #withoutContent(
    item: SourceItem,
    type: string,
    prefix: string,
    kept: KeptEntry | NewEntry | undefined,
  ): KeptEntry | NewEntry {
    const { text, warnings } = this.#extras(item, type);
    const line = prefix + text + ancestorText(item) + warningsText(warnings);
    const entry = { path: item.stored, prefix: line, x: undefined, extents: [] };
    return kept !== undefined && sameEntry(kept, entry) ? kept : entry;
  }

  /** Extended attributes and flags of what no worker opens. */
  #extras(item: SourceItem, type: string): { text: string; warnings: readonly string[] } {
    const calls = this.#libc;
    if (calls === undefined) {
      this.counts.withoutExtras += 1;
      return { text: '', warnings: [] };
    }
    let found: Extras = noExtras;
    try {
      // A folder above a root may be named by a link.
      found = reach(item.ancestor ? `${item.real}/.` : item.real, (path) =>
        type === 'f' || type === 'd' ? readExtrasAt(calls, path, type === 'd') : readExtras(calls, path),
      );
    } catch {
      // It is gone, and with it what it had.
    }
    const warnings = found.incomplete ? ['xattrs'] : [];
    if (found.incomplete) this.#o.onWarning(item.stored, warnings);
    return { text: extrasText(found), warnings };
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
    head: string,
  ): Promise<{ parent: ParentCursor | undefined; known: boolean }> {
    let parent: ParentCursor | undefined;
    let known = false;
    for (const cursor of this.#o.parents) {
      let matches = cursor.matches(prefix);
      if (!matches) {
        let found = cursor.seek(path);
        while (found === 'load') {
          await cursor.load();
          found = cursor.seek(path);
        }
        if (found === 'none') continue;
        matches = cursor.matches(head);
      }
      known = true;
      if (matches) parent = cursor;
    }
    return { parent, known };
  }

  async #file(file: OpenFile): Promise<void> {
    const { item, prefix, kept } = file;
    const stamp = stampOfStat(item.stat);
    const slot: Slot = { entry: undefined };
    this.#slots.push(slot);
    if (stamp.size === 0) {
      slot.entry = this.#withoutContent(item, 'f', prefix, kept);
      if (slot.entry === kept) this.#unchangedAfterAll(file);
      return;
    }
    if (!this.#started) {
      this.#started = true;
      await this.#o.beforeFirstFile();
    }
    const task: FileTask = { path: item.real, stored: item.stored, stamp };
    const finish = (result: FileResult): void => {
      if (result.error?.context['errno'] === 'EGROWN') {
        const now = this.#failure === undefined ? this.#stampAgain(task) : undefined;
        if (now !== undefined) {
          this.#ranges(task, now, finish, 1);
          return;
        }
      }
      if (result.error !== undefined) this.#uncount(stamp.size, file.counter);
      this.#finish(slot, file, result);
    };
    if (stamp.size > rangeBytes) return this.#large(task, finish);
    this.#batch.tasks.push(task);
    this.#batch.finish.push(finish);
    this.#batch.bytes += stamp.size + 4 * KiB;
    if (this.#batch.tasks.length >= batchFiles || this.#batch.bytes >= batchBytes) await this.#flush();
  }

  /** A file that was read again only to be sure. */
  #unchangedAfterAll({ counter }: OpenFile): void {
    this.counts[counter] -= 1;
    this.counts.unchangedFiles += 1;
  }

  /** A file that could not be read is none of the snapshot's files. */
  #uncount(size: number, counter: 'changedFiles' | 'newFiles'): void {
    this.counts.files -= 1;
    this.counts.bytes -= size;
    this.counts[counter] -= 1;
  }

  #finish(slot: Slot, file: OpenFile, result: FileResult): void {
    const { item, prefix, kept } = file;
    if (result.error !== undefined) {
      const error = BackpackError.fromJSON(result.error);
      const code = String(error.context['errno'] ?? error.code);
      this.#o.onProblem({ stored: item.stored, real: item.real, code, message: error.message });
      slot.entry = null;
      return;
    }
    if (result.warnings !== undefined) this.#o.onWarning(item.stored, result.warnings);
    if (result.extras === undefined) this.counts.withoutExtras += 1;
    const start =
      result.stamp === undefined
        ? prefix
        : this.#lines.head(item, 'f', result.stamp) + this.#lines.rest(item, 'f');
    const entry = {
      path: item.stored,
      prefix: start + (result.extras ?? '') + warningsText(result.warnings ?? []),
      x: result.x === '' ? undefined : result.x,
      extents: this.#extents(result.extents),
    };
    slot.entry = entry;
    if (kept === undefined) return;
    if (sameEntry(kept, entry)) {
      slot.entry = kept;
      this.#unchangedAfterAll(file);
    } else if (file.trusted && result.stamp === undefined && contentOf(kept).x !== entry.x) {
      // Nothing that lstat tells has changed, but the content has: a failing disk, or somebody who set the times back.
      this.#o.onSilentChange?.(item.stored);
    }
  }

  #extents(flat: readonly number[]): Extent[] {
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
    if (batch.tasks.length === 0) return;
    this.#batch = { tasks: [], finish: [], bytes: 0 };
    while (Math.min(...this.#calls) >= callsPerWorker) await this.#settle();
    const index = this.#calls.indexOf(Math.min(...this.#calls));
    this.#call<FileResult[]>(index, 'files', batch.tasks, (results) => {
      for (const [i, result] of results.entries()) batch.finish[i]!(result);
    });
  }

  /** All workers read one large file together. */
  async #large(file: FileTask, finish: (result: FileResult) => void): Promise<void> {
    await this.#flush();
    while (Math.max(...this.#calls) > callsPerWorker) await this.#settle();
    this.#ranges(file, file.stamp, finish, 1);
  }

  /** @param found the state that the file was found in now */
  #ranges(first: FileTask, found: FileStamp, finish: (result: FileResult) => void, reads: number): void {
    const chain = new SharedArrayBuffer(chainBytes(this.#o.hashStateBytes));
    const { stamp, pieces } = this.#piecesOf(first, found);
    const file: FileTask = { ...first, stamp };
    const task: RangesTask = { file, chain, pieces };
    const results: RangesResult[] = [];
    this.#chains.add(chain);
    this.#o.workers.forEach((_, index) => {
      this.#call<RangesResult>(index, 'ranges', task, (one) => {
        results.push(one);
        if (results.length < this.#o.workers.length) return;
        this.#chains.delete(chain);
        const result = joinRanges(results, file);
        const torn = result.warnings?.includes('torn') === true;
        const more = torn && reads < readsMax && stamp.size <= readAgainMax && this.#failure === undefined;
        const now = more ? this.#stampAgain(file) : undefined;
        if (now !== undefined) this.#ranges(first, now, finish, reads + 1);
        else if (result.stamp !== undefined || sameStamp(stamp, first.stamp)) finish(result);
        else finish({ ...result, stamp });
      });
    });
  }

  /** The holes of a sparse file, and the state of the file in which it has them. */
  #piecesOf(file: FileTask, stamp: FileStamp): Pick<RangesTask, 'pieces'> & { stamp: FileStamp } {
    if (stamp.sparse !== true || this.#libc === undefined) return { stamp };
    let fd = -1;
    try {
      fd = openSource(file.path);
      const now = stampOf(fd, file.path);
      return { stamp: now, pieces: piecesOf(this.#libc, fd, now.size, rangeBytes) };
    } catch {
      // Whoever reads it will meet the same error, and say so.
      return { stamp };
    } finally {
      if (fd >= 0) closeSource(fd);
    }
  }

  /** The state of a file that is to be read once more; undefined when there is nothing to read. */
  #stampAgain(file: FileTask): FileStamp | undefined {
    try {
      const stat = reach(file.path, (path) => lstatSync(path, { bigint: true }));
      return stat.isFile() && stat.size > 0n ? stampOfStat(stat) : undefined;
    } catch {
      return undefined;
    }
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

function warningsText(warnings: readonly string[]): string {
  return warnings.length === 0 ? '' : `,"w":${JSON.stringify(warnings)}`;
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
  for (const [, list] of ranges) joinExtents(extents, list);
  if (end === undefined) throw new RangeError(`no worker saw the end of a file of ${file.stamp.size} bytes`);
  const states = results.flatMap(({ before }) => (before === undefined ? [] : [before]));
  // Each worker opens the file for itself: when it changed in between, each range is of one state, but not the whole.
  const mixed = states.some((state) => !sameStamp(state, states[0]!));
  const known = end.warnings ?? [];
  return mixed && !known.includes('torn')
    ? { ...end, warnings: ['torn', ...known], extents }
    : { ...end, extents };
}
