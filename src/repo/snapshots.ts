/** Snapshots of a repository: listing, finding and loading them, and their pages. */
import { BackpackError, toBackpackError } from '../base/errors.ts';
import { ContainerReader, withObject } from '../container/container-reader.ts';
import { decodeText, linesOf, parseLine } from '../format/json-lines.ts';
import { packName, parseContainerName, shortId } from '../format/names.ts';
import { reject } from '../format/reject.ts';
import { type PageRef, parseRoot, parseSnapshot, type Snapshot } from '../format/snapshot.ts';
import { isDropHead, isSLine, type SnapshotRoot } from '../schema/index.ts';
import { listAll, type ObjectInfo } from '../storage/storage.ts';
import type { Repository } from './repository.ts';

/** A snapshot as the listing shows it. */
export interface SnapshotInfo {
  readonly id: string;
  readonly root: SnapshotRoot;
  readonly object: ObjectInfo;
}

/** Result of {@link listSnapshots}. */
export interface SnapshotList {
  /** In order of (seq, id); forgotten and replaced ones are left out. */
  readonly snapshots: readonly SnapshotInfo[];
  /** All ids that exist, forgotten ones too. */
  readonly ids: ReadonlySet<string>;
  /** Ids that a drop object names. */
  readonly dropped: ReadonlySet<string>;
  /** Objects that could not be read; the others are still usable. */
  readonly unreadable: readonly { readonly name: string; readonly error: BackpackError }[];
}

/** Lists the snapshots; one that cannot be read does not hide the others. */
export async function listSnapshots(repository: Repository): Promise<SnapshotList> {
  const unreadable: { name: string; error: BackpackError }[] = [];
  const found: SnapshotInfo[] = [];
  const objects = await listAll(repository.storage, 'snapshots/');
  for (const object of objects) {
    try {
      const reader = await ContainerReader.open(repository.read, object.name, {
        sizeBytes: object.sizeBytes,
      });
      const root = parseRoot(decodeText(await reader.read(0)));
      if (root.id !== reader.header.id)
        throw reject('E_JSON', 'the root line has another id than the container');
      found.push({ id: root.id, root, object });
    } catch (error) {
      unreadable.push({ name: object.name, error: damagedOrThrow(withObject(error, object.name)) });
    }
  }
  const { dropped, problems } = await readDrops(repository);
  const hidden = new Set([...dropped, ...replacedBy(found)]);
  const snapshots = found.filter(({ id }) => !hidden.has(id)).sort(byOrder);
  const ids = new Set(objects.map(({ name }) => parseContainerName(name)?.id ?? ''));
  return { snapshots, ids, dropped, unreadable: [...unreadable, ...problems] };
}

/** Order within a repository: (seq, id), whatever the clocks say. */
function byOrder(a: SnapshotInfo, b: SnapshotInfo): number {
  return a.root.seq - b.root.seq || (a.id < b.id ? -1 : 1);
}

/** Snapshots that a later one of the same host and set replaces. */
function replacedBy(found: readonly SnapshotInfo[]): string[] {
  const byId = new Map(found.map((info) => [info.id, info]));
  return found.flatMap(({ root }) =>
    (root.replaces ?? []).filter((id) => {
      const old = byId.get(id)?.root;
      return old !== undefined && old.host === root.host && old.set === root.set;
    }),
  );
}

async function readDrops(
  repository: Repository,
): Promise<{ dropped: Set<string>; problems: { name: string; error: BackpackError }[] }> {
  const dropped = new Set<string>();
  const problems: { name: string; error: BackpackError }[] = [];
  for (const { name, sizeBytes } of await listAll(repository.storage, 'drop/')) {
    try {
      const lines = await readStream(repository, name, sizeBytes);
      if (!isDropHead(lines.next().value)) throw reject('E_JSON', 'not a drop object');
      for (const line of lines) if (isSLine(line)) dropped.add(line[1]);
    } catch (error) {
      problems.push({ name, error: damagedOrThrow(withObject(error, name)) });
    }
  }
  return { dropped, problems };
}

