/**
 * One worker of a restore: reads records, checks every tag and the file's XXH64, and only then gives a file its
 * name. A small file is verified in memory before it is created; a large one has another name until it is verified.
 */
import { closeSync, constants, openSync, unlinkSync, writeSync } from 'node:fs';
import type { ByteString } from '../base/bytes.ts';
import { byteStringToText } from '../base/bytes.ts';
import { BackpackError, isBackpackError, toBackpackError } from '../base/errors.ts';
import { MiB } from '../base/limits.ts';
import { RecordCodec, slackBytes } from '../codec/record-codec.ts';
import { Keyring, type KeyringData } from '../container/keyring.ts';
import type { PackPiece } from '../container/pack-finder.ts';
import { ReaderMemory } from '../container/reader-memory.ts';
import { type Extent, hole, zeros } from '../format/extents.ts';
import { reject } from '../format/reject.ts';
import type { StorageSpec } from '../storage/open.ts';
import type { Storage } from '../storage/storage.ts';
import { fromSystemError } from '../storage/storage-errors.ts';
import { Jail } from '../target/jail.ts';
import { everything, type MetadataPolicy, setMetadata } from '../target/metadata.ts';
import { RangeChain } from './range-chain.ts';
import { RecordSource } from './record-source.ts';
import type { LargeResult, RestoreFile, RestoreLarge, RestoreOutcome } from './restore-jobs.ts';

/** What a worker is made with; can be posted to a thread. */
export interface RestoreWorkerOptions {
  readonly storage: StorageSpec;
  readonly keyring: KeyringData;
  /** Absolute path of the target. */
  readonly target: ByteString;
  /** What of the metadata is wanted; default: all. */
  readonly metadata?: MetadataPolicy | undefined;
}

/** Files up to this size are put together in memory; larger ones are restored in parts of about this size. */
export const partBytes: number = 8 * MiB;
/** Zeros that are hashed at a time: about a tenth of a second. */
const zerosPiece: number = 512 * MiB;
const fileBytes: number = partBytes + 4 * MiB;
const { O_WRONLY, O_CREAT, O_EXCL, O_NOFOLLOW } = constants;

/** See the file's comment. Calls must not overlap. */
export class RestoreWorker {
  readonly #codec: RecordCodec;
  readonly #source: RecordSource;
  readonly #file: number;
  readonly #state: number;
  readonly #jail: Jail;
  readonly #policy: MetadataPolicy;
  readonly #zeros: Buffer = Buffer.alloc(MiB);

  /** @param storage the worker's own, opened from `options.storage`; inline workers share the repository's */
  constructor(options: RestoreWorkerOptions, storage: Storage) {
    this.#codec = new RecordCodec(4 * MiB, RecordSource.bytes + fileBytes + 8 * slackBytes + 4096);
    this.#file = this.#codec.kernel.reserve(fileBytes + slackBytes);
    this.#state = this.#codec.kernel.reserve(this.#codec.kernel.hashStateBytes);
    const context = {
      storage,
      keyring: new Keyring(options.keyring),
      memory: new ReaderMemory(),
      mend: true,
    };
    this.#source = new RecordSource(context, this.#codec);
    this.#jail = new Jail(options.target);
    this.#policy = options.metadata ?? everything;
  }

  /** Restores files of up to one part each. @returns one outcome per file */
  async files(files: readonly RestoreFile[]): Promise<RestoreOutcome[]> {
    const outcomes: RestoreOutcome[] = [];
    for (const file of files) {
      try {
        const lost = await this.#small(file);
        outcomes.push(lost.length === 0 ? undefined : lost);
      } catch (error) {
        outcomes.push(outcomeOf(error, file.path));
      }
    }
    return outcomes;
  }

