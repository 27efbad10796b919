/**
 * The index: which chunks are in which pack (SPEC, "Index"). A cache, never needed to restore: what it does not
 * cover is read from the tables of the packs.
 */
import { BackpackError } from '../base/errors.ts';
import { ContainerReader } from '../container/container-reader.ts';
import { rootWriter } from '../format/header.ts';
import { decodeText, linesOf } from '../format/json-lines.ts';
import { packName } from '../format/names.ts';
import { type Catalog, type ChunkPlace, setIdentity } from '../pipeline/catalog.ts';
import { type IndexTarget, writeIndex } from '../pipeline/index-writer.ts';
import type { PackList } from '../pipeline/pack-list.ts';
import { isCLine, isPLine } from '../schema/index.ts';
import { listAll, type ObjectInfo } from '../storage/storage.ts';
import type { Presence } from './presence.ts';
import type { Repository } from './repository.ts';
import { damagedOrThrow } from './snapshots.ts';

/** More index objects than this are merged. */
const objectsMax = 64;

/** What is loaded, and where to. */
export interface Known {
  readonly presence: Presence;
  readonly catalog: Catalog;
  readonly packs: PackList;
  /** Packs that hold no chunks: meta packs known from snapshots. */
  readonly exclude: ReadonlySet<string>;
}

/** Takes the lines of one pack for the index; not called again before it is done. */
export type LinesSink = (lines: Uint8Array) => Promise<void>;

/**
 * Fills the catalog with the chunks of all packs that are there and not marked.
 * @param onMissing gets the lines of each pack that no index object covers: from its table
 * @returns the index objects
 */
export async function loadIndex(
  repository: Repository,
  { presence, catalog, packs, exclude }: Known,
  onMissing: LinesSink,
): Promise<readonly ObjectInfo[]> {
  const loader = new Loader(repository, presence, catalog, packs);
  const objects = await listAll(repository.storage, 'index/');
  for (const object of objects) {
    try {
      await loader.object(object);
    } catch (error) {
      // A damaged index object is worth nothing and costs nothing: the tables say the same.
      damagedOrThrow(error);
    }
  }
  for (const [pack, sizeBytes] of presence.sizes) {
    if (loader.covered.has(pack) || exclude.has(pack)) continue;
    let lines: string | undefined;
    try {
      lines = await loader.pack(pack, sizeBytes);
    } catch (error) {
      damagedOrThrow(error);
    }
    if (lines !== undefined && presence.has(pack)) await onMissing(Buffer.from(lines, 'latin1'));
  }
  return objects;
}

class Loader {
  readonly covered = new Set<string>();
  readonly #repository: Repository;
  readonly #presence: Presence;
  readonly #catalog: Catalog;
  readonly #packs: PackList;
  readonly #identity = new Int32Array(7);
  readonly #place: ChunkPlace = { pack: 0, record: 0, offset: 0, whole: false };

  constructor(repository: Repository, presence: Presence, catalog: Catalog, packs: PackList) {
    this.#repository = repository;
    this.#presence = presence;
    this.#catalog = catalog;
    this.#packs = packs;
  }

