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
import { RateLimiter } from '../base/rate-limiter.ts';
import { WriterMemory } from '../container/container-writer.ts';
import { type NameJson, nameToJson } from '../format/name-json.ts';
import { makeId } from '../format/names.ts';
import type { BuiltPage } from '../format/page-builder.ts';
import type { PackRef, PageRef, Snapshot, SourceErrorLine } from '../format/snapshot.ts';
import { BackupRun } from '../pipeline/backup-run.ts';
import { BackupWorker, type BackupWorkerOptions } from '../pipeline/backup-worker.ts';
import { Catalog, type CatalogMemory, createCatalogMemory } from '../pipeline/catalog.ts';
import type { PacksResult } from '../pipeline/jobs.ts';
import { type LazyPort, lazyPort } from '../pipeline/lazy-port.ts';
import { planMemory } from '../pipeline/memory-plan.ts';
import { createPackListMemory, PackList, type PackListMemory } from '../pipeline/pack-list.ts';
import { StreamRun } from '../pipeline/stream-run.ts';
import type { WalkerOptions } from '../pipeline/walker.ts';
import { inlinePort, threadPort, type WorkerPort } from '../pipeline/worker-port.ts';
import { afterCheck, putSnapshot, snapshotTexts } from '../repo/commit.ts';
import { addToIndex, loadIndex } from '../repo/index-objects.ts';
import { MetaWriter } from '../repo/meta-writer.ts';
import { type Presence, readPresence } from '../repo/presence.ts';
import type { Repository } from '../repo/repository.ts';
import { listSnapshots, type SnapshotInfo, type SnapshotList } from '../repo/snapshots.ts';
import type { SnapshotRoot } from '../schema/index.ts';
import type { ObjectInfo } from '../storage/storage.ts';
import { throttled } from '../storage/throttle.ts';
import type { BackupEvent, BackupOptions, BackupSummary } from './backup-options.ts';
import { BackupProgress } from './backup-progress.ts';
import { openParents, type Parent, parentsOf, tellUnreadable } from './parents.ts';
import { recordedRoots } from './roots.ts';
import { metadataKeys, snapshotRoot } from './snapshot-root.ts';

/** What makes the pages. */
type Run = Pick<BackupRun, 'counts' | 'run' | 'withoutExtras'>;

