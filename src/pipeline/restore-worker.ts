/**
 * One worker of a restore: reads records, checks every tag and the file's XXH64, and only then gives a file its
 * name. A small file is verified in memory before it is created; a large one has another name until it is verified.
 */
import { closeSync, ftruncateSync } from 'node:fs';
import { type ByteString, byteStringToText } from '../base/bytes.ts';
import { BackpackError, isBackpackError, toBackpackError } from '../base/errors.ts';
import { KiB, MiB } from '../base/limits.ts';
import { RecordCodec, slackBytes } from '../codec/record-codec.ts';
import { Keyring, type KeyringData } from '../container/keyring.ts';
import { ReaderMemory } from '../container/reader-memory.ts';
import { type Extent, hole, zeros } from '../format/extents.ts';
import { reject } from '../format/reject.ts';
import type { StorageSpec } from '../storage/open.ts';
import type { Storage } from '../storage/storage.ts';
import { fromSystemError } from '../storage/storage-errors.ts';
import { isThere, partialName, replace, spaceHint, statAt, systemText } from '../target/existing.ts';
import { Jail } from '../target/jail.ts';
import { LargeFile, pageBytes } from '../target/large-file.ts';
import { isNameError, legalPath } from '../target/legal-name.ts';
import { setMetadata } from '../target/metadata.ts';
import { finishFile, type NewFile, newFile } from '../target/new-file.ts';
import { removeFile, type Stretch, writeAll, writeSparse } from '../target/write-file.ts';
import { RangeChain } from './range-chain.ts';
import { RecordSource } from './record-source.ts';
import { FileContent } from './restore-content.ts';
import { ExistingFiles } from './restore-existing.ts';
import type {
  LargeResult,
  RestoreBatch,
  RestoreFile,
  RestoreLarge,
  RestoreOutcome,
  RestoreReply,
  RestoreRules,
} from './restore-jobs.ts';
import { packsOf } from './restore-plan.ts';

/** What a worker is made with; can be posted to a thread. */
export interface RestoreWorkerOptions {
  readonly storage: StorageSpec;
  readonly keyring: KeyringData;
  /** Absolute path of the target. */
  readonly target: ByteString;
  readonly rules: RestoreRules;
}

/** Parts whose packs are opened before their turn: opening one takes several answers of the storage. */
const partsAhead = 16;
/** Zeros that are hashed at a time: about a tenth of a second. */
const zerosPiece: number = 512 * MiB;
/** With `--sparse`, zeros become holes in pieces of this size. */
const sparseBytes: number = 64 * KiB;

/** See the file's comment. Calls must not overlap. */
export class RestoreWorker {
  readonly #codec: RecordCodec;
  readonly #content: FileContent;
  readonly #existing: ExistingFiles;
  readonly #state: number;
  readonly #jail: Jail;
  readonly #rules: RestoreRules;
  readonly #zeros: Buffer = Buffer.alloc(MiB);

  /** @param storage the worker's own, opened from `options.storage`; inline workers share the repository's */
  constructor(options: RestoreWorkerOptions, storage: Storage) {
    const extra = RecordSource.bytes + FileContent.bytes + ExistingFiles.bytes;
    this.#codec = new RecordCodec(4 * MiB, extra + 8 * slackBytes + 4096);
    const { kernel } = this.#codec;
    this.#state = kernel.reserve(kernel.hashStateBytes);
    const context = {
      storage,
      keyring: new Keyring(options.keyring),
      memory: new ReaderMemory(),
      mend: true,
    };
    this.#content = new FileContent(kernel, new RecordSource(context, this.#codec));
    this.#jail = new Jail(options.target);
    this.#existing = new ExistingFiles(kernel, this.#jail);
    this.#rules = options.rules;
  }

