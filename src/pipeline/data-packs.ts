/**
 * Data packs of one worker: one is open at a time; a full one is made durable while the next one is being filled.
 * Chunks of small files are gathered in a group record of up to 1 MiB; any other chunk is a record of its own, and
 * closes the group first, so that the ordinal of the group's record is known from its first chunk on.
 */
import type { ByteString } from '../base/bytes.ts';
import { MiB } from '../base/limits.ts';
import { systemClock, systemRandom } from '../base/ports.ts';
import { gmac } from '../codec/aead.ts';
import { slackBytes } from '../codec/record-codec.ts';
import { ContainerWriter, tableTextMax, type WriterMemory } from '../container/container-writer.ts';
import type { Keyring } from '../container/keyring.ts';
import { nameToJson } from '../format/name-json.ts';
import { makeId, packName } from '../format/names.ts';
import { formatTime } from '../format/time.ts';
import type { FileStamp } from '../source/read-file.ts';
import type { Storage } from '../storage/storage.ts';
import { type Catalog, type ChunkPlace, setIdentity } from './catalog.ts';
import type { PackResult, PacksResult } from './jobs.ts';
import type { PackList } from './pack-list.ts';
import { TextBuffer } from './text-buffer.ts';

/** Length of a full group record. */
export const groupBytes: number = MiB;

/** The file that chunks belong to, for the hints in tables. */
export interface HintFile {
  readonly stored: ByteString;
  readonly stamp: FileStamp;
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
  /** Bytes handed to the storage, for the progress line. */
  readonly stored: (bytes: number) => void;
}

/** What is written down about one record: lines of the table, lines of the index, tokens of the catalog. */
interface GroupLines {
  table: string;
  index: string;
  readonly tokens: number[];
}

interface OpenPack {
  readonly writer: ContainerWriter;
  readonly number: number;
  /** Files hinted at so far. */
  files: number;
  hint: HintFile | undefined;
  /** Its lines for the index: records and chunks, no file. */
  readonly index: TextBuffer;
}

/** Table text of one group: bounded, so that a million tiny files do not overfill a table. */
const groupTableMax = 256 * 1024;

/** Stores chunks, each once. */
export class DataPacks {
  /** Address of the open group; small files are read to `group + groupFill`. */
  readonly group: number;
  readonly #o: DataPackOptions;
  readonly #identity: Int32Array = new Int32Array(7);
  readonly #place: ChunkPlace = { pack: 0, record: 0, offset: 0, whole: false };
  readonly #commits: Promise<PackResult>[] = [];
  /** Index lines of the packs that are complete: bytes, because millions of small strings would take far more. */
  readonly #index: Uint8Array[] = [];
  #groupFill = 0;
  readonly #group: GroupLines = { table: '', index: '', tokens: [] };
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
   * @param xxh64 of these bytes, 16 hex
   * @param file what the table says about where they came from
   * @returns where they are; valid until the next call
   */
  async addToGroup(length: number, xxh64: string, file: HintFile): Promise<Readonly<ChunkPlace>> {
    const { catalog, memory, keyring } = this.#o;
    const at = this.group + this.#groupFill;
    const g = gmac(keyring.dedupKeys.dedup, memory.codec.kernel.bytes.subarray(at, at + length));
    setIdentity(this.#identity, length, xxh64, g);
    const place = this.#place;
    if (catalog.find(this.#identity, place)) return place;
    const pack = this.#pack ?? (await this.#open());
    place.pack = pack.number;
    place.record = pack.writer.records;
    place.offset = this.#groupFill;
    place.whole = false;
    const group = this.#group;
    group.tokens.push(catalog.add(this.#identity, place));
    const chunk = `["C",${place.offset},${length},"${xxh64}","${g.toString('hex')}"`;
    group.table += `${this.#hint(pack, file)}${chunk},${pack.files - 1},0]\n`;
    group.index += `${chunk}]\n`;
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
    const { catalog, memory, keyring } = this.#o;
    const { kernel } = memory.codec;
    const xxh64 = kernel.hashOf(source, length);
    const g = gmac(keyring.dedupKeys.dedup, kernel.bytes.subarray(source, source + length));
    setIdentity(this.#identity, length, xxh64, g);
    const place = this.#place;
    if (catalog.find(this.#identity, place)) return place;
    await this.closeGroup();
    const pack = this.#pack ?? (await this.#open());
    const found = { pack: pack.number, record: pack.writer.records, offset: 0, whole: true };
    const tokens = [catalog.add(this.#identity, found)];
    const chunk = `["C",0,${length},"${xxh64}","${g.toString('hex')}"`;
    const table = `${this.#hint(pack, file)}${chunk},${pack.files - 1},${fileOffset}]\n`;
    await this.#record(source, length, { table, index: `${chunk}]\n`, tokens });
    return found;
  }

  /** Seals the open group. */
  async closeGroup(): Promise<void> {
    if (this.#groupFill === 0) return;
    const length = this.#groupFill;
    const group = this.#group;
    this.#groupFill = 0;
    await this.#record(this.group, length, group);
    group.table = '';
    group.index = '';
    group.tokens.length = 0;
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
    return { packs, index: this.#index.splice(0) };
  }

  /** Gives up; packs that are not yet durable disappear. */
  async abort(): Promise<void> {
    await this.#pack?.writer.abort();
    this.#pack = undefined;
    await Promise.allSettled(this.#commits);
  }

  async #record(source: number, length: number, lines: GroupLines): Promise<void> {
    const pack = this.#pack!;
    const before = pack.writer.sizeBytes;
    pack.index.add((await pack.writer.addRecord(source, length)) + lines.index);
    pack.writer.addLines(lines.table);
    for (const token of lines.tokens) this.#o.catalog.publish(token);
    this.#o.stored(pack.writer.sizeBytes - before);
    if (pack.writer.sizeBytes >= this.#o.packSize || pack.writer.tableText >= tableTextMax) {
      await this.#close();
    }
  }

  async #open(): Promise<OpenPack> {
    const { memory, keyring, storage, repo, app, packs } = this.#o;
    const id = makeId(systemClock, systemRandom);
    const out = await storage.create(packName(id));
    const writer = new ContainerWriter(memory, keyring, { kind: 'data', repo, id, app }, out);
    this.#pack = { writer, number: packs.add(id), files: 0, hint: undefined, index: new TextBuffer() };
    return this.#pack;
  }

  async #close(): Promise<void> {
    const { writer, index } = this.#pack!;
    this.#pack = undefined;
    // At most one pack at a time is on its way to the disk, so that a slow disk holds the worker back.
    await Promise.allSettled(this.#commits.slice(-1));
    const size = await writer.finish();
    const head = `["P","${writer.id}",${size},"${this.#o.keyring.dedupKeys.dd}"]\n`;
    this.#index.push(Buffer.from(head, 'latin1'), index.take());
    const commit = writer.commit().then(({ sizeBytes }) => ({ id: writer.id, sizeBytes }));
    commit.catch(() => {});
    this.#commits.push(commit);
  }

  /** The line that hints at a file, the first time that one of its chunks comes into this pack; else nothing. */
  #hint(pack: OpenPack, file: HintFile): string {
    if (pack.hint === file) return '';
    pack.hint = file;
    pack.files += 1;
    const { stored, stamp } = file;
    return `["F",${pack.files - 1},${nameToJson(stored)},${stamp.size},"${formatTime(stamp.mtimeNs)}"]\n`;
  }
}
