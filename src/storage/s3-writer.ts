/**
 * A pack on its way to S3, in parts. A part stays in memory until it is acknowledged, so that a retry sends the same
 * bytes. What fits into one part is one PUT. Nothing is visible before the upload is completed.
 */
import type { CompletedPart } from '@aws-sdk/client-s3';
import type { ObjectName } from './object-name.ts';
import { isUnsure } from './retry.ts';
import type { S3Requests } from './s3-client.ts';
import type { ObjectInfo, ObjectWriter } from './storage.ts';
import { exists, finished, throwIfCanceled } from './storage-errors.ts';

/** Length of every part but the last, bytes. S3 takes no shorter ones than 5 MiB. */
export const partBytes: number = 8 * 1024 * 1024;

/** Parts that a thread fills or keeps beside those on their way. */
export const partsBesideSlots = 2;

/**
 * Lets a few go at a time. Buffers of parts are used again, as many as are in use at once: a fresh one costs its first
 * touch and, since V8 looks at such memory, soon a collection of garbage that is not there.
 */
export class PartSlots {
  #free: number;
  readonly #keep: number;
  readonly #waiting: (() => void)[] = [];
  readonly #buffers: Buffer[] = [];

  constructor(count: number) {
    this.#free = count;
    this.#keep = count + partsBesideSlots;
  }