  /** Restores files of up to one part each. */
  async files({ files: text, writer }: RestoreBatch): Promise<RestoreReply> {
    const files = JSON.parse(text) as readonly RestoreFile[];
    const reply: [number, RestoreOutcome][] = [];
    for (const [i, file] of files.entries()) {
      try {
        const done = this.#rules.dryRun ? this.#compare(file) : undefined;
        if (done !== undefined) {
          reply.push([i, done]);
          continue;
        }
        const at =
          this.#content.ready(file.extents) ??
          (await this.#content.fetch(file.extents, writer, files, i + 1));
        const outcome = this.#place(file, at);
        if (outcome !== undefined) reply.push([i, outcome]);
      } catch (error) {
        reply.push([i, { error: errorOf(error, file.path) }]);
      }
    }
    return reply;
  }

  /** Keeps a file that is there with the same content. @returns lost metadata; undefined: it is another file */
  async keep(file: RestoreFile): Promise<string[] | undefined> {
    return this.#keep(file);
  }

  /** Reads restored files back. @returns numbers of those that are not as they should be */
  async verify({ files: text }: RestoreBatch): Promise<number[]> {
    const files = JSON.parse(text) as readonly RestoreFile[];
    const wrong: number[] = [];
    for (const [i, { path, sizeBytes, x }] of files.entries()) {
      try {
        if (!this.#existing.isOnDisk(path, sizeBytes, x)) wrong.push(i);
      } catch {
        wrong.push(i);
      }
    }
    return wrong;
  }

  /** Restores parts of one large file until none is left. */
  async large(task: RestoreLarge): Promise<LargeResult> {
    const chain = new RangeChain(task.chain);
    let out: LargeFile | undefined;
    try {
      const starts = startsOf(task.parts);
      for (let part = chain.take(), next = 0; part < task.parts.length; part = next) {
        out ??= new LargeFile(this.#jail, task.partial);
        // Taken early: it is read while this one is hashed and written.
        next = chain.take();
        const x = await this.#part(task, chain, out, part, next, starts[part]!);
        if (x === 'failed') return {};
        if (x !== undefined) return { x };
      }
      return {};
    } catch (error) {
      chain.fail();
      return { error: errorOf(error, task.file.path) };
    } finally {
      out?.close();
    }
  }

  /** Lets go of the target. */
  async finish(): Promise<void> {
    this.#jail.close();
  }

  /** Writes a verified small file. @returns undefined when it is new and has its own name */
  #place(file: RestoreFile, at: number): RestoreOutcome | undefined {
    const { kernel } = this.#codec;
    if (file.sizeBytes > 0 && kernel.hashOf(at, file.sizeBytes) !== file.x)
      throw reject('E_HASH', 'the content has another XXH64 than the snapshot says');
    const made = this.#create(file.path, file);
    if (typeof made === 'object') {
      const lost = this.#fill(made, file.path, file, at);
      return lost.length === 0 ? undefined : { lost };
    }
    if (made === 'exists') return this.#replace(file, at);
    const as = legalPath(file.path);
    const other = this.#create(as, file);
    if (other === 'exists') return { ...this.#replace({ ...file, path: as }, at), as };
    if (other === 'refused') throw noName(file.path);
    return { as, lost: this.#fill(other, as, file, at) };
  }

  /** Makes a file. @returns that file, or that something is there, or that the filesystem refuses the name */
  #create(path: ByteString, { metadata }: RestoreFile): NewFile | 'exists' | 'refused' {
    try {
      return newFile(this.#jail, path, metadata, this.#rules.metadata);
    } catch (error) {
      if (isNameError(error)) return 'refused';
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
      return this.#rules.foldsNames && !this.#jail.has(path) ? 'refused' : 'exists';
    }
  }

  /** Gives a new file its content. @returns what of its metadata could not be set */
  #fill(made: NewFile, path: ByteString, file: RestoreFile, at: number): string[] {
    const { fd } = made;
    try {
      const bytes = this.#codec.kernel.bytes.subarray(at, at + file.sizeBytes);
      if (this.#rules.sparse || file.extents.some(({ pack }) => pack === hole)) {
        ftruncateSync(fd, file.sizeBytes);
        writeSparse(fd, bytes, 0, this.#stretches(file.extents, at));
      } else {
        writeAll(fd, bytes, 0);
      }
      return finishFile(made, file.metadata, this.#rules.metadata);
    } catch (error) {
      // Half a file is worse than none.
      removeFile(this.#jail, path);
      throw error;
    } finally {
      closeSync(fd);
    }
  }

  /** Something is there. */
  #replace(file: RestoreFile, at: number): RestoreOutcome {
    const { overwrite } = this.#rules;
    const kept = overwrite === 'always' ? undefined : this.#keep(file);
    if (kept !== undefined) return { was: 'same', lost: kept };
    if (overwrite === 'never') throw isThere(file.path);
    const partial = partialName(file.path);
    const made = newFile(this.#jail, partial, file.metadata, this.#rules.metadata);
    const lost = this.#fill(made, partial, file, at);
    try {
      replace(this.#jail, partial, file.path);
    } catch (error) {
      removeFile(this.#jail, partial);
      throw error;
    }
    return { was: 'replaced', lost };
  }

  /**
   * Keeps a file that is there with the same content, and sets its metadata.
   * @returns what of it could not be set; undefined: it is another file
   */
  #keep(file: RestoreFile): string[] | undefined {
    const found = this.#existing.open(file.path, file.sizeBytes, file.x);
    if (found === undefined) return undefined;
    try {
      if (!this.#mayKeep(file, found.stat)) return undefined;
      if (found.stat.nlink > 1) return [];
      return setMetadata(found.fd, file.metadata, this.#rules.metadata);
    } finally {
      closeSync(found.fd);
    }
  }

  /** Another name of the same file may be somebody else's, and outside: what is set here would be set there. */
  #mayKeep(file: RestoreFile, { nlink }: { readonly nlink: number | bigint }): boolean {
    return nlink <= 1 || (this.#rules.overwrite === 'never' && file.linked === true);
  }

  /** What would become of a file; undefined: it would be made. */
  #compare(file: RestoreFile): RestoreOutcome | undefined {
    const { overwrite } = this.#rules;
    const stat = statAt(this.#jail, file.path);
    if (stat === undefined) return {};
    if (overwrite !== 'always') {
      const found = this.#existing.open(file.path, file.sizeBytes, file.x);
      if (found !== undefined) {
        closeSync(found.fd);
        if (this.#mayKeep(file, found.stat)) return { was: 'same' };
      }
    }
    if (overwrite === 'never' || stat.isDirectory()) throw isThere(file.path);
    return { was: 'replaced' };
  }

  /** Which parts of some content at `at` are written, and which are holes. */
  #stretches(extents: readonly Extent[], at: number): Stretch[] {
    const { kernel } = this.#codec;
    const stretches: Stretch[] = [];
    let from = at;
    for (const { pack, length } of extents) {
      if (pack === hole || (pack === zeros && this.#rules.sparse)) stretches.push({ length, isHole: true });
      else if (!this.#rules.sparse) stretches.push({ length, isHole: false });
      else {
        for (let done = 0; done < length; done += sparseBytes) {
          const piece = Math.min(sparseBytes, length - done);
          stretches.push({ length: piece, isHole: kernel.isZero(from + done, piece) });
        }
      }
      from += length;
    }
    return stretches;
  }

  /** @returns the file's XXH64 after the last part, undefined before, `failed` when another worker gave up */
  async #part(
    task: RestoreLarge,
    chain: RangeChain,
    out: LargeFile,
    part: number,
    next: number,
    start: number,
  ): Promise<string | undefined> {
    const { kernel } = this.#codec;
    const extents = task.parts[part]!;
    const [first] = extents;
    const empty = extents.length === 1 && (first!.pack === hole || first!.pack === zeros);
    // In memory it begins as far behind a page boundary as in the file: then whole pages can be written as they are.
    const shift = start % pageBytes;
    const address = this.#content.address + shift;
    const after = task.parts[next] ?? [];
    this.#content.begin(packsOf(task.parts.slice(part, part + partsAhead).flat()));
    const length = empty ? first!.length : await this.#content.gather(extents, task.writer, shift, after);
    // What had no room before, or follows a hole.
    await this.#content.ahead(after, task.writer);
    if (!(await chain.turn(part))) return 'failed';
    const bytes = kernel.hashStateBytes;
    if (part === 0) kernel.hashInit(this.#state);
    else kernel.bytes.set(chain.state.subarray(0, bytes), this.#state);
    if (empty) {
      if (!(await this.#hashZeros(chain, length))) return 'failed';
    } else kernel.hashUpdate(this.#state, address, length);
    chain.state.set(kernel.bytes.subarray(this.#state, this.#state + bytes));
    const x = part === task.parts.length - 1 ? kernel.hashHex(this.#state) : undefined;
    chain.pass(part, 0);
    if (empty) {
      const isWritten = first!.pack === zeros && !this.#rules.sparse;
      return isWritten && !(await this.#writeZeros(chain, out.fd, start, length)) ? 'failed' : x;
    }
    const content = kernel.bytes.subarray(address, address + length);
    if (this.#rules.sparse) writeSparse(out.fd, content, start, this.#stretches(extents, address));
    else out.write(content, start);
    return x;
  }

  /** A hole may be as long as a file can be: it is hashed in pieces. @returns false when the file was given up */
  async #hashZeros(chain: RangeChain, length: number): Promise<boolean> {
    for (let done = 0; done < length; done += zerosPiece) {
      if (chain.failed) return false;
      this.#codec.kernel.hashZeros(this.#state, Math.min(zerosPiece, length - done));
      await nextTurn();
    }
    return true;
  }

  /** Zeros that were allocated in the source are written; holes stay holes, because the file was made long enough. */
  async #writeZeros(chain: RangeChain, fd: number, start: number, length: number): Promise<boolean> {
    for (let done = 0; done < length; ) {
      if (done % (64 * MiB) === 0) await nextTurn();
      if (chain.failed) return false;
      const piece = this.#zeros.subarray(0, Math.min(this.#zeros.byteLength, length - done));
      writeAll(fd, piece, start + done);
      done += piece.byteLength;
    }
    return true;
  }
}

/** Lets what happened meanwhile (a signal) be seen. */
function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

function startsOf(parts: readonly (readonly Extent[])[]): number[] {
  let at = 0;
  return parts.map((extents) => {
    const start = at;
    for (const extent of extents) at += extent.length;
    return start;
  });
}

function noName(path: ByteString): BackpackError {
  return new BackpackError(
    'BP_TARGET_WRITE',
    `${byteStringToText(path)}: the target refuses the name, and the one made from it, too`,
    { kind: 'target', context: { path: byteStringToText(path) } },
  );
}

/** What is reported for a file; errors that concern the whole run are reported the same way and decided by kind. */
function errorOf(error: unknown, path: ByteString): ReturnType<BackpackError['toJSON']> {
  const text = byteStringToText(path);
  if (isBackpackError(error)) return error.with({ path: text }).toJSON();
  if (!(error instanceof Error) || !('errno' in error))
    return toBackpackError(error).with({ path: text }).toJSON();
  const system = fromSystemError(error, 'the target', text);
  if (system.kind === 'space') return { ...system.toJSON(), hint: spaceHint };
  if (system.kind === 'exists') return isThere(path).toJSON();
  return new BackpackError('BP_TARGET_WRITE', `${text}: ${systemText(error)}`, {
    kind: 'target',
    context: { path: text },
    hint: 'check the permissions of the target',
  }).toJSON();
}
