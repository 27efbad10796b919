/**
 * An object on its way to a server. Bytes are copied into chunks, sent while the server's window allows, and kept until
 * they are acknowledged; those of a small object until its end. After a lost connection the server says how far it has
 * got. If it has lost bytes that are no longer here, the object cannot be finished: the run ends, and the next one uses
 * what was stored.
 */
import { BackpackError } from '../../base/errors.ts';
import { blockBytes, KiB, MiB } from '../../base/limits.ts';
import { systemRandom } from '../../base/ports.ts';
import { ContentHash } from '../../net/content-hash.ts';
import { type Frame, frameType, protocolError } from '../../net/frame.ts';
import { formatMessage, type Message, parseMessage, parseOffset } from '../../net/messages.ts';
import type { ObjectInfo, ObjectWriter } from '../storage.ts';
import { canceled, exists, finished } from '../storage-errors.ts';
import { type ChunkPool, chunkBytes } from './chunk-pool.ts';
import { infoOf } from './info.ts';
import type { Line, Link, Request } from './link.ts';

/** How often the server hears of an object that does not grow, ms. */
const pingMs = 15_000;
const hashInTrailer = /\nxxh64=([0-9a-f]{16})\npad=-{110}\nEND\n$/;
/** Bytes of a frame that is not full: below this it waits for more. */
const sendMin: number = 64 * KiB;
const frameMin: number = 8 * KiB;
/** Bytes on their way at most, whatever window the server grants: they are kept in memory. */
export const windowMax: number = 8 * MiB;

/** What an upload is made with. */
export interface UploadOptions {
  readonly link: Link;
  readonly pool: ChunkPool;
  readonly location: string;
  readonly name: string;
  readonly replace: boolean;
  /** An object of up to this length is kept whole until it is acknowledged. */
  readonly keepBytes: number;
  readonly signal: AbortSignal | undefined;
}

interface Chunk {
  readonly bytes: Buffer;
  /** Where it begins in the object. */
  readonly offset: number;
  fill: number;
}

/** See the file's comment. */
export class RemoteUpload implements ObjectWriter, Request {
  readonly #o: UploadOptions;
  readonly #token: string = systemRandom.bytes(16).toString('hex');
  /** Chunks that are kept, in order. */
  #chunks: Chunk[] = [];
  #size = 0;
  #sent = 0;
  #acked = 0;
  #ended = false;
  #endSent = false;
  #line: Line | undefined;
  /** Bytes that may be on their way; before the server has told, one chunk. */
  #window: number = chunkBytes;
  /** Bytes of a frame: few on a line that breaks often, so that some get through. */
  #frameBytes: number = chunkBytes;
  /** On a new connection nothing is sent before the server has said where to go on. */
  #accepted = false;
  #over: BackpackError | 'committed' | 'aborted' | undefined;
  #waiting: (() => void) | undefined;
  #result: { resolve(info: ObjectInfo): void; reject(error: BackpackError): void } | undefined;
  #tail: Buffer = Buffer.alloc(0);
  readonly #hash: ContentHash | undefined;
  readonly #timer: NodeJS.Timeout;

