/**
 * Backup: one snapshot of some paths (SPEC, "Backup"). Any number of clients may run it at once; there are no locks.
 * Nothing is acknowledged before the after-check.
 */
import { availableParallelism } from 'node:os';
import type { ByteString } from '../base/bytes.ts';
import { BackpackError } from '../base/errors.ts';
import { MiB } from '../base/limits.ts';
import { type Clock, type Random, systemClock, systemRandom } from '../base/ports.ts';
import { WriterMemory } from '../container/container-writer.ts';
import { rootWriter } from '../format/header.ts';
import { type NameJson, nameToJson } from '../format/name-json.ts';
import { makeId, timeOfId } from '../format/names.ts';
import type { PackRef, PageRef, Snapshot, SourceErrorLine } from '../format/snapshot.ts';
import { formatMs, parseTime } from '../format/time.ts';
import { BackupRun } from '../pipeline/backup-run.ts';
import { BackupWorker, type BackupWorkerOptions } from '../pipeline/backup-worker.ts';
import { Catalog, type CatalogMemory, createCatalogMemory } from '../pipeline/catalog.ts';
import type { Totals } from '../pipeline/estimate.ts';
import type { PackResult, PacksResult } from '../pipeline/jobs.ts';
import { type LazyPort, lazyPort } from '../pipeline/lazy-port.ts';
import { createPackListMemory, PackList, type PackListMemory } from '../pipeline/pack-list.ts';
import { ParentCursor } from '../pipeline/parent-cursor.ts';
import { inlinePort, threadPort, type WorkerPort } from '../pipeline/worker-port.ts';
import { libc } from '../platform/libc.ts';
import { afterCheck, putSnapshot, snapshotTexts } from '../repo/commit.ts';
import { type IndexState, loadIndex, mergedLines, shouldMerge, writeIndex } from '../repo/index-objects.ts';
import { MetaWriter } from '../repo/meta-writer.ts';
import { type Presence, readPresence } from '../repo/presence.ts';
import type { Repository } from '../repo/repository.ts';
import {
  listSnapshots,
  loadSnapshot,
  PageReader,
  type SnapshotInfo,
  type SnapshotList,
} from '../repo/snapshots.ts';
import type { SnapshotRoot } from '../schema/index.ts';
import type { Skip, SourceRoot } from '../source/walk.ts';

/** What to back up and how. */
export interface BackupOptions {
  readonly roots: readonly SourceRoot[];
  /** Files and folders that are never stored (the repository, the key), and why. */
  readonly own: readonly { readonly device: bigint; readonly inode: bigint; readonly reason: string }[];
  /** Whether to count the source beside the run, for a progress line that tells how much is left. */
  readonly estimate?: boolean;
  readonly host: string;
  readonly user?: string;
  readonly set?: string;
  readonly tags?: readonly string[];
  /** Name and version of the program. */
  readonly app: string;
  /** Worker threads; 0 runs inline. Default: one per core. */
  readonly threads?: number;
  /** Default 64 MiB. */
  readonly packSize?: number;
  /** Size of the first level of the dedup catalog, bytes. */
  readonly catalogBytes?: number;
  /** Whether access times are stored; they change pages that would else stay the same. */
  readonly withAtime?: boolean;
  /** Whether files that look unchanged are read, too. */
  readonly readAll?: boolean;
  readonly signal?: AbortSignal;
  readonly clock?: Clock;
  readonly random?: Random;
}

/** What happens while a backup runs. */
export type BackupEvent =
  | {
      readonly type: 'progress';
      readonly bytesRead: number;
      readonly bytesStored: number;
      /** Files looked at, and bytes read or found unchanged, so far. */
      readonly files: number;
      readonly bytesDone: number;
      /** Files and bytes in all, as soon as they are known. */
      readonly totals: Totals | undefined;
    }
  | { readonly type: 'source-error'; readonly path: string; readonly code: string; readonly message: string }
  | { readonly type: 'skipped'; readonly path: string; readonly reason: string }
  | { readonly type: 'warning'; readonly path: string; readonly warnings: readonly string[] }
  /** A file whose content changed though nothing else of it did: only found by `readAll`. */
  | { readonly type: 'silent-change'; readonly path: string }
  /** Entries whose extended attributes and flags could not be looked at; once, at the end. */
  | { readonly type: 'without-extras'; readonly entries: number };

