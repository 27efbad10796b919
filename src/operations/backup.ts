/**
 * Backup: one snapshot of some paths (SPEC, "Backup"). Any number of clients may run it at once; there are no locks.
 * Nothing is acknowledged before the after-check.
 */
import { availableParallelism } from 'node:os';
import type { ByteString } from '../base/bytes.ts';
import { BackpackError } from '../base/errors.ts';
import { MiB } from '../base/limits.ts';
import { threadsWithin } from '../base/open-files.ts';
import { type Clock, type Random, systemClock, systemRandom } from '../base/ports.ts';
import { WriterMemory } from '../container/container-writer.ts';
import { rootWriter } from '../format/header.ts';
import { type NameJson, nameFromJson, nameToJson } from '../format/name-json.ts';
import { makeId, timeOfId } from '../format/names.ts';
import type { PackRef, PageRef, Snapshot, SourceErrorLine } from '../format/snapshot.ts';
import { formatMs, parseTime } from '../format/time.ts';
import { BackupRun } from '../pipeline/backup-run.ts';
import { BackupWorker, type BackupWorkerOptions } from '../pipeline/backup-worker.ts';
import { Catalog, type CatalogMemory, createCatalogMemory } from '../pipeline/catalog.ts';
import type { Totals } from '../pipeline/estimate.ts';
import type { PacksResult } from '../pipeline/jobs.ts';
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
  /** A run that takes longer makes a partial snapshot of what is done, each time; default 30 minutes. */
  readonly checkpointMs?: number;
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
  /** A partial snapshot exists, and would be used by the next run should this one be killed. */
  | { readonly type: 'checkpoint'; readonly snapshotId: string; readonly seq: number }
  /** A key file of a repository, of this one or another, is among the files; it is stored like any other. */
  | { readonly type: 'key-file'; readonly path: string }
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
  /** Files that look unchanged and were read all the same, because they are so young; and are unchanged. */
  readonly rereadFiles: number;
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
const checkpointMs: number = 30 * 60 * 1000;
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
    replaces.push(...run.partials, done.summary.snapshotId);
  }
}

/** What a run knows when its walk has begun. */
interface RunState {
  readonly list: SnapshotList;
  readonly presence: Presence;
  readonly parents: readonly SnapshotInfo[];
  /** Pages done so far, and the packs that they need. */
  readonly pages: PageRef[];
  readonly needed: Set<string>;
  readonly run: BackupRun;
}

