/**
 * The main thread's part of a restore: makes folders, links and the like in the order of the snapshot, gives files to
 * the workers, and sets what can only be set at the end. Memory: the folders and hard links of the snapshot.
 */
import { closeSync, constants, linkSync, lstatSync, openSync, unlinkSync } from 'node:fs';
import { Breath } from '../base/breath.ts';
import { type ByteString, byteStringToText } from '../base/bytes.ts';
import { BackpackError, isBackpackError } from '../base/errors.ts';
import type { PackFinder } from '../container/pack-finder.ts';
import type { Entry } from '../format/entry-stream.ts';
import { isThere, partialName, replace, statAt } from '../target/existing.ts';
import type { Jail } from '../target/jail.ts';
import { isNameError, legalPath } from '../target/legal-name.ts';
import {
  hasFlags,
  type Metadata,
  setFlags,
  setLinkMetadata,
  setMetadata,
  setNodeMetadata,
} from '../target/metadata.ts';
import { removeFile } from '../target/write-file.ts';
import { partBytes } from './restore-content.ts';
import type {
  RestoreBatch,
  RestoreFile,
  RestoreOutcome,
  RestoreReply,
  RestoreRules,
} from './restore-jobs.ts';
import { restoreLarge } from './restore-large.ts';
import { isSpecial, makeSpecial, metadataOf } from './restore-metadata.ts';
import { Batch } from './restore-plan.ts';
import type { WorkerPort } from './worker-port.ts';

/** What became of an entry. */
export type RestoreAction = 'make' | 'replace' | 'keep';

/** What a run needs. */
export interface RestoreRunOptions {
  readonly jail: Jail;
  readonly workers: readonly WorkerPort[];
  readonly packs: PackFinder;
  /** Writer of the snapshot. */
  readonly writer: string;
  readonly rules: RestoreRules;
  readonly onProblem: (path: ByteString, error: unknown) => void;
  /** @param path where it is, or would be */
  readonly onEntry: (path: ByteString, type: string, action: RestoreAction, sizeBytes: number) => void;
  readonly signal?: AbortSignal | undefined;
}

const callsPerWorker = 2;
const verifyFiles = 512;
const refusedName = 'has a name that the target refuses';

/** The name under which something with several names is restored, and its state. */
interface FirstName {
  readonly path: ByteString;
  readonly type: string;
  readonly s: number | undefined;
  readonly x: string | undefined;
}

/** One more name of something that is restored under another one. */
interface HardLink {
  readonly path: ByteString;
  readonly first: ByteString;
  readonly type: string;
  readonly sizeBytes: number;
}

/** See the file's comment. */
export class RestoreRun {
  readonly #o: RestoreRunOptions;
  readonly #calls: number[];
  readonly #folders: { path: ByteString; metadata: Metadata }[] = [];
  /** Folders of a dry run that are not there. */
  readonly #absent = new Set<ByteString>();
  /** Folders that have another path in the target than in the snapshot. */
  readonly #moved = new Map<ByteString, ByteString>();
  readonly #firstNames = new Map<string, FirstName>();
  /** Where things are, other than folders, whose name the target refuses. */
  readonly #placed = new Map<ByteString, ByteString>();
  /** Files that were not restored: what stands at their path, if anything, is somebody else's. */
  readonly #missing = new Set<ByteString>();
  readonly #links: HardLink[] = [];
  /** First names that stay what they are: only then their other names do. */
  readonly #kept = new Set<ByteString>();
  /** What has flags, which are set when nothing else is to be done with it. */
  readonly #flagged: { path: ByteString; metadata: Metadata }[] = [];
  readonly #batch = new Batch();
  #failure: unknown;
  #wake: (() => void) | undefined;

  constructor(options: RestoreRunOptions) {
    this.#o = options;
    this.#calls = options.workers.map(() => 0);
  }

