/** A storage whose next call fails in a chosen way: what the retrying wrapper has to survive. */
import type { FaultKind } from '../../src/storage/conformance/index.ts';
import { ForwardStorage } from '../../src/storage/forward.ts';
import type {
  CallOptions,
  GetOptions,
  ListOptions,
  ObjectInfo,
  ObjectWriter,
  PutOptions,
} from '../../src/storage/index.ts';
import { brokenConnection } from '../../src/storage/storage-errors.ts';

/** See the file's comment. */
export class FaultyStorage extends ForwardStorage {
  next: FaultKind | undefined;

  override async put(name: string, bytes: Uint8Array, options?: PutOptions): Promise<ObjectInfo> {
    this.#busy(name);
    const done = await super.put(name, bytes, options);
    this.#lost(name);
    return done;
  }

  override async create(name: string, options?: CallOptions): Promise<ObjectWriter> {
    this.#busy(name);
    return super.create(name, options);
  }

  override async get(name: string, options?: GetOptions): Promise<Uint8Array> {
    this.#busy(name);
    if (this.#take('broken-read')) throw brokenConnection('memory', name, 'cut');
    return super.get(name, options);
  }

  override async stat(name: string, options?: CallOptions): Promise<ObjectInfo | undefined> {
    this.#busy(name);
    return super.stat(name, options);
  }

  override async *list(prefix: string, options?: ListOptions): AsyncIterable<ObjectInfo> {
    this.#busy(prefix);
    let seen = 0;
    for await (const info of super.list(prefix, options)) {
      if (seen === 3 && this.#take('broken-list')) throw brokenConnection('memory', prefix, 'cut');
      seen += 1;
      yield info;
    }
  }

  override async delete(name: string, options?: CallOptions): Promise<void> {
    this.#busy(name);
    await super.delete(name, options);
    this.#lost(name);
  }

  #take(kind: FaultKind): boolean {
    if (this.next !== kind) return false;
    this.next = undefined;
    return true;
  }

  #busy(name: string): void {
    if (this.#take('busy')) throw brokenConnection('memory', name, 'busy');
  }

  #lost(name: string): void {
    if (this.#take('lost-answer')) throw brokenConnection('memory', name, 'lost');
  }
}
