/** A storage in memory, for tests and simulations: the reference for the contract. */
import { checkObjectName, isObjectName, isReplaceable, type ObjectName } from './object-name.ts';
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
import { exists, finished, notFound, shortRead, throwIfCanceled } from './storage-errors.ts';

/** Objects in a Map; {@link MemoryStorage.objects} may be changed by tests to plant faults. */
export class MemoryStorage implements Storage {
  readonly capabilities: StorageCapabilities = {
    exclusivePut: 'atomic',
    listing: 'strong',
    timestamps: 'client',
    retention: false,
    parallelMax: 8,
    objectSizeMax: 2 ** 31,
    partSize: 0,
  };
  readonly location: string = 'memory';
  readonly objects: Map<ObjectName, Buffer> = new Map();
  readonly #times = new Map<ObjectName, number>();

  async put(name: ObjectName, bytes: Uint8Array, options: PutOptions = {}): Promise<ObjectInfo> {
    checkObjectName(name);
    throwIfCanceled(options.signal);
    if ((options.exclusive || !isReplaceable(name)) && this.objects.has(name))
      throw exists(this.location, name);
    return this.#store(name, Buffer.from(bytes));
  }

  async create(name: ObjectName, { signal }: CallOptions = {}): Promise<ObjectWriter> {
    checkObjectName(name);
    throwIfCanceled(signal);
    let pieces: Buffer[] | undefined = [];
    return {
      append: (more) => {
        if (pieces === undefined) throw finished(name);
        throwIfCanceled(signal);
        for (const piece of more) pieces.push(Buffer.from(piece));
      },
      commit: async () => {
        if (pieces === undefined) throw finished(name);
        throwIfCanceled(signal);
        const bytes = Buffer.concat(pieces);
        pieces = undefined;
        if (this.objects.has(name)) throw exists(this.location, name);
        return this.#store(name, bytes);
      },
      abort: async () => {
        pieces = undefined;
      },
    };
  }

  async get(name: ObjectName, options: GetOptions = {}): Promise<Uint8Array> {
    checkObjectName(name);
    throwIfCanceled(options.signal);
    const found = this.objects.get(name);
    if (found === undefined) throw notFound(this.location, name);
    const { offset, length } = options.range ?? { offset: 0, length: found.byteLength };
    if (offset + length > found.byteLength)
      throw shortRead(this.location, name, length, found.byteLength - offset);
    const bytes = found.subarray(offset, offset + length);
    if (options.into === undefined) return Buffer.from(bytes);
    options.into.set(bytes);
    return options.into.subarray(0, length);
  }

  async stat(name: ObjectName, options: CallOptions = {}): Promise<ObjectInfo | undefined> {
    checkObjectName(name);
    throwIfCanceled(options.signal);
    const found = this.objects.get(name);
    return found && { name, sizeBytes: found.byteLength, timeMs: this.#times.get(name) ?? 0 };
  }

  async *list(prefix: string, { after = '', signal }: ListOptions = {}): AsyncIterable<ObjectInfo> {
    for (const name of [...this.objects.keys()].sort()) {
      throwIfCanceled(signal);
      if (name <= after) continue;
      const info = name.startsWith(prefix) && isObjectName(name) ? await this.stat(name) : undefined;
      if (info !== undefined) yield info;
    }
  }

  async delete(name: ObjectName, options: CallOptions = {}): Promise<void> {
    checkObjectName(name);
    throwIfCanceled(options.signal);
    this.objects.delete(name);
  }

  async [Symbol.asyncDispose](): Promise<void> {}

  #store(name: ObjectName, bytes: Buffer): ObjectInfo {
    const timeMs = Date.now();
    this.objects.set(name, bytes);
    this.#times.set(name, timeMs);
    return { name, sizeBytes: bytes.byteLength, timeMs };
  }
}
