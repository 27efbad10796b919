/** The parents of a backup (SPEC, "Snapshots"): which snapshots it is compared with, and cursors over their pages. */
import { isBackpackError } from '../base/errors.ts';
import { rootWriter } from '../format/header.ts';
import { type NameJson, nameFromJson } from '../format/name-json.ts';
import { timeOfId } from '../format/names.ts';
import type { Snapshot } from '../format/snapshot.ts';
import { parseTime } from '../format/time.ts';
import { ParentCursor } from '../pipeline/parent-cursor.ts';
import type { Presence } from '../repo/presence.ts';
import type { Repository } from '../repo/repository.ts';
import { loadSnapshot, PageReader, type SnapshotInfo, type SnapshotList } from '../repo/snapshots.ts';
import type { BackupEvent } from './backup-options.ts';

/** What snapshots of one series have in common. */
export interface Series {
  readonly host: string;
  readonly set?: string | undefined;
  /** Recorded roots; they count when there is no set. */
  readonly roots: readonly NameJson[];
}

const raceNs = 2_000_000_000n;

/** The last complete snapshot of this host and set (or roots), and a later partial one. */
export function parentsOf(list: SnapshotList, { host, set, roots }: Series): SnapshotInfo[] {
  const own = placesOf(roots);
  const same = list.snapshots.filter(
    ({ root, writer }) =>
      writer === rootWriter &&
      root.host === host &&
      root.set === set &&
      (set !== undefined || placesOf(root.roots as readonly NameJson[]) === own),
  );
  const complete = same.findLastIndex(({ root }) => !root.partial);
  const later = same.slice(complete + 1).at(-1);
  return [...(complete < 0 ? [] : [same[complete]!]), ...(later === undefined ? [] : [later])];
}

/** Where roots are stored, which says whether they are the same; earlier versions left the slash away. */
function placesOf(roots: readonly NameJson[]): string {
  return JSON.stringify(roots.map((name) => nameFromJson(name).replace(/^\/+/, '')));
}

/** Says once which snapshots cannot be read: they are no parents, and somebody has to look at them. */
export function tellUnreadable({ unreadable }: SnapshotList, emit: (event: BackupEvent) => void): void {
  const [first, ...others] = unreadable;
  if (first === undefined) return;
  emit({ type: 'unreadable', object: first.name, error: first.error, others: others.length });
}

/** A parent that was read. */
export interface Parent {
  readonly info: SnapshotInfo;
  readonly snapshot: Snapshot;
  /** Undefined when one of its pages is gone: then everything is read again, and stored only where it is missing. */
  readonly cursor: ParentCursor | undefined;
}

/** A parent that cannot be read and has no copy is none: what it would have said is read again. */
function unread(error: unknown): undefined {
  if (isBackpackError(error) && (error.kind === 'damaged' || error.kind === 'storage')) return undefined;
  throw error;
}

/** Reads the parents. @param metadata keys of entries beyond lstat that this run can fill @throws BackpackError */
export async function openParents(
  repository: Repository,
  parents: readonly SnapshotInfo[],
  presence: Presence,
  metadata: readonly string[],
): Promise<Parent[]> {
  const reader = new PageReader(repository, rootWriter);
  const opened: Parent[] = [];
  for (const info of parents) {
    const snapshot = await loadSnapshot(repository, info).catch(unread);
    if (snapshot === undefined) continue;
    const start = parseTime(info.root.time);
    const made = BigInt(timeOfId(info.id)) * 1_000_000n;
    const trust = (start < made ? start : made) - raceNs;
    const usable = snapshot.pages.every(({ pack }) => presence.has(pack));
    const cursor = usable
      ? new ParentCursor(
          snapshot.pages,
          (ref) => reader.read(ref),
          (pack) => presence.has(pack),
          trust,
          // Whether the parent's writer could fill all that this run can.
          metadata.every((key) => info.root.params.metadata?.includes(key) === true),
        )
      : undefined;
    opened.push({ info, snapshot, cursor });
  }
  return opened;
}
