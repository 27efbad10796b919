/** Gathers what arrives in small pieces into blocks for a writer; while one block is written, the next one fills. */
import type { ObjectWriter } from '../storage/index.ts';
import { type BlockPool, blockBytes } from './block-pool.ts';

/** See the file's comment. */
export class StagedWriter {
  readonly #writer: ObjectWriter;
  readonly #pool: BlockPool;
  #block: Buffer | undefined;
  #fill = 0;
  #last: Promise<void> = Promise.resolve();
  #error: unknown;

  constructor(writer: ObjectWriter, pool: BlockPool) {
    this.#writer = writer;
    this.#pool = pool;
  }

  /** Takes bytes; they are free again when it has returned, or its promise resolves. @throws what the writer throws */
  write(bytes: Buffer): void | Promise<void> {
    if (this.#error !== undefined) throw this.#error;
    for (let at = 0; at < bytes.length; ) {
      this.#block ??= this.#pool.take();
      if (this.#block === undefined) return this.#around(bytes.subarray(at));
      const took = bytes.copy(this.#block, this.#fill, at);
      at += took;
      this.#fill += took;
      if (this.#fill < blockBytes) continue;
      const before = this.#last;
      this.#handOver();
      // One block may be on its way; the sender waits for the one before it.
      return before.then(() => this.write(bytes.subarray(at)));
    }
  }

  /** Resolves when everything has been written. @throws what the writer throws */
  async flush(): Promise<void> {
    if (this.#fill > 0) this.#handOver();
    await this.#last;
    if (this.#error !== undefined) throw this.#error;
  }

  /** Gives the memory back, as soon as nothing is written from it. Never throws. */
  async release(): Promise<void> {
    await this.#last;
    if (this.#block !== undefined) this.#pool.giveBack(this.#block);
    this.#block = undefined;
    this.#fill = 0;
  }

  #handOver(): void {
    const block = this.#block!;
    const bytes = block.subarray(0, this.#fill);
    this.#block = undefined;
    this.#fill = 0;
    this.#append(bytes, () => this.#pool.giveBack(block));
  }

  #append(bytes: Buffer, after: () => void): void {
    this.#last = this.#last
      .then(() => {
        if (this.#error === undefined) return this.#writer.append([bytes]);
      })
      .catch((error: unknown) => {
        this.#error = error;
      })
      .then(after);
  }

  /** Without a block: straight to the writer. */
  async #around(bytes: Buffer): Promise<void> {
    this.#append(bytes, () => {});
    await this.#last;
    if (this.#error !== undefined) throw this.#error;
  }
}