/** The parsed lines of all records of a container, one after the other. */
export async function readStream(
  repository: Repository,
  name: string,
  sizeBytes: number,
): Promise<Generator<unknown>> {
  const reader = await ContainerReader.open(repository.read, name, { sizeBytes });
  const records: Buffer[] = [];
  for (let i = 0; i < reader.records; i += 1) records.push(await reader.read(i));
  const text = decodeText(Buffer.concat(records));
  return (function* () {
    for (const line of linesOf(text)) yield parseLine(line);
  })();
}

/** An error about the repository's content; anything else (storage unreachable, a bug) is thrown. */
export function damagedOrThrow(error: unknown): BackpackError {
  const found = toBackpackError(error);
  if (found.kind === 'damaged' || found.kind === 'unsupported' || found.code === 'E_KEY') return found;
  throw error;
}

/** Loads a snapshot. @throws BackpackError with a reason code */
export async function loadSnapshot(repository: Repository, info: SnapshotInfo): Promise<Snapshot> {
  const { name, sizeBytes } = info.object;
  try {
    const reader = await ContainerReader.open(repository.read, name, { sizeBytes });
    const records: Buffer[] = [];
    for (let i = 0; i < reader.records; i += 1) records.push(await reader.read(i));
    return parseSnapshot(decodeText(Buffer.concat(records)));
  } catch (error) {
    throw withObject(error, name);
  }
}

/** Reads pages; keeps the readers of a few meta packs open. */
export class PageReader {
  readonly #repository: Repository;
  readonly #readers = new Map<string, Promise<ContainerReader>>();

  constructor(repository: Repository) {
    this.#repository = repository;
  }

  /** The text of a page. @throws BackpackError with a reason code, object and record */
  async read(ref: PageRef): Promise<string> {
    const name = packName(ref.pack);
    let reader = this.#readers.get(ref.pack);
    if (reader === undefined) {
      reader = ContainerReader.open(this.#repository.read, name);
      this.#readers.set(ref.pack, reader);
      if (this.#readers.size > readersMax) this.#readers.delete(this.#readers.keys().next().value!);
    }
    try {
      return decodeText(await (await reader).read(ref.record));
    } catch (error) {
      throw withObject(error, name, ref.record);
    }
  }
}

const readersMax = 16;

/**
 * Finds the snapshot a user means: `latest`, `latest~N`, or a unique prefix of the id or of its short form.
 * `latest` is the last complete one, or the last partial one when none is complete.
 * @throws BackpackError BP_NO_SNAPSHOT, BP_SNAPSHOT_AMBIGUOUS
 */
export function findSnapshot(list: SnapshotList, wanted: string): SnapshotInfo {
  const latest = /^latest(?:~(\d+))?$/.exec(wanted);
  if (latest !== null) {
    const complete = list.snapshots.filter(({ root }) => !root.partial);
    const candidates = complete.length > 0 ? complete : list.snapshots;
    const found = [...candidates].sort(byTime).at(-1 - Number(latest[1] ?? 0));
    if (found !== undefined) return found;
    throw noSnapshot(wanted, list);
  }
  const prefix = wanted.toLowerCase();
  const found = /^[0-9a-f]+$/.test(prefix)
    ? list.snapshots.filter(({ id }) => id.startsWith(prefix) || shortId(id).startsWith(prefix))
    : [];
  if (found.length === 1) return found[0]!;
  if (found.length === 0) throw noSnapshot(wanted, list);
  throw new BackpackError('BP_SNAPSHOT_AMBIGUOUS', `${found.length} snapshots begin with ${wanted}`, {
    kind: 'usage',
    hint: `give more digits: ${found.map(({ id }) => shortId(id)).join(', ')}`,
  });
}

/** Across hosts the time counts, within one host the order. */
function byTime(a: SnapshotInfo, b: SnapshotInfo): number {
  if (a.root.host === b.root.host) return byOrder(a, b);
  return Number.parseFloat(a.root.time) - Number.parseFloat(b.root.time) || byOrder(a, b);
}

function noSnapshot(wanted: string, list: SnapshotList): BackpackError {
  const none = list.snapshots.length === 0;
  return new BackpackError(
    'BP_NO_SNAPSHOT',
    none ? 'the repository has no snapshot' : `no snapshot ${wanted}`,
    {
      kind: 'not-found',
      hint: none ? 'backpack backup PATH makes one' : 'backpack list shows the snapshots',
    },
  );
}
