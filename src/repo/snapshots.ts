/** Snapshots of a repository: listing, finding and loading them, and their pages. */
import { BackpackError, isBackpackError, toBackpackError } from '../base/errors.ts';
import { inParallel } from '../base/in-parallel.ts';
import { blockBytes, pagePlainMax } from '../base/limits.ts';
import { ContainerReader, withObject } from '../container/container-reader.ts';
import { PackFinder, readText } from '../container/pack-finder.ts';
import { type Header, parseHeader, rootWriter } from '../format/header.ts';
import { decodeText } from '../format/json-lines.ts';
import { packName, parseContainerName, shortId, timeOfId } from '../format/names.ts';
import { reject } from '../format/reject.ts';
import { type PageRef, parseRoot, parseSnapshot, type Snapshot } from '../format/snapshot.ts';
import { parseDrop } from '../format/streams.ts';
import { parseTime } from '../format/time.ts';
import type { SnapshotRoot } from '../schema/index.ts';
import { listAll, type ObjectInfo } from '../storage/storage.ts';
import type { Repository } from './repository.ts';
import { CopyFinder, readCopy, type SnapshotCopy } from './snapshot-copies.ts';
import { endOfTime } from './snapshot-time.ts';

/** A snapshot as the listing shows it. */
export interface SnapshotInfo {
  readonly id: string;
  readonly root: SnapshotRoot;
  /** Of the container, 16 hex; zeros for a holder of the root. */
  readonly writer: string;
  readonly object: ObjectInfo;
  /** The object is damaged, and this is its copy in a meta pack; the root was read from there. */
  readonly copy?: SnapshotCopy;
  /** What is wrong with the object. */
  readonly damage?: BackpackError;
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
  readonly unreadable: readonly Unreadable[];
}

/** An object that could not be read. */
export interface Unreadable {
  readonly name: string;
  readonly error: BackpackError;
  /** Of a snapshot: the copy that stands for it. */
  readonly copy?: SnapshotCopy;
}

/** Objects that are read at a time: an answer over a network takes long, and there may be thousands. */
const readsMax = 16;

/** Lists the snapshots; one that cannot be read does not hide the others. */
export async function listSnapshots(repository: Repository): Promise<SnapshotList> {
  const unreadable: Unreadable[] = [];
  const found: SnapshotInfo[] = [];
  const copies = new CopyFinder(repository);
  const [objects, { dropped, problems }] = await Promise.all([
    listAll(repository.storage, 'snapshots/'),
    readDrops(repository),
  ]);
  const read = await inParallel(objects, readsMax, async (object) => {
    try {
      return await readInfo(repository, object);
    } catch (thrown) {
      return unreadOrThrow(withObject(thrown, object.name));
    }
  });
  for (const [i, one] of read.entries()) {
    if (!(one instanceof BackpackError)) {
      found.push(one);
      continue;
    }
    const object = objects[i]!;
    const copy = await copies.find(object, one);
    unreadable.push({ name: object.name, error: one, ...(copy === undefined ? {} : { copy }) });
    if (copy !== undefined)
      found.push({ id: copy.root.id, root: copy.root, writer: copy.writer, object, copy, damage: one });
  }
  const hidden = new Set([...dropped, ...replacedBy(found)]);
  const snapshots = found.filter(({ id }) => !hidden.has(id)).sort(byOrder);
  const ids = new Set(objects.map(({ name }) => parseContainerName(name)?.id ?? ''));
  return { snapshots, ids, dropped, unreadable: [...unreadable, ...problems] };
}

async function readInfo(repository: Repository, object: ObjectInfo): Promise<SnapshotInfo> {
  const { sizeBytes } = object;
  const reader = await ContainerReader.open(repository.read, object.name, { sizeBytes });
  const root = parseRoot(decodeText(await reader.read(0)), reader.header.id);
  return { id: root.id, root, writer: reader.header.writer, object };
}

/** Order within a repository: (seq, id), whatever the clocks say. */
function byOrder(a: SnapshotInfo, b: SnapshotInfo): number {
  return a.root.seq - b.root.seq || (a.id < b.id ? -1 : 1);
}

/** Snapshots that a later one of the same writer, host and set replaces. */
function replacedBy(found: readonly SnapshotInfo[]): string[] {
  const byId = new Map(found.map((info) => [info.id, info]));
  return found.flatMap(({ root, writer }) =>
    (root.replaces ?? []).filter((id) => {
      const old = byId.get(id);
      return old?.writer === writer && old.root.host === root.host && old.root.set === root.set;
    }),
  );
}

