/**
 * The storage contract: moves named, immutable bytes. A storage knows no keys and never interprets content.
 * Duties (SPEC, "Storage duties"): an object appears whole or not at all; acknowledged means durable; get, stat and
 * list see it at once; a listing is complete or an error.
 */
import type { ObjectName } from './object-name.ts';

/** What a storage can do: data, constant while it is open. */
export interface StorageCapabilities {
  /** Whether creating an existing name fails instead of replacing it. */
  readonly exclusivePut: boolean;
  /** How many calls are worth making at once. */
  readonly parallelMax: number;
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

/** An object while it grows: invisible before {@link commit}, and gone after {@link abort}. */
export interface ObjectWriter {
  /** Adds bytes. They may be used again as soon as this returns (or its promise resolves). */
  append(pieces: readonly Uint8Array[]): void | Promise<void>;
  /** Publishes; resolves when the object is durable and listed. After a failure the object does not exist. */
  commit(): Promise<ObjectInfo>;
  /** Gives up; nothing remains. Never throws. */
  abort(): Promise<void>;
}

/** A place that holds objects. All calls throw BackpackError with kind `storage`, `network`, `space` or `not-found`. */
export interface Storage extends AsyncDisposable {
  readonly capabilities: StorageCapabilities;
  /** For people, without credentials. */
  readonly location: string;
  /** Writes a small object at once. With `exclusive` an existing name is BP_OBJECT_EXISTS. */
  put(name: ObjectName, bytes: Uint8Array, options?: { readonly exclusive?: boolean }): Promise<ObjectInfo>;
  /** Begins an object of unknown length; an existing name is BP_OBJECT_EXISTS at commit. */
  create(name: ObjectName): Promise<ObjectWriter>;
  /** Reads all or exactly the range; an answer that is too short is an error. `into` receives the bytes when given. */
  get(
    name: ObjectName,
    options?: { readonly range?: ByteRange; readonly into?: Uint8Array },
  ): Promise<Uint8Array>;
  stat(name: ObjectName): Promise<ObjectInfo | undefined>;
  /** Objects whose name begins with `prefix` (`packs/` or empty), in byte order; an error is never an end. */
  list(prefix: string): AsyncIterable<ObjectInfo>;
  /** Deletes; a missing object is no error. */
  delete(name: ObjectName): Promise<void>;
}

/** Collects a listing. */
export async function listAll(storage: Storage, prefix: string): Promise<ObjectInfo[]> {
  const found: ObjectInfo[] = [];
  for await (const info of storage.list(prefix)) found.push(info);
  return found;
}
