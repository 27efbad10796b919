/** What the main thread and the restore workers say to each other. */
import type { ByteString } from '../base/bytes.ts';
import type { ErrorJson } from '../base/errors.ts';
import type { Extent } from '../format/extents.ts';
import type { Metadata } from '../target/metadata.ts';

/** A file to be restored. */
export interface RestoreFile {
  /** Path below the target. */
  readonly path: ByteString;
  readonly sizeBytes: number;
  /** XXH64, 16 hex; empty for a file without bytes. */
  readonly x: string;
  readonly extents: readonly Extent[];
  readonly metadata: Metadata;
  /** Writer of the snapshot: packs of another writer are refused (E_WRITER). */
  readonly writer: string;
}

/**
 * What became of a file: undefined when it is there and verified; what of its metadata is lost when the rest is; else
 * an error.
 */
export type RestoreOutcome = ErrorJson | readonly string[] | undefined;

/** One large file, restored by all workers at once. */
export interface RestoreLarge {
  readonly file: RestoreFile;
  /** Name of the file while it is incomplete. */
  readonly partial: ByteString;
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
