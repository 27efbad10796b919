/**
 * Checks one container (SPEC, "Reader's duties" 1 to 5, "Integrity" L1 to L5): header, commitment, table, the whole
 * trailer, and on demand every byte: the trailer's XXH64, every record's tag and frame, the XXH64 of every chunk.
 * Each byte is read once, in pieces of a few MiB. What is wrong is data, never an exception.
 */
import { BackpackError, isBackpackError, toBackpackError } from '../base/errors.ts';
import { blockBytes, containerMax, KiB, MiB } from '../base/limits.ts';
import { recordDomain } from '../codec/aead.ts';
import { type ContainerContext, ContainerReader } from '../container/container-reader.ts';
import { headerDifferences, trailerDifference } from '../container/ends.ts';
import { formatTrailer } from '../format/header.ts';
import { reject } from '../format/reject.ts';
import { Kernel } from '../kernel/kernel.ts';
import type { Storage } from '../storage/storage.ts';
import type { CheckJob, CheckProblem, ObjectReport, PackFacts } from './check-jobs.ts';

/** Gets the plaintext of each record that is sound; the bytes are valid during the call. */
export type RecordSink = (record: number, plain: Uint8Array) => void;

interface Report extends ObjectReport {
  problems: CheckProblem[];
  keyid?: string;
  writer?: string;
  facts?: PackFacts;
  records: number;
  bytesRead: number;
}

const pieceBytes: number = 4 * MiB;

/** See the file's comment. Calls must not overlap. */
export class ObjectChecker {
  readonly #context: ContainerContext;
  #kernel: Kernel;
  #state: number;
  #buffer: number;
  #bufferBytes: number = pieceBytes;

  /** @param context its keyring must name the repository */
  constructor(context: ContainerContext) {
    this.#context = context;
    this.#kernel = Kernel.create(pieceBytes + 8 * KiB);
    this.#state = this.#kernel.reserve(this.#kernel.hashStateBytes);
    this.#buffer = this.#kernel.reserve(pieceBytes);
  }

  /** Checks an object. Never throws for what is wrong with it. @param sink with `deep` only */
  async check(job: CheckJob, sink?: RecordSink): Promise<ObjectReport> {
    const report: Report = { problems: [], records: 0, bytesRead: 0 };
    try {
      await this.#object(job, report, sink);
    } catch (error) {
      report.problems.push(problemOf(error));
    }
    return report;
  }

  async #object(job: CheckJob, report: Report, sink: RecordSink | undefined): Promise<void> {
    const { name, sizeBytes, deep } = job;
    if (sizeBytes > containerMax) throw reject('E_LIMIT', 'the object is larger than 4 GiB');
    const whole = deep && sizeBytes <= pieceBytes ? await this.#piece(name, 0, sizeBytes, report) : undefined;
    const storage = whole === undefined ? this.#counted(report) : inMemory(whole);
    let reader: ContainerReader;
    try {
      reader = await ContainerReader.open({ ...this.#context, storage, mend: false }, name, {
        sizeBytes,
        want: 'all',
      });
    } catch (error) {
      throw await explain(error, storage, job);
    }
    report.keyid = reader.header.keyid;
    report.writer = reader.header.writer;
    const { table, header } = reader;
    const lines = table.chunks.length + table.files.length + table.origins.length;
    if (header.kind === 'data' || header.kind === 'meta') report.facts = factsOf(reader);
    else if (lines > 0)
      report.problems.push(problemOf(reject('E_TABLE', `a ${header.kind} container has lines of a pack`)));
    if (!reader.trailerFits) report.problems.push(problemOf(await this.#trailerProblem(reader, storage)));
    if (deep) await this.#read(reader, whole, report, sink);
  }

  async #trailerProblem(reader: ContainerReader, storage: Pick<Storage, 'get'>): Promise<BackpackError> {
    const { name, sizeBytes, header, trailer } = reader;
    const found = await storage.get(name, { range: { offset: sizeBytes - blockBytes, length: blockBytes } });
    const line = trailerDifference(formatTrailer(header, trailer), found);
    return reject('E_TRAILER', `the ${line} line of the trailer is damaged; the content is not affected`);
  }

