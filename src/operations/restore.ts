/**
 * Restore: the entries of a snapshot, or of one path in it, below a target folder. Every tag and every file's XXH64
 * is checked; a file that fails is absent, and everything else is restored.
 */
import { existsSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { Breath } from '../base/breath.ts';
import { type ByteString, byteStringToText, utf8ToByteString } from '../base/bytes.ts';
import { BackpackError, systemReason, toBackpackError } from '../base/errors.ts';
import { unmakeFolders } from '../base/folders.ts';
import { threadsWithin } from '../base/open-files.ts';
import { formatSize } from '../base/sizes.ts';
import { PackFinder } from '../container/pack-finder.ts';
import type { Entry } from '../format/entry-stream.ts';
import { shortId } from '../format/names.ts';
import type { RestoreRules } from '../pipeline/restore-jobs.ts';
import { type RestoreAction, RestoreRun } from '../pipeline/restore-run.ts';
import { Selection, selected } from '../pipeline/restore-select.ts';
import { extrasOf, roomFor } from '../pipeline/restore-survey.ts';
import { RestoreWorker, type RestoreWorkerOptions } from '../pipeline/restore-worker.ts';
import { inlinePort, threadPort, type WorkerPort } from '../pipeline/worker-port.ts';
import { entriesOf, isBelow } from '../repo/entries.ts';
import type { Repository } from '../repo/repository.ts';
import {
  checkWriter,
  findSnapshot,
  type LoadedSnapshot,
  listSnapshots,
  loadSnapshot,
  PageReader,
  type SnapshotInfo,
  type SnapshotList,
} from '../repo/snapshots.ts';
import type { PatternRule } from '../source/pattern.ts';
import { isThere, type OverwritePolicy, spaceHint, systemText } from '../target/existing.ts';
import { foldsNames, makeTarget, noSpace, spaceAt, type Target } from '../target/folder.ts';
import { Jail } from '../target/jail.ts';
import { everything, type MetadataPolicy } from '../target/metadata.ts';
import { removeTree } from '../target/remove.ts';
import { noPath } from './no-path.ts';
import { mustKnowOrigin } from './original.ts';

/** What to restore and where. */
export interface RestoreOptions {
  /** `latest`, `latest~1`, a unique prefix of an id. */
  readonly snapshot: string;
  /** Path in the snapshot; empty for all. */
  readonly path: ByteString;
  readonly target: string;
  /** The target is `/`, to where absolute paths came from: what was not backed up by one is refused. */
  readonly intoOriginal?: boolean;
  /** What of owners, modes and attributes is wanted; default: all that this user may set. */
  readonly metadata?: MetadataPolicy;
  /** What is done about files that are there; default `never`. */
  readonly overwrite?: OverwritePolicy;
  /** Whether nothing is written. */
  readonly dryRun?: boolean;
  /** What is wanted of it: of those that match, the last one decides. Default: everything. */
  readonly rules?: readonly PatternRule[];
  /** Whether what was restored is read back and compared. */
  readonly verify?: boolean;
  /** Whether it begins although the target seems to have too little room. */
  readonly noSpaceCheck?: boolean;
  /**
   * Removes what is in the restored folders and not in the snapshot, before anything is written.
   * @param extras their paths; a folder stands for all that is in it
   * @returns whether to do so; a restore that may not does nothing
   */
  readonly confirmDelete?: (extras: readonly ByteString[]) => Promise<boolean>;
  /** Whether runs of zeros become holes. */
  readonly sparse?: boolean;
  /** Worker threads; 0 runs inline. Default: one per core. */
  readonly threads?: number;
  /** The snapshots, when the caller has listed them. */
  readonly list?: SnapshotList;
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
    }
  | {
      /** The snapshot's own object is damaged, and its copy was used: nothing is lost. */
      readonly type: 'copy';
      readonly object: string;
      readonly code: string;
      readonly message: string;
      /** The pack with the copy. */
      readonly copy: string;
    }
  | {
      /** One entry was restored, or would be. */
      readonly type: 'entry';
      readonly path: ByteString;
      readonly kind: string;
      readonly action: RestoreAction | 'delete';
      readonly sizeBytes: number;
    };

/** Result of a restore. */
export interface RestoreSummary {
  readonly snapshotId: string;
  readonly target: string;
  readonly files: number;
  readonly bytes: number;
  readonly folders: number;
  readonly others: number;
  /** Files (and links) that were there already with the same content; counted in `files`, too. */
  readonly kept: number;
  /** Files (and links) that took the place of something else; counted in `files`, too. */
  readonly replaced: number;
  /** Things that were in the target and not in the snapshot, and were removed. */
  readonly deleted: number;
  /** Entries that have another name, because the target refuses their own. */
  readonly renamed: number;
  /** Files that could not be restored because data is damaged or missing. */
  readonly damaged: number;
  /** Other things that could not be restored. */
  readonly failed: number;
  /** Files and folders that the snapshot lacks, because the backup could not read them. */
  readonly unread: number;
  /** The snapshot is of a backup that did not come to its end. */
  readonly partial: boolean;
  /** Whether the snapshot's own object is damaged, and its copy was used. */
  readonly fromCopy: boolean;
  readonly elapsedMs: number;
}

type Counts = {
  -readonly [K in Exclude<
    keyof RestoreSummary,
    'snapshotId' | 'target' | 'partial' | 'fromCopy' | 'elapsedMs'
  >]: number;
};

/**
 * Restores. The target is made when missing.
 * @throws BackpackError when nothing can be restored at all; single failures are events and counts
 */
export async function restore(
  repository: Repository,
  options: RestoreOptions,
  emit: (event: RestoreEvent) => void,
): Promise<RestoreSummary> {
  const started = Date.now();
  const list = options.list ?? (await listSnapshots(repository));
  const info = findSnapshot(list, options.snapshot);
  if (options.intoOriginal === true) mustKnowOrigin(info, options.path);
  const snapshot = await loadSnapshot(repository, info);
  const task = new RestoreTask(repository, info, options, emit);
  // What cannot be read may be a later snapshot all the same, or say that this one was forgotten.
  if (/^(?:latest|@)/.test(options.snapshot)) {
    for (const { name, error, copy } of list.unreadable)
      if (copy === undefined) task.problem('', error.with({ object: name }));
  }
  const { copy, damage } = snapshot;
  const fromCopy = copy !== undefined && damage !== undefined;
  if (fromCopy) {
    const { code, message } = damage;
    emit({ type: 'copy', object: info.object.name, code, message, copy: copy.pack.name });
  }
  const target = await task.run(snapshot);
  const { partial } = info.root;
  const elapsedMs = Date.now() - started;
  return { snapshotId: info.id, target, ...task.counts, partial, fromCopy, elapsedMs };
}

class RestoreTask {
  readonly counts: Counts = {
    files: 0,
    bytes: 0,
    folders: 0,
    others: 0,
    kept: 0,
    replaced: 0,
    deleted: 0,
    renamed: 0,
    damaged: 0,
    failed: 0,
    unread: 0,
  };
  readonly #repository: Repository;
  readonly #info: SnapshotInfo;
  readonly #o: RestoreOptions;
  readonly #select: Selection | undefined;
  readonly #emit: (event: RestoreEvent) => void;
  #run: RestoreRun | undefined;
  #failure: unknown;
  #lastReport = 0;

  constructor(
    repository: Repository,
    info: SnapshotInfo,
    options: RestoreOptions,
    emit: (event: RestoreEvent) => void,
  ) {
    this.#repository = repository;
    this.#info = info;
    this.#o = options;
    const { rules = [], path } = options;
    this.#select = rules.length === 0 ? undefined : new Selection(rules, path);
    this.#emit = emit;
  }

  /** @returns the target's path */
  async run(snapshot: LoadedSnapshot): Promise<string> {
    const { dryRun = false, sparse = false, overwrite = 'never' } = this.#o;
    await checkWriter(this.#repository, snapshot);
    this.counts.unread = snapshot.errors.filter(({ path }) => isBelow(path, this.#o.path)).length;
    if (dryRun && !existsSync(this.#o.target)) {
      await this.#wouldMakeAll(snapshot);
      return this.#o.target;
    }
    const { path: target, made } = usableTarget(this.#o.target);
    let done = false;
    const jail = new Jail(utf8ToByteString(target));
    const workers: WorkerPort[] = [];
    try {
      const rules: RestoreRules = {
        overwrite,
        sparse,
        dryRun,
        foldsNames: !dryRun && foldsNames(jail),
        metadata: this.#o.metadata ?? everything,
      };
      workers.push(...this.#startWorkers(target, rules));
      const run = new RestoreRun({
        jail,
        workers,
        packs: new PackFinder(this.#repository.read, 'data', 16),
        writer: snapshot.writer,
        rules,
        signal: this.#o.signal,
        onProblem: (path, error) => this.problem(path, error),
        onEntry: (path, kind, action, sizeBytes) => this.#done(path, kind, action, sizeBytes),
      });
      this.#run = run;
      if (this.#failure !== undefined) throw this.#failure;
      if (this.#o.confirmDelete !== undefined) await this.#deleteExtras(snapshot, jail);
      if (!dryRun) await this.#checkSpace(snapshot, target, jail);
      for await (const entry of this.#entries(snapshot)) await run.entry(entry);
      await run.end();
      this.#report(true);
      // What cannot be read of the snapshot was told the first time.
      if (this.#o.verify && !dryRun) await run.verify(this.#entries(snapshot, () => {}));
      if (this.#failure !== undefined) throw this.#failure;
      this.#report(true);
      done = true;
    } finally {
      for (const worker of workers) {
        await worker.call('finish', undefined).catch(() => {});
        await worker.close();
      }
      jail.close();
      if (!done) unmakeFolders(made);
    }
    return target;
  }

  /** Reports a failure; one that concerns the whole run (a full disk, a bug) ends it. */
  problem(path: ByteString, error: unknown): void {
    const found = asTargetError(error, path);
    if (found.kind === 'space' || found.kind === 'internal' || found.kind === 'canceled') {
      this.#failure ??= found;
      this.#run?.fail(found);
      return;
    }
    const damaged = found.kind === 'damaged' || found.kind === 'unsupported' || found.kind === 'key';
    if (damaged) this.counts.damaged += 1;
    else if (found.code === 'BP_NAME_CHANGED') this.counts.renamed += 1;
    else this.counts.failed += 1;
    const { object, record } = found.context;
    const text = byteStringToText(path);
    this.#emit({
      type: 'problem',
      path: text,
      code: found.code,
      // It may tell of a folder above only.
      message: damaged || found.message.includes(text) ? found.message : `${text}: ${found.message}`,
      damaged,
      ...(typeof object === 'string' ? { object } : {}),
      ...(typeof record === 'number' ? { record } : {}),
    });
  }

  async *#entries(
    snapshot: LoadedSnapshot,
    onPageError: (error: unknown) => void = (error) => this.problem('', error),
  ): AsyncGenerator<Entry> {
    const all = this.#all(snapshot, onPageError);
    const select = this.#select;
    if (select === undefined) return yield* all;
    let found = false;
    for await (const entry of selected(all, select)) {
      found = true;
      yield entry;
    }
    if (!found && this.counts.damaged === 0) throw nothingChosen(this.#info);
  }

  /** Entries whether the patterns choose them or not. */
  async *#all(snapshot: LoadedSnapshot, onPageError: (error: unknown) => void): AsyncGenerator<Entry> {
    const reader = new PageReader(this.#repository, snapshot.writer);
    const { path, signal } = this.#o;
    let found = path === '';
    const leads: Entry[] = [];
    for await (const entry of entriesOf(reader, snapshot, path, onPageError)) {
      signal?.throwIfAborted();
      // A folder above the wanted path only leads there: what else is in it is nobody's business.
      if (!isBelow(entry.path, path)) leads.push({ ...entry, json: { ...entry.json, an: 1 } });
      else {
        found = true;
        yield* leads.splice(0);
        yield entry;
      }
    }
    if (!found) throw noPath(path, this.#info);
  }

  /** Removes what the snapshot does not have. Nothing is removed because of what cannot be read or was not stored. */
  async #deleteExtras(snapshot: LoadedSnapshot, jail: Jail): Promise<void> {
    if (this.#info.root.partial)
      throw noDelete('the snapshot is partial: what could not be read then would be removed now');
    const unreadable = (error: unknown): never => {
      throw noDelete(`the list of what is in the snapshot is damaged: ${(error as Error).message}`, error);
    };
    const select = this.#select;
    const extras = await extrasOf(this.#all(snapshot, unreadable), jail, {
      wants: (path, isFolder) => select?.wants(path, isFolder) ?? true,
      unread: new Set(snapshot.errors.map(({ path }) => path)),
      nothing: select === undefined && snapshot.errors.length === 0,
      breath: new Breath(this.#o.signal),
    });
    if (extras.length === 0) return;
    if (this.#o.dryRun) {
      for (const path of extras)
        this.#emit({ type: 'entry', path, kind: '', action: 'delete', sizeBytes: 0 });
      this.counts.deleted = extras.length;
      return;
    }
    if (!(await this.#o.confirmDelete!(extras)))
      throw new BackpackError('BP_NOT_CONFIRMED', 'nothing was removed and nothing was restored', {
        kind: 'usage',
        hint: 'give --yes to remove what the snapshot does not have',
      });
    const breath = new Breath(this.#o.signal);
    for (const path of extras) {
      const isGone = await removeTree(jail, path, breath, (at, error) => this.problem(at, error));
      if (isGone) this.counts.deleted += 1;
    }
  }

  /** Refuses to begin what cannot end. Pages are read for it only when the answer is not plain. */
  async #checkSpace(snapshot: LoadedSnapshot, target: string, jail: Jail): Promise<void> {
    if (this.#o.noSpaceCheck) return;
    const { files, bytes } = this.#info.root.stats;
    const space = spaceAt(target);
    const isPlain =
      bytes + 2 * files * space.blockBytes < space.bytes && 2 * files < (space.files ?? Infinity);
    if (isPlain) return;
    const need = await roomFor(
      this.#entries(snapshot, () => {}),
      jail,
      space.blockBytes,
    );
    const [needed, free, missing] = [need.bytes, space.bytes, need.bytes - space.bytes].map(formatSize);
    if (need.bytes > space.bytes)
      throw noSpace(target, `it needs ${needed}, ${free} are free, ${missing} are missing`);
    if (need.files > (space.files ?? Infinity))
      throw noSpace(target, `it needs ${need.files} files, and ${space.files} can be made`);
  }

  /** A dry run for a target that is not there. */
  async #wouldMakeAll(snapshot: LoadedSnapshot): Promise<void> {
    for await (const { path, type, json } of this.#entries(snapshot))
      this.#done(path, type, 'make', type === 'f' ? (json.s ?? 0) : 0);
  }

  #startWorkers(target: string, rules: RestoreRules): WorkerPort[] {
    const { spec, storage, keyring } = this.#repository;
    const options: RestoreWorkerOptions = {
      storage: spec,
      keyring: keyring.data,
      target: utf8ToByteString(target),
      rules,
    };
    const threads = threadsWithin(this.#o.threads ?? availableParallelism());
    return Array.from({ length: Math.max(1, threads) }, () =>
      threads > 0
        ? threadPort(new URL('../pipeline/restore-thread.js', import.meta.url), options, spec.environment, {
            closesFiles: true,
          })
        : inlinePort(new RestoreWorker(options, storage)),
    );
  }

  #done(path: ByteString, kind: string, action: RestoreAction, sizeBytes: number): void {
    const { counts } = this;
    if (kind === 'd') counts.folders += 1;
    else if (kind === 'f') counts.files += 1;
    else counts.others += 1;
    if (kind !== 'd' && action === 'keep') counts.kept += 1;
    if (action === 'replace') counts.replaced += 1;
    counts.bytes += sizeBytes;
    if (this.#o.dryRun) this.#emit({ type: 'entry', path, kind, action, sizeBytes });
    this.#report(false);
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

function usableTarget(target: string): Target {
  try {
    return makeTarget(target);
  } catch (error) {
    const found = asTargetError(error, utf8ToByteString(target));
    if (found.kind === 'space') throw found;
    throw new BackpackError('BP_TARGET_WRITE', `cannot use ${target} as target: ${systemReason(error)}`, {
      kind: 'target',
      cause: error,
      hint: 'give another folder with --to DIR',
    });
  }
}

function asTargetError(error: unknown, path: ByteString): BackpackError {
  if (error instanceof Error && 'errno' in error) {
    const e = error as NodeJS.ErrnoException;
    if (e.code === 'EEXIST') return isThere(path);
    const space = e.code === 'ENOSPC' || e.errno === -122;
    return new BackpackError(
      space ? 'BP_NO_SPACE' : 'BP_TARGET_WRITE',
      `${byteStringToText(path)}: ${systemText(e)}`,
      {
        kind: space ? 'space' : 'target',
        cause: error,
        hint: space ? spaceHint : 'check the permissions of the target',
      },
    );
  }
  return toBackpackError(error);
}

function noDelete(why: string, cause?: unknown): BackpackError {
  return new BackpackError('BP_DELETE_UNSURE', `nothing was removed and nothing was restored: ${why}`, {
    kind: 'usage',
    hint: 'restore without --delete',
    ...(cause === undefined ? {} : { cause }),
  });
}

function nothingChosen(info: SnapshotInfo): BackpackError {
  return new BackpackError(
    'BP_NO_MATCH',
    `the patterns leave out everything that is in snapshot ${shortId(info.id)}`,
    { kind: 'not-found', hint: `backpack ls ${shortId(info.id)} shows what is in it` },
  );
}