  /** Takes the next entry of the snapshot. */
  async entry(entry: Entry): Promise<void> {
    const { json, type } = entry;
    if (this.#failure !== undefined) throw this.#failure;
    const path = this.#pathOf(entry.path);
    const metadata = metadataOf(entry.json);
    if (type === 'd') return this.#folder(entry.path, path, metadata, json.an === 1);
    if (json.hl !== undefined) {
      const first = this.#firstNames.get(json.hl);
      if (first === undefined) this.#firstNames.set(json.hl, { path, type, s: json.s, x: json.x });
      // A name that was read in another state of the file is a file of its own.
      else if (first.type === type && first.s === json.s && first.x === json.x) {
        this.#links.push({ path, first: first.path, type, sizeBytes: json.s ?? 0 });
        return;
      }
    }
    if (type !== 'f') return this.#special(entry, path, metadata);
    if (hasFlags(metadata)) this.#flagged.push({ path, metadata });
    const file: RestoreFile = {
      path,
      sizeBytes: json.s ?? 0,
      x: json.x ?? '',
      extents: this.#o.rules.dryRun ? [] : entry.extents,
      metadata,
      ...(json.hl === undefined ? {} : { linked: true }),
    };
    if (this.#absent.size > 0 && this.#absent.has(folderOf(path))) return this.#done(file, {});
    if (file.sizeBytes > partBytes && !this.#o.rules.dryRun) return this.#large(file);
    const ready = this.#batch.add(file);
    if (ready !== undefined) await this.#send(ready);
  }

  /** Waits for the workers, makes hard links and gives folders their metadata. */
  async end(): Promise<void> {
    await this.#send(this.#batch.take());
    await this.#settleAll();
    // None of this waits for anything: without a breath no signal would be heard for minutes.
    const breath = new Breath(this.#o.signal);
    for (const link of this.#links) {
      this.#hardLink(link);
      await breath.take();
    }
    if (this.#o.rules.dryRun) return;
    for (const file of this.#flagged) {
      this.#flags(file);
      await breath.take();
    }
    for (const folder of this.#folders.reverse()) {
      this.#finishFolder(folder);
      await breath.take();
    }
  }

  /** Reads what was restored back and compares it; after {@link end}. */
  async verify(entries: AsyncIterable<Entry>): Promise<void> {
    let files: RestoreFile[] = [];
    for await (const entry of entries) {
      if (entry.type !== 'f') continue;
      const own = this.#pathOf(entry.path);
      if (this.#missing.has(own)) continue;
      const path = this.#placed.get(own) ?? own;
      const { s: sizeBytes = 0, x = '' } = entry.json;
      files.push({ path, sizeBytes, x, extents: [], metadata: metadataOf(entry.json) });
      if (files.length < verifyFiles && sizeBytes < partBytes) continue;
      await this.#verify(files);
      files = [];
    }
    await this.#verify(files);
    await this.#settleAll();
  }

  async #verify(files: readonly RestoreFile[]): Promise<void> {
    await this.#call<number[]>('verify', files, (wrong) => {
      for (const i of wrong) {
        const { path } = files[i]!;
        this.#o.onProblem(path, targetError('BP_VERIFY', path, 'is not on the disk as it was restored'));
      }
    });
  }

  /** Ends the run with an error that concerns all of it. */
  fail(error: unknown): void {
    this.#failure ??= error;
    this.#wake?.();
  }

  #pathOf(path: ByteString): ByteString {
    if (this.#moved.size === 0) return path;
    const folder = this.#moved.get(folderOf(path));
    return folder === undefined ? path : folder + path.slice(path.lastIndexOf('/'));
  }

  #folder(named: ByteString, path: ByteString, metadata: Metadata, ancestor: boolean): void {
    try {
      if (this.#o.rules.dryRun) {
        this.#wouldMake(path);
        return;
      }
      let at = path;
      let made = this.#makeFolder(at);
      if (made === 'refused') {
        at = legalPath(path);
        made = this.#makeFolder(at);
        if (made === 'refused') throw targetError('BP_TARGET_WRITE', path, refusedName);
        this.#renamed(path, at);
      }
      if (at !== named) this.#moved.set(named, at);
      this.#o.onEntry(at, 'd', made ? 'make' : 'keep', 0);
      // A folder that was there keeps its own mode and times, above all one that only leads to what is restored.
      if (made || !ancestor) this.#folders.push({ path: at, metadata });
    } catch (error) {
      this.#o.onProblem(path, error);
    }
  }

  #makeFolder(path: ByteString): boolean | 'refused' {
    const { jail, rules } = this.#o;
    try {
      const made = jail.makeFolder(path);
      return !made && rules.foldsNames && !jail.has(path) ? 'refused' : made;
    } catch (error) {
      if (isNameError(error)) return 'refused';
      const isInTheWay = error instanceof BackpackError && error.code === 'BP_TARGET_ESCAPE';
      // What is there may be another entry of the snapshot, which only looks the same to the target.
      if (isInTheWay && rules.foldsNames && !jail.has(path)) return 'refused';
      if (!isInTheWay || rules.overwrite === 'never' || !isOther(jail, path)) throw error;
      // The link itself goes, never what it leads to.
      unlinkSync(jail.at(path));
      return jail.makeFolder(path);
    }
  }

  #wouldMake(path: ByteString): void {
    const { jail, rules, onEntry } = this.#o;
    const stat = this.#absent.has(folderOf(path)) ? undefined : statAt(jail, path);
    if (stat?.isDirectory()) {
      onEntry(path, 'd', 'keep', 0);
      return;
    }
    this.#absent.add(path);
    if (stat !== undefined && rules.overwrite === 'never') throw isThere(path);
    onEntry(path, 'd', stat === undefined ? 'make' : 'replace', 0);
  }

