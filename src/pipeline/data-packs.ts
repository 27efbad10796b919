/**
 * Data packs of one worker: one is open at a time; a full one is made durable while the next one is being filled.
 * Chunks of small files are gathered in a group record of up to 1 MiB; any other chunk is a record of its own, and
 * closes the group first, so that the ordinal of the group's record is known from its first chunk on.
 */
import type { ByteString } from '../base/bytes.ts';
import { MiB } from '../base/limits.ts';
import { systemClock, systemRandom } from '../base/ports.ts';
import { TextBuffer } from '../base/text-buffer.ts';
import { gmac } from '../codec/aead.ts';
import { slackBytes } from '../codec/record-codec.ts';
import { ContainerWriter, tableTextMax, type WriterMemory } from '../container/container-writer.ts';
import type { Keyring } from '../container/keyring.ts';
import { nameToJson } from '../format/name-json.ts';
import { makeId, packName } from '../format/names.ts';
import { formatTime } from '../format/time.ts';
import type { FileStamp } from '../source/read-file.ts';
import type { Storage } from '../storage/storage.ts';
import { type Catalog, type ChunkPlace, setIdentityBytes } from './catalog.ts';
import { indexPartBytes, writeIndex } from './index-writer.ts';
import type { PackResult, PacksResult } from './jobs.ts';
import type { PackList } from './pack-list.ts';

/** Length of a full group record. */
export const groupBytes: number = MiB;

/** The file that chunks belong to, for the hints in tables. */
export interface HintFile {
  readonly stored: ByteString;
  readonly stamp: Pick<FileStamp, 'size' | 'mtimeNs'>;
}

/** What packs are made with. */
export interface DataPackOptions {
  readonly storage: Storage;
  readonly keyring: Keyring;
  readonly repo: string;
  readonly app: string;
  readonly packSize: number;
  readonly memory: WriterMemory;
  readonly catalog: Catalog;
  readonly packs: PackList;
  /** Lines of the index, in bytes, that may wait to be written. */
  readonly indexPartBytes?: number | undefined;
  /** Bytes handed to the storage, and how many they were before compression. */
  readonly stored: (bytes: number, contentBytes: number) => void;
}

/** What is written down about one record: lines of the table, lines of the index, tokens of the catalog. */
interface RecordLines {
  readonly table: TextBuffer;
  readonly index: TextBuffer;
  readonly tokens: number[];
}

interface OpenPack {
  readonly writer: ContainerWriter;
  readonly number: number;
  /** Files hinted at so far. */
  files: number;
  hint: HintFile | undefined;
}

/** Table text of one group: bounded, so that a million tiny files do not overfill a table. */
const groupTableMax = 256 * 1024;

/** Stores chunks, each once. */
export class DataPacks {
  /** Address of the open group; small files are read to `group + groupFill`. */
  readonly group: number;
  /** XXH64 of the chunk that was added to the group last, big endian. */
  readonly hash: Buffer = Buffer.alloc(8);
  readonly #o: DataPackOptions;
  readonly #identity: Int32Array = new Int32Array(7);
  readonly #place: ChunkPlace = { pack: 0, record: 0, offset: 0, whole: false };
  readonly #commits: Promise<PackResult>[] = [];
  /** Index lines of the open pack, and of complete ones that no index object holds yet. */
  readonly #packIndex = new TextBuffer();
  readonly #index = new TextBuffer();
  #groupFill = 0;
  readonly #group: RecordLines = { table: new TextBuffer(), index: new TextBuffer(), tokens: [] };
  readonly #single: RecordLines = { table: new TextBuffer(), index: new TextBuffer(), tokens: [] };
  #pack: OpenPack | undefined;

  constructor(options: DataPackOptions) {
    this.#o = options;
    this.group = options.memory.codec.kernel.reserve(groupBytes + slackBytes);
  }

  /** Bytes in the open group. */
  get groupFill(): number {
    return this.#groupFill;
  }

  /**
   * Stores the `length` bytes that lie at the end of the open group, unless they are known already.
   * @param file what the table says about where they came from
   * @returns where they are; valid until the next call
   */
  async addToGroup(length: number, file: HintFile): Promise<Readonly<ChunkPlace>> {
    const place = this.addNow(length, file);
    if (place !== undefined) return place;
    await this.#open();
    return this.addNow(length, file)!;
  }