  /** Restores parts of one large file until none is left. */
  async large(task: RestoreLarge): Promise<LargeResult> {
    const chain = new RangeChain(task.chain);
    let fd = -1;
    try {
      const starts = startsOf(task.parts);
      for (let part = chain.take(); part < task.parts.length; part = chain.take()) {
        if (fd < 0) fd = openSync(this.#jail.at(task.partial), O_WRONLY | O_NOFOLLOW);
        const x = await this.#part(task, chain, fd, part, starts[part]!);
        if (x === 'failed') return {};
        if (x !== undefined) return { x };
      }
      return {};
    } catch (error) {
      chain.fail();
      return { error: outcomeOf(error, task.file.path) };
    } finally {
      if (fd >= 0) closeSync(fd);
    }
  }

  /** Lets go of the target. */
  async finish(): Promise<void> {
    this.#jail.close();
  }

  /** @returns what of its metadata could not be set */
  async #small(file: RestoreFile): Promise<string[]> {
    const at = await this.#content(file);
    const { kernel } = this.#codec;
    if (file.sizeBytes > 0 && kernel.hashOf(at, file.sizeBytes) !== file.x) {
      throw reject('E_HASH', 'the content has another XXH64 than the snapshot says');
    }
    const fd = openSync(this.#jail.at(file.path), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0o600);
    try {
      writeAll(fd, kernel.bytes.subarray(at, at + file.sizeBytes), 0);
      return setMetadata(fd, file.metadata, this.#policy);
    } catch (error) {
      // Half a file is worse than none.
      unlinkSync(this.#jail.at(file.path));
      throw error;
    } finally {
      closeSync(fd);
    }
  }

  /** Address of the whole content of a small file. */
  async #content(file: RestoreFile): Promise<number> {
    const [only] = file.extents;
    if (only === undefined) return this.#file;
    const slice = file.extents.length === 1 && only.count === 1 && only.pack !== hole && only.pack !== zeros;
    if (!slice) {
      await this.#gather(file.extents, file.writer);
      return this.#file;
    }
    const [piece] = await this.#source.pieces(only, file.writer);
    const { reader, record } = piece!;
    checkSlice(only, reader.table.lengths[record]);
    return (await this.#source.record(reader, record)) + only.offset;
  }

  /** Puts extents of at most one part together at the file's place in memory. @returns their length */
  async #gather(extents: readonly Extent[], writer: string): Promise<number> {
    const { kernel } = this.#codec;
    let filled = 0;
    for (const extent of extents) {
      if (filled + extent.length > fileBytes) throw reject('E_EXTENT', 'an extent is longer than its file');
      const into = this.#file + filled;
      if (extent.pack === hole || extent.pack === zeros) {
        kernel.bytes.fill(0, into, into + extent.length);
      } else {
        await this.#data(extent, writer, into);
      }
      filled += extent.length;
    }
    return filled;
  }

  async #data(extent: Extent, writer: string, into: number): Promise<void> {
    let at = into;
    for (const piece of await this.#source.pieces(extent, writer)) {
      await this.#piece(piece, at);
      at += piece.length;
    }
  }

  async #piece({ reader, record, count, length, offset }: PackPiece, into: number): Promise<void> {
    const { kernel } = this.#codec;
    const { lengths } = reader.table;
    // A count is whatever the entry says: it is compared before anything is counted up to it.
    if (record + count > lengths.length)
      throw reject('E_EXTENT', 'an extent names records that its pack does not have', {
        object: reader.name,
      });
    let whole = 0;
    for (let i = 0; i < count; i += 1) whole += lengths[record + i] ?? Number.NaN;
    if (whole === length && offset === 0) {
      await this.#source.run(reader, record, count, into);
      return;
    }
    if (count !== 1)
      throw reject('E_EXTENT', 'records have another length than their extent', { object: reader.name });
    checkSlice({ offset, length }, lengths[record]);
    const from = (await this.#source.record(reader, record)) + offset;
    kernel.bytes.copyWithin(into, from, from + length);
  }

  /** @returns the file's XXH64 after the last part, undefined before, `failed` when another worker gave up */
  async #part(
    task: RestoreLarge,
    chain: RangeChain,
    fd: number,
    part: number,
    start: number,
  ): Promise<string | undefined> {
    const { kernel } = this.#codec;
    const extents = task.parts[part]!;
    const [first] = extents;
    const empty = extents.length === 1 && (first!.pack === hole || first!.pack === zeros);
    const length = empty ? first!.length : await this.#gather(extents, task.file.writer);
    if (!(await chain.turn(part))) return 'failed';
    const bytes = kernel.hashStateBytes;
    if (part === 0) kernel.hashInit(this.#state);
    else kernel.bytes.set(chain.state.subarray(0, bytes), this.#state);
    if (empty) {
      if (!(await this.#hashZeros(chain, length))) return 'failed';
    } else kernel.hashUpdate(this.#state, this.#file, length);
    chain.state.set(kernel.bytes.subarray(this.#state, this.#state + bytes));
    const x = part === task.parts.length - 1 ? kernel.hashHex(this.#state) : undefined;
    chain.pass(part, 0);
    if (!empty) writeAll(fd, kernel.bytes.subarray(this.#file, this.#file + length), start);
    else if (first!.pack === zeros && !(await this.#writeZeros(chain, fd, start, length))) return 'failed';
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

function checkSlice(slice: { offset: number; length: number }, recordLength: number | undefined): void {
  if (recordLength !== undefined && slice.offset + slice.length <= recordLength) return;
  throw reject('E_EXTENT', 'an extent leaves its record');
}

/** Writes all bytes at a position of the file. */
function writeAll(fd: number, bytes: Uint8Array, position: number): void {
  for (let done = 0; done < bytes.byteLength; ) {
    done += writeSync(fd, bytes, done, bytes.byteLength - done, position + done);
  }
}

/** What is reported for a file; errors that concern the whole run are reported the same way and decided by kind. */
function outcomeOf(error: unknown, path: ByteString): ReturnType<BackpackError['toJSON']> {
  const text = byteStringToText(path);
  if (isBackpackError(error)) return error.with({ path: text }).toJSON();
  if (!(error instanceof Error) || !('errno' in error))
    return toBackpackError(error).with({ path: text }).toJSON();
  const system = fromSystemError(error, 'the target', text);
  if (system.kind === 'space') return system.toJSON();
  const exists = system.kind === 'exists';
  const message = exists ? `${text} is there already and was left as it is` : `${text}: ${error.message}`;
  return new BackpackError(exists ? 'BP_TARGET_EXISTS' : 'BP_TARGET_WRITE', message, {
    kind: 'target',
    context: { path: text },
    hint: exists ? 'restore into an empty folder' : 'check the permissions of the target',
  }).toJSON();
}
