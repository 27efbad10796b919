/**
 * Writes one container: header, records, table, trailer (SPEC, "Container"). The bytes under an id are made once;
 * after any failure the container is abandoned and a new id taken.
 */
import type { KeyObject } from 'node:crypto';
import { blockBytes, KiB, MiB, sealedMax, tagBytes } from '../base/limits.ts';
import { recordDomain, tableDomain } from '../codec/aead.ts';
import type { Compression } from '../codec/compression.ts';
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
/** The head of a table names counts that are known last, so room is left for it before the lines. */
const tableHeadRoom = KiB;

/** Storages write whole pages from page boundaries fastest: staging areas begin on one, and are flushed in pages. */
const pageBytes: number = 4 * KiB;

/**
 * The memory in which containers are written, one at a time: a codec, two staging areas for output (one is on its way
 * to the storage while the other is filled) and room for a table. Made once per thread and used again for every
 * container.
 */
export class WriterMemory {
  readonly codec: RecordCodec;
  readonly staging: readonly [number, number];
  readonly stagingBytes: number;
  readonly table: number;
  readonly hash: number;

  /** @param recordMax longest plaintext of a record; the others as in {@link RecordCodec} */
  constructor(recordMax: number, extraBytes = 0, compression: Compression = 'fast') {
    const codecMax = Math.max(recordMax, tableRoom);
    this.stagingBytes = sealedMax(codecMax) + 64 * KiB;
    this.codec = new RecordCodec(
      codecMax,
      extraBytes + 2 * (this.stagingBytes + pageBytes) + tableRoom + 16 * slackBytes + 4 * KiB,
      compression,
    );
    const { kernel } = this.codec;
    this.staging = [
      kernel.reserve(this.stagingBytes, pageBytes),
      kernel.reserve(this.stagingBytes, pageBytes),
    ];
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
  #tableText = 0;
  /** Which staging area is being filled, how far, and what is still on its way out of the other one. */
  #area = 0;
  #filled = 0;
  #sending: Promise<void> | undefined;
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
    if (this.#memory.stagingBytes - this.#filled < sealedMax(length) + tagBytes) await this.#flushPages();
    const offset = this.sizeBytes;
    const clen = this.#memory.codec.seal(this.#key, recordDomain, this.#records, source, length, this.#emit);
    const line = `["R",${offset},${clen},${length}]\n`;
    this.addLines(line);
    this.#records += 1;
    return line;
  }

  /**
   * Adds lines to the table: the chunks of the record just added, file hints. Each ends with LF. They are kept as
   * bytes: many small strings that live as long as a pack would keep the garbage collector busy.
   */
  addLines(lines: string | Uint8Array): void {
    const { codec, table } = this.#memory;
    const at = tableHeadRoom + this.#tableText;
    if (typeof lines !== 'string') {
      if (at + lines.length > tableRoom) throw new RangeError('the table is larger than its room');
      codec.kernel.bytes.set(lines, table + at);
      this.#tableText += lines.length;
      return;
    }
    // 3 bytes a character is the most that UTF-8 needs.
    const fits = at + lines.length * 3 <= tableRoom || at + Buffer.byteLength(lines) <= tableRoom;
    if (!fits) throw new RangeError('the table is larger than its room');
    this.#tableText += codec.kernel.bytes.write(lines, table + at, tableRoom - at, 'utf8');
  }

  /**
   * Writes table and trailer. The memory is free for the next container when this resolves; the object exists only
   * after {@link commit}.
   * @returns length of the whole object, bytes
   */
  async finish(): Promise<number> {
    const { codec, table, hash } = this.#memory;
    const end = this.sizeBytes;
    const head = Buffer.from(formatTableHead(this.#records, end, this.#dd, this.#app));
    if (head.byteLength > tableHeadRoom) throw new RangeError('the head of a table is larger than its room');
    const start = table + tableHeadRoom - head.byteLength;
    const length = head.byteLength + this.#tableText;
    codec.kernel.bytes.set(head, start);
    await this.#flushAll();
    const pad = (frame: number): Buffer => paddingFrame(paddingFor(end + frame + tagBytes + blockBytes));
    const tableLength = codec.sealTable(this.#key, tableDomain, start, length, pad, this.#emit);
    await this.#flushAll();
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
  async abort(): Promise<void> {
    await this.#sending?.catch(() => {});
    await this.#out.abort();
  }

  readonly #emit = (piece: Uint8Array): void => {
    this.#memory.codec.kernel.bytes.set(piece, this.#memory.staging[this.#area]! + this.#filled);
    this.#filled += piece.byteLength;
  };

  /** Sends the full pages of the area and goes on in the other one, with what is left, as soon as that is free. */
  async #flushPages(): Promise<void> {
    const { codec, staging } = this.#memory;
    const from = staging[this.#area]!;
    const rest = this.#filled % pageBytes;
    const full = this.#filled - rest;
    await this.#sent();
    if (full > 0) this.#send(from, full);
    this.#area = 1 - this.#area;
    codec.kernel.bytes.copyWithin(staging[this.#area]!, from + full, from + full + rest);
    this.#filled = rest;
  }

  /** Sends everything; both areas are free afterwards. */
  async #flushAll(): Promise<void> {
    await this.#sent();
    if (this.#filled > 0) this.#send(this.#memory.staging[this.#area]!, this.#filled);
    this.#filled = 0;
    await this.#sent();
  }

  #send(from: number, length: number): void {
    const { codec, hash } = this.#memory;
    codec.kernel.hashUpdate(hash, from, length);
    this.#flushed += length;
    this.#sending = this.#out.append([codec.kernel.bytes.subarray(from, from + length)]) ?? undefined;
    // Whoever waits for it next is told; until then nobody is.
    this.#sending?.catch(() => {});
  }

  async #sent(): Promise<void> {
    const sending = this.#sending;
    this.#sending = undefined;
    if (sending !== undefined) await sending;
  }
}
