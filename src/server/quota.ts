/**
 * How much of a repository's quota is taken. Bytes are taken before they are written, in one step, so that any number
 * of uploads at once cannot exceed it; after a restart the objects are counted again.
 */
import { BackpackError } from '../base/errors.ts';
import type { Storage } from '../storage/index.ts';

/** Bytes of one repository. */
export class Usage {
  #taken = 0;

  /** Adds what a storage holds. */
  async count(storage: Storage): Promise<void> {
    let bytes = 0;
    try {
      for await (const { sizeBytes } of storage.list('')) bytes += sizeBytes;
    } catch (error) {
      // A repository that nobody has written to yet has no folder.
      if ((error as BackpackError).code !== 'BP_OBJECT_MISSING') throw error;
    }
    this.#taken += bytes;
  }

  /** Bytes stored or about to be. */
  get takenBytes(): number {
    return this.#taken;
  }

  /** @throws BackpackError BP_NO_SPACE when they do not fit; then nothing is taken */
  take(bytes: number, quotaBytes: number | undefined): void {
    if (quotaBytes !== undefined && this.#taken + bytes > quotaBytes) {
      throw new BackpackError('BP_NO_SPACE', `the quota of ${quotaBytes} bytes is used up`, {
        kind: 'space',
        retry: 'later',
        context: { quotaBytes, takenBytes: this.#taken },
        hint: 'ask the owner of the server for more, or prune; everything stored so far is kept',
      });
    }
    this.#taken += bytes;
  }

  /** Gives bytes back: of an object that was deleted, replaced or never finished. */
  giveBack(bytes: number): void {
    this.#taken = Math.max(0, this.#taken - bytes);
  }
}