  constructor(options: UploadOptions) {
    this.#o = options;
    this.#hash = options.name.endsWith('.bpk') ? undefined : new ContentHash();
    this.#timer = setInterval(() => this.#o.link.ping(), pingMs).unref();
    options.signal?.addEventListener('abort', this.#cancel);
    options.link.run(this);
  }

  /** Whether the server owes nothing: the next step is the caller's. */
  get idle(): boolean {
    return this.#accepted && this.#acked === this.#sent && !this.#endSent;
  }

  append(pieces: readonly Uint8Array[]): void | Promise<void> {
    this.#mayWrite();
    for (const piece of pieces) {
      this.#hash?.update(piece);
      this.#copy(piece);
    }
    this.#send();
    return this.#hold();
  }

  async commit(): Promise<ObjectInfo> {
    this.#mayWrite();
    this.#ended = true;
    const result = new Promise<ObjectInfo>((resolve, reject) => {
      this.#result = { resolve, reject };
    });
    this.#send();
    return result;
  }

  async abort(): Promise<void> {
    if (this.#over !== undefined || this.#ended) return;
    this.#finish('aborted');
    this.#o.link.drop(this);
  }

  begin(line: Line, again: boolean): void {
    this.#line = line;
    this.#window = Math.min(windowMax, line.terms.windowBytes);
    if (again) this.#frameBytes = Math.max(frameMin, this.#frameBytes / 4);
    this.#accepted = !again;
    this.#endSent = false;
    this.#sent = 0;
    const end = again && this.#ended ? { end: this.#end() } : {};
    const { name, replace } = this.#o;
    const message: Message = {
      name,
      replace,
      token: this.#token,
      ...(again ? { resume: true } : {}),
      ...end,
    };
    line.send(frameType.put, [formatMessage(message)]);
    this.#send();
  }

  answer(frame: Frame): boolean {
    if (frame.type === frameType.accept) this.#goOn(parseOffset(frame));
    else if (frame.type === frameType.ack) this.#acknowledge(parseOffset(frame));
    else if (frame.type === frameType.done && this.#ended) {
      const info = infoOf(parseMessage(frame), this.#o.name);
      if (info === undefined || info.sizeBytes !== this.#size)
        throw protocolError('another object was stored');
      this.#finish('committed');
      this.#result!.resolve(info);
      return true;
    } else throw protocolError(`a frame of type ${frame.type} for an upload`);
    return false;
  }

  fail(error: BackpackError): void {
    const { location, name } = this.#o;
    const told = error.kind === 'canceled' ? error : error.with({ object: name });
    const known = error.code === 'BP_OBJECT_EXISTS' ? exists(location, name) : told;
    this.#finish(known);
    this.#result?.reject(known);
  }

  readonly #cancel = (): void => {
    this.#o.link.drop(this);
    this.fail(canceled(this.#o.signal!));
  };

  #mayWrite(): void {
    if (this.#over instanceof BackpackError) throw this.#over;
    if (this.#over !== undefined || this.#ended) throw finished(this.#o.name);
  }

  #copy(piece: Uint8Array): void {
    for (let at = 0; at < piece.byteLength; ) {
      let last = this.#chunks.at(-1);
      if (last === undefined || last.fill === last.bytes.length) {
        last = { bytes: this.#o.pool.take(), offset: this.#size, fill: 0 };
        this.#chunks.push(last);
      }
      const part = piece.subarray(at, at + last.bytes.length - last.fill);
      last.bytes.set(part, last.fill);
      last.fill += part.byteLength;
      this.#size += part.byteLength;
      at += part.byteLength;
    }
    // The end of a container is its trailer, which holds its hash.
    if (piece.byteLength >= blockBytes) this.#tail = Buffer.from(piece.subarray(-blockBytes));
    else this.#tail = Buffer.concat([this.#tail, piece]).subarray(-blockBytes);
  }

  /** Sends what the window allows. */
  #send(): void {
    const line = this.#line;
    if (line === undefined || !this.#accepted || this.#endSent) return;
    const limit = this.#acked + this.#window;
    for (const chunk of this.#chunks) {
      const from = this.#sent - chunk.offset;
      if (from >= chunk.fill) continue;
      const end = Math.min(chunk.fill, limit - chunk.offset);
      if (end <= from || (end < chunk.bytes.length && end - from < sendMin && !this.#ended)) break;
      for (let at = from; at < end; at += this.#frameBytes) {
        line.send(frameType.data, [chunk.bytes.subarray(at, Math.min(end, at + this.#frameBytes))]);
      }
      this.#sent = chunk.offset + end;
    }
    if (!this.#ended || this.#sent < this.#size) return;
    this.#endSent = true;
    line.send(frameType.end, [formatMessage(this.#end())]);
  }

  #end(): Message {
    const xxh64 = this.#hash?.hex() ?? hashInTrailer.exec(this.#tail.toString('latin1'))?.[1];
    return { sizeBytes: this.#size, ...(xxh64 === undefined ? {} : { xxh64 }) };
  }

  /** Holds the caller back while the window is full. */
  #hold(): Promise<void> | undefined {
    if (this.#size - this.#acked <= this.#window) return undefined;
    return new Promise((resolve, reject) => {
      this.#waiting = () => {
        if (this.#over instanceof BackpackError) reject(this.#over);
        else resolve();
      };
    });
  }

  /** The server has so many bytes, after a new beginning or a lost connection. */
  #goOn(offset: number): void {
    if (this.#accepted) {
      if (offset !== 0) throw protocolError('an upload begins in the middle');
      return;
    }
    const first = this.#chunks[0]?.offset ?? this.#size;
    if (offset > this.#size) throw protocolError('more was received than sent');
    if (offset < first) throw resumeLost(this.#o.name);
    this.#accepted = true;
    this.#sent = offset;
    this.#acked = offset;
    this.#moved();
  }

  #acknowledge(offset: number): void {
    if (offset < this.#acked || offset > this.#sent) throw protocolError('more was received than sent');
    this.#acked = offset;
    this.#frameBytes = Math.min(chunkBytes, this.#frameBytes * 2);
    this.#moved();
  }

  /** More was acknowledged: more may be sent, and the caller may go on. */
  #moved(): void {
    if (this.#size > this.#o.keepBytes) this.#forget();
    this.#send();
    if (this.#size - this.#acked <= this.#window / 2) this.#wake();
  }

  /** Gives back what was acknowledged. */
  #forget(): void {
    let count = 0;
    for (const chunk of this.#chunks) {
      const full = chunk.fill === chunk.bytes.length || this.#ended;
      if (!full || chunk.offset + chunk.fill > this.#acked) break;
      this.#o.pool.giveBack(chunk.bytes);
      count += 1;
    }
    this.#chunks.splice(0, count);
  }

  #finish(how: BackpackError | 'committed' | 'aborted'): void {
    this.#over = how;
    clearInterval(this.#timer);
    this.#o.signal?.removeEventListener('abort', this.#cancel);
    // After a failure bytes may still wait in a connection: those chunks are left to the collector.
    if (how === 'committed') for (const chunk of this.#chunks) this.#o.pool.giveBack(chunk.bytes);
    this.#chunks = [];
    this.#wake();
  }

  #wake(): void {
    this.#waiting?.();
    this.#waiting = undefined;
  }
}

function resumeLost(name: string): BackpackError {
  return new BackpackError('BP_RESUME_LOST', `the server has lost the beginning of ${name}`, {
    kind: 'network',
    retry: 'later',
    context: { object: name },
    hint: 'run the command again: it goes on with what is stored',
  });
}
