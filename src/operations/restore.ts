/**
 * Restore: the entries of a snapshot, or of one path in it, below a target folder. Every tag and every file's XXH64
 * is checked; a file that fails is absent, and everything else is restored.
 */
import { randomBytes } from 'node:crypto';
import {
  closeSync,
  constants,
  existsSync,
  ftruncateSync,
  linkSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  realpathSync,
  renameSync,
  unlinkSync,
} from 'node:fs';
import { availableParallelism } from 'node:os';
import { dirname } from 'node:path';
import { type ByteString, byteStringToText, utf8ToByteString } from '../base/bytes.ts';
import { BackpackError, isBackpackError, toBackpackError } from '../base/errors.ts';
import { KiB } from '../base/limits.ts';
import { threadsWithin } from '../base/open-files.ts';
import { PackFinder } from '../container/pack-finder.ts';
import type { Entry } from '../format/entry-stream.ts';
import { type Extent, hole, zeros } from '../format/extents.ts';
import { packName, shortId } from '../format/names.ts';
import { reject } from '../format/reject.ts';
import { Kernel } from '../kernel/kernel.ts';
import { chainBytes, RangeChain } from '../pipeline/range-chain.ts';
import type { LargeResult, RestoreFile, RestoreLarge, RestoreOutcome } from '../pipeline/restore-jobs.ts';
import { makeSpecial, metadataOf } from '../pipeline/restore-metadata.ts';
import { partBytes, RestoreWorker, type RestoreWorkerOptions } from '../pipeline/restore-worker.ts';
import { inlinePort, threadPort, type WorkerPort } from '../pipeline/worker-port.ts';
import { entriesOf, isBelow } from '../repo/entries.ts';
import type { Repository } from '../repo/repository.ts';
import {
  checkWriter,
  findSnapshot,
  listSnapshots,
  loadSnapshot,
  PageReader,
  type SnapshotInfo,
} from '../repo/snapshots.ts';
import { Jail } from '../target/jail.ts';
import {
  everything,
  hasFlags,
  type Metadata,
  type MetadataPolicy,
  setFlags,
  setMetadata,
} from '../target/metadata.ts';

/** What to restore and where. */
export interface RestoreOptions {
  /** `latest`, `latest~1`, a unique prefix of an id. */
  readonly snapshot: string;
  /** Path in the snapshot; empty for all. */
  readonly path: ByteString;
  readonly target: string;
  /** What of owners, modes and attributes is wanted; default: all that this user may set. */
  readonly metadata?: MetadataPolicy;
  /** Worker threads; 0 runs inline. Default: one per core. */
  readonly threads?: number;
  readonly signal?: AbortSignal;
}

/** What happens while a restore runs. */
export type RestoreEvent =
  | {
      readonly type: 'progress';
      readonly files: number;
      readonly bytes: number;
      readonly filesTotal: number;
      readonly bytesTotal: number;
    }
  | {
      readonly type: 'problem';
      readonly path: string;
      readonly code: string;
      readonly message: string;
      readonly damaged: boolean;
      readonly object?: string;
      readonly record?: number;
    };

/** Result of a restore. */
export interface RestoreSummary {
  readonly snapshotId: string;
  readonly target: string;
  readonly files: number;
  readonly bytes: number;
  readonly folders: number;
  readonly others: number;
  /** Files that could not be restored because data is damaged or missing. */
  readonly damaged: number;
  /** Other things that could not be restored. */
  readonly failed: number;
  readonly elapsedMs: number;
}

/** One more name of something that is restored under another one. */
interface HardLink {
  readonly path: ByteString;
  readonly first: ByteString;
  readonly isFile: boolean;
}

const batchFiles = 128;
const batchBytes: number = partBytes;
const callsPerWorker = 2;

/**
 * Restores. The target is made when missing; what is already in it is never overwritten.
 * @throws BackpackError when nothing can be restored at all; single failures are events and counts
 */