const attemptsMax = 3;
const checkpointMs: number = 30 * 60 * 1000;
const packsMax = 1 << 22;
/** A worker that reads small files makes little garbage: in a larger nursery, ciphertext would wait for long. */
const nurseryMb = 3;

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
    // A stream cannot be read again.
    if (attempt === attemptsMax || options.stream !== undefined) {
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
  readonly run: Run;
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
  readonly #progress: BackupProgress;
  readonly #workers: LazyPort[];
  readonly #memory: WriterMemory;
  readonly #stored = new Map<string, number>();
  #meta: MetaWriter;
  readonly #errors: SourceErrorLine[] = [];
  readonly #started: number;
  readonly #roots: readonly NameJson[];
  #indexObjects: readonly ObjectInfo[] = [];
  #torn = 0;
  #parents: readonly Parent[] = [];
  #excluded = 0;
  #incomplete = 0;
  #metaBytes = 0;
  #dataBytes = 0;
  #state: RunState | undefined;
  #checkpointAt: number;
  readonly #threads: number;
  #walker: WorkerPort | undefined;

  constructor(
    repository: Repository,
    options: BackupOptions,
    emit: (event: BackupEvent) => void,
    replaces: readonly string[],
  ) {
    const { writeLimit } = options;
    this.#repository =
      writeLimit === undefined
        ? repository
        : { ...repository, storage: throttled(repository.storage, writeLimit) };
    this.#o = options;
    options.signal?.addEventListener('abort', () => this.#lift(), { once: true });
    this.#emit = emit;
    this.#replaces = [...replaces];
    this.#clock = options.clock ?? systemClock;
    this.#random = options.random ?? systemRandom;
    this.#started = this.#clock.now();
    this.#checkpointAt = this.#started;
    this.#roots = recordedRoots(options.roots).map((path) => JSON.parse(nameToJson(path)) as NameJson);
    this.#packMemory = createPackListMemory(packsMax);
    this.#packList = new PackList(this.#packMemory);
    const wanted = threadsWithin(options.threads ?? availableParallelism());
    const { capabilities } = repository.storage;
    const { threads, catalogBytes } = planMemory(options.memoryMax, wanted, capabilities);
    this.#threads = threads;
    this.#catalog = createCatalogMemory(options.catalogBytes ?? MiB, catalogBytes);
    this.#progress = new BackupProgress(Math.max(1, threads), emit);
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
    tellUnreadable(list, this.#emit);
    const { host, set } = this.#o;
    const stream = this.#o.stream !== undefined;
    const parents = stream ? [] : parentsOf(list, { host, set, roots: this.#roots });
    if (parents.length > 0) this.#walkAhead();
    const presence = await readPresence(this.#repository);
    const pages: PageRef[] = [];
    const needed = new Set<string>();
    const run = await this.#start(presence, parents, pages, needed);
    this.#state = { list, presence, parents, pages, needed, run };
    const { roots, filter = {}, estimate } = this.#o;
    this.#progress.start(run.counts, estimate === true && !stream ? { roots, filter } : undefined);
    try {
      await run.run();
    } finally {
      this.#progress.stop();
    }
    const { withoutExtras } = run;
    if (withoutExtras > 0) this.#emit({ type: 'without-extras', entries: withoutExtras });
    this.#progress.complete(run.counts);
    const same = this.#o.skipIfUnchanged === true ? this.#unchangedSince(pages) : undefined;
    if (same !== undefined) {
      await this.abort();
      return { summary: { ...this.#summary(same, run, 0), unchanged: true }, missing: [] };
    }
    return this.#finish(this.#state);
  }

  /** Lets a thread walk (decision 0160), unless an extension of this one decides, or memory or cores are scarce. */
  #walkAhead(): void {
    const { roots, filter = {}, decide, memoryMax } = this.#o;
    if (this.#threads < 2 || decide !== undefined || memoryMax !== undefined) return;
    const options: WalkerOptions = { roots, filter };
    this.#walker = threadPort(new URL('../pipeline/walk-thread.js', import.meta.url), options);
  }

  /** The parent that holds exactly what this run found, unread files included. */
  #unchangedSince(pages: readonly PageRef[]): SnapshotRoot | undefined {
    const [parent] = this.#parents;
    if (parent === undefined || parent.info.root.partial || this.#replaces.length + this.partials.length > 0)
      return undefined;
    const { snapshot, info } = parent;
    const samePages =
      pages.length === snapshot.pages.length &&
      pages.every(({ pack, record }, i) => {
        const old = snapshot.pages[i]!;
        return old.pack === pack && old.record === record;
      });
    const errors = (lines: readonly SourceErrorLine[]): string =>
      JSON.stringify(lines.map(({ path, code }) => [path, code]));
    return samePages && errors(this.#errors) === errors(snapshot.errors) ? info.root : undefined;
  }

  /** A run that is being stopped does not wait for its turn. */
  #lift(): void {
    for (const limit of [this.#o.readLimit, this.#o.writeLimit]) RateLimiter.of(limit)?.lift();
  }

  async abort(): Promise<void> {
    this.#lift();
    for (const worker of this.#workers) {
      if (worker.started) await worker.call('abort', undefined).catch(() => {});
    }
    await this.#close();
    await this.#meta.abort();
  }

  async #close(): Promise<void> {
    await this.#walker?.close();
    for (const worker of this.#workers) await worker.close();
    await this.#progress.close();
  }

  async #start(
    presence: Presence,
    parents: readonly SnapshotInfo[],
    pages: PageRef[],
    needed: Set<string>,
  ): Promise<Run> {
    const metaPacks = new Set<string>();
    this.#parents = await openParents(this.#repository, parents, presence, metadataKeys());
    for (const { snapshot } of this.#parents) for (const page of snapshot.pages) metaPacks.add(page.pack);
    const pathHash = this.#pathHash();
    const common = {
      signal: this.#o.signal,
      packs: this.#packList,
      pathHash,
      atime: this.#o.withAtime,
      readAll: this.#o.readAll,
      beforeFirstFile: async () => {
        const catalog = new Catalog(this.#catalog, this.#workers.length);
        const known = { presence, catalog, packs: this.#packList, exclude: metaPacks };
        this.#indexObjects = await loadIndex(this.#repository, known, (lines) =>
          this.#workers[0]!.call('index', lines),
        );
      },
      onPage: async (page: BuiltPage) => {
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
    };
    const { stream } = this.#o;
    if (stream !== undefined) {
      const timeMs = this.#o.timeMs ?? this.#started;
      const onEmpty = (): void => this.#emit({ type: 'empty-stream', path: stream.stored });
      return new StreamRun({ ...common, file: stream, timeMs, onEmpty, worker: this.#workers[0]! });
    }
    return new BackupRun({
      ...common,
      roots: this.#o.roots,
      filter: this.#o.filter ?? {},
      decide: this.#o.decide,
      onIgnored: (path, message) => this.#emit({ type: 'rules-ignored', path, message }),
      walker: this.#walker,
      parents: this.#parents.flatMap(({ cursor }) => (cursor === undefined ? [] : [cursor])),
      workers: this.#workers,
      hashStateBytes: this.#memory.codec.kernel.hashStateBytes,
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
    if (code === 'skipped' || code === 'excluded') {
      if (code === 'excluded') this.#excluded += 1;
      this.#emit(
        code === 'excluded' ? { type: code, path, reason: message } : { type: code, path, reason: message },
      );
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
    const index: Uint8Array[] = [];
    for (const result of await Promise.all(
      this.#workers.filter((w) => w.started).map((w) => w.call<PacksResult>('finish', undefined)),
    )) {
      for (const { id, sizeBytes } of result.packs) {
        this.#stored.set(id, sizeBytes);
        this.#dataBytes += sizeBytes;
      }
      index.push(result.index);
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
    try {
      const target = { memory: this.#memory, id: makeId(this.#clock, this.#random), app: this.#o.app };
      await addToIndex(this.#repository, target, this.#indexObjects, lines, presence);
      this.#indexObjects = [];
    } catch {
      // The next run reads the tables instead.
    }
  }

  #root(id: string, { list, parents, run }: RunState, partial: boolean): SnapshotRoot {
    return snapshotRoot({
      id,
      options: this.#o,
      roots: this.#roots,
      packSize: this.#packSize,
      started: this.#started,
      ended: this.#clock.now(),
      list,
      parents,
      replaces: [...this.#replaces, ...this.partials],
      checkpoints: this.partials.length,
      partial,
      counts: run.counts,
      stored: this.#dataBytes,
      errors: this.#errors.length,
    });
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
      progress: this.#progress.shared,
      compression: this.#o.compression,
      indexPartBytes: this.#o.indexPartBytes,
      readLimit: this.#o.readLimit,
      writeLimit: this.#o.writeLimit,
    };
    return lazyPort(() =>
      threads
        ? threadPort(
            new URL('../pipeline/backup-thread.js', import.meta.url),
            options,
            options.storage.environment,
            { nurseryMb },
          )
        : inlinePort(new BackupWorker({ ...options, writeLimit: undefined }, repository.storage)),
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

  #summary(root: SnapshotRoot, run: Run, stored: number): BackupSummary {
    const { counts } = run;
    return {
      snapshotId: root.id,
      unchanged: false,
      seq: root.seq,
      parents: root.parents,
      files: counts.files,
      bytes: counts.bytes,
      newFiles: counts.newFiles,
      changedFiles: counts.changedFiles,
      unchangedFiles: counts.unchangedFiles,
      rereadFiles: counts.rereadFiles,
      otherEntries: counts.others,
      bytesRead: this.#progress.bytes.bytesRead,
      bytesAdded: this.#progress.bytes.bytesAdded,
      bytesStored: stored + this.#metaBytes,
      sourceErrors: this.#errors.length,
      tornFiles: this.#torn,
      excluded: this.#excluded,
      incompleteEntries: this.#incomplete,
      elapsedMs: this.#clock.now() - this.#started,
    };
  }
}