  async object({ name, sizeBytes }: ObjectInfo): Promise<void> {
    const reader = await ContainerReader.open(this.#repository.read, name, { sizeBytes });
    // Another writer's index could poison this one's dedup.
    if (reader.header.writer !== rootWriter) return;
    const { dd } = this.#repository.keyring.dedupKeys;
    let number = -1;
    let record = -1;
    let length = 0;
    // A pack is covered when all its lines were read: damage in the midst of them must not hide the rest.
    let current: string | undefined;
    for (let i = 0; i < reader.records; i += 1) {
      for (const line of linesOf(decodeText(await reader.read(i)))) {
        if (line.startsWith('["C",')) {
          if (number >= 0) this.#chunk(JSON.parse(line), number, record, length);
        } else if (line.startsWith('["R",')) {
          record += 1;
          length = (JSON.parse(line) as number[])[3]!;
        } else if (line.startsWith('["P",')) {
          const value: unknown = JSON.parse(line);
          if (!isPLine(value)) throw new BackpackError('E_JSON', 'a wrong P line', { kind: 'damaged' });
          const [, pack, size, packDd] = value;
          record = -1;
          const usable = this.#presence.has(pack, size) && packDd === dd && !this.covered.has(pack);
          number = usable ? this.#packs.add(pack) : -1;
          if (current !== undefined) this.covered.add(current);
          current = pack;
        }
      }
    }
    if (current !== undefined) this.covered.add(current);
  }

  /** Reads a pack's table. @returns its lines for the index */
  async pack(pack: string, sizeBytes: number): Promise<string> {
    const reader = await ContainerReader.open(this.#repository.read, packName(pack), {
      sizeBytes,
      want: 'all',
    });
    const { table } = reader;
    const usable =
      this.#presence.has(pack) &&
      table.dd === this.#repository.keyring.dedupKeys.dd &&
      reader.header.kind === 'data' &&
      reader.header.writer === rootWriter;
    const number = usable ? this.#packs.add(pack) : -1;
    const lines = [`["P","${pack}",${sizeBytes},"${table.dd}"]\n`];
    let next = 0;
    table.lengths.forEach((length, record) => {
      const offset = table.offsets[record]!;
      lines.push(`["R",${offset},${table.offsets[record + 1]! - offset - 16},${length}]\n`);
      for (; next < table.chunks.length && table.chunks[next]!.record === record; next += 1) {
        const chunk = table.chunks[next]!;
        const line = ['C', chunk.offset, chunk.length, chunk.xxh64, chunk.g];
        lines.push(`${JSON.stringify(line)}\n`);
        if (usable) this.#chunk(line, number, record, length);
      }
    });
    return lines.join('');
  }

  #chunk(line: unknown, number: number, record: number, recordLength: number): void {
    if (!isCLine(line)) throw new BackpackError('E_JSON', 'a wrong C line', { kind: 'damaged' });
    const [, offset, length, xxh64, g] = line;
    setIdentity(this.#identity, length, xxh64, Buffer.from(g, 'hex'));
    const place = this.#place;
    if (this.#catalog.find(this.#identity, place)) return;
    place.pack = number;
    place.record = record;
    place.offset = offset;
    place.whole = offset === 0 && length === recordLength;
    this.#catalog.publish(this.#catalog.add(this.#identity, place));
  }
}

/**
 * Writes an index object with these lines; when there are many objects already, one that holds theirs, too, instead of
 * them.
 */
export async function addToIndex(
  repository: Repository,
  { id, ...made }: Pick<IndexTarget, 'memory' | 'app'> & { readonly id: string },
  objects: readonly ObjectInfo[],
  lines: readonly Uint8Array[],
  presence: Presence,
): Promise<void> {
  const { storage, repo, keyring } = repository;
  const merged = objects.length > objectsMax ? objects : [];
  async function* all(): AsyncGenerator<Uint8Array> {
    yield* mergedLines(repository, merged, presence);
    yield* lines;
  }
  await writeIndex({ storage, repo, keyring, ...made }, id, all());
  for (const { name } of merged) await storage.delete(name);
}

/**
 * All lines of index objects for packs that are there, one block per pack: what a merged object holds. In pieces of
 * one record, so that an index of any size can be merged.
 */
async function* mergedLines(
  repository: Repository,
  objects: readonly ObjectInfo[],
  presence: Presence,
): AsyncGenerator<Uint8Array> {
  const covered = new Set<string>();
  for (const { name, sizeBytes } of objects) {
    const reader = await ContainerReader.open(repository.read, name, { sizeBytes });
    let keep = false;
    for (let i = 0; i < reader.records; i += 1) {
      const lines: string[] = [];
      for (const line of linesOf(decodeText(await reader.read(i)))) {
        if (line.startsWith('["P",')) {
          const [, pack, size] = JSON.parse(line) as [string, string, number];
          keep = presence.has(pack, size) && !covered.has(pack);
          covered.add(pack);
        }
        if (keep) lines.push(`${line}\n`);
      }
      yield Buffer.from(lines.join(''), 'latin1');
    }
  }
}
