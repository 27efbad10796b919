/**
 * Check: is everything there, is it what was written, and would it restore (SPEC, "Integrity", L0 to L5)? Names every
 * damaged object and record with the snapshots and paths that it affects. One problem never hides another; nothing is
 * changed.
 */
import { availableParallelism } from 'node:os';
import { Breath } from '../base/breath.ts';
import { byteStringToText } from '../base/bytes.ts';
import { blockBytes } from '../base/limits.ts';
import { threadsWithin } from '../base/open-files.ts';
import { Keyring } from '../container/keyring.ts';
import { parseHeader } from '../format/header.ts';
import { nameFromJson } from '../format/name-json.ts';
import { packName, parseContainerName, shortId, snapshotName } from '../format/names.ts';
import { reject } from '../format/reject.ts';
import type { Snapshot } from '../format/snapshot.ts';
import type { CheckJob, CheckProblem, ObjectReport } from '../pipeline/check-jobs.ts';
import { CheckWorker, type CheckWorkerOptions } from '../pipeline/check-worker.ts';
import { ObjectChecker, problemOf, sizeProblem } from '../pipeline/object-checker.ts';
import { inlinePort, threadPort, type WorkerPort } from '../pipeline/worker-port.ts';
import {
  type ContentReader,
  dropContent,
  indexContent,
  markContent,
  movedContent,
  snapshotContent,
} from '../repo/check-content.ts';
import { FactsCache } from '../repo/check-facts.ts';
import { Forwarding } from '../repo/check-forwarding.ts';
import { checkHintFile, checkKit, checkWrappedKey } from '../repo/check-kit.ts';
import { affect, CheckLog, type Finding } from '../repo/check-log.ts';
import { checkPages } from '../repo/check-pages.ts';
import { keyMismatch, type Repository } from '../repo/repository.ts';
import { CopyFinder, readCopy } from '../repo/snapshot-copies.ts';
import { loadSnapshot, PageReader, type SnapshotInfo } from '../repo/snapshots.ts';
import { isObjectName } from '../storage/object-name.ts';
import { listAll, type ObjectInfo } from '../storage/storage.ts';
import { chosenPacks, type ReadData } from './check-choice.ts';
import { type CheckEvent, type CheckSummary, eventOf } from './check-events.ts';

export type { CheckEvent, CheckSummary } from './check-events.ts';

/** How much is checked. */
export interface CheckOptions {
  readonly readData?: ReadData;
  /** Worker threads; 0 runs inline. Default: one per core. */
  readonly threads?: number;
  /** The `kit=` values of the key file; none for a raw key. */
  readonly kitSums?: readonly string[];
  readonly signal?: AbortSignal;
}

const namesShown = 100;
const reportMs = 100;

/**
 * Checks a repository.
 * @throws BackpackError when the storage cannot be listed or the key is of another repository; everything else is an event
 */
export async function check(
  repository: Repository,
  options: CheckOptions,
  emit: (event: CheckEvent) => void,
): Promise<CheckSummary> {
  const run = new CheckRun(repository, options, emit);
  try {
    await run.run();
  } finally {
    await run.close();
  }
  return run.summary();
}

/** A snapshot, read from its object or its copy; its lines are read again when they are compared with the packs. */
interface SnapshotRead extends Pick<SnapshotInfo, 'writer' | 'copy' | 'damage'> {
  readonly content: Snapshot;
}

class CheckRun {
  readonly #repository: Repository;
  readonly #o: CheckOptions;
  readonly #emit: (event: CheckEvent) => void;
  readonly #checker: ObjectChecker;
  readonly #worker: CheckWorkerOptions;
  readonly #log = new CheckLog();
  readonly #forwarding = new Forwarding();
  readonly #facts: FactsCache;
  readonly #copies: CopyFinder;
  readonly #started = performance.now();
  readonly #keyids = new Set<string>();
  readonly #snapshots: SnapshotInfo[] = [];
  /** Size of every pack that a snapshot names. */
  readonly #needed = new Map<string, number>();
  readonly #dropped = new Set<string>();
  readonly #marked = new Set<string>();
  readonly #sizes = new Map<string, number>();
  readonly #writers = new Map<string, string>();
  #ports: WorkerPort[] = [];
  /** Whether every snapshot and drop object could be read: else nothing can be said about what is not needed. */
  #complete = true;
  #objects = 0;
  #objectsTotal = 0;
  #records = 0;
  #bytesRead = 0;
  #bytesTotal = 0;
  #warnings = 0;
  #lastReport = Number.NEGATIVE_INFINITY;