  /** Reads everything before the trailer once, in order. */
  async #read(
    reader: ContainerReader,
    whole: Uint8Array | undefined,
    report: Report,
    sink: RecordSink | undefined,
  ): Promise<void> {
    const { offsets } = reader.table;
    const before = report.problems.length;
    const end = reader.sizeBytes - blockBytes;
    const pass = new RecordPass(reader, this.#context, report, sink);
    let complete = true;
    this.#kernel.hashInit(this.#state);
    let next = 0;
    for (let from = 0; from < end; ) {
      let last = Math.min(next + 1, reader.records);
      while (last < reader.records && offsets[last + 1]! - from <= this.#bufferBytes) last += 1;
      const to = next < reader.records ? offsets[last]! : Math.min(end, from + this.#bufferBytes);
      try {
        const bytes = whole?.subarray(from, to) ?? (await this.#piece(reader.name, from, to, report));
        this.#kernel.hashUpdate(this.#state, this.#buffer + (whole === undefined ? 0 : from), to - from);
        for (let i = next; i < last; i += 1) {
          pass.open(i, bytes.subarray(offsets[i]! - from, offsets[i + 1]! - from));
        }
      } catch (error) {
        complete = false;
        await this.#oneByOne(reader, next, last, error, pass, report);
      }
      from = to;
      next = last;
    }
    // A wrong record explains a wrong hash.
    if (!complete || report.problems.length > before) return;
    if (this.#kernel.hashHex(this.#state) === reader.trailer.xxh64) return;
    report.problems.push(
      problemOf(
        reject('E_TRAILER', 'the xxh64= line of the trailer is damaged; the content is not affected'),
      ),
    );
  }

  /** A piece could not be read: finds the records for which that is so. */
  async #oneByOne(
    reader: ContainerReader,
    first: number,
    end: number,
    error: unknown,
    pass: RecordPass,
    report: Report,
  ): Promise<void> {
    if (end - first <= 1) {
      report.problems.push(problemOf(error, first < end ? first : undefined));
      return;
    }
    const before = report.problems.length;
    for (let i = first; i < end; i += 1) {
      try {
        const { offset, length } = reader.rangeOf(i, 1);
        pass.open(i, await this.#piece(reader.name, offset, offset + length, report));
      } catch (failure) {
        report.problems.push(problemOf(failure, i));
      }
    }
    if (report.problems.length === before) report.problems.push(problemOf(error));
  }

  /** Bytes of an object in this checker's buffer, valid until the next call. */
  async #piece(name: string, from: number, to: number, report: Report): Promise<Uint8Array> {
    const length = to - from;
    if (length > this.#bufferBytes) this.#grow(length);
    const into = this.#kernel.bytes.subarray(this.#buffer, this.#buffer + length);
    if (length === 0) return into;
    await this.#context.storage.get(name, { range: { offset: from, length }, into });
    report.bytesRead += length;
    return into;
  }

  /** A larger buffer, for records above 4 MiB; the hash so far goes on in it. */
  #grow(bytes: number): void {
    const kernel = Kernel.create(bytes + 8 * KiB);
    const state = kernel.reserve(kernel.hashStateBytes);
    const old = this.#kernel.bytes.subarray(this.#state, this.#state + kernel.hashStateBytes);
    kernel.bytes.set(old, state);
    this.#kernel = kernel;
    this.#state = state;
    this.#buffer = kernel.reserve(bytes);
    this.#bufferBytes = bytes;
  }

  #counted(report: Report): Pick<Storage, 'get' | 'stat'> {
    const { storage } = this.#context;
    return {
      stat: (name) => storage.stat(name),
      get: async (name, options) => {
        const bytes = await storage.get(name, options);
        report.bytesRead += bytes.byteLength;
        return bytes;
      },
    };
  }
}

/** Opens the records of one container in order and compares its chunks. */
class RecordPass {
  readonly #reader: ContainerReader;
  readonly #context: ContainerContext;
  readonly #report: Report;
  readonly #sink: RecordSink | undefined;
  #chunk = 0;

  constructor(
    reader: ContainerReader,
    context: ContainerContext,
    report: Report,
    sink: RecordSink | undefined,
  ) {
    this.#reader = reader;
    this.#context = context;
    this.#report = report;
    this.#sink = sink;
  }

  open(record: number, sealed: Uint8Array): void {
    const { table, key } = this.#reader;
    const { chunks } = table;
    const length = table.lengths[record]!;
    const codec = this.#context.memory.for(length);
    while (this.#chunk < chunks.length && chunks[this.#chunk]!.record < record) this.#chunk += 1;
    try {
      codec.open(key, recordDomain, record, sealed, codec.plain, length);
      this.#report.records += 1;
      for (; chunks[this.#chunk]?.record === record; this.#chunk += 1) {
        const chunk = chunks[this.#chunk]!;
        if (codec.kernel.hashOf(codec.plain + chunk.offset, chunk.length) === chunk.xxh64) continue;
        throw reject(
          'E_HASH',
          `the chunk at ${chunk.offset} of record ${record} has another XXH64 than the table says`,
        );
      }
    } catch (error) {
      this.#report.problems.push(problemOf(error, record));
      return;
    }
    this.#sink?.(record, codec.kernel.bytes.subarray(codec.plain, codec.plain + length));
  }
}

/** A storage that holds one object, read already. */
function inMemory(bytes: Uint8Array): Pick<Storage, 'get' | 'stat'> {
  return {
    stat: async () => undefined,
    get: async (_, { range } = {}) => {
      const { offset, length } = range ?? { offset: 0, length: bytes.byteLength };
      return bytes.subarray(offset, offset + length);
    },
  };
}

const headerCodes = new Set([
  'E_MAGIC',
  'E_MAJOR',
  'E_SUITE',
  'E_KIND',
  'E_FLAG',
  'E_REPO',
  'E_KEY',
  'E_COMMIT',
  'E_KEM',
  'E_NAME',
]);

/** Says which line of a header is damaged, when the trailer knows it better. */
async function explain(error: unknown, storage: Pick<Storage, 'get'>, job: CheckJob): Promise<unknown> {
  if (!isBackpackError(error)) return error;
  if (error.code === 'E_TAG' || error.code === 'E_LZ4')
    return withMessage(error, `the table: ${error.message}`, walk);
  const { name, sizeBytes } = job;
  if (!headerCodes.has(error.code) || sizeBytes < 2 * blockBytes) return error;
  try {
    const end = { offset: sizeBytes - blockBytes, length: blockBytes };
    const trailer = Buffer.from(await storage.get(name, { range: end }));
    const head = await storage.get(name, { range: { offset: 0, length: blockBytes } });
    const lines = headerDifferences(head, trailer);
    if (lines.length === 0 || lines.length > 3) return error;
    return withMessage(
      error,
      `${error.message}: the ${lines.join(' and ')} line of the header is not as in the trailer, so it is damaged`,
      rebuilt,
    );
  } catch {
    return error;
  }
}

function withMessage(error: BackpackError, message: string, hint: string): BackpackError {
  return BackpackError.fromJSON({ ...error.toJSON(), message, hint });
}

const walk = 'its records are still there: keep the object; everything else can be restored';
const rebuilt = 'nothing is lost: it can be rebuilt from what is there';

/** An error as a problem of the object (or record) at hand. */
export function problemOf(error: unknown, record?: number): CheckProblem {
  const found = toBackpackError(error);
  const unreadable = found.kind === 'storage' || found.kind === 'network';
  const missing = found.code === 'BP_OBJECT_MISSING';
  const code = missing ? 'E_MISSING' : found.code === 'BP_STORAGE_SHORT' ? 'E_TRUNC' : found.code;
  // Most hints of reason codes say to run a check.
  const hint = code !== found.code || found.hint?.includes('run backpack check') ? undefined : found.hint;
  return {
    code,
    message: found.message,
    ...(hint === undefined ? {} : { hint }),
    ...(record === undefined ? {} : { record }),
    unreadable,
  };
}

/** An object does not have the size that snapshots name. */
export function sizeProblem(found: number, expected: number): CheckProblem {
  const code = found < expected ? 'E_TRUNC' : 'E_EXTRA';
  return problemOf(reject(code, `has ${found} bytes, snapshots say ${expected}`));
}

/** What pages are compared with, in a few bytes per chunk. */
function factsOf(reader: ContainerReader): PackFacts {
  const { lengths, chunks } = reader.table;
  const firstChunks = new Uint32Array(lengths.length + 1).fill(chunks.length);
  for (let i = chunks.length - 1; i >= 0; i -= 1) firstChunks[chunks[i]!.record] = i;
  for (let r = lengths.length - 1; r >= 0; r -= 1) {
    if (firstChunks[r]! > firstChunks[r + 1]!) firstChunks[r] = firstChunks[r + 1]!;
  }
  return {
    kind: reader.header.kind,
    writer: reader.header.writer,
    lengths: Uint32Array.from(lengths),
    firstChunks,
    chunkOffsets: Uint32Array.from(chunks, ({ offset }) => offset),
    chunkLengths: Uint32Array.from(chunks, ({ length }) => length),
  };
}
