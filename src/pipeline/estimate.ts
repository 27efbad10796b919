/** Counts what a backup will have to look at, beside the run, so that the progress line can tell how much is left. */
import { type SourceRoot, walk } from '../source/walk.ts';

/** Sums over the source. */
export interface Totals {
  readonly files: number;
  readonly bytes: number;
}

/** What is left out, as plain data for a thread: device and inode. */
export type OwnFiles = readonly (readonly [device: bigint, inode: bigint])[];

/** Walks the source once; errors count for nothing, the run itself reports them. */
export class Estimator {
  readonly #own: OwnFiles;

  constructor(own: OwnFiles) {
    this.#own = own;
  }

  /** Totals below the roots. */
  async total(roots: readonly SourceRoot[]): Promise<Totals> {
    let files = 0;
    let bytes = 0;
    const skip = (stat: { dev: bigint; ino: bigint }): string | undefined =>
      this.#own.some(([device, inode]) => inode === stat.ino && device === stat.dev) ? 'own' : undefined;
    for (const item of walk(roots, skip)) {
      if ('code' in item || !item.stat.isFile()) continue;
      files += 1;
      bytes += Number(item.stat.size);
    }
    return { files, bytes };
  }
}
