/** A storage that hands every call to another one: what wrappers are made of. */
import type { ObjectName } from './object-name.ts';
import type {
  CallOptions,
  GetOptions,
  ListOptions,
  ObjectInfo,
  ObjectWriter,
  PutOptions,
  Storage,
  StorageCapabilities,
} from './storage.ts';

/** See the file's comment. Subclasses change what they are about. */
export class ForwardStorage implements Storage {
  protected readonly inner: Storage;

  constructor(inner: Storage) {
    this.inner = inner;
  }

  get capabilities(): StorageCapabilities {
    return this.inner.capabilities;
  }

  get location(): string {
    return this.inner.location;
  }

  put(name: ObjectName, bytes: Uint8Array, options: PutOptions = {}): Promise<ObjectInfo> {
    return this.inner.put(name, bytes, options);
  }

  create(name: ObjectName, options: CallOptions = {}): Promise<ObjectWriter> {
    return this.inner.create(name, options);
  }

  get(name: ObjectName, options: GetOptions = {}): Promise<Uint8Array> {
    return this.inner.get(name, options);
  }

  stat(name: ObjectName, options: CallOptions = {}): Promise<ObjectInfo | undefined> {
    return this.inner.stat(name, options);
  }

  list(prefix: string, options: ListOptions = {}): AsyncIterable<ObjectInfo> {
    return this.inner.list(prefix, options);
  }

  delete(name: ObjectName, options: CallOptions = {}): Promise<void> {
    return this.inner.delete(name, options);
  }

  async sweep(nowMs: number): Promise<void> {
    await this.inner.sweep?.(nowMs);
  }

  async entries(): Promise<readonly string[]> {
    return (await this.inner.entries?.()) ?? [];
  }

  [Symbol.asyncDispose](): PromiseLike<void> {
    return this.inner[Symbol.asyncDispose]();
  }
}