  constructor(repository: Repository, options: CheckOptions, emit: (event: CheckEvent) => void) {
    this.#o = options;
    this.#emit = emit;
    // Names the repository also for a raw key, which would take the first one that it opens.
    const data = { ...repository.keyring.data, repo: repository.repo };
    const read = { ...repository.read, keyring: new Keyring(data) };
    this.#repository = { ...repository, keyring: read.keyring, read };
    this.#worker = { storage: repository.spec, keyring: data };
    this.#checker = checkerOf(repository, read);
    this.#copies = new CopyFinder(this.#repository);
    this.#facts = new FactsCache((name) => this.#again(name));
  }

  async run(): Promise<void> {
    const { storage } = this.#repository;
    // Snapshots before packs: what a backup stores meanwhile is then never missed.
    const list = async (prefix: string): Promise<ObjectInfo[]> =>
      (await listAll(storage, prefix)).filter(({ name }) => isObjectName(name));
    const snapshots = await list('snapshots/');
    const drops = await list('drop/');
    const marks = await list('gc/');
    const moved = await list('moved/');
    const index = await list('index/');
    const packs = await list('packs/');
    const keys = await list('keys/');
    const kit = await list('recover/');
    const small = [...snapshots, ...drops, ...marks, ...moved, ...index];
    this.#objectsTotal = small.length + packs.length;
    await this.#refuseWrongKey([...small, ...packs]);
    for (const object of drops)
      for (const id of await this.#small(object, dropContent())) this.#dropped.add(id);
    for (const object of marks)
      for (const name of await this.#small(object, markContent())) this.#marked.add(name);
    for (const object of snapshots) await this.#snapshot(object);
    for (const object of moved) await this.#moved(object);
    await this.#packs(packs);
    for (const object of index) await this.#index(object);
    this.#lineage(snapshots);
    await this.#contents();
    this.#unreferenced(packs);
    await this.#hints(kit, keys);
    this.#report(true);
  }

  /** A key that opens nothing is the wrong key, and nothing is damaged. @throws BackpackError E_REPO, E_KEY */
  async #refuseWrongKey(objects: readonly ObjectInfo[]): Promise<void> {
    const { storage, keyring, repo } = this.#repository;
    let other: string | undefined;
    for (const { name, sizeBytes } of objects) {
      if (sizeBytes < blockBytes) continue;
      try {
        const header = parseHeader(await storage.get(name, { range: { offset: 0, length: blockBytes } }));
        const refused = header.repo !== repo || !keyring.has(header.keyid);
        if (!refused) return;
        other ??= header.repo;
      } catch {
        // A header that cannot be read says nothing about the key.
      }
    }
    if (other !== undefined) throw keyMismatch(storage.location, other, repo, keyring.keyid);
  }

  /** Ends the threads, and says what was found: also when the check was stopped. */
  async close(): Promise<void> {
    for (const port of this.#ports) await port.close();
    for (const finding of this.#log.all()) this.#emit(eventOf(finding));
  }

  summary(): CheckSummary {
    const found = this.#log.all();
    const unreadable = found.filter((finding) => finding.unreadable).length;
    return {
      snapshots: this.#snapshots.length,
      objects: this.#objects,
      records: this.#records,
      bytesRead: this.#bytesRead,
      damaged: found.length - unreadable,
      unreadable,
      warnings: this.#warnings,
      elapsedMs: Math.round(performance.now() - this.#started),
    };
  }

  /** Reads a container that is not a pack. @returns what it holds; empty when it is damaged */
  async #small<T>(object: ObjectInfo, content: ContentReader<T[]>): Promise<T[]> {
    return (await this.#read(object, content))?.content ?? [];
  }

  async #read<T>(
    { name, sizeBytes }: ObjectInfo,
    content: ContentReader<T>,
  ): Promise<{ content: T; writer: string } | undefined> {
    this.#o.signal?.throwIfAborted();
    const report = await this.#checker.check({ name, sizeBytes, deep: true }, content.sink);
    this.#bytesTotal += sizeBytes;
    this.#count(report);
    const problems = (await this.#vanished(name, report)) ? [] : report.problems;
    for (const problem of problems) this.#log.add(name, problem);
    if (report.problems.some(spoils) || report.writer === undefined) {
      this.#complete &&= name.startsWith('index/') || name.startsWith('moved/');
      return undefined;
    }
    try {
      return { content: content.end(), writer: report.writer };
    } catch (error) {
      this.#complete &&= name.startsWith('index/') || name.startsWith('moved/');
      this.#log.add(name, problemOf(error));
      return undefined;
    }
  }

  /** Whether an object went away in the ordinary course of things since it was listed. */
  async #vanished(name: string, report: ObjectReport): Promise<boolean> {
    if (!report.problems.some(({ code }) => code === 'E_MISSING')) return false;
    const gone = await this.#repository.storage.stat(name).then(
      (info) => info === undefined,
      () => false,
    );
    return gone && (this.#marked.has(name) || /^(?:index|gc|drop)\//.test(name));
  }

  async #snapshot(info: ObjectInfo): Promise<void> {
    const id = parseContainerName(info.name)?.id ?? '';
    const content = snapshotContent(id);
    const complete = this.#complete;
    const read = await this.#read(info, content);
    const findings = this.#findings(info.name);
    affect(findings, id);
    const found: SnapshotRead | undefined = read ?? (await this.#copyOf(info, findings));
    if (found === undefined) {
      for (const path of content.root()?.roots ?? [])
        affect(findings, id, byteStringToText(nameFromJson(path).replace(/^\//, '')));
      return;
    }
    this.#complete = complete;
    const { content: snapshot, ...from } = found;
    this.#snapshots.push({ id, root: snapshot.root, object: info, ...from });
    for (const pack of snapshot.packs)
      if (!this.#needed.has(pack.id)) this.#needed.set(pack.id, pack.sizeBytes);
  }

  /** A damaged snapshot costs nothing while its copy is there. */
  async #copyOf(info: ObjectInfo, findings: readonly Finding[]): Promise<SnapshotRead | undefined> {
    const [first] = findings.filter(spoils);
    if (first === undefined || first.unreadable) return undefined;
    const damage = reject(first.code, first.message);
    const copy = await this.#copies.find(info, damage);
    const content = copy && (await readCopy(this.#repository, copy).catch(() => undefined));
    if (copy === undefined || content === undefined) return undefined;
    for (const finding of findings)
      finding.hint = `nothing is lost: the copy in ${copy.pack.name} is whole; list, ls and restore use it`;
    return { content, writer: copy.writer, copy, damage };
  }

  async #moved(info: ObjectInfo): Promise<void> {
    const found = await this.#read(info, movedContent(parseContainerName(info.name)?.from ?? ''));
    if (found === undefined || this.#marked.has(info.name)) return;
    const { from, writer, moves } = found.content;
    for (const move of moves) this.#forwarding.add(from, writer, move);
  }

  async #index(info: ObjectInfo): Promise<void> {
    const factsOf = (pack: string, size: number): ReturnType<FactsCache['peek']> =>
      this.#sizes.get(pack) === size ? this.#facts.peek(pack) : undefined;
    await this.#read(info, indexContent(factsOf));
  }

  /** Every pack: opened, or read whole. */
  async #packs(packs: readonly ObjectInfo[]): Promise<void> {
    const chosen = chosenPacks(packs, this.#o.readData);
    const queue: CheckJob[] = packs.map(({ name, sizeBytes }) => ({
      name,
      sizeBytes,
      deep: chosen.has(name),
    }));
    for (const { deep, sizeBytes } of queue) if (deep) this.#bytesTotal += sizeBytes;
    const threads = threadsWithin(this.#o.threads ?? availableParallelism());
    this.#ports = Array.from({ length: Math.max(1, Math.min(threads, queue.length)) }, () =>
      threads > 0
        ? threadPort(
            new URL('../pipeline/check-thread.js', import.meta.url),
            this.#worker,
            this.#worker.storage.environment,
          )
        : inlinePort(new CheckWorker(this.#checker)),
    );
    const jobs = queue.values();
    await Promise.all(
      this.#ports.map(async (port) => {
        for (const job of jobs) {
          this.#o.signal?.throwIfAborted();
          this.#pack(job, await port.call<ObjectReport>('object', job), await this.#isThere(job.name));
        }
      }),
    );
  }

  /** Whether a pack is still there, or should be: one that is marked may go at any moment. */
  async #isThere(name: string): Promise<boolean> {
    if (!this.#marked.has(name)) return true;
    return (await this.#repository.storage.stat(name).catch(() => ({}))) !== undefined;
  }

  #pack(job: CheckJob, report: ObjectReport, isThere: boolean): void {
    const { name, sizeBytes } = job;
    this.#count(report);
    this.#records += report.records;
    if (!isThere) return;
    const id = parseContainerName(name)?.id;
    if (id !== undefined && !report.problems.some(({ code }) => code === 'E_MISSING'))
      this.#sizes.set(id, sizeBytes);
    const size = id === undefined ? undefined : this.#needed.get(id);
    const resized = size !== undefined && size !== sizeBytes && size !== 0;
    if (resized) this.#log.add(name, sizeProblem(sizeBytes, size));
    for (const problem of report.problems) {
      // The wrong size explains the rest of what is wrong with the object as a whole.
      if (!resized || problem.record !== undefined) this.#log.add(name, problem);
    }
    if (id === undefined) return;
    this.#facts.set(id, report.facts);
    if (report.writer !== undefined) this.#writers.set(id, report.writer);
  }

  /** L0: every pack of a snapshot is there with its size, or forwarded; and of the same writer. */
  async #needs(one: SnapshotInfo, snapshot: Snapshot, hidden: boolean): Promise<boolean> {
    const missing: string[] = [];
    for (const { id: pack, sizeBytes } of snapshot.packs) {
      const name = packName(pack);
      const size = this.#sizes.get(pack) ?? (await this.#late(pack));
      if (size === undefined) {
        if (!this.#forwarding.has(pack) && this.#log.whole(name).length === 0) missing.push(name);
      } else if (size !== sizeBytes && this.#log.whole(name).length === 0) {
        this.#log.add(name, sizeProblem(size, sizeBytes));
      }
      const writer = this.#writers.get(pack);
      if (writer !== undefined && writer !== one.writer)
        this.#log.add(name, problemOf(reject('E_WRITER', 'a snapshot names a pack of another writer')));
      affect(this.#log.whole(name), one.id);
    }
    if (hidden && missing.length > 0) {
      const message = `snapshot ${shortId(one.id)} was forgotten or replaced, and ${missing.length} of its packs are gone`;
      this.#warn('BP_FORGOTTEN_INCOMPLETE', message, missing);
      return false;
    }
    for (const name of missing) {
      affect([this.#log.add(name, problemOf(reject('E_MISSING', 'the pack is missing')))], one.id);
    }
    return true;
  }

  /** Asks once more for a pack that was not in the listing. */
  async #late(pack: string): Promise<number | undefined> {
    const info = await this.#repository.storage.stat(packName(pack)).catch(() => undefined);
    if (info === undefined) return undefined;
    const job = { name: packName(pack), sizeBytes: info.sizeBytes, deep: false };
    this.#pack(job, await this.#checker.check(job), true);
    return info.sizeBytes;
  }

  /** Snapshots that others have seen must be there, unless they were forgotten. */
  #lineage(listed: readonly ObjectInfo[]): void {
    if (!this.#complete) return;
    const ids = new Set(listed.map(({ name }) => parseContainerName(name)?.id));
    for (const { id, root } of this.#snapshots) {
      const { prev, known } = root;
      for (const other of new Set([...(prev === null ? [] : [prev]), ...known])) {
        if (ids.has(other) || this.#dropped.has(other)) continue;
        const message = `snapshot ${shortId(other)} was there before snapshot ${shortId(id)} and is gone without having been forgotten`;
        affect([this.#log.add(snapshotName(other), problemOf(reject('E_ROLLBACK', message)))], other);
      }
    }
  }

  /** What each snapshot names: its packs, pages and extents. */
  async #contents(): Promise<void> {
    const context = {
      log: this.#log,
      facts: this.#facts,
      forwarding: this.#forwarding,
      readerFor: (writer: string) => new PageReader(this.#repository, writer),
      present: (pack: string): boolean => this.#sizes.has(pack),
      breath: new Breath(this.#o.signal),
      onPage: (): void => {
        this.#o.signal?.throwIfAborted();
        this.#report(false);
      },
    };
    const replaced = this.#snapshots.flatMap(({ root }) => root.replaces ?? []);
    const hidden = new Set([...this.#dropped, ...replaced]);
    for (const one of this.#snapshots) {
      let snapshot: Snapshot;
      try {
        snapshot = await loadSnapshot(this.#repository, one);
      } catch (error) {
        affect([this.#log.add(one.object.name, problemOf(error))], one.id);
        continue;
      }
      // The packs of a forgotten snapshot may be on their way out.
      const leaving = hidden.has(one.id) || this.#marked.has(one.object.name);
      if (await this.#needs(one, snapshot, leaving)) await checkPages(context, snapshot, one.writer);
    }
  }

  /** Packs that nothing needs: left by backups that were stopped, or being written at this moment. */
  #unreferenced(packs: readonly ObjectInfo[]): void {
    if (!this.#complete) return;
    const needed = new Set<string>();
    const add = (pack: string): void => {
      if (needed.has(pack)) return;
      needed.add(pack);
      for (const target of this.#forwarding.targets(pack)) add(target);
    };
    for (const id of this.#needed.keys()) add(id);
    const names = packs
      .map(({ name }) => name)
      .filter((name) => !needed.has(parseContainerName(name)?.id ?? '') && !this.#marked.has(name));
    if (names.length === 0) return;
    const message = `no snapshot needs ${names.length} of the packs: they were left by a backup that was stopped, or one is running; the next backup uses what they hold`;
    this.#warn('BP_UNREFERENCED', message, names);
  }

  async #hints(kit: readonly ObjectInfo[], keys: readonly ObjectInfo[]): Promise<void> {
    const { storage, keyring } = this.#repository;
    const report = (object: string, problem: CheckProblem): void => {
      this.#log.add(object, problem);
    };
    const warning = await checkKit(storage, kit, this.#o.kitSums ?? [], report);
    if (warning !== undefined) this.#warn('BP_KIT_UNKNOWN', warning, []);
    const newest = this.#snapshots.map(({ root }) => root).sort((a, b) => (a.id < b.id ? 1 : -1))[0];
    await checkHintFile(this.#repository, { keyids: this.#keyids, newestRoot: newest }, report);
    for (const { name } of keys) {
      await checkWrappedKey(storage, name, report);
      const keyid = name.slice('keys/'.length, 'keys/'.length + 16);
      if (!keyring.has(keyid))
        this.#warn('BP_KEY_UNKNOWN', `${name} holds a key that the key file does not have`, [name]);
    }
  }

  /** Looks at a pack again whose facts were let go. */
  async #again(name: string): Promise<ObjectReport> {
    const info = await this.#repository.storage.stat(name).catch(() => undefined);
    if (info === undefined) return { problems: [], records: 0, bytesRead: 0 };
    const report = await this.#checker.check({ name, sizeBytes: info.sizeBytes, deep: false });
    for (const problem of report.problems) this.#log.add(name, problem);
    return report;
  }

  #findings(object: string): Finding[] {
    const records = [...(this.#log.records(object)?.values() ?? [])].flat();
    return [...this.#log.whole(object), ...records];
  }

  #warn(code: string, message: string, objects: readonly string[]): void {
    this.#warnings += 1;
    this.#emit({ type: 'warning', code, message, objects: objects.slice(0, namesShown) });
  }

  #count(report: ObjectReport): void {
    if (report.keyid !== undefined) this.#keyids.add(report.keyid);
    this.#objects += 1;
    this.#bytesRead += report.bytesRead;
    this.#report(false);
  }

  #report(last: boolean): void {
    const now = performance.now();
    if (!last && now - this.#lastReport < reportMs) return;
    this.#lastReport = now;
    this.#emit({
      type: 'progress',
      objects: this.#objects,
      objectsTotal: Math.max(this.#objectsTotal, this.#objects),
      bytesRead: this.#bytesRead,
      bytesTotal: Math.max(this.#bytesTotal, this.#bytesRead),
    });
  }
}

/** One checker per open repository: its memory is used again by the next check. */
const checkers = new WeakMap<Repository['read'], ObjectChecker>();

function checkerOf(repository: Repository, read: Repository['read']): ObjectChecker {
  const checker = checkers.get(repository.read) ?? new ObjectChecker(read);
  checkers.set(repository.read, checker);
  return checker;
}

/** Whether a problem keeps the lines of a container from being read. */
function spoils({ code }: { readonly code: string }): boolean {
  return code !== 'E_TRAILER';
}