/** Result of a backup. */
export interface BackupSummary {
  readonly snapshotId: string;
  readonly seq: number;
  readonly parents: readonly string[];
  readonly files: number;
  readonly bytes: number;
  readonly newFiles: number;
  readonly changedFiles: number;
  readonly unchangedFiles: number;
  readonly otherEntries: number;
  /** Bytes of file content read. */
  readonly bytesRead: number;
  /** Bytes written to the storage. */
  readonly bytesStored: number;
  readonly sourceErrors: number;
  readonly tornFiles: number;
  /** Entries stored without some or all of their extended attributes, because those could not be read. */
  readonly incompleteEntries: number;
  readonly elapsedMs: number;
}

const attemptsMax = 3;
const estimateAfterMs = 1000;
/** The longest delay of a timer: 24 days. */
const never = 2 ** 31 - 1;
const raceNs = 2_000_000_000n;
const packsMax = 1 << 22;
const catalogMax: number = 2048 * MiB;

/**
 * Makes a snapshot.
 * @throws BackpackError; then no snapshot was acknowledged, and what was stored is used again by the next run
 */
export async function backup(
  repository: Repository,
  options: BackupOptions,
  emit: (event: BackupEvent) => void,
): Promise<BackupSummary> {
  await repository.storage.sweep?.(Date.now());
  const replaces: string[] = [];
  for (let attempt = 1; ; attempt += 1) {
    const run = new Attempt(repository, options, emit, replaces);
    let done: { summary: BackupSummary; missing: readonly string[] };
    try {
      done = await run.run();
    } catch (error) {
      await run.abort();
      throw error;
    }
    if (done.missing.length === 0) return done.summary;
    if (attempt === attemptsMax) {
      throw new BackpackError(
        'BP_PACKS_VANISHED',
        `${done.missing.length} packs vanished while the snapshot was written`,
        {
          kind: 'conflict',
          retry: 'later',
          hint: 'another client deletes data at this moment; run the backup again',
        },
      );
    }
    // Stored again by the next attempt: its presence listing no longer counts on what vanished.
    replaces.push(done.summary.snapshotId);
  }
}

/** One attempt at a snapshot. */
class Attempt {
  readonly #repository: Repository;
  readonly #o: BackupOptions;
  readonly #emit: (event: BackupEvent) => void;
  readonly #replaces: readonly string[];
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #catalog: CatalogMemory;
  readonly #packMemory: PackListMemory;
  readonly #packList: PackList;
  readonly #progress: SharedArrayBuffer;
  readonly #workers: LazyPort[];
  readonly #memory: WriterMemory;
  readonly #meta: MetaWriter;
  readonly #errors: SourceErrorLine[] = [];
  readonly #started: number;
  #index: IndexState | undefined;
  #torn = 0;
  #incomplete = 0;
  #totals: Totals | undefined;
  #counter: WorkerPort | undefined;
  #metaBytes = 0;

