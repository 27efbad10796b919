/** Requests with one answer or a stream of answers: stat, delete, get, list. Each goes on after a lost connection. */
import type { BackpackError } from '../../base/errors.ts';
import { containerMax, KiB, MiB } from '../../base/limits.ts';
import { type Frame, frameType, protocolError } from '../../net/frame.ts';
import {
  formatMessage,
  type Item,
  type Message,
  parseItems,
  parseMessage,
  parseOffset,
} from '../../net/messages.ts';
import { isObjectName } from '../object-name.ts';
import type { ByteRange } from '../storage.ts';
import { notFound, shortRead } from '../storage-errors.ts';
import type { Line, Request } from './link.ts';

/** A request with one answer. It must do no harm when it is carried out twice. */
export class SimpleRequest implements Request {
  readonly result: Promise<Message>;
  readonly #type: number;
  readonly #message: Message;
  #resolve!: (message: Message) => void;
  #reject!: (error: BackpackError) => void;

  constructor(type: number, message: Message) {
    this.#type = type;
    this.#message = message;
    this.result = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
  }

  begin(line: Line): void {
    line.send(this.#type, [formatMessage(this.#message)]);
  }

  answer(frame: Frame): boolean {
    if (frame.type !== frameType.done) throw protocolError(`a frame of type ${frame.type} as only answer`);
    this.#resolve(parseMessage(frame));
    return true;
  }

  fail(error: BackpackError): void {
    this.#reject(error);
  }
}

/** Memory taken before bytes have arrived, at most: a server may announce anything. */
const trustedBytes: number = 16 * MiB;

const frameMax: number = 256 * KiB;
const frameMin: number = 8 * KiB;

/** Reads an object or a range of one. */
export class GetRequest implements Request {
  readonly result: Promise<Uint8Array>;
  readonly #name: string;
  readonly #location: string;
  readonly #range: ByteRange | undefined;
  readonly #given: Uint8Array | undefined;
  /** Whether the object can be another one after a lost connection. */
  readonly #replaceable: boolean;
  #into: Uint8Array | undefined;
  #total: number | undefined;
  #got = 0;
  #base = 0;
  /** Bytes of a frame: few on a line that breaks often, so that some get through. */
  #frameBytes: number = frameMax;
  #resolve!: (bytes: Uint8Array) => void;
  #reject!: (error: BackpackError) => void;

  constructor(
    name: string,
    location: string,
    range: ByteRange | undefined,
    into: Uint8Array | undefined,
    replaceable: boolean,
  ) {
    this.#name = name;
    this.#location = location;
    this.#range = range;
    this.#given = into;
    this.#replaceable = replaceable;
    this.result = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
  }