  async enter(): Promise<void> {
    if (this.#free > 0) {
      this.#free -= 1;
      return;
    }
    await new Promise<void>((resolve) => this.#waiting.push(resolve));
  }

  leave(): void {
    const next = this.#waiting.shift();
    if (next === undefined) this.#free += 1;
    else next();
  }

  buffer(): Buffer {
    return this.#buffers.pop() ?? Buffer.allocUnsafeSlow(partBytes);
  }

  giveBack(buffer: Buffer): void {
    if (this.#buffers.length < this.#keep) this.#buffers.push(buffer);
  }
}

/** What a writer needs of the storage. */
export interface WriterHome {
  readonly requests: S3Requests;
  readonly slots: PartSlots;
  /** Options of the first request of an object: storage class, encryption, retention. */
  writeOptions(name: ObjectName): object;
  /** What a body needs beside the SHA-256 that is signed. */
  digest(bytes: Uint8Array): { readonly ContentMD5?: string };
  /** Whether the bucket is known to honour `If-None-Match`. */
  readonly isConditional: boolean;
  stat(name: ObjectName, options: { signal: AbortSignal | undefined }): Promise<ObjectInfo | undefined>;
  /** One attempt to look at an object. */
  head(name: ObjectName, signal: AbortSignal | undefined): Promise<ObjectInfo | undefined>;
  putOnce(name: ObjectName, bytes: Uint8Array, signal: AbortSignal | undefined): Promise<ObjectInfo>;
}

/** See the file's comment. */
export class S3Writer implements ObjectWriter {
  readonly #home: WriterHome;
  readonly #name: ObjectName;
  readonly #signal: AbortSignal | undefined;
  readonly #parts: CompletedPart[] = [];
  readonly #running = new Set<Promise<void>>();
  #part: Buffer;
  #fill = 0;
  #sizeBytes = 0;
  #count = 0;
  #uploadId: string | undefined;
  #failure: unknown;
  #open = true;

  constructor(home: WriterHome, name: ObjectName, signal: AbortSignal | undefined) {
    this.#home = home;
    this.#name = name;
    this.#signal = signal;
    this.#part = home.slots.buffer();
  }

  /** Copies: the caller's memory changes as soon as this is done. */
  append(pieces: readonly Uint8Array[]): void | Promise<void> {
    this.#check();
    let length = 0;
    for (const piece of pieces) length += piece.byteLength;
    if (this.#fill + length <= partBytes) {
      for (const piece of pieces) this.#copy(piece);
      return;
    }
    return this.#appendParts(pieces);
  }

  async #appendParts(pieces: readonly Uint8Array[]): Promise<void> {
    for (const piece of pieces) {
      for (let at = 0; at < piece.byteLength; ) {
        // A full part is kept until more comes: what fits into one part needs no upload in parts.
        if (this.#fill === partBytes) await this.#sendPart();
        const room = partBytes - this.#fill;
        this.#copy(piece.subarray(at, at + room));
        at += room;
      }
    }
  }

  #copy(piece: Uint8Array): void {
    this.#part.set(piece, this.#fill);
    this.#fill += piece.byteLength;
    this.#sizeBytes += piece.byteLength;
  }

  async commit(): Promise<ObjectInfo> {
    try {
      this.#check();
      this.#open = false;
      const last = this.#part.subarray(0, this.#fill);
      if (this.#uploadId === undefined) {
        const info = await this.#home.putOnce(this.#name, last, this.#signal);
        this.#home.slots.giveBack(this.#part);
        return info;
      }
      if (this.#fill > 0) await this.#sendPart();
      await Promise.all(this.#running);
      if (this.#failure !== undefined) throw this.#failure;
      if ((await this.#home.stat(this.#name, { signal: this.#signal })) !== undefined)
        throw exists(this.#home.requests.location, this.#name);
      const info = await this.#complete();
      this.#uploadId = undefined;
      this.#home.slots.giveBack(this.#part);
      return info;
    } catch (error) {
      await this.abort();
      throw error;
    }
  }

  async abort(): Promise<void> {
    this.#open = false;
    this.#failure ??= finished(this.#name);
    await Promise.allSettled(this.#running);
    const uploadId = this.#uploadId;
    this.#uploadId = undefined;
    if (uploadId === undefined) return;
    const { requests } = this.#home;
    const { AbortMultipartUploadCommand } = requests.sdk;
    const input = { Bucket: requests.bucket, Key: requests.key(this.#name), UploadId: uploadId };
    // What stays is swept after a day, or by a rule of the bucket where these credentials may not.
    await requests.send(new AbortMultipartUploadCommand(input), this.#name, undefined).catch(() => {});
  }

  #check(): void {
    if (!this.#open) throw finished(this.#name);
    if (this.#failure !== undefined) throw this.#failure;
    throwIfCanceled(this.#signal);
  }

  /** Hands the part over, and waits only for a free slot. */
  async #sendPart(): Promise<void> {
    const { slots } = this.#home;
    const part = this.#part;
    const length = this.#fill;
    this.#uploadId ??= await this.#begin();
    await slots.enter();
    if (this.#failure !== undefined) {
      slots.leave();
      throw this.#failure;
    }
    this.#count += 1;
    const number = this.#count;
    const sent = this.#upload(number, part.subarray(0, length)).then(
      () => slots.giveBack(part),
      (error: unknown) => {
        this.#failure ??= error;
      },
    );
    this.#running.add(sent);
    void sent.then(() => {
      this.#running.delete(sent);
      slots.leave();
    });
    this.#part = slots.buffer();
    this.#fill = 0;
    throwIfCanceled(this.#signal);
  }

  async #begin(): Promise<string> {
    const { requests } = this.#home;
    const { CreateMultipartUploadCommand } = requests.sdk;
    const input = {
      Bucket: requests.bucket,
      Key: requests.key(this.#name),
      ...this.#home.writeOptions(this.#name),
    };
    const answer = await requests.retry(this.#signal, () =>
      requests.send(new CreateMultipartUploadCommand(input), this.#name, this.#signal),
    );
    if (!answer.UploadId) throw new TypeError('the server began an upload without an id');
    return answer.UploadId;
  }

  async #upload(number: number, bytes: Uint8Array): Promise<void> {
    const { requests } = this.#home;
    const { UploadPartCommand } = requests.sdk;
    const input = {
      Bucket: requests.bucket,
      Key: requests.key(this.#name),
      UploadId: this.#uploadId!,
      PartNumber: number,
      Body: bytes,
      ContentLength: bytes.byteLength,
      ...this.#home.digest(bytes),
    };
    const answer = await requests.retry(this.#signal, () =>
      requests.send(new UploadPartCommand(input), this.#name, this.#signal, { bytes: bytes.byteLength }),
    );
    this.#parts[number - 1] = { PartNumber: number, ETag: answer.ETag };
  }

  async #complete(): Promise<ObjectInfo> {
    const { requests, isConditional } = this.#home;
    const { CompleteMultipartUploadCommand } = requests.sdk;
    const input = {
      Bucket: requests.bucket,
      Key: requests.key(this.#name),
      UploadId: this.#uploadId!,
      MultipartUpload: { Parts: this.#parts },
      ...(isConditional ? { IfNoneMatch: '*' } : {}),
    };
    let unsure = false;
    return requests.retry(this.#signal, async () => {
      try {
        const { serverMs } = await requests.send(
          new CompleteMultipartUploadCommand(input),
          this.#name,
          this.#signal,
        );
        return { name: this.#name, sizeBytes: this.#sizeBytes, timeMs: serverMs };
      } catch (error) {
        // After a lost answer the upload is gone, and the object is there: nobody else knows its name.
        const found = unsure && !isUnsure(error) ? await this.#found() : undefined;
        if (found !== undefined) return found;
        unsure ||= isUnsure(error);
        throw error;
      }
    });
  }

  async #found(): Promise<ObjectInfo | undefined> {
    const info = await this.#home.head(this.#name, this.#signal);
    return info?.sizeBytes === this.#sizeBytes ? info : undefined;
  }
}