  constructor(
    repository: Repository,
    options: BackupOptions,
    emit: (event: BackupEvent) => void,
    replaces: readonly string[],
  ) {
    this.#repository = repository;
    this.#o = options;
    this.#emit = emit;
    this.#replaces = [...replaces];
    this.#clock = options.clock ?? systemClock;
    this.#random = options.random ?? systemRandom;
    this.#started = this.#clock.now();
    this.#catalog = createCatalogMemory(options.catalogBytes ?? MiB, catalogMax);
    this.#packMemory = createPackListMemory(packsMax);
    this.#packList = new PackList(this.#packMemory);
    const threads = options.threads ?? availableParallelism();
    this.#progress = new SharedArrayBuffer(Math.max(1, threads) * 16);
    this.#workers = Array.from({ length: Math.max(1, threads) }, (_, owner) =>
      this.#worker(owner, threads > 0),
    );
    this.#memory = new WriterMemory(4 * MiB);
    this.#meta = new MetaWriter({
      repository,
      memory: this.#memory,
      clock: this.#clock,
      random: this.#random,
      app: options.app,
      packSize: this.#packSize,
    });
  }

  get #packSize(): number {
    return this.#o.packSize ?? 64 * MiB;
  }

  async run(): Promise<{ summary: BackupSummary; missing: readonly string[] }> {
    const list = await listSnapshots(this.#repository);
    const presence = await readPresence(this.#repository);
    const parents = this.#parentsOf(list);
    const pages: PageRef[] = [];
    const needed = new Set<string>();
    const run = await this.#start(presence, parents, pages, needed);
    const timer = setInterval(() => this.#report(run), 100);
    const counting = setTimeout(() => this.#estimate(), this.#o.estimate === true ? estimateAfterMs : never);
    try {
      await run.run();
    } finally {
      clearInterval(timer);
      clearTimeout(counting);
    }
    const { withoutExtras } = run;
    if (withoutExtras > 0) this.#emit({ type: 'without-extras', entries: withoutExtras });
    this.#totals = run.counts;
    this.#report(run);
    return this.#finish({ list, presence, parents, pages, needed, run });
  }

  async abort(): Promise<void> {
    for (const worker of this.#workers) {
      if (worker.started) await worker.call('abort', undefined).catch(() => {});
    }
    await this.#close();
    await this.#meta.abort();
  }

  async #close(): Promise<void> {
    for (const worker of this.#workers) await worker.close();
    await this.#counter?.close();
  }

  async #start(
    presence: Presence,
    parents: readonly SnapshotInfo[],
    pages: PageRef[],
    needed: Set<string>,
  ): Promise<BackupRun> {
    const reader = new PageReader(this.#repository, rootWriter);
    const metaPacks = new Set<string>();
    const cursors: ParentCursor[] = [];
    for (const info of parents) {
      const snapshot = await loadSnapshot(this.#repository, info);
      for (const page of snapshot.pages) metaPacks.add(page.pack);
      const start = parseTime(info.root.time);
      const made = BigInt(timeOfId(info.id)) * 1_000_000n;
      const trust = (start < made ? start : made) - raceNs;
      const usable = snapshot.pages.every(({ pack }) => presence.has(pack));
      // A page that is gone cannot be merged with; then everything is read again, and stored only where it is missing.
      if (usable)
        cursors.push(
          new ParentCursor(
            snapshot.pages,
            (ref) => reader.read(ref),
            (pack) => presence.has(pack),
            trust,
            hasAll(info.root.params.metadata),
          ),
        );
    }
    const pathHash = this.#pathHash();
    return new BackupRun({
      roots: this.#o.roots,
      skip: skipOf(this.#o),
      parents: cursors,
      workers: this.#workers,
      signal: this.#o.signal,
      packs: this.#packList,
      hashStateBytes: this.#memory.codec.kernel.hashStateBytes,
      pathHash,
      atime: this.#o.withAtime,
      readAll: this.#o.readAll,
      beforeFirstFile: async () => {
        const catalog = new Catalog(this.#catalog, this.#workers.length);
        this.#index = await loadIndex(this.#repository, presence, catalog, this.#packList, metaPacks);
      },
      onPage: async (page) => {
        this.#o.signal?.throwIfAborted();
        const packs = page.kind === 'old' ? page.page.packs : page.packs;
        for (const pack of packs) needed.add(pack);
        if (page.kind === 'old') {
          needed.add(page.page.ref.pack);
          pages.push(page.page.ref);
          return;
        }
        await this.#meta.roll();
        const { entries, first, last } = page;
        const ref = await this.#meta.add(page.text, { entries, first, last });
        needed.add(ref.pack);
        pages.push(ref);
      },
      onProblem: (problem) => this.#problem(problem.stored || problem.real, problem.code, problem.message),
      onWarning: (path, warnings) => {
        if (warnings.includes('torn')) this.#torn += 1;
        else this.#incomplete += 1;
        this.#emit({ type: 'warning', path, warnings });
      },
      onSilentChange: (path) => this.#emit({ type: 'silent-change', path }),
    });
  }

  #problem(path: ByteString, code: string, message: string): void {
    if (code === 'skipped') {
      this.#emit({ type: 'skipped', path, reason: message });
      return;
    }
    this.#errors.push({ path, code: code.replace(/[^A-Za-z0-9_-]/g, '') || 'EUNKNOWN' });
    this.#emit({ type: 'source-error', path, code, message });
  }

  /** Publishes everything in the order of the specification. */
  async #finish(state: {
    list: SnapshotList;
    presence: Presence;
    parents: readonly SnapshotInfo[];
    pages: PageRef[];
    needed: Set<string>;
    run: BackupRun;
  }): Promise<{ summary: BackupSummary; missing: readonly string[] }> {
    const { list, presence, parents, pages, needed, run } = state;
    const data: PackResult[] = [];
    const index: Uint8Array[] = [Buffer.from(this.#index?.missing ?? '', 'latin1')];
    for (const result of await Promise.all(
      this.#workers.filter((w) => w.started).map((w) => w.call<PacksResult>('finish', undefined)),
    )) {
      data.push(...result.packs);
      index.push(...result.index);
    }
    const sizes = new Map([...presence.sizes, ...data.map(({ id, sizeBytes }) => [id, sizeBytes] as const)]);
    const id = makeId(this.#clock, this.#random);
    const bytesStored = data.reduce((sum, pack) => sum + pack.sizeBytes, 0);
    await this.#meta.openPack();
    for (const [pack, size] of this.#meta.sizes) sizes.set(pack, size);
    for (const pack of this.#meta.ids) needed.add(pack);
    const root = this.#root(id, list, parents, run, bytesStored);
    const packsWith = (size: (pack: string) => number): PackRef[] =>
      [...needed].sort().map((pack) => ({ id: pack, sizeBytes: size(pack) }));
    const sizeOf = (pack: string): number => sizes.get(pack) ?? 0;
    const errors = this.#errors;
    // The copy lies in the last meta pack, whose own size is not known yet and stands as 0.
    for (const text of snapshotTexts({ root, packs: packsWith(sizeOf), pages, errors }))
      await this.#meta.addText(text);
    const meta = await this.#meta.commit();
    for (const pack of meta) sizes.set(pack.id, pack.sizeBytes);
    this.#metaBytes = meta.reduce((sum, pack) => sum + pack.sizeBytes, 0);
    for (const pack of meta)
      index.push(
        Buffer.from(
          `["P","${pack.id}",${pack.sizeBytes},"${this.#repository.keyring.dedupKeys.dd}"]\n`,
          'latin1',
        ),
      );
    await this.#writeIndex(index, presence);
    const packs = packsWith(sizeOf);
    const snapshot: Snapshot = { root, packs, pages, errors };
    this.#o.signal?.throwIfAborted();
    this.#metaBytes += await putSnapshot(this.#repository, this.#memory, snapshot, this.#o.app);
    const missing = await afterCheck(this.#repository, packs);
    await this.#close();
    return { summary: this.#summary(root, run, bytesStored), missing };
  }

  /** The index is a cache: a full disk or a missing right to write it does not fail the backup. */
  async #writeIndex(lines: readonly Uint8Array[], presence: Presence): Promise<void> {
    const state = this.#index;
    const merge = state !== undefined && shouldMerge(state);
    try {
      const old = merge ? [Buffer.from(await mergedLines(this.#repository, state, presence), 'latin1')] : [];
      await writeIndex(this.#repository, this.#memory, makeId(this.#clock, this.#random), this.#o.app, [
        ...old,
        ...lines,
      ]);
      if (merge) for (const { name } of state.objects) await this.#repository.storage.delete(name);
    } catch {
      // The next run reads the tables instead.
    }
  }

  #root(
    id: string,
    list: SnapshotList,
    parents: readonly SnapshotInfo[],
    run: BackupRun,
    stored: number,
  ): SnapshotRoot {
    const { host, user, set, tags, app } = this.#o;
    const last = list.snapshots.at(-1);
    const seq = 1 + list.snapshots.reduce((max, info) => Math.max(max, info.root.seq), 0);
    return {
      backpack: 'snapshot',
      v: 1,
      id,
      seq,
      time: formatMs(this.#started),
      end: formatMs(this.#clock.now()),
      host,
      ...(user === undefined ? {} : { user }),
      ...(set === undefined ? {} : { set }),
      ...(tags === undefined || tags.length === 0 ? {} : { tags }),
      roots: this.#o.roots.map(({ stored: path }) => JSON.parse(nameToJson(path)) as NameJson),
      parents: parents.map((info) => info.id),
      prev: last?.id ?? null,
      known: list.snapshots.slice(-64).map((info) => info.id),
      ...(this.#replaces.length === 0 ? {} : { replaces: this.#replaces }),
      // Partial is a run that did not come to its end. What could not be read is in the E lines and in the counts: one
      // file that is never readable must not make every snapshot second to an old complete one.
      partial: false,
      app,
      features: { incompat: [], roCompat: [], compat: [] },
      params: {
        dedup: 'xxh64+gmac',
        chunker: 'fastcdc-1',
        packSize: this.#packSize,
        metadata: metadataKeys(),
      },
      stats: { files: run.counts.files, bytes: run.counts.bytes, stored, errors: this.#errors.length },
    };
  }

  /** The last complete snapshot of this host and set (or roots), and a later partial one. */
  #parentsOf(list: SnapshotList): SnapshotInfo[] {
    const { host, set, roots } = this.#o;
    const own = JSON.stringify(roots.map(({ stored }) => JSON.parse(nameToJson(stored)) as NameJson));
    const same = list.snapshots.filter(
      ({ root, writer }) =>
        writer === rootWriter &&
        root.host === host &&
        root.set === set &&
        (set !== undefined || JSON.stringify(root.roots) === own),
    );
    const complete = same.findLastIndex(({ root }) => !root.partial);
    const later = same.slice(complete + 1).at(-1);
    return [...(complete < 0 ? [] : [same[complete]!]), ...(later === undefined ? [] : [later])];
  }

  #worker(owner: number, threads: boolean): LazyPort {
    const repository = this.#repository;
    const options: BackupWorkerOptions = {
      owner,
      storage: repository.spec,
      keyring: repository.keyring.data,
      repo: repository.repo,
      app: this.#o.app,
      packSize: this.#packSize,
      catalog: this.#catalog,
      packs: this.#packMemory,
      progress: this.#progress,
    };
    return lazyPort(() =>
      threads
        ? threadPort(
            new URL('../pipeline/backup-thread.js', import.meta.url),
            options,
            options.storage.environment,
          )
        : inlinePort(new BackupWorker(options, repository.storage)),
    );
  }

  #pathHash(): (path: ByteString) => number {
    const { kernel } = this.#memory.codec;
    const at = kernel.reserve(65_536 + 64);
    return (path) => {
      const length = kernel.bytes.write(path, at, 65_536, 'latin1');
      return Number.parseInt(kernel.hashOf(at, length).slice(8), 16);
    };
  }

  #counters(): { bytesRead: number; bytesStored: number } {
    const view = new Float64Array(this.#progress);
    let bytesRead = 0;
    let bytesStored = 0;
    for (let i = 0; i < view.length; i += 2) {
      bytesRead += view[i]!;
      bytesStored += view[i + 1]!;
    }
    return { bytesRead, bytesStored };
  }

  #report(run: BackupRun): void {
    const { files, unchangedBytes } = run.counts;
    const counters = this.#counters();
    const bytesDone = unchangedBytes + counters.bytesRead;
    this.#emit({ type: 'progress', ...counters, files, bytesDone, totals: this.#totals });
  }

  /** Counts the source in a thread of its own; only long runs come to it. */
  #estimate(): void {
    const own = this.#o.own.map(({ device, inode }) => [device, inode] as const);
    this.#counter = threadPort(new URL('../pipeline/estimate-thread.js', import.meta.url), own);
    this.#counter.call<Totals>('total', this.#o.roots).then(
      (totals) => {
        this.#totals = totals;
      },
      () => {},
    );
  }

  #summary(root: SnapshotRoot, run: BackupRun, stored: number): BackupSummary {
    const { counts } = run;
    return {
      snapshotId: root.id,
      seq: root.seq,
      parents: root.parents,
      files: counts.files,
      bytes: counts.bytes,
      newFiles: counts.newFiles,
      changedFiles: counts.changedFiles,
      unchangedFiles: counts.unchangedFiles,
      otherEntries: counts.others,
      bytesRead: this.#counters().bytesRead,
      bytesStored: stored + this.#metaBytes,
      sourceErrors: this.#errors.length,
      tornFiles: this.#torn,
      incompleteEntries: this.#incomplete,
      elapsedMs: this.#clock.now() - this.#started,
    };
  }
}

/** Keys of entries that this program can fill beyond what lstat tells. */
function metadataKeys(): string[] {
  return libc() === undefined ? [] : ['xa', 'fl'];
}

/** Whether a parent's writer could fill all of them. */
function hasAll(keys: readonly string[] | undefined): boolean {
  return metadataKeys().every((key) => keys?.includes(key) === true);
}

/** Files are known by device and inode, wherever a path leads to them. */
function skipOf({ own }: BackupOptions): Skip {
  const byInode = new Map(own.map((one) => [one.inode, one]));
  return (stat) => {
    const found = byInode.get(stat.ino);
    return found !== undefined && found.device === stat.dev ? found.reason : undefined;
  };
}
