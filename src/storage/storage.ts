/**
 * The storage contract: moves named, immutable bytes. A storage knows no keys and never interprets content.
 * Duties (SPEC, "Duties of the storage"): an object appears whole or not at all; acknowledged means durable; get, stat
 * and list see it at once; a listing is complete or an error. docs/storage.md explains it to implementors, and the
 * suite in conformance/ tests it.
 */
import type { ObjectName } from './object-name.ts';

/** What a storage can do: data, constant while it is open. */
export interface StorageCapabilities {
  /**
   * What happens when several clients create one name at the same moment. `atomic`: exactly one of them succeeds.
   * `none`: a name that is there already is refused, but of two that begin together both may believe that they won.
   * Names of containers are random, so safety does not rest on it (SPEC, "Duties of the storage").
   */
  readonly exclusivePut: 'atomic' | 'none';
  /** `strong`: a listing shows what was acknowledged before it began. `eventual`: it may lag; get and stat never do. */
  readonly listing: 'strong' | 'eventual';
  /** Whose clock stamps {@link ObjectInfo.timeMs}: the storage's own, or this machine's, which its owner can set. */
  readonly timestamps: 'storage' | 'client';
  /** Whether what is written is locked against deletion for a time. */
  readonly retention: boolean;
  /** How many calls are worth making at once. */
  readonly parallelMax: number;
  /** Longest object, bytes. */
  readonly objectSizeMax: number;
  /** Bytes that a writer keeps in memory until they are acknowledged, all together; 0 when it streams. */
  readonly partSize: number;
  /** What its client takes in each thread besides, bytes. Left out: 20 MiB, or nothing where `partSize` is 0. */
  readonly clientBytes?: number;
}

/** Name, length and storage time of an object. */
export interface ObjectInfo {
  readonly name: ObjectName;
  readonly sizeBytes: number;
  /** Storage time of the write, ms since 1970. */
  readonly timeMs: number;
}

/** A part of an object. */
export interface ByteRange {
  readonly offset: number;
  readonly length: number;
}

/** Options of every call. */
export interface CallOptions {
  /**
   * Ends the call: it rejects with the signal's reason, or BP_CANCELED. Whether a write or delete that was on its way
   * has happened is then not known.
   */
  readonly signal?: AbortSignal | undefined;
}

/** Options of {@link Storage.put}. */
export interface PutOptions extends CallOptions {
  /** An existing name is BP_OBJECT_EXISTS, also where the name may be written again. */
  readonly exclusive?: boolean | undefined;
}

/** Options of {@link Storage.get}. */
export interface GetOptions extends CallOptions {
  readonly range?: ByteRange | undefined;
  /** Receives the bytes; what is returned is a view of it. It is at least as long as what is asked for. */
  readonly into?: Uint8Array | undefined;
}

/** Options of {@link Storage.list}. */
export interface ListOptions extends CallOptions {
  /** Only names that come after this one in byte order. Any text. */
  readonly after?: string | undefined;
}

/** An object while it grows: invisible before {@link commit}, and gone after {@link abort}. */
export interface ObjectWriter {
  /** Adds bytes. They may be used again as soon as this returns (or its promise resolves). */
  append(pieces: readonly Uint8Array[]): void | Promise<void>;
  /** Publishes; resolves when the object is durable and listed. After a failure the object does not exist. */
  commit(): Promise<ObjectInfo>;
  /** Gives up; nothing remains. Never throws. */
  abort(): Promise<void>;
}

/**
 * A place that holds objects. All calls throw BackpackError with kind `storage`, `network`, `space`, `exists`,
 * `not-found`, `damaged` (a short answer) or `canceled`; its `retry` says whether the same call can succeed later.
 */
export interface Storage extends AsyncDisposable {
  readonly capabilities: StorageCapabilities;
  /** For people, without credentials. The same for every client of the same place. */
  readonly location: string;
  /**
   * Writes a small object at once. With `exclusive`, and for every name that is written once (see `isReplaceable`),
   * an existing name is BP_OBJECT_EXISTS. The bytes may be used again when the promise resolves.
   */
  put(name: ObjectName, bytes: Uint8Array, options?: PutOptions): Promise<ObjectInfo>;
  /** Begins an object of unknown length; an existing name is BP_OBJECT_EXISTS at commit. */
  create(name: ObjectName, options?: CallOptions): Promise<ObjectWriter>;
  /** Reads all or exactly the range; an answer that is too short is BP_STORAGE_SHORT. */
  get(name: ObjectName, options?: GetOptions): Promise<Uint8Array>;
  stat(name: ObjectName, options?: CallOptions): Promise<ObjectInfo | undefined>;
  /** Objects whose name begins with `prefix` (`packs/` or empty), in byte order; an error is never an end. */
  list(prefix: string, options?: ListOptions): AsyncIterable<ObjectInfo>;
  /** Deletes; a missing object is no error. */
  delete(name: ObjectName, options?: CallOptions): Promise<void>;
  /**
   * Removes what interrupted writers left behind more than a day ago (temporary files, unfinished uploads). It is
   * house-keeping: it never throws, and a storage that leaves nothing behind does not have it.
   */
  sweep?(nowMs: number): Promise<void>;
  /**
   * What lies directly at the location, objects and others alike; of a folder only its name. A new repository is not
   * made among other things.
   */
  entries?(): Promise<readonly string[]>;
}

/** Collects a listing. */
export async function listAll(
  storage: Storage,
  prefix: string,
  options: ListOptions = {},
): Promise<ObjectInfo[]> {
  const found: ObjectInfo[] = [];
  for await (const info of storage.list(prefix, options)) found.push(info);
  return found;
}
