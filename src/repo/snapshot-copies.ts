/**
 * Copies of snapshots at the end of meta packs (SPEC, "Copy"), for snapshots whose own object is damaged or cannot be
 * read. A copy is
 * as authentic as the object. It proves nothing about whether its snapshot was committed: the object that is still
 * there under its name says that, so a copy is never looked for without one.
 */
import { type BackpackError, isBackpackError } from '../base/errors.ts';
import { blockBytes } from '../base/limits.ts';
import { ContainerReader } from '../container/container-reader.ts';
import { headerCandidates } from '../container/mend.ts';
import { type Header, parseHeader } from '../format/header.ts';
import { decodeText } from '../format/json-lines.ts';
import { parseContainerName, timeOfId } from '../format/names.ts';
import { parseRoot, parseSnapshot, type Snapshot } from '../format/snapshot.ts';
import type { SnapshotRoot } from '../schema/index.ts';
import { listAll, type ObjectInfo } from '../storage/storage.ts';
import type { Repository } from './repository.ts';

/** Where the copy of a snapshot begins. */
export interface SnapshotCopy {
  /** The meta pack, and the first record of the copy in it; the copy goes on to the last one. */
  readonly pack: ObjectInfo;
  readonly record: number;
  readonly root: SnapshotRoot;
  /** Of the pack, 16 hex; zeros for a holder of the root. */
  readonly writer: string;
}

/** Looks for copies; remembers what it saw, so that several damaged snapshots cost one look at each pack. */
export class CopyFinder {
  readonly #repository: Repository;
  readonly #seen = new Map<string, Promise<SnapshotCopy | undefined>>();
  #packs: Promise<ObjectInfo[]> | undefined;

  constructor(repository: Repository) {
    this.#repository = repository;
  }

  /**
   * The copy of the snapshot whose object is damaged.
   * @param error what is wrong with the object: what looks like another key or a newer format may be damage, too
   */
  async find(object: ObjectInfo, error: BackpackError): Promise<SnapshotCopy | undefined> {
    const id = parseContainerName(object.name)?.id;
    const unread = error.kind === 'storage' || /^E_(?!MISSING|NEED)/.test(error.code);
    if (id === undefined || !unread) return undefined;
    const writer = await this.#writerOf(object, id);
    this.#packs ??= listAll(this.#repository.storage, 'packs/');
    // The pack was begun when the snapshot was made, or not long before.
    const away = ({ name }: ObjectInfo): number =>
      Math.abs(timeOfId(parseContainerName(name)?.id ?? '0'.repeat(40)) - timeOfId(id));
    let found: SnapshotCopy | undefined;
    for (const pack of [...(await this.#packs)].sort((a, b) => away(a) - away(b))) {
      const copy = await this.#copyIn(pack);
      if (copy?.root.id !== id) continue;
      if (copy.writer === writer) return copy;
      if (writer !== undefined) continue;
      // Whoever stole a writer's file can write the id of a snapshot that is not his: then nobody is believed.
      if (found !== undefined && found.writer !== copy.writer) return undefined;
      found ??= copy;
    }
    return found;
  }

  /** The writer of a damaged object, when header or trailer still prove it. */
  async #writerOf({ name, sizeBytes }: ObjectInfo, id: string): Promise<string | undefined> {
    if (sizeBytes < 2 * blockBytes) return undefined;
    const { storage, keyring } = this.#repository;
    const at = (offset: number): Promise<Uint8Array> =>
      storage.get(name, { range: { offset, length: blockBytes } });
    const proven = (header: Header): boolean => {
      try {
        keyring.open(header);
        return header.id === id;
      } catch {
        return false;
      }
    };
    const ends: Uint8Array[] = [];
    for (const offset of [0, sizeBytes - blockBytes]) {
      // What the storage does not give proves as little as what is damaged.
      const end = await at(offset).catch((error: unknown) => {
        if (isBackpackError(error) && error.kind === 'storage') return Buffer.alloc(blockBytes);
        throw error;
      });
      ends.push(end);
    }
    return headerCandidates(ends[0]!, ends[1]!).find(proven)?.writer;
  }

  #copyIn(pack: ObjectInfo): Promise<SnapshotCopy | undefined> {
    let copy = this.#seen.get(pack.name);
    if (copy === undefined) {
      copy = this.#look(pack).catch((error: unknown) => {
        // A pack that cannot be read holds no copy that could be used.
        if (isBackpackError(error) && error.kind !== 'canceled') return undefined;
        throw error;
      });
      this.#seen.set(pack.name, copy);
    }
    return copy;
  }

  async #look(pack: ObjectInfo): Promise<SnapshotCopy | undefined> {
    const { storage, read } = this.#repository;
    const start = await storage.get(pack.name, { range: { offset: 0, length: blockBytes } });
    if (kindOf(start) === 'data') return undefined;
    const reader = await ContainerReader.open(read, pack.name, { sizeBytes: pack.sizeBytes });
    if (reader.header.kind !== 'meta') return undefined;
    for (let record = reader.records - 1; record >= 0; record -= 1) {
      const plain = await reader.read(record);
      if (plain.subarray(0, pageStart.length).equals(pageStart)) return undefined;
      if (!plain.subarray(0, rootStart.length).equals(rootStart)) continue;
      const line = decodeText(plain);
      const id = /"id":"([0-9a-f]{40})"/.exec(line)?.[1] ?? '';
      return { pack, record, root: parseRoot(line, id), writer: reader.header.writer };
    }
    return undefined;
  }
}

const pageStart: Buffer = Buffer.from('{"backpack":"page"');
const rootStart: Buffer = Buffer.from('{"backpack":"snapshot"');

/** A header that is damaged says nothing; opening the pack may mend it. */
function kindOf(start: Uint8Array): string | undefined {
  try {
    return parseHeader(start).kind;
  } catch {
    return undefined;
  }
}

/** Reads the snapshot of a copy. @throws BackpackError with a reason code */
export async function readCopy({ read }: Repository, copy: SnapshotCopy): Promise<Snapshot> {
  const { pack, record, root } = copy;
  const reader = await ContainerReader.open(read, pack.name, { sizeBytes: pack.sizeBytes });
  const records: Buffer[] = [];
  for (let i = record; i < reader.records; i += 1) records.push(await reader.read(i));
  const snapshot = parseSnapshot(decodeText(Buffer.concat(records)), root.id);
  // The size of the pack that holds it was not known when the copy was written.
  const packs = snapshot.packs.map((one) =>
    one.id === reader.header.id && one.sizeBytes === 0 ? { ...one, sizeBytes: pack.sizeBytes } : one,
  );
  return { ...snapshot, packs };
}