  #finishFolder({ path, metadata }: { path: ByteString; metadata: Metadata }): void {
    try {
      const fd = this.#o.jail.folder(path);
      const lost = setMetadata(fd, metadata, this.#o.rules.metadata);
      if (hasFlags(metadata)) lost.push(...setFlags(fd, metadata));
      this.#lost(path, lost);
    } catch (error) {
      this.#o.onProblem(path, error);
    }
  }

  #special(entry: Entry, path: ByteString, metadata: Metadata): void {
    const { type, json } = entry;
    const policy = this.#o.rules.metadata;
    try {
      const make = (at: string | Buffer): string[] => makeSpecial(at, entry, metadata, policy);
      const isSame = (at: string | Buffer): boolean => {
        if (!isSpecial(at, entry)) return false;
        if (!this.#o.rules.dryRun)
          this.#lost(path, (type === 'l' ? setLinkMetadata : setNodeMetadata)(at, metadata, policy));
        return true;
      };
      const action = this.#place(path, type, 0, make, isSame);
      if (action === 'keep' && json.hl !== undefined) this.#kept.add(path);
    } catch (error) {
      this.#missing.add(path);
      const unmade = isBackpackError(error) && error.code === 'BP_NOT_RESTORED';
      this.#o.onProblem(path, unmade ? targetError(error.code, path, error.message) : error);
    }
  }

