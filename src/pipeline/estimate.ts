/** Counts what a backup will have to look at, beside the run, so that the progress line can tell how much is left. */
import { Filter, type FilterOptions } from '../source/filter.ts';
import { type SourceRoot, walk } from '../source/walk.ts';

/** Sums over the source. */
export interface Totals {
  readonly files: number;
  readonly bytes: number;
}

/** Walks the source once; errors count for nothing, the run itself reports them. */
export class Estimator {
  readonly #filter: Filter;

  constructor(filter: FilterOptions) {
    this.#filter = new Filter(filter);
  }

  /** Totals below the roots. */
  async total(roots: readonly SourceRoot[]): Promise<Totals> {
    let files = 0;
    let bytes = 0;
    for (const item of walk(roots, this.#filter)) {
      if ('code' in item || item.stat.type !== 'f') continue;
      files += 1;
      bytes += item.stat.size;
    }
    return { files, bytes };
  }
}
