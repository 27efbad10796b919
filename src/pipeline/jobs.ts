/** What the main thread and the backup workers say to each other: plain data that can be posted. */
import type { ByteString } from '../base/bytes.ts';
import type { ErrorJson } from '../base/errors.ts';
import type { Piece } from '../source/holes.ts';
import type { FileStamp } from '../source/read-file.ts';

/** Numbers in the shared memory of progress that each worker counts: see BackupWorkerOptions. */
export const progressCounters: number = 3;

/** A file to be read. */
export interface FileTask {
  /** Where to read it. */
  readonly path: ByteString;
  /** Its path in the snapshot. */
  readonly stored: ByteString;
  readonly stamp: FileStamp;
}

/** A batch of files, field by field: many small objects would cost more to post than the files cost to read. */
export interface FilesTask {
  /** As in {@link FileTask}, NUL between them. */
  readonly paths: string;
  readonly stored: string;
  /** Those of a StampList. */
  readonly stamps: Float64Array;
}

/** Stands in a batch's hashes for a file that has none. */
export const noHash: string = ' '.repeat(16);

/** What became of a batch. */
export interface FilesResult {
  /** The hashes, one after the other; 16 spaces for a file that has none. */
  readonly x: string;
  /** Extents of all files, as in {@link FileResult}, and how many numbers each file has of them. */
  readonly extents: Float64Array;
  readonly counts: Uint32Array;
  /** What else there is to say, of few files: their index in the batch, and it. */
  readonly odd: readonly (readonly [number, Omit<FileResult, 'x' | 'extents'>])[];
}

/** What became of a file. */
export interface FileResult {
  /** XXH64 of its bytes, 16 hex; empty for a file without bytes or one that failed. */
  readonly x: string;
  /** Five numbers each: pack number (-1 hole, -2 zeros), record, count, length, offset (-1: whole records). */
  readonly extents: readonly number[];
  /** The state that was read, when it is not that of the task. */
  readonly stamp?: FileStamp;
  /** Extended attributes and flags, as they stand in the line; undefined when they could not be read. */
  readonly extras?: string;
  /** `torn`, `short`, `xattrs`: what went wrong while reading. */
  readonly warnings?: readonly string[];
  /** It is a key file of a repository. */
  readonly keyFile?: boolean;
  /** The file could not be read. */
  readonly error?: ErrorJson;
}

/** One large file, read by all workers at once. */
export interface RangesTask {
  readonly file: FileTask;
  /** Shared state of this file, see RangeChain. */
  readonly chain: SharedArrayBuffer;
  /** The parts of a file with holes; else the ranges are all of one length. */
  readonly pieces?: readonly Piece[] | undefined;
}

/** What one worker did of a large file. */
export interface RangesResult {
  /** Range number and its extents. */
  readonly ranges: readonly (readonly [number, readonly number[]])[];
  /** The state in which this worker found the file, when it read any of it. */
  readonly before?: FileStamp;
  /** From the worker that read the last range. */
  readonly end?: Omit<FileResult, 'extents'>;
  readonly error?: ErrorJson;
}

/** A pack that a worker has made durable. */
export interface PackResult {
  readonly id: string;
  readonly sizeBytes: number;
}

/** All packs of a worker, and the lines for the index that no object holds yet. */
export interface PacksResult {
  readonly packs: readonly PackResult[];
  readonly index: Uint8Array;
}