  /** Flags of a file; one that is immutable cannot even be linked, so they come after everything else. */
  #flags({ path, metadata }: { path: ByteString; metadata: Metadata }): void {
    if (this.#missing.has(path)) return;
    const { O_RDONLY, O_NOFOLLOW, O_NONBLOCK } = constants;
    try {
      const at = this.#o.jail.at(this.#placed.get(path) ?? path);
      const fd = openSync(at, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
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
    if (lost.length === 0) return;
    this.#o.onProblem(path, targetError('BP_METADATA', path, `is restored, but not its ${lost.join(', ')}`));
  }

  #hardLink({ path, first, type, sizeBytes }: HardLink): void {
    const { jail } = this.#o;
    try {
      if (this.#missing.has(first))
        throw targetError(
          'BP_NOT_RESTORED',
          path,
          `is a hard link of ${byteStringToText(first)}, which was not restored`,
        );
      const from = this.#placed.get(first) ?? first;
      const isSame = (at: string | Buffer): boolean => {
        if (!this.#kept.has(first)) return false;
        const [a, b] = [lstatSync(at, { throwIfNoEntry: false }), statAt(jail, from)];
        return a !== undefined && a.ino === b?.ino && a.dev === b.dev;
      };
      const make = (_: string | Buffer, at: ByteString): string[] => {
        jail.both(from, at, linkSync);
        return [];
      };
      this.#place(path, type, sizeBytes, make, isSame);
    } catch (error) {
      this.#missing.add(path);
      this.#o.onProblem(path, error);
    }
  }

  /** Makes something that is there at once or not at all, by the rules for what is there already. */
  #place(
    path: ByteString,
    type: string,
    sizeBytes: number,
    make: (at: string | Buffer, path: ByteString) => string[],
    isSame: (at: string | Buffer) => boolean,
    isChanged = false,
  ): RestoreAction {
    const { jail, rules, onEntry } = this.#o;
    if (rules.dryRun) {
      const isNew = this.#absent.has(folderOf(path)) || statAt(jail, path) === undefined;
      const isKept = !isNew && isSame(jail.at(path));
      if (!isNew && !isKept && rules.overwrite === 'never') throw isThere(path);
      const action = isKept ? 'keep' : isNew ? 'make' : 'replace';
      onEntry(path, type, action, sizeBytes);
      return action;
    }
    try {
      this.#lost(path, make(jail.at(path), path));
      onEntry(path, type, 'make', sizeBytes);
      return 'make';
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (isNameError(error) || (code === 'EEXIST' && rules.foldsNames && !jail.has(path))) {
        if (isChanged) throw targetError('BP_TARGET_WRITE', path, refusedName);
        const as = legalPath(path);
        const action = this.#place(as, type, sizeBytes, make, isSame, true);
        this.#renamed(path, as);
        this.#placed.set(path, as);
        return action;
      }
      if (code !== 'EEXIST') throw error;
    }
    if (isSame(jail.at(path))) {
      onEntry(path, type, 'keep', sizeBytes);
      return 'keep';
    }
    if (rules.overwrite === 'never') throw isThere(path);
    const partial = partialName(path);
    try {
      this.#lost(path, make(jail.at(partial), partial));
      replace(jail, partial, path);
    } catch (error) {
      removeFile(jail, partial);
      throw error;
    }
    onEntry(path, type, 'replace', sizeBytes);
    return 'replace';
  }

  #send(files: readonly RestoreFile[]): Promise<void> {
    return this.#call<RestoreReply>('files', files, (reply) => {
      const outcomes = new Map(reply);
      for (const [i, file] of files.entries()) this.#done(file, outcomes.get(i) ?? {});
    });
  }

  /** Gives files to the worker that has least to do, when one has little enough. */
  async #call<R>(method: string, files: readonly RestoreFile[], done: (reply: R) => void): Promise<void> {
    if (files.length === 0) return;
    while (Math.min(...this.#calls) >= callsPerWorker) await this.#settle();
    const index = this.#calls.indexOf(Math.min(...this.#calls));
    const batch: RestoreBatch = { files: JSON.stringify(files), writer: this.#o.writer };
    this.#calls[index]! += 1;
    this.#o.workers[index]!.call<R>(method, batch)
      .then(done)
      .catch((error: unknown) => {
        this.#failure ??= error;
      })
      .finally(() => {
        this.#calls[index]! -= 1;
        this.#wake?.();
      });
  }

  async #large(file: RestoreFile): Promise<void> {
    await this.#send(this.#batch.take());
    await this.#settleAll();
    try {
      this.#done(file, await restoreLarge(this.#o, file));
    } catch (error) {
      this.#o.signal?.throwIfAborted();
      this.#missing.add(file.path);
      this.#o.onProblem(file.path, error);
    }
  }

  #done(file: RestoreFile, { error, was, as, lost }: RestoreOutcome): void {
    if (error !== undefined) {
      this.#missing.add(file.path);
      this.#o.onProblem(file.path, BackpackError.fromJSON(error));
      return;
    }
    if (as !== undefined) {
      this.#renamed(file.path, as);
      this.#placed.set(file.path, as);
    }
    if (lost !== undefined) this.#lost(file.path, lost);
    const action = was === 'same' ? 'keep' : was === 'replaced' ? 'replace' : 'make';
    if (action === 'keep' && file.linked) this.#kept.add(file.path);
    this.#o.onEntry(as ?? file.path, 'f', action, file.sizeBytes);
  }

  #renamed(path: ByteString, as: ByteString): void {
    const message = `${byteStringToText(path)} is restored as ${byteStringToText(as)}, because the target refuses its name`;
    this.#o.onProblem(
      path,
      new BackpackError('BP_NAME_CHANGED', message, {
        kind: 'target',
        context: { path: byteStringToText(path) },
      }),
    );
  }

  async #settleAll(): Promise<void> {
    while (this.#calls.some((count) => count > 0)) await this.#settle();
    if (this.#failure !== undefined) throw this.#failure;
  }

  async #settle(): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#wake = resolve;
    });
    this.#wake = undefined;
    if (this.#failure !== undefined) throw this.#failure;
  }
}

/** Whether something that is no folder stands at a path. */
function isOther(jail: Jail, path: ByteString): boolean {
  const stat = statAt(jail, path);
  return stat !== undefined && !stat.isDirectory();
}

function folderOf(path: ByteString): ByteString {
  return path.slice(0, Math.max(0, path.lastIndexOf('/')));
}

function targetError(code: string, path: ByteString, message: string): BackpackError {
  return new BackpackError(code, `${byteStringToText(path)} ${message}`, {
    kind: 'target',
    context: { path: byteStringToText(path) },
  });
}