  /** {@link addToGroup} without waiting for anything; undefined when a pack has to be opened first. */
  addNow(length: number, file: HintFile): Readonly<ChunkPlace> | undefined {
    const at = this.group + this.#groupFill;
    const g = this.#identify(at, length);
    const place = this.#place;
    if (this.#o.catalog.find(this.#identity, place)) return place;
    const pack = this.#pack;
    if (pack === undefined) return undefined;
    place.pack = pack.number;
    place.record = pack.writer.records;
    place.offset = this.#groupFill;
    place.whole = false;
    this.#describe(this.#group, pack, length, g, file, 0);
    this.#groupFill += length;
    return place;
  }

  /** Whether the open group has to be closed before `length` more bytes are read into it. */
  groupIsFull(length: number): boolean {
    if (this.#groupFill === 0) return false;
    return this.#groupFill + length > groupBytes || this.#group.table.length > groupTableMax;
  }

  /** Stores `length` bytes at `source` as a record of its own, unless they are known already. */
  async addRecord(
    source: number,
    length: number,
    file: HintFile,
    fileOffset: number,
  ): Promise<Readonly<ChunkPlace>> {
    const g = this.#identify(source, length);
    const place = this.#place;
    if (this.#o.catalog.find(this.#identity, place)) return place;
    await this.closeGroup();
    const pack = this.#pack ?? (await this.#open());
    place.pack = pack.number;
    place.record = pack.writer.records;
    place.offset = 0;
    place.whole = true;
    this.#describe(this.#single, pack, length, g, file, fileOffset);
    await this.#record(source, length, this.#single);
    return place;
  }

  /** Seals the open group. */
  async closeGroup(): Promise<void> {
    if (this.#groupFill === 0) return;
    const length = this.#groupFill;
    this.#groupFill = 0;
    await this.#record(this.group, length, this.#group);
  }

  /**
   * Closes what is open; more may follow.
   * @returns all packs since the last call, durable, and their lines for the index
   */
  async finish(): Promise<PacksResult> {
    await this.closeGroup();
    if (this.#pack !== undefined) await this.#close();
    const packs = await Promise.all(this.#commits);
    this.#commits.length = 0;
    const index = this.#index.take();
    this.#index.clear();
    return { packs, index };
  }

  /** Takes lines for the index of packs that others have made. No pack may be open. */
  async addIndexLines(lines: Uint8Array): Promise<void> {
    this.#index.addBytes(lines);
    await this.#writeIndex([]);
  }

  /** Gives up; packs that are not yet durable disappear. */
  async abort(): Promise<void> {
    await this.#pack?.writer.abort();
    this.#pack = undefined;
    this.#packIndex.clear();
    await Promise.allSettled(this.#commits);
  }

  /** Finds out what a chunk is. @returns its g */
  #identify(source: number, length: number): Buffer {
    const { memory, keyring } = this.#o;
    const { kernel } = memory.codec;
    const at = kernel.hashAt(source, length);
    for (let i = 0; i < 8; i += 1) this.hash[i] = kernel.bytes[at + i]!;
    const g = gmac(keyring.dedupKeys.dedup, kernel.bytes.subarray(source, source + length));
    setIdentityBytes(this.#identity, length, this.hash, g);
    return g;
  }

  /** Writes down the chunk of {@link #identify}, which goes to {@link #place}. */
  #describe(
    lines: RecordLines,
    pack: OpenPack,
    length: number,
    g: Buffer,
    file: HintFile,
    fileOffset: number,
  ): void {
    const { table, index, tokens } = lines;
    tokens.push(this.#o.catalog.add(this.#identity, this.#place));
    const start = index.length;
    index.add('["C",');
    index.addNumber(this.#place.offset);
    index.add(',');
    index.addNumber(length);
    index.add(',"');
    index.addHex(this.hash);
    index.add('","');
    index.addHex(g);
    index.add('"');
    if (pack.hint !== file) this.#hint(pack, file, table);
    table.addAll(index, start);
    table.add(',');
    table.addNumber(pack.files - 1);
    table.add(',');
    table.addNumber(fileOffset);
    table.add(']\n');
    index.add(']\n');
  }

  async #record(source: number, length: number, lines: RecordLines): Promise<void> {
    const pack = this.#pack!;
    const before = pack.writer.sizeBytes;
    this.#packIndex.add(await pack.writer.addRecord(source, length));
    this.#packIndex.addAll(lines.index);
    pack.writer.addLines(lines.table.view);
    for (const token of lines.tokens) this.#o.catalog.publish(token);
    lines.table.clear();
    lines.index.clear();
    lines.tokens.length = 0;
    this.#o.stored(pack.writer.sizeBytes - before, length);
    if (pack.writer.sizeBytes >= this.#o.packSize || pack.writer.tableText >= tableTextMax) {
      await this.#close();
    }
  }

  async #open(): Promise<OpenPack> {
    const { memory, keyring, storage, repo, app, packs } = this.#o;
    const id = makeId(systemClock, systemRandom);
    const out = await storage.create(packName(id));
    const writer = new ContainerWriter(memory, keyring, { kind: 'data', repo, id, app }, out);
    this.#pack = { writer, number: packs.add(id), files: 0, hint: undefined };
    return this.#pack;
  }

  async #close(): Promise<void> {
    const { writer } = this.#pack!;
    this.#pack = undefined;
    // At most one pack at a time is on its way to the disk, so that a slow disk holds the worker back.
    await Promise.allSettled(this.#commits.slice(-1));
    const size = await writer.finish();
    const commit = writer.commit().then(({ sizeBytes }) => ({ id: writer.id, sizeBytes }));
    commit.catch(() => {});
    const before = [...this.#commits];
    this.#commits.push(commit);
    // The memory is free until the next pack is opened, and the lines that wait are of the packs before this one.
    await this.#writeIndex(before);
    const head = `["P","${writer.id}",${size},"${this.#o.keyring.dedupKeys.dd}"]\n`;
    this.#index.add(head);
    this.#index.addAll(this.#packIndex);
    this.#packIndex.clear();
  }

  /**
   * Writes the lines that wait, if they are many. The index is a cache: when that fails, they are forgotten.
   * @param packs the packs that they are of
   */
  async #writeIndex(packs: readonly Promise<PackResult>[]): Promise<void> {
    if (this.#index.length < (this.#o.indexPartBytes ?? indexPartBytes)) return;
    await Promise.all(packs);
    await writeIndex(this.#o, makeId(systemClock, systemRandom), [this.#index.view]).catch(() => {});
    this.#index.clear();
  }

  /** The line that hints at a file, before the first of its chunks in this pack. */
  #hint(pack: OpenPack, file: HintFile, table: TextBuffer): void {
    pack.hint = file;
    pack.files += 1;
    const { stored, stamp } = file;
    table.add('["F",');
    table.addNumber(pack.files - 1);
    table.add(',');
    table.addUtf8(nameToJson(stored));
    table.add(',');
    table.addNumber(stamp.size);
    table.add(`,"${formatTime(stamp.mtimeNs)}"]\n`);
  }
}