async function readDrops(repository: Repository): Promise<{ dropped: Set<string>; problems: Unreadable[] }> {
  const dropped = new Set<string>();
  const problems: Unreadable[] = [];
  await inParallel(await listAll(repository.storage, 'drop/'), readsMax, async ({ name, sizeBytes }) => {
    try {
      for (const id of parseDrop(await readText(repository.read, name, sizeBytes))) dropped.add(id);
    } catch (error) {
      problems.push({ name, error: damagedOrThrow(withObject(error, name)) });
    }
  });
  problems.sort((a, b) => (a.name < b.name ? -1 : 1));
  return { dropped, problems };
}

/** An error about the repository's content; anything else (storage unreachable, a bug) is thrown. */
export function damagedOrThrow(error: unknown): BackpackError {
  const found = toBackpackError(error);
  if (found.kind === 'damaged' || found.kind === 'unsupported' || found.code.startsWith('E_')) return found;
  throw error;
}

/** The same, or that a storage did not give the bytes of one object: a copy may be elsewhere on the same disk. */
function unreadOrThrow(error: unknown): BackpackError {
  const found = toBackpackError(error);
  return found.kind === 'storage' ? found : damagedOrThrow(error);
}

/** A snapshot that was read from its container, or from its copy. */
export interface LoadedSnapshot extends Snapshot, Pick<SnapshotInfo, 'writer' | 'copy' | 'damage'> {}

/** Loads a snapshot, or the copy of one that is damaged. @throws BackpackError with a reason code */
export async function loadSnapshot(repository: Repository, info: SnapshotInfo): Promise<LoadedSnapshot> {
  const { copy, damage } = info;
  if (copy !== undefined && damage !== undefined) return loadCopy(repository, copy, damage);
  try {
    return await loadObject(repository, info.object);
  } catch (error) {
    if (!isBackpackError(error)) throw error;
    const found = await new CopyFinder(repository).find(info.object, error);
    if (found === undefined) throw withoutCopy(error, info);
    return loadCopy(repository, found, error);
  }
}

function withoutCopy(error: BackpackError, { id, object }: SnapshotInfo): BackpackError {
  const { code, kind, message, context } = error;
  if (kind !== 'damaged') return error;
  const text = `snapshot ${shortId(id)} cannot be read, and no copy of it was found: ${message}`;
  return new BackpackError(code, text, {
    kind,
    context: { ...context, object: object.name },
    hint: 'backpack list shows the others; name one by its id',
  });
}

async function loadCopy(
  repository: Repository,
  copy: SnapshotCopy,
  damage: BackpackError,
): Promise<LoadedSnapshot> {
  return { ...(await readCopy(repository, copy)), writer: copy.writer, copy, damage };
}

async function loadObject(repository: Repository, { name, sizeBytes }: ObjectInfo): Promise<LoadedSnapshot> {
  try {
    const reader = await ContainerReader.open(repository.read, name, { sizeBytes });
    const records: Buffer[] = [];
    for (let i = 0; i < reader.records; i += 1) records.push(await reader.read(i));
    const snapshot = parseSnapshot(decodeText(Buffer.concat(records)), reader.header.id);
    return { ...snapshot, writer: reader.header.writer };
  } catch (error) {
    throw withObject(error, name);
  }
}

/**
 * Checks that all packs of a write-only writer's snapshot are its own: whoever stole a writer file could otherwise
 * have files of another host restored as files of this one (SPEC, "Write-only writers"). A pack that is gone is not
 * looked at; what needs it finds its moved object or fails.
 * @throws BackpackError E_WRITER
 */
export async function checkWriter(repository: Repository, snapshot: LoadedSnapshot): Promise<void> {
  if (snapshot.writer === rootWriter) return;
  for (const { id } of snapshot.packs) {
    const name = packName(id);
    if ((await repository.storage.stat(name)) === undefined) continue;
    const bytes = await repository.storage.get(name, { range: { offset: 0, length: blockBytes } });
    let header: Header;
    try {
      header = parseHeader(bytes);
      repository.keyring.open(header);
    } catch {
      // Damage to a pack concerns the files in it only, and is reported for each of them.
      continue;
    }
    if (header.writer !== snapshot.writer)
      throw reject('E_WRITER', 'the snapshot names a pack of another writer', { object: name });
  }
}

/** Reads pages; keeps the readers of a few meta packs open. */
export class PageReader {
  readonly #packs: PackFinder;
  readonly #writer: string | undefined;

  /** @param writer the snapshot's: a page in a pack of another one is refused; undefined: whoever asks looks himself */
  constructor(repository: Repository, writer?: string) {
    this.#packs = new PackFinder(repository.read, 'meta', readersMax);
    this.#writer = writer;
  }