export async function restore(
  repository: Repository,
  options: RestoreOptions,
  emit: (event: RestoreEvent) => void,
): Promise<RestoreSummary> {
  const started = Date.now();
  const list = await listSnapshots(repository);
  const info = findSnapshot(list, options.snapshot);
  const run = new RestoreRun(repository, info, options, emit);
  // The newest snapshot may be one of those that cannot be read: never restore an older one without a word.
  if (/^(?:latest|@)/.test(options.snapshot)) {
    for (const { name, error } of list.unreadable) run.problem('', error.with({ object: name }));
  }
  try {
    await run.run();
  } finally {
    await run.close();
  }
  return { snapshotId: info.id, target: run.target, ...run.counts, elapsedMs: Date.now() - started };
}

class RestoreRun {
  readonly target: string;
  readonly counts: {
    files: number;
    bytes: number;
    folders: number;
    others: number;
    damaged: number;
    failed: number;
  } = {
    files: 0,
    bytes: 0,
    folders: 0,
    others: 0,
    damaged: 0,
    failed: 0,
  };
  readonly #repository: Repository;
  readonly #info: SnapshotInfo;
  readonly #o: RestoreOptions;
  readonly #emit: (event: RestoreEvent) => void;
  readonly #jail: Jail;
  readonly #workers: WorkerPort[];
  readonly #calls: number[];
  readonly #folders: { path: ByteString; metadata: Metadata }[] = [];
  readonly #firstNames = new Map<string, ByteString>();
  /** Files that were not restored: what stands at their path, if anything, is somebody else's. */
  readonly #missing = new Set<ByteString>();
  /** What has flags, which are set when nothing else is to be done with it. */
  readonly #flagged: { path: ByteString; metadata: Metadata }[] = [];
  readonly #policy: MetadataPolicy;
  readonly #links: HardLink[] = [];
  readonly #packs: PackFinder;
  #batch: RestoreFile[] = [];
  #batchBytes = 0;
  #writer = '';
  #failure: unknown;
  #wake: (() => void) | undefined;
  #lastReport = 0;

