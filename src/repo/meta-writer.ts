/** Pages into meta packs. A meta pack is published only after all data packs are durable. */
import type { Clock, Random } from '../base/ports.ts';
import { ContainerWriter, tableTextMax, type WriterMemory } from '../container/container-writer.ts';
import { makeId, packName } from '../format/names.ts';
import type { PageRef } from '../format/snapshot.ts';
import type { PackResult } from '../pipeline/jobs.ts';
import type { Repository } from './repository.ts';

/** What meta packs are made with. */
export interface MetaWriterOptions {
  readonly repository: Repository;
  readonly memory: WriterMemory;
  readonly clock: Clock;
  readonly random: Random;
  readonly app: string;
  readonly packSize: number;
}

/** Collects pages; {@link commit} publishes them. */
export class MetaWriter {
  readonly #o: MetaWriterOptions;
  readonly #full: { readonly writer: ContainerWriter; readonly sizeBytes: number }[] = [];
  #open: ContainerWriter | undefined;

  constructor(options: MetaWriterOptions) {
    this.#o = options;
  }

  /** Makes sure that a pack is open: the one in which the copy of the snapshot will lie. */
  async openPack(): Promise<void> {
    await this.#writer();
  }

  /** Ids of all meta packs so far. */
  get ids(): string[] {
    return [...this.sizes.keys(), ...(this.#open === undefined ? [] : [this.#open.id])];
  }

  /** Sizes of the packs that are complete. */
  get sizes(): Map<string, number> {
    return new Map(this.#full.map(({ writer, sizeBytes }) => [writer.id, sizeBytes]));
  }

  /** Stores a page. @returns where it is */
  async add(
    text: readonly (string | Uint8Array)[],
    page: Omit<PageRef, 'pack' | 'record'>,
  ): Promise<PageRef> {
    const { pack, record } = await this.#record(text);
    return { ...page, pack, record };
  }

  /** Stores a text as one record. */
  addText(text: string): Promise<{ pack: string; record: number }> {
    return this.#record([text]);
  }

  async #record(pieces: readonly (string | Uint8Array)[]): Promise<{ pack: string; record: number }> {
    const writer = await this.#writer();
    const { codec } = this.#o.memory;
    let length = 0;
    for (const piece of pieces) {
      const room = codec.plainMax - length;
      const at = codec.plain + length;
      // 3 bytes a character is the most that UTF-8 needs.
      if (piece.length * 3 > room && Buffer.byteLength(piece) > room)
        throw new RangeError('a page is larger than a record');
      if (typeof piece === 'string') {
        length += codec.kernel.bytes.write(piece, at, room, 'utf8');
      } else {
        codec.kernel.bytes.set(piece, at);
        length += piece.byteLength;
      }
    }
    const record = writer.records;
    await writer.addRecord(codec.plain, length);
    return { pack: writer.id, record };
  }

  /** Closes the open pack when it is full: not while the copy of the snapshot is written. */
  async roll(): Promise<void> {
    if (this.#open === undefined) return;
    if (this.#open.sizeBytes < this.#o.packSize && this.#open.tableText < tableTextMax) return;
    await this.#close();
  }

  /** Publishes all packs. */
  async commit(): Promise<PackResult[]> {
    if (this.#open !== undefined) await this.#close();
    const done: PackResult[] = [];
    for (const { writer } of this.#full)
      done.push({ id: writer.id, sizeBytes: (await writer.commit()).sizeBytes });
    return done;
  }

  /** Gives up; nothing remains. */
  async abort(): Promise<void> {
    for (const { writer } of this.#full) await writer.abort();
    await this.#open?.abort();
  }

  async #writer(): Promise<ContainerWriter> {
    if (this.#open !== undefined) return this.#open;
    const { repository, memory, clock, random, app } = this.#o;
    const { repo, keyring, storage } = repository;
    const id = makeId(clock, random);
    const out = await storage.create(packName(id));
    this.#open = new ContainerWriter(memory, keyring, { kind: 'meta', repo, id, app }, out);
    return this.#open;
  }

  async #close(): Promise<void> {
    const writer = this.#open!;
    this.#open = undefined;
    this.#full.push({ writer, sizeBytes: await writer.finish() });
  }
}
