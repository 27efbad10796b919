/**
 * How much of a repository's quota is taken. Bytes are taken before they are written, in one step, so that any number
 * of uploads at once cannot exceed it; after a restart the objects are counted again.
 */
import { BackpackError } from '../base/errors.ts';
import { formatSize } from '../base/sizes.ts';
import type { Storage } from '../storage/index.ts';

/** Bytes of one repository. */
export class Usage {
  /** Of objects on their way in. */
  #coming = 0;
  #stored = 0;

  /** Counts what a storage holds. */
  async count(storage: Storage): Promise<void> {
    // What was stored up to here will be seen by the listing; what is stored meanwhile counts twice rather than never.
    this.#stored = 0;
    let bytes = 0;
    try {
      for await (const { sizeBytes } of storage.list('')) bytes += sizeBytes;
    } catch (error) {
      // A repository that nobody has written to yet has no folder.
      if ((error as BackpackError).code !== 'BP_OBJECT_MISSING') throw error;
    }
    this.#stored += bytes;
  }

  /** Bytes stored or about to be. */
  get takenBytes(): number {
    return this.#coming + this.#stored;
  }

  /** @throws BackpackError BP_NO_SPACE when they do not fit; then nothing is taken */
  take(bytes: number, quotaBytes: number | undefined): void {
    if (quotaBytes !== undefined && this.takenBytes + bytes > quotaBytes) {
      throw new BackpackError('BP_NO_SPACE', `the quota of ${formatSize(quotaBytes)} is used up`, {
        kind: 'space',
        retry: 'later',
        context: { quotaBytes, takenBytes: this.takenBytes },
        hint: 'ask the owner of the server for more, or prune; everything stored so far is kept',
      });
    }
    this.#coming += bytes;
  }

  /** Bytes that were taken have become an object. */
  keep(bytes: number): void {
    this.#coming -= bytes;
    this.#stored += bytes;
  }

  /** Gives bytes back that were taken for an object that was never finished. */
  drop(bytes: number): void {
    this.#coming -= bytes;
  }

  /** Gives the bytes of an object back that was deleted or replaced. */
  giveBack(bytes: number): void {
    this.#stored = Math.max(0, this.#stored - bytes);
  }
}
