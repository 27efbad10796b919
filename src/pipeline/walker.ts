/**
 * Walks the source in a thread of its own, a batch of entries at a time, so that the next ones are looked at while the
 * main thread compares the last ones with the parent snapshot.
 */
import { Filter, type FilterOptions } from '../source/filter.ts';
import { StatList } from '../source/stat-list.ts';
import { type SourceItem, type SourceProblem, type SourceRoot, walk } from '../source/walk.ts';
import type { WorkerPort } from './worker-port.ts';

/** What is walked; can be posted to a thread. */
export interface WalkerOptions {
  readonly roots: readonly SourceRoot[];
  readonly filter: FilterOptions;
}

/** What only few entries have. */
type Odd = Pick<SourceProblem, 'code' | 'message'> | Pick<SourceItem, 'link' | 'ancestor'>;

/** Entries in their order, as they are posted. */
export interface WalkBatch {
  readonly count: number;
  /** Paths, joined by NUL. */
  readonly real: string;
  readonly stored: string;
  /** Those of a StatList. */
  readonly stats: Float64Array;
  /** Numbers of entries that are not ordinary, and what they are. */
  readonly odd: ReadonlyMap<number, Odd>;
  /** Rules that could not be used: path and why. */
  readonly ignored: readonly (readonly [path: string, message: string])[];
  /** Nothing comes after it. */
  readonly last: boolean;
}

const batchEntries = 512;
/** Batches on their way: enough that neither side waits for the other. */
const batchesAhead = 6;
const ordinary: Pick<SourceItem, 'link' | 'ancestor'> = { link: undefined, ancestor: false };

/** The thread's side. */
export class Walker {
  readonly #entries: Iterator<SourceItem | SourceProblem>;
  #ignored: (readonly [string, string])[] = [];

  constructor({ roots, filter }: WalkerOptions) {
    const ports = { onIgnored: (path: string, message: string) => this.#ignored.push([path, message]) };
    this.#entries = walk(roots, new Filter(filter, ports));
  }

  /** The next entries. */
  async next(): Promise<WalkBatch> {
    const real: string[] = [];
    const stored: string[] = [];
    const stats = new StatList(batchEntries);
    const odd = new Map<number, Odd>();
    let last = false;
    while (real.length < batchEntries) {
      const { done, value } = this.#entries.next();
      if (done === true) {
        last = true;
        break;
      }
      const index = real.length;
      real.push(value.real);
      stored.push(value.stored);
      if ('code' in value) {
        odd.set(index, { code: value.code, message: value.message });
        continue;
      }
      stats.set(index, value.stat);
      const { link, ancestor } = value;
      if (link !== undefined || ancestor) odd.set(index, { link, ancestor });
    }
    const ignored = this.#ignored;
    this.#ignored = [];
    const paths = { real: real.join('\0'), stored: stored.join('\0') };
    return { count: real.length, ...paths, stats: stats.numbers, odd, ignored, last };
  }
}

/** The main thread's side. @param onIgnored told of rules that could not be used */
export async function* walkAhead(
  port: WorkerPort,
  onIgnored: (path: string, message: string) => void,
): AsyncGenerator<Iterable<SourceItem | SourceProblem>, undefined> {
  const ask = (): Promise<WalkBatch> => {
    const batch = port.call<WalkBatch>('next', undefined);
    // Whoever waits for it is told; when the run has ended meanwhile, nobody is.
    batch.catch(() => {});
    return batch;
  };
  const coming = Array.from({ length: batchesAhead }, ask);
  for (;;) {
    const batch = await coming.shift()!;
    if (!batch.last) coming.push(ask());
    for (const [path, message] of batch.ignored) onIgnored(path, message);
    yield entriesOf(batch);
    if (batch.last) return undefined;
  }
}

function* entriesOf(batch: WalkBatch): Generator<SourceItem | SourceProblem> {
  const { count, odd } = batch;
  const reals = batch.real.split('\0');
  const storeds = batch.stored.split('\0');
  const stats = new StatList(batch.stats);
  for (let i = 0; i < count; i += 1) {
    const real = reals[i]!;
    const stored = storeds[i]!;
    const more = odd.size === 0 ? ordinary : (odd.get(i) ?? ordinary);
    if ('code' in more) yield { real, stored, code: more.code, message: more.message };
    else yield { real, stored, stat: stats.get(i), link: more.link, ancestor: more.ancestor };
  }
}
