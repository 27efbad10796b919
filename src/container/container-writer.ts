/**
 * Writes one container: header, records, table, trailer (SPEC, "Container"). The bytes under an id are made once;
 * after any failure the container is abandoned and a new id taken.
 */
import type { KeyObject } from 'node:crypto';
import { blockBytes, KiB, MiB, sealedMax, tagBytes } from '../base/limits.ts';
import { recordDomain, tableDomain } from '../codec/aead.ts';
import { RecordCodec, slackBytes } from '../codec/record-codec.ts';
import {
  formatHeader,
  formatHeaderStart,
  formatTrailer,
  type Header,
  noKem,
  rootWriter,
} from '../format/header.ts';
import type { Kind } from '../format/names.ts';
import { paddingFor, paddingFrame } from '../format/padding.ts';
import { formatTableHead } from '../format/table.ts';
import type { ObjectInfo, ObjectWriter } from '../storage/storage.ts';
import type { Keyring } from './keyring.ts';

/** A writer closes a container before its table has more text than this (the format allows 64 MiB). */
export const tableTextMax: number = 3 * MiB;
const tableRoom = tableTextMax + MiB;

/**
 * The memory in which containers are written, one at a time: a codec, a staging area for output and room for a
 * table. Made once per thread and used again for every container.
 */
export class WriterMemory {
  readonly codec: RecordCodec;
  readonly staging: number;
  readonly stagingBytes: number;
  readonly table: number;
  readonly hash: number;

  /** @param recordMax longest plaintext of a record; @param extraBytes as in {@link RecordCodec} */
  constructor(recordMax: number, extraBytes = 0) {
    const codecMax = Math.max(recordMax, tableRoom);
    this.stagingBytes = 2 * (sealedMax(codecMax) + 64 * KiB);
    this.codec = new RecordCodec(
      codecMax,
      extraBytes + this.stagingBytes + tableRoom + 16 * slackBytes + 4 * KiB,
    );
    const { kernel } = this.codec;
    this.staging = kernel.reserve(this.stagingBytes);
    this.table = kernel.reserve(tableRoom + slackBytes);
    this.hash = kernel.reserve(kernel.hashStateBytes);
  }
}

/** What a container is made with. */
export interface ContainerOptions {
  readonly kind: Kind;
  readonly repo: string;
  /** 40 hex, fresh. */
  readonly id: string;
  /** Name and version of the program. */
  readonly app: string;
}

/** A container while it is written. */
export class ContainerWriter {
  readonly id: string;
  readonly header: Header;
  readonly #memory: WriterMemory;
  readonly #key: KeyObject;
  readonly #out: ObjectWriter;
  readonly #dd: string;
  readonly #app: string;
  #lines: string[] = [];
  #tableText = 0;
  #filled = 0;
  #flushed = 0;
  #records = 0;

  constructor(memory: WriterMemory, keyring: Keyring, options: ContainerOptions, out: ObjectWriter) {
    const { kind, repo, id, app } = options;
    const start = { kind, repo, keyid: keyring.keyid, writer: rootWriter, id, kem: noKem, flags: '00000000' };
    const { key, commit } = keyring.forWriting(start);
    this.id = id;
    this.header = { ...start, commit };
    this.#memory = memory;
    this.#key = key;
    this.#out = out;
    this.#dd = keyring.dedupKeys.dd;
    this.#app = app;
    memory.codec.kernel.hashInit(memory.hash);
    this.#emit(formatHeaderStart(start));
    this.#emit(formatHeader(this.header).subarray(440));
  }

  /** Number of records so far: the ordinal of the next one. */
  get records(): number {
    return this.#records;
  }

  /** Bytes so far, without table and trailer. */
  get sizeBytes(): number {
    return this.#flushed + this.#filled;
  }

  /** Length of the table's text so far. */
  get tableText(): number {
    return this.#tableText;
  }

  /**
   * Seals `length` bytes at `source` in the kernel's memory as the next record.
   * @returns its `R` line, which has been added to the table
   */
  async addRecord(source: number, length: number): Promise<string> {
    if (this.#memory.stagingBytes - this.#filled < sealedMax(length) + tagBytes) await this.#flush();
    const offset = this.sizeBytes;
    const clen = this.#memory.codec.seal(this.#key, recordDomain, this.#records, source, length, this.#emit);
    const line = `["R",${offset},${clen},${length}]\n`;
    this.addLine(line);
    this.#records += 1;
    return line;
  }

  /** Adds lines to the table: the chunks of the record just added, file hints. Each ends with LF. */
  addLine(line: string): void {
    this.#lines.push(line);
    this.#tableText += Buffer.byteLength(line);
  }

  /**
   * Writes table and trailer. The memory is free for the next container when this resolves; the object exists only
   * after {@link commit}.
   * @returns length of the whole object, bytes
   */
  async finish(): Promise<number> {
    const { codec, table, hash } = this.#memory;
    const end = this.sizeBytes;
    const text = formatTableHead(this.#records, end, this.#dd, this.#app) + this.#lines.join('');
    this.#lines = [];
    const length = codec.kernel.bytes.write(text, table, tableRoom, 'utf8');
    if (length !== Buffer.byteLength(text)) throw new RangeError('the table is larger than its room');
    await this.#flush();
    const pad = (frame: number): Buffer => paddingFrame(paddingFor(end + frame + tagBytes + blockBytes));
    const tableLength = codec.sealTable(this.#key, tableDomain, table, length, pad, this.#emit);
    await this.#flush();
    const xxh64 = codec.kernel.hashHex(hash);
    const hint = { tableOffset: end, tableLength, records: this.#records, xxh64 };
    await this.#out.append([formatTrailer(this.header, hint)]);
    return this.#flushed + blockBytes;
  }

  /** Makes the finished object durable and visible. */
  commit(): Promise<ObjectInfo> {
    return this.#out.commit();
  }

  /** Gives the container up; nothing of it remains. */
  abort(): Promise<void> {
    return this.#out.abort();
  }

  readonly #emit = (piece: Uint8Array): void => {
    this.#memory.codec.kernel.bytes.set(piece, this.#memory.staging + this.#filled);
    this.#filled += piece.byteLength;
  };

  async #flush(): Promise<void> {
    const { codec, staging, hash } = this.#memory;
    if (this.#filled === 0) return;
    codec.kernel.hashUpdate(hash, staging, this.#filled);
    const done = this.#out.append([codec.kernel.bytes.subarray(staging, staging + this.#filled)]);
    if (done !== undefined) await done;
    this.#flushed += this.#filled;
    this.#filled = 0;
  }
}
