/** The main thread's part of a backup of one stream: a snapshot with one file, and the folders above it. */
import type { ByteString } from '../base/bytes.ts';
import { BackpackError } from '../base/errors.ts';
import type { Extent } from '../format/extents.ts';
import { nameToJson } from '../format/name-json.ts';
import { type BuiltPage, PageBuilder } from '../format/page-builder.ts';
import { formatTime } from '../format/time.ts';
import type { StreamSource } from '../source/byte-stream.ts';
import { BackupCounts } from './backup-counts.ts';
import { extentsOf } from './extent-list.ts';
import type { PackList } from './pack-list.ts';
import type { StreamResult, StreamTask } from './stream-worker.ts';
import type { WorkerPort } from './worker-port.ts';

/** What a stream becomes. */
export interface StreamFile {
  readonly source: StreamSource;
  /** Its path in the snapshot. */
  readonly stored: ByteString;
  readonly uid: number;
  readonly gid: number;
}

/** What a run needs. */
export interface StreamRunOptions {
  readonly file: StreamFile;
  readonly timeMs: number;
  readonly worker: WorkerPort;
  readonly packs: PackList;
  readonly pathHash: (path: ByteString) => number;
  readonly beforeFirstFile: () => Promise<void>;
  readonly onPage: (page: BuiltPage) => Promise<void>;
  /** A program ended well and has written nothing. */
  readonly onEmpty: () => void;
  readonly signal?: AbortSignal | undefined;
}

/** Runs once. */
export class StreamRun {
  readonly counts: BackupCounts = new BackupCounts();
  /** A stream has no attributes that could be missing. */
  readonly withoutExtras = 0;
  readonly #o: StreamRunOptions;

  constructor(options: StreamRunOptions) {
    this.#o = options;
  }

  /** Reads everything; resolves when all pages have been handed on. @throws BackpackError */
  async run(): Promise<void> {
    const { file, worker, packs, timeMs, signal } = this.#o;
    await this.#o.beforeFirstFile();
    const mtimeNs = BigInt(timeMs) * 1_000_000n;
    const stop = new SharedArrayBuffer(4);
    const onAbort = (): void => {
      Atomics.store(new Int32Array(stop), 0, 1);
      Atomics.notify(new Int32Array(stop), 0);
    };
    signal?.throwIfAborted();
    signal?.addEventListener('abort', onAbort, { once: true });
    let read: StreamResult;
    try {
      const task: StreamTask = { source: file.source, stored: file.stored, mtimeNs, stop };
      read = await worker.call<StreamResult>('stream', task);
    } catch (error) {
      signal?.throwIfAborted();
      throw error;
    } finally {
      signal?.removeEventListener('abort', onAbort);
    }
    if (read.size === 0) {
      if (!('command' in file.source)) throw nothingCame();
      this.#o.onEmpty();
    }
    this.counts.files = 1;
    this.counts.newFiles = 1;
    this.counts.bytes = read.size;
    await this.#pages(read, formatTime(mtimeNs), extentsOf(read.extents, packs));
  }

  async #pages(read: StreamResult, time: string, extents: readonly Extent[]): Promise<void> {
    const builder = new PageBuilder(this.#o.pathHash);
    const { stored, uid, gid } = this.#o.file;
    const owner = `"u":${uid},"g":${gid}`;
    for (let at = stored.indexOf('/'); at > 0; at = stored.indexOf('/', at + 1)) {
      const path = stored.slice(0, at);
      const prefix = `{"p":${nameToJson(path)},"t":"d","m":"${time}","o":"0755",${owner},"an":1`;
      for (const page of builder.add({ path, prefix, x: undefined, extents: [] })) await this.#o.onPage(page);
      this.counts.others += 1;
    }
    const prefix = `{"p":${nameToJson(stored)},"t":"f","s":${read.size},"m":"${time}","o":"0600",${owner}`;
    const entry = { path: stored, prefix, x: read.x === '' ? undefined : read.x, extents: [...extents] };
    for (const page of builder.add(entry)) await this.#o.onPage(page);
    for (const page of builder.flush()) await this.#o.onPage(page);
  }
}

/** How the program before the pipe ended cannot be known, and one that failed is why nothing comes more often than not. */
function nothingCame(): BackpackError {
  return new BackpackError('BP_STREAM_EMPTY', 'standard input was empty, so no snapshot was made', {
    kind: 'source',
    hint: 'did the program before the pipe fail? To store what may be empty: backpack backup --command -- PROGRAM',
  });
}
