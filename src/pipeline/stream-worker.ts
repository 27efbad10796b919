/**
 * A worker's part for bytes of unknown length: they are cut, deduplicated and stored like a large file, from a window
 * that moves along, so memory does not depend on how much comes.
 */
import type { ByteString } from '../base/bytes.ts';
import { BackpackError } from '../base/errors.ts';
import { MiB } from '../base/limits.ts';
import { chunkSizes, nextCut } from '../codec/chunker.ts';
import type { Kernel } from '../kernel/kernel.ts';
import { ByteStream, type StreamSource } from '../source/byte-stream.ts';
import type { DataPacks, HintFile } from './data-packs.ts';
import { addExtent, addZeros } from './extent-list.ts';
import { rangeBytes, type ScanWindow } from './scan.ts';

/** What to read. */
export interface StreamTask {
  readonly source: StreamSource;
  readonly stored: ByteString;
  readonly mtimeNs: bigint;
  /** One 32-bit word: not 0 once reading has to end. */
  readonly stop: SharedArrayBuffer;
}

/** What was read. */
export interface StreamResult {
  readonly size: number;
  /** XXH64, 16 hex; empty when nothing came. */
  readonly x: string;
  readonly extents: readonly number[];
}

const windowBytes: number = rangeBytes + chunkSizes.max;
/** Hints name a size, which a stream does not have: the next multiple of this. */
const hintStep: number = 1024 * MiB;

/** What a worker lends. */
export interface StreamWorkerOptions {
  readonly kernel: Kernel;
  readonly window: ScanWindow;
  readonly packs: DataPacks;
  /** Address of the state of a hash. */
  readonly state: number;
  readonly onRead: (bytes: number) => void;
}

/** Reads a stream to its end and stores it. @throws BackpackError when it, or the program behind it, failed */
export async function storeStream(o: StreamWorkerOptions, task: StreamTask): Promise<StreamResult> {
  const stream = new ByteStream(task.source);
  const watch = watchStop(task.stop, () => stream.stop(stopped()));
  try {
    const result = await cutStream(o, task, stream);
    await stream.finish();
    return result;
  } catch (error) {
    stream.stop(error);
    throw error;
  } finally {
    watch();
  }
}

async function cutStream(
  o: StreamWorkerOptions,
  task: StreamTask,
  stream: ByteStream,
): Promise<StreamResult> {
  const { kernel, window, state } = o;
  const extents: number[] = [];
  let size = Number.POSITIVE_INFINITY;
  let start = 0;
  let hint: HintFile | undefined;
  kernel.hashInit(state);
  window.reset(0);
  while (start < size) {
    while (size === Number.POSITIVE_INFINITY && window.end - window.from < windowBytes) {
      const at = window.address(window.end);
      const got = await stream.read(kernel.bytes.subarray(at, window.address(window.from + windowBytes)));
      if (got === 0) size = window.end;
      window.end += got;
      o.onRead(got);
    }
    window.scan();
    for (let index = 0; start < size; ) {
      const cut = nextCut(window.candidates, index, start, window.known, size);
      if (cut === 'more') break;
      const address = window.address(start);
      const length = cut.at - start;
      kernel.hashUpdate(state, address, length);
      if (kernel.isZero(address, length)) addZeros(extents, length, false);
      else {
        const hinted = hintStep * (Math.floor(start / hintStep) + 1) + chunkSizes.max;
        if (hint?.stamp.size !== hinted) hint = hintOf(task, hinted);
        addExtent(extents, await o.packs.addRecord(address, length, hint, start), length);
      }
      start = cut.at;
      index = cut.next;
    }
    if (start < size) window.slide(start);
  }
  return { size, x: size === 0 ? '' : kernel.hashHex(state), extents };
}

function hintOf({ stored, mtimeNs }: StreamTask, size: number): HintFile {
  return { stored, stamp: { size, mtimeNs } };
}

/** Calls `onStop` when the word is set. @returns what ends the watch */
function watchStop(memory: SharedArrayBuffer, onStop: () => void): () => void {
  const word = new Int32Array(memory, 0, 1);
  let ended = false;
  const look = (): void => {
    if (ended) return;
    if (Atomics.load(word, 0) !== 0) {
      onStop();
      return;
    }
    const wait = Atomics.waitAsync(word, 0, 0);
    if (wait.async) void wait.value.then(look);
    else look();
  };
  look();
  return () => {
    ended = true;
    Atomics.store(word, 0, 1);
    Atomics.notify(word, 0);
  };
}

function stopped(): BackpackError {
  return new BackpackError('BP_CANCELED', 'stopped by a signal', {
    kind: 'canceled',
    hint: 'no snapshot was made',
  });
}
