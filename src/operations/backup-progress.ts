/** Progress of a backup: what the workers count in shared memory, and how much there is in all, counted beside the run. */
import type { Totals } from '../pipeline/estimate.ts';
import { progressCounters } from '../pipeline/jobs.ts';
import { threadPort, type WorkerPort } from '../pipeline/worker-port.ts';
import type { FilterOptions } from '../source/filter.ts';
import type { SourceRoot } from '../source/walk.ts';
import type { BackupEvent } from './backup-options.ts';

/** What the walk counts. */
interface WalkCounts {
  readonly files: number;
  readonly bytes: number;
  readonly unchangedBytes: number;
}

const everyMs = 100;
const estimateAfterMs = 1000;

/** Reports on a run until it is stopped. */
export class BackupProgress {
  /** For each worker: bytes read, bytes stored, and bytes of new content in these. */
  readonly shared: SharedArrayBuffer;
  readonly #emit: (event: BackupEvent) => void;
  #totals: Totals | undefined;
  #counter: WorkerPort | undefined;
  #timers: NodeJS.Timeout[] = [];

  constructor(workers: number, emit: (event: BackupEvent) => void) {
    this.shared = new SharedArrayBuffer(workers * 8 * progressCounters);
    this.#emit = emit;
  }

  /** Reports every 100 ms; counts the source, should the run be a long one, where `source` is given. */
  start(
    counts: WalkCounts,
    source: { roots: readonly SourceRoot[]; filter: FilterOptions } | undefined,
  ): void {
    this.#timers.push(setInterval(() => this.#report(counts), everyMs));
    if (source !== undefined)
      this.#timers.push(setTimeout(() => this.#estimate(source.roots, source.filter), estimateAfterMs));
  }

  stop(): void {
    for (const timer of this.#timers) clearTimeout(timer);
    this.#timers = [];
  }

  /** The last report: all there is has been seen. */
  complete(counts: WalkCounts): void {
    this.#totals = counts;
    this.#report(counts);
  }

  async close(): Promise<void> {
    this.stop();
    await this.#counter?.close();
  }

  get bytes(): { bytesRead: number; bytesStored: number; bytesAdded: number } {
    const view = new Float64Array(this.shared);
    let bytesRead = 0;
    let bytesStored = 0;
    let bytesAdded = 0;
    for (let i = 0; i < view.length; i += progressCounters) {
      bytesRead += view[i]!;
      bytesStored += view[i + 1]!;
      bytesAdded += view[i + 2]!;
    }
    return { bytesRead, bytesStored, bytesAdded };
  }

  #report({ files, unchangedBytes }: WalkCounts): void {
    const { bytes } = this;
    const bytesDone = unchangedBytes + bytes.bytesRead;
    const { bytesRead, bytesStored } = bytes;
    this.#emit({ type: 'progress', bytesRead, bytesStored, files, bytesDone, totals: this.#totals });
  }

  /** In a thread of its own; only long runs come to it. */
  #estimate(roots: readonly SourceRoot[], filter: FilterOptions): void {
    this.#counter = threadPort(new URL('../pipeline/estimate-thread.js', import.meta.url), filter);
    this.#counter.call<Totals>('total', roots).then(
      (totals) => {
        this.#totals = totals;
      },
      () => {},
    );
  }
}
