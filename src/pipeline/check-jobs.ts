/** What the main thread and the check workers say to each other. */
import type { Kind } from '../format/names.ts';

/** An object to be checked. */
export interface CheckJob {
  readonly name: string;
  /** Length from the listing, bytes. */
  readonly sizeBytes: number;
  /** Whether every byte is read; else header, table and trailer. */
  readonly deep: boolean;
}

/** Something wrong with an object, or with one record of it. */
export interface CheckProblem {
  readonly code: string;
  readonly message: string;
  readonly hint?: string;
  readonly record?: number;
  /** The storage did not give the bytes; nothing is known about them. */
  readonly unreadable: boolean;
}

/** What pages are compared with: the records of a pack and where chunks lie in them. */
export interface PackFacts {
  readonly kind: Kind;
  /** 16 hex. */
  readonly writer: string;
  /** Length of each record's plaintext. */
  readonly lengths: Uint32Array;
  /** First chunk of each record, and one more: the number of chunks. */
  readonly firstChunks: Uint32Array;
  /** Offset of each chunk in its record. */
  readonly chunkOffsets: Uint32Array;
  readonly chunkLengths: Uint32Array;
}

/** Result of checking one object. */
export interface ObjectReport {
  readonly problems: readonly CheckProblem[];
  /** Of an authentic header. */
  readonly keyid?: string;
  readonly writer?: string;
  /** Of a pack whose table is authentic. */
  readonly facts?: PackFacts;
  /** Records opened. */
  readonly records: number;
  readonly bytesRead: number;
}
