/** What the main thread and the restore workers say to each other. */
import type { ByteString } from '../base/bytes.ts';
import type { ErrorJson } from '../base/errors.ts';
import type { Extent } from '../format/extents.ts';
import type { OverwritePolicy } from '../target/existing.ts';
import type { Metadata, MetadataPolicy } from '../target/metadata.ts';

/** A file to be restored. */
export interface RestoreFile {
  /** Path below the target. */
  readonly path: ByteString;
  readonly sizeBytes: number;
  /** XXH64, 16 hex; empty for a file without bytes. */
  readonly x: string;
  readonly extents: readonly Extent[];
  readonly metadata: Metadata;
  /** Whether the snapshot has other names of this file. */
  readonly linked?: true;
}

/** How files are written. */
export interface RestoreRules {
  readonly overwrite: OverwritePolicy;
  /** Whether long runs of zeros become holes. */
  readonly sparse: boolean;
  /** Whether the target takes some different names for the same one. */
  readonly foldsNames: boolean;
  /** What of the metadata is wanted. */
  readonly metadata: MetadataPolicy;
  /** Whether nothing is written: the target is compared only. */
  readonly dryRun: boolean;
}

/**
 * Some files, as the JSON text of a list of {@link RestoreFile}: posting objects costs three times as much as text, and
 * a tree of small files is a matter of microseconds for each.
 */
export interface RestoreBatch {
  readonly files: string;
  /** Writer of the snapshot: packs of another writer are refused (E_WRITER). */
  readonly writer: string;
}

/** What became of a file, beyond "it was made and verified". */
export interface RestoreOutcome {
  readonly error?: ErrorJson;
  /** It was there already with the same content, or it took the place of something else. */
  readonly was?: 'same' | 'replaced';
  /** What of its metadata could not be set, for people. */
  readonly lost?: readonly string[];
  /** Where it is, when the target does not allow its name. */
  readonly as?: ByteString;
}

/** Outcomes other than "made and verified", by number of the file in the batch. */
export type RestoreReply = readonly (readonly [number, RestoreOutcome])[];

/** One large file, restored by all workers at once. */
export interface RestoreLarge {
  readonly file: RestoreFile;
  /** Name of the file while it is incomplete. */
  readonly partial: ByteString;
  readonly writer: string;
  /** Consecutive pieces of the file; each is decoded by one worker at a time. */
  readonly parts: readonly (readonly Extent[])[];
  /** Shared state, see RangeChain; start is unused. */
  readonly chain: SharedArrayBuffer;
}

/** Result of one worker's share of a large file. */
export interface LargeResult {
  /** From the worker that wrote the last part: the file's XXH64. */
  readonly x?: string;
  readonly error?: ErrorJson;
}
