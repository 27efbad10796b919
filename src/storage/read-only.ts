/** A storage that cannot be changed: for reading where nothing may be written, and for tests that prove it. */
import { BackpackError } from '../base/errors.ts';
import { ForwardStorage } from './forward.ts';
import { checkObjectName, type ObjectName } from './object-name.ts';
import type { CallOptions, ObjectInfo, ObjectWriter, PutOptions } from './storage.ts';

/** See the file's comment. Every write is BP_STORAGE_DENIED. */
export class ReadOnlyStorage extends ForwardStorage {
  override async put(name: ObjectName, _bytes: Uint8Array, _options?: PutOptions): Promise<ObjectInfo> {
    throw this.#denied(name);
  }

  override async create(name: ObjectName, _options?: CallOptions): Promise<ObjectWriter> {
    throw this.#denied(name);
  }

  override async delete(name: ObjectName, _options?: CallOptions): Promise<void> {
    throw this.#denied(name);
  }

  override async sweep(): Promise<void> {}

  #denied(name: ObjectName): BackpackError {
    checkObjectName(name);
    return new BackpackError('BP_STORAGE_DENIED', `${this.location} is open for reading only`, {
      kind: 'storage',
      context: { location: this.location, object: name },
      hint: 'nothing was changed',
    });
  }
}