  /** The text of a page. @throws BackpackError with a reason code, object and record */
  async read(ref: PageRef): Promise<string> {
    try {
      const { reader, record } = await this.#packs.find(ref.pack, ref.record, this.#writer);
      const length = reader.table.lengths[record];
      if (length !== undefined && length > pagePlainMax)
        throw reject('E_LIMIT', 'a page is larger than 2 MiB');
      return decodeText(await reader.read(record));
    } catch (error) {
      throw withObject(error, packName(ref.pack), ref.record);
    }
  }
}

const readersMax = 16;

/**
 * Finds the snapshot a user means: `latest`, `latest~N`, `@TIME`, or a unique prefix of the id or of its short form.
 * `latest` is the last complete one, or the last partial one when none is complete; `@TIME` is what `latest` was then.
 * @throws BackpackError BP_NO_SNAPSHOT, BP_SNAPSHOT_AMBIGUOUS, BP_USAGE
 */
export function findSnapshot(list: SnapshotList, wanted: string): SnapshotInfo {
  if (wanted.startsWith('@')) return findAt(list, wanted);
  const latest = /^latest(?:~(\d+))?$/.exec(wanted);
  if (latest !== null) {
    const complete = list.snapshots.filter(({ root }) => !root.partial);
    const candidates = complete.length > 0 ? complete : list.snapshots;
    const found = latestFirst(candidates)[Number(latest[1] ?? 0)];
    if (found === undefined) throw noSnapshot(wanted, list);
    return nothingLater(list, wanted, found, Infinity);
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

/** The last complete snapshot that was begun at or before the end of a time. */
function findAt(list: SnapshotList, wanted: string): SnapshotInfo {
  const end = endOfTime(wanted.slice(1));
  if (end === undefined) {
    throw new BackpackError('BP_USAGE', `not a time: ${wanted}`, {
      kind: 'usage',
      hint: 'write @2026-11-01 or @2026-11-01T18:30, with a Z behind it for UTC',
    });
  }
  const then = list.snapshots.filter(
    ({ root }) => !root.partial && parseTime(root.time) < BigInt(end) * 1_000_000n,
  );
  const [found] = latestFirst(then);
  if (found === undefined) throw noSnapshot(wanted, list);
  return nothingLater(list, wanted, found, end);
}

/** An older snapshot never takes the place of one that cannot be read and has no copy. @param end in ms */
function nothingLater(list: SnapshotList, wanted: string, found: SnapshotInfo, end: number): SnapshotInfo {
  const later = list.unreadable.find(({ name, copy }) => {
    const id = name.startsWith('snapshots/') ? (parseContainerName(name)?.id ?? '') : '';
    return copy === undefined && id > found.id && timeOfId(id) < end && !list.dropped.has(id);
  });
  if (later === undefined) return found;
  const { code, message, kind, context } = later.error;
  throw new BackpackError(code, `${later.name}, which may be ${wanted}, cannot be read: ${message}`, {
    kind,
    context: { ...context, object: later.name },
    hint: `an older one can: name it by its id, ${shortId(found.id)}; if no backup made that object, delete it`,
  });
}

/** Within one writer (seq, id) decides, whatever the clocks say; between writers the time does. */
function latestFirst(snapshots: readonly SnapshotInfo[]): SnapshotInfo[] {
  const byWriter = new Map<string, SnapshotInfo[]>();
  for (const info of [...snapshots].sort(byOrder)) {
    byWriter.set(info.writer, [...(byWriter.get(info.writer) ?? []), info]);
  }
  const time = ({ root }: SnapshotInfo): bigint => parseTime(root.time);
  return snapshots.map(() => {
    let last: SnapshotInfo[] = [];
    for (const own of byWriter.values()) {
      if (own.length > 0 && (last.length === 0 || time(own.at(-1)!) > time(last.at(-1)!))) last = own;
    }
    return last.pop()!;
  });
}

function noSnapshot(wanted: string, list: SnapshotList): BackpackError {
  const none = list.snapshots.length === 0;
  // What cannot be read is not the same as what is not there.
  const unread = list.unreadable.find(({ name }) => none || name.includes(`-${wanted}`));
  if (unread !== undefined) return unread.error.with({ object: unread.name });
  return new BackpackError(
    'BP_NO_SNAPSHOT',
    none ? 'the repository has no snapshot' : `no snapshot ${wanted}`,
    {
      kind: 'not-found',
      hint: none ? 'backpack backup PATH makes one' : 'backpack list shows the snapshots',
    },
  );
}