/** One attempt at a snapshot. */
class Attempt {
  /** Ids of its checkpoints. */
  readonly partials: string[] = [];
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
  readonly #stored = new Map<string, number>();
  #meta: MetaWriter;
  readonly #errors: SourceErrorLine[] = [];
  readonly #started: number;
  #index: IndexState | undefined;
  #torn = 0;
  #incomplete = 0;
  #totals: Totals | undefined;
  #counter: WorkerPort | undefined;
  #metaBytes = 0;
  #dataBytes = 0;
  #state: RunState | undefined;
  #checkpointAt: number;

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
    this.#checkpointAt = this.#started;
    this.#catalog = createCatalogMemory(options.catalogBytes ?? MiB, catalogMax);
    this.#packMemory = createPackListMemory(packsMax);
    this.#packList = new PackList(this.#packMemory);
    const threads = threadsWithin(options.threads ?? availableParallelism());
    this.#progress = new SharedArrayBuffer(Math.max(1, threads) * 16);
    this.#workers = Array.from({ length: Math.max(1, threads) }, (_, owner) =>
      this.#worker(owner, threads > 0),
    );
    this.#memory = new WriterMemory(4 * MiB);
    this.#meta = this.#newMeta();
  }

  #newMeta(): MetaWriter {
    return new MetaWriter({
      repository: this.#repository,
      memory: this.#memory,
      clock: this.#clock,
      random: this.#random,
      app: this.#o.app,
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
    this.#state = { list, presence, parents, pages, needed, run };
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
    return this.#finish(this.#state);
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
        } else {
          await this.#meta.roll();
          const { entries, first, last } = page;
          const ref = await this.#meta.add(page.text, { entries, first, last });
          needed.add(ref.pack);
          pages.push(ref);
        }
        if (this.#clock.now() - this.#checkpointAt >= (this.#o.checkpointMs ?? checkpointMs))
          await this.#checkpoint();
      },
      onProblem: (problem) => this.#problem(problem.stored || problem.real, problem.code, problem.message),
      onKeyFile: (path) => this.#emit({ type: 'key-file', path }),
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

  async #finish(state: RunState): Promise<{ summary: BackupSummary; missing: readonly string[] }> {
    const snapshot = await this.#publish(state, false);
    const missing = await afterCheck(this.#repository, snapshot);
    await this.#close();
    return { summary: this.#summary(snapshot.root, state.run, this.#dataBytes), missing };
  }

  /**
   * Makes a partial snapshot of the pages done so far (SPEC, "Checkpoints"). It is replaced by the next one of this
   * run and by the complete one. When its after-check fails, that of the complete one will, and all is done anew.
   */
  async #checkpoint(): Promise<void> {
    const snapshot = await this.#publish(this.#state!, true);
    const { id: snapshotId, seq } = snapshot.root;
    const missing = await afterCheck(this.#repository, snapshot);
    this.partials.push(snapshotId);
    this.#meta = this.#newMeta();
    this.#checkpointAt = this.#clock.now();
    if (missing.length === 0) this.#emit({ type: 'checkpoint', snapshotId, seq });
  }

  /** Publishes everything so far, in the order of the specification. */
  async #publish(state: RunState, partial: boolean): Promise<Snapshot> {
    const { presence } = state;
    // What comes while this runs belongs to the next snapshot.
    const pages = [...state.pages];
    const errors = [...this.#errors];
    const needed = new Set(state.needed);
    const index: Uint8Array[] = [Buffer.from(this.#index?.missing ?? '', 'latin1')];
    for (const result of await Promise.all(
      this.#workers.filter((w) => w.started).map((w) => w.call<PacksResult>('finish', undefined)),
    )) {
      for (const { id, sizeBytes } of result.packs) {
        this.#stored.set(id, sizeBytes);
        this.#dataBytes += sizeBytes;
      }
      index.push(...result.index);
    }
    const id = makeId(this.#clock, this.#random);
    await this.#meta.openPack();
    for (const [pack, size] of this.#meta.sizes) this.#stored.set(pack, size);
    for (const pack of this.#meta.ids) needed.add(pack);
    const root = this.#root(id, state, partial);
    const packs = (): PackRef[] =>
      [...needed]
        .sort()
        .map((pack) => ({ id: pack, sizeBytes: this.#stored.get(pack) ?? presence.sizes.get(pack) ?? 0 }));
    // The copy lies in the last meta pack, whose own size is not known yet and stands as 0.
    for (const text of snapshotTexts({ root, packs: packs(), pages, errors })) await this.#meta.addText(text);
    for (const { id: pack, sizeBytes } of await this.#meta.commit()) {
      this.#stored.set(pack, sizeBytes);
      this.#metaBytes += sizeBytes;
      const line = `["P","${pack}",${sizeBytes},"${this.#repository.keyring.dedupKeys.dd}"]\n`;
      index.push(Buffer.from(line, 'latin1'));
    }
    await this.#writeIndex(index, presence);
    const snapshot: Snapshot = { root, packs: packs(), pages, errors };
    this.#o.signal?.throwIfAborted();
    this.#metaBytes += await putSnapshot(this.#repository, this.#memory, snapshot, this.#o.app);
    return snapshot;
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
      if (state !== undefined) this.#index = { ...state, missing: '', objects: [] };
    } catch {
      // The next run reads the tables instead.
    }
  }

  #root(id: string, { list, parents, run }: RunState, partial: boolean): SnapshotRoot {
    const { host, user, set, tags, app } = this.#o;
    const last = list.snapshots.at(-1);
    const highest = list.snapshots.reduce((max, info) => Math.max(max, info.root.seq), 0);
    const replaces = [...this.#replaces, ...this.partials];
    const { files, bytes } = run.counts;
    return {
      backpack: 'snapshot',
      v: 1,
      id,
      seq: highest + 1 + this.partials.length,
      time: formatMs(this.#started),
      end: formatMs(this.#clock.now()),
      host,
      ...(user === undefined ? {} : { user }),
      ...(set === undefined ? {} : { set }),
      ...(tags === undefined || tags.length === 0 ? {} : { tags }),
      roots: this.#o.roots.map((given) => JSON.parse(nameToJson(namedAs(given))) as NameJson),
      parents: parents.map((info) => info.id),
      prev: last?.id ?? null,
      known: list.snapshots.slice(-64).map((info) => info.id),
      ...(replaces.length === 0 ? {} : { replaces }),
      // Partial is a run that did not come to its end. What could not be read is in the E lines and in the counts: one
      // file that is never readable must not make every snapshot second to an old complete one.
      partial,
      app,
      features: { incompat: [], roCompat: [], compat: [] },
      params: {
        dedup: 'xxh64+gmac',
        chunker: 'fastcdc-1',
        packSize: this.#packSize,
        metadata: metadataKeys(),
      },
      stats: { files, bytes, stored: this.#dataBytes, errors: this.#errors.length },
    };
  }

  /** The last complete snapshot of this host and set (or roots), and a later partial one. */
  #parentsOf(list: SnapshotList): SnapshotInfo[] {
    const { host, set, roots } = this.#o;
    const own = sameRoots(roots.map(({ stored }) => stored));
    const same = list.snapshots.filter(
      ({ root, writer }) =>
        writer === rootWriter &&
        root.host === host &&
        root.set === set &&
        (set !== undefined || sameRoots(root.roots.map((name) => nameFromJson(name as NameJson))) === own),
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
      rereadFiles: counts.rereadFiles,
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

/** A root as the user named it: an absolute path with its slash, which the path in the snapshot does not have. */
function namedAs({ real, stored }: SourceRoot): ByteString {
  return real === `/${stored}` ? real : stored;
}

/** Roots that are stored in the same places; earlier versions left the slash away. */
function sameRoots(names: readonly ByteString[]): string {
  return JSON.stringify(names.map((name) => name.replace(/^\/+/, '')));
}

/** Files are known by device and inode, wherever a path leads to them. */
function skipOf({ own }: BackupOptions): Skip {
  const byInode = new Map(own.map((one) => [one.inode, one]));
  return (stat) => {
    const found = byInode.get(stat.ino);
    return found !== undefined && found.device === stat.dev ? found.reason : undefined;
  };
}