  constructor(
    repository: Repository,
    info: SnapshotInfo,
    options: RestoreOptions,
    emit: (event: RestoreEvent) => void,
  ) {
    this.#repository = repository;
    this.#packs = new PackFinder(repository.read, 'data', 8);
    this.#info = info;
    this.#o = options;
    this.#emit = emit;
    this.#policy = options.metadata ?? everything;
    this.target = makeTarget(options.target);
    const target = utf8ToByteString(this.target);
    this.#jail = new Jail(target);
    const threads = threadsWithin(options.threads ?? availableParallelism());
    const workerOptions: RestoreWorkerOptions = {
      storage: repository.spec,
      keyring: repository.keyring.data,
      target,
      metadata: this.#policy,
    };
    this.#workers = Array.from({ length: Math.max(1, threads) }, () =>
      threads > 0
        ? threadPort(
            new URL('../pipeline/restore-thread.js', import.meta.url),
            workerOptions,
            workerOptions.storage.environment,
          )
        : inlinePort(new RestoreWorker(workerOptions, repository.storage)),
    );
    this.#calls = this.#workers.map(() => 0);
  }

  async run(): Promise<void> {
    const snapshot = await loadSnapshot(this.#repository, this.#info);
    this.#writer = snapshot.writer;
    await checkWriter(this.#repository, snapshot);
    const reader = new PageReader(this.#repository, snapshot.writer);
    let found = this.#o.path === '';
    const onPageError = (error: unknown): void => this.problem('', error);
    for await (const entry of entriesOf(reader, snapshot, this.#o.path, onPageError)) {
      this.#o.signal?.throwIfAborted();
      found ||= isBelow(entry.path, this.#o.path);
      await this.#entry(entry);
      if (this.#failure !== undefined) throw this.#failure;
    }
    if (!found) throw noPath(this.#o.path, this.#info);
    await this.#flush();
    while (this.#calls.some((count) => count > 0)) await this.#settle();
    for (const link of this.#links) this.#hardLink(link);
    for (const file of this.#flagged) this.#flags(file);
    for (const folder of this.#folders.reverse()) this.#finishFolder(folder);
    this.#report(true);
  }

  async close(): Promise<void> {
    for (const worker of this.#workers) {
      await worker.call('finish', undefined).catch(() => {});
      await worker.close();
    }
    this.#jail.close();
  }

  async #entry(entry: Entry): Promise<void> {
    const { json, path, type } = entry;
    const metadata = metadataOf(json);
    if (type === 'd') return this.#folder(path, metadata, json.an === 1);
    if (json.hl !== undefined) {
      const first = this.#firstNames.get(json.hl);
      if (first !== undefined) {
        this.#links.push({ path, first, isFile: type === 'f' });
        return;
      }
      this.#firstNames.set(json.hl, path);
    }
    if (type !== 'f') return this.#special(entry, metadata);
    if (hasFlags(metadata)) this.#flagged.push({ path, metadata });
    const file = {
      path,
      sizeBytes: json.s ?? 0,
      x: json.x ?? '',
      extents: entry.extents,
      metadata,
      writer: this.#writer,
    };
    if (file.sizeBytes > partBytes || entry.extents.some(({ pack }) => pack === hole))
      return this.#large(file);
    this.#batch.push(file);
    this.#batchBytes += file.sizeBytes + 4 * KiB;
    if (this.#batch.length >= batchFiles || this.#batchBytes >= batchBytes) await this.#flush();
  }

  #folder(path: ByteString, metadata: Metadata, ancestor: boolean): void {
    try {
      const made = this.#jail.makeFolder(path);
      this.counts.folders += 1;
      // A folder that was there keeps its own mode and times, above all one that only leads to what is restored.
      if (made || !ancestor) this.#folders.push({ path, metadata });
    } catch (error) {
      this.problem(path, error);
    }
  }

  #finishFolder({ path, metadata }: { path: ByteString; metadata: Metadata }): void {
    try {
      const fd = this.#jail.folder(path);
      const lost = setMetadata(fd, metadata, this.#policy);
      if (hasFlags(metadata)) lost.push(...setFlags(fd, metadata));
      this.#lost(path, lost);
    } catch (error) {
      this.problem(path, error);
    }
  }

  #special(entry: Entry, metadata: Metadata): void {
    const { path } = entry;
    try {
      this.#lost(path, makeSpecial(this.#jail.at(path), entry, metadata, this.#policy));
      this.counts.others += 1;
    } catch (error) {
      this.#missing.add(path);
      if (isBackpackError(error) && error.code === 'BP_NOT_RESTORED')
        this.problem(path, targetError(error.code, error.message, path));
      else this.problem(path, error);
    }
  }

  /** Flags of a file; one that is immutable cannot even be linked, so they come after everything else. */
  #flags({ path, metadata }: { path: ByteString; metadata: Metadata }): void {
    if (this.#missing.has(path)) return;
    const { O_RDONLY, O_NOFOLLOW, O_NONBLOCK } = constants;
    try {
      const fd = openSync(this.#jail.at(path), O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
      try {
        this.#lost(path, setFlags(fd, metadata));
      } finally {
        closeSync(fd);
      }
    } catch (error) {
      this.#lost(path, [`flags ${metadata.flags} (${(error as NodeJS.ErrnoException).code})`]);
    }
  }

  /** Names what of an entry's metadata could not be set; the entry itself is there. */
  #lost(path: ByteString, lost: readonly string[]): void {
    if (lost.length > 0)
      this.problem(path, targetError('BP_METADATA', `is restored, but not its ${lost.join(', ')}`, path));
  }

  #hardLink({ path, first, isFile }: HardLink): void {
    try {
      if (this.#missing.has(first))
        throw targetError(
          'BP_NOT_RESTORED',
          `is a hard link of ${byteStringToText(first)}, which was not restored`,
          path,
        );
      const from = this.#jail.at(first);
      linkSync(from, this.#jail.at(path));
      if (isFile) this.counts.files += 1;
      else this.counts.others += 1;
    } catch (error) {
      this.problem(path, error);
    }
  }

  async #flush(): Promise<void> {
    const files = this.#batch;
    if (files.length === 0) return;
    this.#batch = [];
    this.#batchBytes = 0;
    while (Math.min(...this.#calls) >= callsPerWorker) await this.#settle();
    const index = this.#calls.indexOf(Math.min(...this.#calls));
    this.#call<RestoreOutcome[]>(index, 'files', files, (outcomes) => {
      for (const [i, outcome] of outcomes.entries()) this.#done(files[i]!, outcome);
    });
  }

  async #large(file: RestoreFile): Promise<void> {
    await this.#flush();
    while (Math.max(...this.#calls) > 0) await this.#settle();
    // Not made from the file's own name, which may be as long as a name can be.
    const partial: ByteString = `${file.path.slice(0, file.path.lastIndexOf('/') + 1)}.backpack-${randomBytes(8).toString('hex')}.partial`;
    try {
      const parts = await this.#parts(file);
      if (exists(this.#jail.at(file.path)))
        throw targetError('BP_TARGET_EXISTS', 'is there already and was left as it is', file.path);
      const fd = openSync(this.#jail.at(partial), 'wx', 0o600);
      try {
        ftruncateSync(fd, file.sizeBytes);
      } finally {
        closeSync(fd);
      }
      const chain = new SharedArrayBuffer(chainBytes(Kernel.create(0).hashStateBytes));
      const task: RestoreLarge = { file, partial, parts, chain };
      const stop = (): void => new RangeChain(chain).fail();
      this.#o.signal?.addEventListener('abort', stop);
      const results = await Promise.all(
        this.#workers.map((worker) => worker.call<LargeResult>('large', task)),
      ).finally(() => this.#o.signal?.removeEventListener('abort', stop));
      const failed = results.find((result) => result.error !== undefined)?.error;
      if (failed !== undefined) throw BackpackError.fromJSON(failed);
      const x = results.find((result) => result.x !== undefined)?.x;
      if (x !== file.x) throw reject('E_HASH', 'the content has another XXH64 than the snapshot says');
      this.#done(file, this.#nameLarge(file, partial));
    } catch (error) {
      try {
        unlinkSync(this.#jail.at(partial));
      } catch {
        // it was never made
      }
      this.#o.signal?.throwIfAborted();
      this.#missing.add(file.path);
      this.problem(file.path, error);
    }
  }

  /** @returns what of its metadata could not be set */
  #nameLarge(file: RestoreFile, partial: ByteString): string[] {
    const fd = openSync(this.#jail.at(partial), constants.O_RDONLY | constants.O_NOFOLLOW);
    let lost: string[];
    try {
      lost = setMetadata(fd, file.metadata, this.#policy);
    } finally {
      closeSync(fd);
    }
    try {
      // Unlike rename, link never replaces what somebody put there meanwhile.
      linkSync(this.#jail.at(partial), this.#jail.at(file.path));
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code !== 'EPERM' && code !== 'ENOTSUP' && code !== 'EOPNOTSUPP' && code !== 'ENOSYS') throw error;
      renameSync(this.#jail.at(partial), this.#jail.at(file.path));
      return lost;
    }
    unlinkSync(this.#jail.at(partial));
    return lost;
  }

  /** Splits a file's extents into parts that fit a worker's memory; whole records stay whole. */
  async #parts(file: RestoreFile): Promise<Extent[][]> {
    const parts: Extent[][] = [];
    let part: Extent[] = [];
    let filled = 0;
    const close = (): void => {
      if (part.length > 0) parts.push(part);
      part = [];
      filled = 0;
    };
    const add = (extent: Extent): void => {
      if (filled + extent.length > partBytes) close();
      part.push(extent);
      filled += extent.length;
    };
    for (const extent of file.extents) {
      if (extent.pack === hole || extent.pack === zeros) {
        close();
        parts.push([extent]);
      } else if (extent.count === 1) {
        add(extent);
      } else {
        for (const piece of await this.#split(extent)) add(piece);
      }
    }
    close();
    return parts;
  }

  async #split(extent: Extent): Promise<Extent[]> {
    const pieces: Extent[] = [];
    let total = 0;
    for (const { reader, record, count } of await this.#packs.pieces(extent, this.#writer)) {
      for (let i = 0; i < count; i += 1) {
        const length = reader.table.lengths[record + i];
        if (length === undefined)
          throw reject('E_EXTENT', 'an extent names records that its pack does not have', {
            object: reader.name,
          });
        pieces.push({
          pack: extent.pack,
          record: extent.record + pieces.length,
          count: 1,
          length,
          offset: 0,
        });
        total += length;
      }
    }
    if (total !== extent.length)
      throw reject('E_EXTENT', 'records have another length than their extent', {
        object: packName(extent.pack),
      });
    return pieces;
  }

  #done(file: RestoreFile, outcome: RestoreOutcome): void {
    if (outcome !== undefined && 'code' in outcome) {
      this.#missing.add(file.path);
      this.problem(file.path, BackpackError.fromJSON(outcome));
      return;
    }
    this.#lost(file.path, outcome ?? []);
    this.counts.files += 1;
    this.counts.bytes += file.sizeBytes;
    this.#report(false);
  }

  #call<R>(index: number, method: string, argument: unknown, done: (result: R) => void): void {
    this.#calls[index]! += 1;
    this.#workers[index]!.call<R>(method, argument)
      .then(done)
      .catch((error: unknown) => {
        this.#failure ??= error;
      })
      .finally(() => {
        this.#calls[index]! -= 1;
        this.#wake?.();
      });
  }

  async #settle(): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#wake = resolve;
    });
    this.#wake = undefined;
    if (this.#failure !== undefined) throw this.#failure;
  }

  /** Reports a failure; one that concerns the whole run (a full disk, a bug) ends it. */
  problem(path: ByteString, error: unknown): void {
    const found = asTargetError(error, path);
    if (found.kind === 'space' || found.kind === 'internal' || found.kind === 'canceled') {
      this.#failure ??= found;
      return;
    }
    const damaged = found.kind === 'damaged' || found.kind === 'unsupported' || found.kind === 'key';
    if (damaged) this.counts.damaged += 1;
    else this.counts.failed += 1;
    const { object, record } = found.context;
    this.#emit({
      type: 'problem',
      path: byteStringToText(path),
      code: found.code,
      message: found.message,
      damaged,
      ...(typeof object === 'string' ? { object } : {}),
      ...(typeof record === 'number' ? { record } : {}),
    });
  }

  #report(last: boolean): void {
    const now = performance.now();
    if (!last && now - this.#lastReport < 100) return;
    this.#lastReport = now;
    const { files, bytes } = this.#info.root.stats;
    this.#emit({
      type: 'progress',
      files: this.counts.files,
      bytes: this.counts.bytes,
      filesTotal: files,
      bytesTotal: bytes,
    });
  }
}

/** Makes a folder and those above it. Node's recursive mkdir can loop without end where a mkdir says ENOENT (/proc). */
function makeFolders(path: string): void {
  try {
    mkdirSync(path);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'EEXIST') return;
    if (code !== 'ENOENT' || existsSync(dirname(path))) throw error;
    makeFolders(dirname(path));
    mkdirSync(path);
  }
}

function makeTarget(target: string): string {
  try {
    makeFolders(target);
    readdirSync(target);
    return realpathSync(target);
  } catch (error) {
    const found = asTargetError(error, utf8ToByteString(target));
    if (found.kind === 'space') throw found;
    throw new BackpackError(
      'BP_TARGET_WRITE',
      `cannot use ${target} as target: ${(error as Error).message}`,
      {
        kind: 'target',
        cause: error,
        hint: 'give another folder with --to DIR',
      },
    );
  }
}

function exists(path: string | Buffer): boolean {
  return lstatSync(path, { throwIfNoEntry: false }) !== undefined;
}

function targetError(code: string, message: string, path: ByteString): BackpackError {
  return new BackpackError(code, `${byteStringToText(path)} ${message}`, {
    kind: 'target',
    context: { path: byteStringToText(path) },
  });
}

function asTargetError(error: unknown, path: ByteString): BackpackError {
  if (error instanceof Error && 'errno' in error) {
    const e = error as NodeJS.ErrnoException;
    if (e.code === 'EEXIST')
      return targetError('BP_TARGET_EXISTS', 'is there already and was left as it is', path);
    const space = e.code === 'ENOSPC' || e.errno === -122;
    return new BackpackError(
      space ? 'BP_NO_SPACE' : 'BP_TARGET_WRITE',
      `${byteStringToText(path)}: ${e.message}`,
      {
        kind: space ? 'space' : 'target',
        cause: error,
        hint: space ? 'free some space and restore again' : 'check the permissions of the target',
      },
    );
  }
  return toBackpackError(error);
}

function noPath(path: ByteString, info: SnapshotInfo): BackpackError {
  return new BackpackError('BP_NO_PATH', `${byteStringToText(path)} is not in snapshot ${shortId(info.id)}`, {
    kind: 'not-found',
    hint: `backpack ls ${shortId(info.id)} shows what is in it`,
  });
}
