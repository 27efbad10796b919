/** What a backup is asked for, what it tells while it runs, and what it ends with. */
import type { ByteString } from '../base/bytes.ts';
import type { BackpackError } from '../base/errors.ts';
import type { Clock, Random } from '../base/ports.ts';
import type { RateLimit } from '../base/rate-limiter.ts';
import type { Compression } from '../codec/compression.ts';
import type { Totals } from '../pipeline/estimate.ts';
import type { StreamFile } from '../pipeline/stream-run.ts';
import type { FilterOptions } from '../source/filter.ts';
import type { SourceStat } from '../source/source-stat.ts';
import type { SourceRoot } from '../source/walk.ts';

/** What to back up and how. */
export interface BackupOptions {
  readonly roots: readonly SourceRoot[];
  /** One file that is read from a stream, instead of the roots. */
  readonly stream?: StreamFile;
  /** What is left out. */
  readonly filter?: FilterOptions;
  /** Extensions decide what else is left out: a reason, or undefined. Without one, nothing is asked. */
  readonly decide?: (stored: ByteString, stat: SourceStat) => string | undefined;
  /** Whether to count the source beside the run, for a progress line that tells how much is left. */
  readonly estimate?: boolean;
  readonly host: string;
  readonly user?: string;
  readonly set?: string;
  readonly tags?: readonly string[];
  /** Time of the snapshot, in milliseconds since 1970; default: when the run began. */
  readonly timeMs?: number;
  /** Whether to make no snapshot when it would hold the same as the last one. */
  readonly skipIfUnchanged?: boolean;
  /** Name and version of the program. */
  readonly app: string;
  /** Worker threads; 0 runs inline. Default: one per core. */
  readonly threads?: number;
  /** Default 64 MiB. */
  readonly packSize?: number;
  /** Default `fast`. */
  readonly compression?: Compression;
  /** Bytes of memory for the whole process; fewer threads run where they do not fit. */
  readonly memoryMax?: number;
  /** Limits on reading the source and on writing to the storage. */
  readonly readLimit?: RateLimit;
  readonly writeLimit?: RateLimit;
  /** Size of the first level of the dedup catalog, bytes. */
  readonly catalogBytes?: number;
  /** Lines of the index, in bytes, that a worker lets wait; default 4 MiB. */
  readonly indexPartBytes?: number;
  /** Whether access times are stored; they change pages that would else stay the same. */
  readonly withAtime?: boolean;
  /** Whether files that look unchanged are read, too. */
  readonly readAll?: boolean;
  /** A run that takes longer makes a partial snapshot of what is done, each time; default 30 minutes. */
  readonly checkpointMs?: number;
  readonly signal?: AbortSignal;
  readonly clock?: Clock;
  readonly random?: Random;
}

/** What happens while a backup runs. */
export type BackupEvent =
  | {
      readonly type: 'progress';
      readonly bytesRead: number;
      readonly bytesStored: number;
      /** Files looked at, and bytes read or found unchanged, so far. */
      readonly files: number;
      readonly bytesDone: number;
      /** Files and bytes in all, as soon as they are known. */
      readonly totals: Totals | undefined;
    }
  | { readonly type: 'source-error'; readonly path: string; readonly code: string; readonly message: string }
  /** A partial snapshot exists, and would be used by the next run should this one be killed. */
  | { readonly type: 'checkpoint'; readonly snapshotId: string; readonly seq: number }
  /** A key file of a repository, of this one or another, is among the files; it is stored like any other. */
  | { readonly type: 'key-file'; readonly path: string }
  | { readonly type: 'skipped'; readonly path: string; readonly reason: string }
  | { readonly type: 'excluded'; readonly path: string; readonly reason: string }
  | { readonly type: 'rules-ignored'; readonly path: string; readonly message: string }
  /** Snapshots that cannot be read: the first one, and how many others. The backup does without them. */
  | {
      readonly type: 'unreadable';
      readonly object: string;
      readonly error: BackpackError;
      readonly others: number;
    }
  | { readonly type: 'warning'; readonly path: string; readonly warnings: readonly string[] }
  /** The program whose output is stored ended well and wrote nothing. */
  | { readonly type: 'empty-stream'; readonly path: string }
  /** A file whose content changed though nothing else of it did: only found by `readAll`. */
  | { readonly type: 'silent-change'; readonly path: string }
  /** Entries whose extended attributes and flags could not be looked at; once, at the end. */
  | { readonly type: 'without-extras'; readonly entries: number };

/** Result of a backup. */
export interface BackupSummary {
  /** The new snapshot; when the run was skipped, the one that holds the same. */
  readonly snapshotId: string;
  /** No snapshot was made, because nothing has changed. */
  readonly unchanged: boolean;
  readonly seq: number;
  readonly parents: readonly string[];
  readonly files: number;
  readonly bytes: number;
  readonly newFiles: number;
  readonly changedFiles: number;
  readonly unchangedFiles: number;
  /** Files that look unchanged and were read all the same, because they are so young; and are unchanged. */
  readonly rereadFiles: number;
  readonly otherEntries: number;
  /** Bytes of file content read. */
  readonly bytesRead: number;
  /** Bytes of them that the repository did not have, before compression; runs of zeros count as none. */
  readonly bytesAdded: number;
  /** Bytes written to the storage. */
  readonly bytesStored: number;
  readonly sourceErrors: number;
  readonly tornFiles: number;
  /** Files and folders that rules left out; what is below such a folder is not counted. */
  readonly excluded: number;
  /** Entries stored without some or all of their extended attributes, because those could not be read. */
  readonly incompleteEntries: number;
  readonly elapsedMs: number;
}
