/** Memory for bytes on their way to a server, used again and again: first touch of fresh memory is dear. */
import { KiB } from '../../base/limits.ts';

/** Bytes of a chunk: one `data` frame. */
export const chunkBytes: number = 256 * KiB;
const freeMax = 64;

/** See the file's comment. */
export class ChunkPool {
  readonly #free: Buffer[] = [];

  take(): Buffer {
    return this.#free.pop() ?? Buffer.allocUnsafeSlow(chunkBytes);
  }

  giveBack(chunk: Buffer): void {
    if (this.#free.length < freeMax) this.#free.push(chunk);
  }
}
