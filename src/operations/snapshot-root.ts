/** The first line of a snapshot (SPEC, "Snapshots"): what a run says of itself. */
import { formatMs } from '../format/time.ts';
import type { BackupCounts } from '../pipeline/backup-counts.ts';
import { libc } from '../platform/libc.ts';
import type { SnapshotInfo, SnapshotList } from '../repo/snapshots.ts';
import type { SnapshotRoot } from '../schema/index.ts';
import type { BackupOptions } from './backup-options.ts';

/** How many snapshots before it a snapshot names. */
const knownMax = 64;

/** What of a run goes into the line. */
export interface RootFacts {
  readonly id: string;
  readonly options: BackupOptions;
  readonly roots: SnapshotRoot['roots'];
  readonly packSize: number;
  /** When the run began, and now; milliseconds since 1970. */
  readonly started: number;
  readonly ended: number;
  /** The snapshots that were there when it began, and those of them that it is based on. */
  readonly list: SnapshotList;
  readonly parents: readonly SnapshotInfo[];
  /** Ids that this one replaces, its own checkpoints included, and the number of these. */
  readonly replaces: readonly string[];
  readonly checkpoints: number;
  /**
   * A run that did not come to its end. What could not be read is in the E lines and in the counts: one file that is
   * never readable must not make every snapshot second to an old complete one.
   */
  readonly partial: boolean;
  readonly counts: Pick<BackupCounts, 'files' | 'bytes'>;
  readonly stored: number;
  readonly errors: number;
}

/** The line as an object. */
export function snapshotRoot(facts: RootFacts): SnapshotRoot {
  const { id, roots, packSize, parents, replaces, partial, stored, errors } = facts;
  const { host, user, set, tags, app, timeMs } = facts.options;
  const { snapshots } = facts.list;
  const highest = snapshots.reduce((max, info) => Math.max(max, info.root.seq), 0);
  const { files, bytes } = facts.counts;
  return {
    backpack: 'snapshot',
    v: 1,
    id,
    seq: highest + 1 + facts.checkpoints,
    time: formatMs(timeMs ?? facts.started),
    end: formatMs(facts.ended),
    host,
    ...(user === undefined ? {} : { user }),
    ...(set === undefined ? {} : { set }),
    ...(tags === undefined || tags.length === 0 ? {} : { tags }),
    roots,
    parents: parents.map((info) => info.id),
    prev: snapshots.at(-1)?.id ?? null,
    known: snapshots.slice(-knownMax).map((info) => info.id),
    ...(replaces.length === 0 ? {} : { replaces: [...replaces] }),
    partial,
    app,
    features: { incompat: [], roCompat: [], compat: [] },
    params: { dedup: 'xxh64+gmac', chunker: 'fastcdc-1', packSize, metadata: metadataKeys() },
    stats: { files, bytes, stored, errors },
  };
}

/** Keys of entries that this program can fill beyond what lstat tells. */
export function metadataKeys(): string[] {
  return libc() === undefined ? [] : ['xa', 'fl'];
}