  begin(line: Line, again: boolean): void {
    if (again) this.#frameBytes = Math.max(frameMin, this.#frameBytes / 4);
    if (this.#replaceable) {
      this.#got = 0;
      this.#total = undefined;
    }
    this.#base = this.#got;
    const offset = (this.#range?.offset ?? 0) + this.#got;
    const whole = this.#range?.length ?? this.#total;
    const length = whole === undefined ? {} : { length: whole - this.#got };
    line.send(frameType.get, [formatMessage({ name: this.#name, offset, ...length, ...this.#frames() })]);
  }

  answer(frame: Frame): boolean {
    if (frame.type === frameType.size) this.#begins(parseOffset(frame));
    else if (frame.type === frameType.data) this.#take(frame);
    else if (frame.type === frameType.done && this.#total !== undefined) {
      if (this.#got !== this.#total) {
        throw shortRead(this.#location, this.#name, this.#total, this.#got);
      }
      this.#resolve(this.#into!.subarray(0, this.#total));
      return true;
    } else throw protocolError(`a frame of type ${frame.type} for a read`);
    return false;
  }

  #frames(): Message {
    return this.#frameBytes === frameMax ? {} : { frameBytes: this.#frameBytes };
  }

  fail(error: BackpackError): void {
    if (error.code === 'BP_OBJECT_MISSING') this.#reject(notFound(this.#location, this.#name));
    else if (error.code === 'BP_STORAGE_SHORT') {
      this.#reject(shortRead(this.#location, this.#name, this.#range?.length ?? 0, this.#got));
    } else this.#reject(error.kind === 'canceled' ? error : error.with({ object: this.#name }));
  }

  #begins(rest: number): void {
    const total = this.#base + rest;
    const wanted = this.#range?.length ?? this.#given?.byteLength;
    if (this.#range !== undefined && total !== wanted)
      throw protocolError('another length than was asked for');
    if (total > containerMax || (this.#total !== undefined && total !== this.#total)) {
      throw protocolError('an object of an impossible length');
    }
    this.#total = total;
    if (this.#given !== undefined) {
      if (this.#given.byteLength < total) {
        throw shortRead(this.#location, this.#name, total, this.#given.byteLength);
      }
      this.#into = this.#given;
    } else this.#into ??= Buffer.allocUnsafeSlow(Math.min(total, trustedBytes));
  }

  #take({ payload }: Frame): void {
    const end = this.#got + payload.length;
    if (this.#total === undefined || end > this.#total) throw protocolError('more bytes than were asked for');
    if (end > this.#into!.byteLength) this.#grow(end);
    this.#into!.set(payload, this.#got);
    this.#got = end;
  }

  #grow(needed: number): void {
    const size = Math.min(this.#total!, Math.max(needed, 2 * this.#into!.byteLength));
    const larger = Buffer.allocUnsafeSlow(size);
    larger.set(this.#into!.subarray(0, this.#got));
    this.#into = larger;
  }
}

/** Parts of a listing that wait for the caller, at most. */
const partsMax = 2;

/** Lists objects, part by part. */
export class ListRequest implements Request {
  readonly #prefix: string;
  #after: string | undefined;
  #line: Line | undefined;
  #parts: Item[][] = [];
  #done = false;
  #error: BackpackError | undefined;
  #wake: (() => void) | undefined;

  constructor(prefix: string, after: string | undefined) {
    this.#prefix = prefix;
    this.#after = after;
  }

  /** Whether the server owes nothing: the caller is slow. */
  get idle(): boolean {
    return this.#parts.length >= partsMax;
  }

  begin(line: Line): void {
    this.#line = line;
    const after = this.#after === undefined ? {} : { after: this.#after };
    line.send(frameType.list, [formatMessage({ prefix: this.#prefix, ...after })]);
  }

  answer(frame: Frame): boolean {
    if (frame.type === frameType.done) this.#done = true;
    else if (frame.type === frameType.items) this.#take(parseItems(frame));
    else throw protocolError(`a frame of type ${frame.type} for a listing`);
    this.#notify();
    return this.#done;
  }

  fail(error: BackpackError): void {
    this.#error = error;
    this.#notify();
  }

  /** The next part; undefined at the end. @throws BackpackError */
  async next(): Promise<Item[] | undefined> {
    while (this.#parts.length === 0) {
      if (this.#error !== undefined) throw this.#error;
      if (this.#done) return undefined;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    if (!this.#done) this.#line?.send(frameType.next);
    return this.#parts.shift();
  }

  #take(items: Item[]): void {
    if (this.#parts.length > 2 * partsMax + 2) throw protocolError('more of a listing than was asked for');
    for (const [name, sizeBytes] of items) {
      const ordered = this.#after === undefined || name > this.#after;
      if (!ordered || !name.startsWith(this.#prefix) || !isObjectName(name) || sizeBytes < 0) {
        throw protocolError('a listing that was not asked for');
      }
      this.#after = name;
    }
    this.#parts.push(items);
  }

  #notify(): void {
    this.#wake?.();
    this.#wake = undefined;
  }
}
