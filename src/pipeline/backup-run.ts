/**
 * The main thread's part of a backup: merges the walk with the parents' pages, gives changed files to the workers,
 * puts the results back in order and builds pages. Memory does not grow with the number of files.
 */
import type { ByteString } from '../base/bytes.ts';
import { BackpackError } from '../base/errors.ts';
import { MiB } from '../base/limits.ts';
import { type BuiltPage, type KeptEntry, type NewEntry, PageBuilder } from '../format/page-builder.ts';
import { type Libc, libc } from '../platform/libc.ts';
import { Owners } from '../platform/owners.ts';
import { stampOfStat } from '../source/file-state.ts';
import { Filter, type FilterOptions, type FilterPorts } from '../source/filter.ts';
import type { OnIgnored } from '../source/ignore-files.ts';
import { type FileStamp, sameStamp } from '../source/read-file.ts';
import { type SourceItem, type SourceProblem, type SourceRoot, walk } from '../source/walk.ts';
import { BackupCounts } from './backup-counts.ts';
import { EntryLines, warningsText, withStamp } from './entry-line.ts';
import { EntryMaker } from './entry-maker.ts';
import { extentsOf } from './extent-list.ts';
import { FileBatch, type FileCounter, type Slot, type Waiting } from './file-batch.ts';
import { findInParents, findNow, type InParents } from './find-parent.ts';
import {
  type FileResult,
  type FilesResult,
  type FileTask,
  noHash,
  type RangesResult,
  type RangesTask,
} from './jobs.ts';
import { joinRanges } from './join-ranges.ts';
import { contentOf, sameEntry } from './kept-entry.ts';
import { type LinkedFile, LinkedFiles, type ReadResult } from './linked-files.ts';
import { piecesNow, stampAgain } from './look-again.ts';
import type { PackList } from './pack-list.ts';
import type { ParentCursor } from './parent-cursor.ts';
import { chainBytes, RangeChain } from './range-chain.ts';
import { rangeBytes } from './scan.ts';
import { walkAhead } from './walker.ts';
import type { WorkerPort } from './worker-port.ts';

/** What a run needs. */
export interface BackupRunOptions {
  readonly roots: readonly SourceRoot[];
  readonly filter: FilterOptions;
  /** See FilterPorts. Only asked when this thread walks. */
  readonly decide?: FilterPorts['decide'];
  /** Told of rules that cannot be used. */
  readonly onIgnored: OnIgnored;
  /** A thread that walks ahead, see walker.ts; without one, this thread walks. */
  readonly walker?: WorkerPort | undefined;
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
  /** A file that was read is a key file of a repository. */
  readonly onKeyFile?: (path: ByteString) => void;
  readonly onWarning: (path: ByteString, warnings: readonly string[]) => void;
  /** A file whose content is another one though nothing else of it changed; only found when it is read again. */
  readonly onSilentChange?: (path: ByteString) => void;
  readonly signal?: AbortSignal | undefined;
}

/** What lstat says of an entry, and what is expected of its line when nothing has changed. */
interface EntryLine {
  readonly item: SourceItem;
  readonly type: string;
  readonly head: string;
  readonly prefix: string;
}

const slotsMax = 2048;
const callsPerWorker = 2;
const yieldEvery = 256;
/** Times that a changing file is read before it is stored as `torn`. */
const readsMax = 3;
/** A larger file that changes is read once: what is written all the time will not stand still for the second time. */
const readAgainMax: number = 1024 * MiB;

/** Runs once. */
export class BackupRun {
  readonly counts: BackupCounts = new BackupCounts();
  readonly #o: BackupRunOptions;
  readonly #lines: EntryLines;
  readonly #maker: EntryMaker;
  readonly #libc: Libc | undefined = libc();
  readonly #builder: PageBuilder;
  readonly #slots: Slot[] = [];
  readonly #linked = new LinkedFiles();
  readonly #calls: number[];
  #head = 0;
  #seen = 0;
  #batch = new FileBatch();
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
    this.#maker = new EntryMaker(options.onWarning);
    this.#calls = options.workers.map(() => 0);
  }

  /** New and changed entries whose extended attributes and flags could not be looked at. */
  get withoutExtras(): number {
    return this.#maker.withoutExtras;
  }

  /** Walks everything; resolves when all pages have been handed on. */
  async run(): Promise<void> {
    const { walker, roots, filter, onIgnored } = this.#o;
    if (walker === undefined) {
      await this.#visit(walk(roots, new Filter(filter, { onIgnored, decide: this.#o.decide })));
    } else {
      for await (const entries of walkAhead(walker, onIgnored)) await this.#visit(entries);
    }
    await this.#flush();
    while (this.#calls.some((count) => count > 0)) await this.#settle();
    await this.#drain();
    for (const page of this.#builder.flush()) await this.#o.onPage(page);
  }

  async #visit(entries: Iterable<SourceItem | SourceProblem>): Promise<void> {
    for (const item of entries) {
      if ('code' in item) this.#o.onProblem(item);
      else {
        const more = this.#item(item);
        if (more !== undefined) await more;
      }
      this.#seen += 1;
      if (this.#seen % yieldEvery === 0) await this.#breathe();
      if (this.#failure !== undefined) throw this.#failure;
    }
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

  /** @returns what is still to be done, unless all of it could be done at once: a promise for each entry is dear */
  #item(item: SourceItem): Promise<void> | undefined {
    const { type } = item.stat;
    if (type === '?') {
      this.#o.onProblem({
        stored: item.stored,
        real: item.real,
        code: 'ETYPE',
        message: 'unknown type of file',
      });
      return undefined;
    }
    const head = this.#lines.head(item, type);
    const prefix = head + this.#lines.rest(item, type);
    // Makes one flat string of the tree of pieces: thousands of lines wait at a time, and trees are a burden to the
    // garbage collector.
    Number(prefix);
    const line: EntryLine = { item, type, head, prefix };
    const found = findNow(this.#o.parents, prefix);
    if (found === undefined) return this.#search(line);
    if (found.parent === undefined) return this.#read(line, undefined, 'newFiles', false);
    const trusted = this.#isTrusted(line, found.parent);
    const entry = trusted ? this.#maker.unchangedNow(found.parent, item, type) : undefined;
    if (entry === undefined) return this.#found(line, found);
    this.#count(type, item.stat.size);
    this.#unchanged(line, entry);
    return undefined;
  }

  async #search(line: EntryLine): Promise<void> {
    const { item, prefix, head } = line;
    await this.#found(line, await findInParents(this.#o.parents, item.stored, prefix, head));
  }

  async #found(line: EntryLine, { parent, known }: InParents): Promise<void> {
    const { item, type, prefix, head } = line;
    const trusted = parent?.trusts(item.stat) === true;
    if (parent !== undefined && this.#isTrusted(line, parent)) {
      this.#count(type, item.stat.size);
      this.#unchanged(line, await this.#maker.unchanged(parent, item, type, prefix, head));
      return;
    }
    const kept = parent === undefined ? undefined : await parent.take(item.stored, head);
    const same = item.stat.size === 0 ? 'unchangedFiles' : 'rereadFiles';
    await this.#read(line, kept, parent !== undefined ? same : known ? 'changedFiles' : 'newFiles', trusted);
  }

  /** What changed within the resolution of the clock looks the same: it is looked at again. */
  #isTrusted({ item, type }: EntryLine, parent: ParentCursor): boolean {
    return parent.trusts(item.stat) && !(type === 'f' && this.#o.readAll === true);
  }

  #unchanged({ item, type }: EntryLine, entry: KeptEntry | NewEntry): void {
    if (type === 'f') {
      this.counts.unchangedFiles += 1;
      this.counts.unchangedBytes += item.stat.size;
    }
    this.#slots.push({ entry });
  }

  /** An entry that is new, changed or not trusted. @param trusted whether the parent would have been believed */
  #read(
    { item, type, prefix }: EntryLine,
    kept: KeptEntry | NewEntry | undefined,
    counter: FileCounter,
    trusted: boolean,
  ): Promise<void> | undefined {
    this.#count(type, item.stat.size);
    if (type !== 'f') {
      this.#slots.push({ entry: this.#maker.withoutContent(item, type, prefix, kept) });
      return undefined;
    }
    this.counts[counter] += 1;
    return this.#file(item, { prefix, kept, counter, trusted });
  }

  #count(type: string, size: number): void {
    if (type !== 'f') {
      this.counts.others += 1;
      return;
    }
    this.counts.files += 1;
    this.counts.bytes += size;
  }

  #file(
    item: SourceItem,
    { prefix, kept, counter, trusted }: Pick<Waiting, 'prefix' | 'kept' | 'counter' | 'trusted'>,
  ): Promise<void> | undefined {
    const size = item.stat.size;
    const slot: Slot = { entry: undefined };
    this.#slots.push(slot);
    if (size === 0) {
      slot.entry = this.#maker.withoutContent(item, 'f', prefix, kept);
      return undefined;
    }
    const { stored: path, real } = item;
    const linked = item.stat.nlink > 1 ? this.#linked.of(item.stat) : undefined;
    const first = linked?.isFirst === true ? { first: linked.file } : {};
    const file: Waiting = { slot, path, real, size, prefix, kept, counter, trusted, ...first };
    if (linked?.isFirst === false) {
      const { read, waiting } = linked.file;
      if (read === undefined) waiting.push(file);
      else this.#finish(file, read.result, read.extents);
      return undefined;
    }
    if (!this.#started || size > rangeBytes) return this.#fileLater(file, item);
    return this.#batch.add(file, item) ? this.#flush() : undefined;
  }

  async #fileLater(file: Waiting, item: SourceItem): Promise<void> {
    if (!this.#started) {
      this.#started = true;
      await this.#o.beforeFirstFile();
    }
    if (file.size > rangeBytes) await this.#large(file, stampOfStat(item.stat));
    else if (this.#batch.add(file, item)) await this.#flush();
  }

  /** A file that could not be read is none of the snapshot's files. */
  #uncount(size: number, counter: FileCounter): void {
    this.counts.files -= 1;
    this.counts.bytes -= size;
    this.counts[counter] -= 1;
  }

  #finish(file: Waiting, result: Omit<FileResult, 'extents'>, extents: ArrayLike<number>): void {
    const { slot, path, real, kept } = file;
    const { error, stamp, warnings, keyFile } = result;
    if (error !== undefined) {
      if (error.context['errno'] === 'EGROWN' && this.#readAgain(file)) return;
      if (file.first !== undefined) this.#passOn(file.first, result);
      this.#uncount(file.size, file.counter);
      const cause = BackpackError.fromJSON(error);
      const code = String(cause.context['errno'] ?? cause.code);
      this.#o.onProblem({ stored: path, real, code, message: cause.message });
      slot.entry = null;
      return;
    }
    if (keyFile === true) this.#o.onKeyFile?.(path);
    if (warnings !== undefined) this.#o.onWarning(path, warnings);
    if (this.#libc === undefined) this.#maker.withoutExtras += 1;
    const start = stamp === undefined ? file.prefix : withStamp(file.prefix, stamp);
    const entry: NewEntry = {
      path,
      prefix: start + (result.extras ?? '') + warningsText(warnings ?? []),
      x: result.x === '' ? undefined : result.x,
      extents: extentsOf(extents, this.#o.packs),
    };
    // Read again only to be sure, and found in the same place: the old line, and with it the old page, can stay.
    slot.entry = kept !== undefined && sameEntry(kept, entry) ? kept : entry;
    if (kept !== undefined && slot.entry !== kept && contentOf(kept).x !== entry.x) {
      this.counts.rereadFiles -= 1;
      this.counts.changedFiles += 1;
      // Nothing that lstat tells has changed, but the content has: a failing disk, or somebody who set the times back.
      if (file.trusted && stamp === undefined) this.#o.onSilentChange?.(path);
    }
    if (file.first !== undefined) this.#otherNames(file.first, result, extents);
  }

  /** The other names of a file that was read. */
  #otherNames(linked: LinkedFile, result: ReadResult['result'], extents: ArrayLike<number>): void {
    for (const name of this.#linked.done(linked, { result, extents })) this.#finish(name, result, extents);
  }

  /** The first name could not be read; it may be gone, and the others there. */
  #passOn(linked: LinkedFile, result: ReadResult['result']): void {
    for (const name of this.#linked.forget(linked))
      if (!this.#readAgain(name)) this.#finish(name, result, []);
  }

  /** Reads a file by all workers, as it is now. @returns false when there is nothing to read */
  #readAgain(file: Waiting): boolean {
    const now = this.#failure === undefined ? stampAgain(file.real) : undefined;
    if (now !== undefined) this.#ranges(file, now, undefined, 1);
    return now !== undefined;
  }

  #finishBatch(files: readonly Waiting[], result: FilesResult): void {
    const odd = new Map(result.odd);
    let at = 0;
    for (let i = 0; i < files.length; i += 1) {
      const file = files[i]!;
      const x = result.x.slice(16 * i, 16 * i + 16);
      const next = at + result.counts[i]!;
      const rest = odd.get(i);
      if (rest === undefined && file.kept === undefined) {
        if (this.#libc === undefined) this.#maker.withoutExtras += 1;
        const extents = extentsOf(result.extents, this.#o.packs, at, next);
        file.slot.entry = { path: file.path, prefix: file.prefix, x: x === noHash ? undefined : x, extents };
        if (file.first !== undefined) {
          const read = { x: x === noHash ? '' : x };
          this.#otherNames(file.first, read, result.extents.subarray(at, next));
        }
      } else {
        this.#finish(file, { x: x === noHash ? '' : x, ...rest }, result.extents.subarray(at, next));
      }
      at = next;
    }
  }

  /** Gives the gathered batch to the worker with the least to do. */
  async #flush(): Promise<void> {
    const batch = this.#batch;
    const { files } = batch;
    if (files.length === 0) return;
    this.#batch = new FileBatch();
    while (Math.min(...this.#calls) >= callsPerWorker) await this.#settle();
    const index = this.#calls.indexOf(Math.min(...this.#calls));
    this.#call<FilesResult>(index, 'files', batch.task(), (result) => this.#finishBatch(files, result));
  }

  /** All workers read one large file together. */
  async #large(file: Waiting, stamp: FileStamp): Promise<void> {
    await this.#flush();
    while (Math.max(...this.#calls) > callsPerWorker) await this.#settle();
    this.#ranges(file, stamp, stamp, 1);
  }

  /**
   * @param found the state that the file was found in now
   * @param walked the state that its line tells of; undefined: none that can be right
   */
  #ranges(waiting: Waiting, found: FileStamp, walked: FileStamp | undefined, reads: number): void {
    const chain = new SharedArrayBuffer(chainBytes(this.#o.hashStateBytes));
    const { stamp, pieces } = piecesNow(waiting.real, found);
    const file: FileTask = { path: waiting.real, stored: waiting.path, stamp };
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
        const now = more ? stampAgain(file.path) : undefined;
        if (now !== undefined) this.#ranges(waiting, now, walked, reads + 1);
        else if (result.stamp !== undefined || (walked !== undefined && sameStamp(stamp, walked)))
          this.#finish(waiting, result, result.extents);
        else this.#finish(waiting, { ...result, stamp }, result.extents);
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
    if (this.#head > slotsMax) {
      this.#slots.splice(0, this.#head);
      this.#head = 0;
    }
  }
}
