/**
 * Objects in an S3 bucket: AWS, or any server that speaks its protocol (Ceph, Swift, MinIO, Garage). Commits are single
 * PUTs; only what `create` makes goes up in parts. Whether a bucket honours `If-None-Match` is found out by trying, and
 * nothing that matters rests on it. docs/storage.md says what servers were measured to do.
 */
import { createHash } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import { BackpackError, isBackpackError } from '../base/errors.ts';
import { checkObjectName, isObjectName, isReplaceable, type ObjectName } from './object-name.ts';
import type { StorageSpec } from './open.ts';
import { isUnsure } from './retry.ts';
import { S3Requests } from './s3-client.ts';
import { PartSlots, partBytes, partsBesideSlots, S3Writer } from './s3-writer.ts';
import type {
  ByteRange,
  CallOptions,
  GetOptions,
  ListOptions,
  ObjectInfo,
  ObjectWriter,
  PutOptions,
  Storage,
  StorageCapabilities,
} from './storage.ts';
import { brokenConnection, exists, notFound, shortRead, throwIfCanceled } from './storage-errors.ts';

/** Whole objects that are read without a range are small; this bounds what a hostile server can make us take. */
const wholeMax = 512 * 1024 * 1024;
const dayMs = 24 * 3600 * 1000;

/** See the file's comment. */
class S3Storage implements Storage {
  readonly location: string;
  readonly #requests: S3Requests;
  readonly #slots: PartSlots;
  /** What this bucket does with `If-None-Match: *`. */
  #conditional: 'unknown' | 'atomic' | 'none' = 'unknown';

  constructor(requests: S3Requests) {
    this.#requests = requests;
    this.location = requests.location;
    this.#slots = new PartSlots(requests.uploads);
  }

  /** `exclusivePut` is `none` until a write of this client has shown that the bucket honours the condition. */
  get capabilities(): StorageCapabilities {
    return {
      exclusivePut: this.#conditional === 'atomic' ? 'atomic' : 'none',
      listing: 'strong',
      timestamps: 'storage',
      retention: this.#requests.options.retention !== undefined,
      parallelMax: this.#requests.connections,
      objectSizeMax: 10_000 * partBytes,
      // Parts on their way, one that grows, and one whose memory is used next.
      partSize: (this.#requests.uploads + partsBesideSlots) * partBytes,
    };
  }

  async put(name: ObjectName, bytes: Uint8Array, options: PutOptions = {}): Promise<ObjectInfo> {
    checkObjectName(name);
    return options.exclusive || !isReplaceable(name)
      ? this.#putOnce(name, bytes, options.signal)
      : this.#requests.retry(options.signal, () => this.#put(name, bytes, {}, options.signal));
  }

  async create(name: ObjectName, { signal }: CallOptions = {}): Promise<ObjectWriter> {
    checkObjectName(name);
    throwIfCanceled(signal);
    const storage = this;
    return new S3Writer(
      {
        requests: this.#requests,
        slots: this.#slots,
        get isConditional() {
          return storage.#conditional === 'atomic';
        },
        writeOptions: (of) => this.#writeOptions(of),
        digest: (bytes) => this.#digest(bytes),
        stat: (of, options) => this.stat(of, options),
        head: (of, by) => this.#head(of, by),
        putOnce: (of, bytes, by) => this.#putOnce(of, bytes, by),
      },
      name,
      signal,
    );
  }

  async get(name: ObjectName, options: GetOptions = {}): Promise<Uint8Array> {
    checkObjectName(name);
    const { range, into, signal } = options;
    if (range === undefined) return this.#requests.retry(signal, () => this.#readWhole(name, into, signal));
    if (range.length === 0) {
      const info = await this.stat(name, { signal });
      if (info === undefined) throw notFound(this.location, name);
      if (range.offset > info.sizeBytes) throw shortRead(this.location, name, 0, 0);
      return into?.subarray(0, 0) ?? Buffer.alloc(0);
    }
    const bytes = into?.subarray(0, range.length) ?? Buffer.allocUnsafeSlow(range.length);
    if (range.length <= 2 * partBytes) await this.#getRange(name, range, bytes, signal);
    else await this.#getParts(name, range, bytes, signal);
    return bytes;
  }

  async stat(name: ObjectName, { signal }: CallOptions = {}): Promise<ObjectInfo | undefined> {
    checkObjectName(name);
    return this.#requests.retry(signal, () => this.#head(name, signal));
  }

  /** One attempt: what is tried again as a part of something larger must not be tried again by itself. */
  async #head(name: ObjectName, signal: AbortSignal | undefined): Promise<ObjectInfo | undefined> {
    const { bucket, sdk } = this.#requests;
    const input = { Bucket: bucket, Key: this.#requests.key(name) };
    try {
      const found = await this.#requests.send(new sdk.HeadObjectCommand(input), name, signal);
      return { name, sizeBytes: found.ContentLength ?? 0, timeMs: seconds(found.LastModified) };
    } catch (error) {
      if (isBackpackError(error) && error.code === 'BP_OBJECT_MISSING') return undefined;
      throw error;
    }
  }

  async *list(prefix: string, options: ListOptions = {}): AsyncIterable<ObjectInfo> {
    const { signal } = options;
    const { base, bucket, sdk } = this.#requests;
    let last = options.after ?? '';
    let token: string | undefined;
    do {
      const input = {
        Bucket: bucket,
        Prefix: base + prefix,
        ...(token === undefined
          ? last === ''
            ? {}
            : { StartAfter: base + last }
          : { ContinuationToken: token }),
      };
      const page = await this.#requests.retry(signal, async () => {
        const answer = await this.#requests.send(new sdk.ListObjectsV2Command(input), prefix, signal);
        const whole =
          typeof answer.IsTruncated === 'boolean' && (!answer.IsTruncated || answer.NextContinuationToken);
        // A page that was cut short must not be taken for the end.
        if (!whole) throw brokenConnection(this.location, prefix, 'a page of a listing was cut short');
        return answer;
      });
      for (const { Key = '', Size = 0, LastModified } of page.Contents ?? []) {
        const name = Key.slice(base.length);
        if (!Key.startsWith(base) || name <= last) {
          if (name === last) continue;
          throw brokenConnection(this.location, prefix, 'a listing is out of order');
        }
        last = name;
        if (!isObjectName(name)) continue;
        throwIfCanceled(signal);
        yield { name, sizeBytes: Size, timeMs: seconds(LastModified) };
      }
      token = page.IsTruncated === true ? page.NextContinuationToken : undefined;
    } while (token !== undefined);
  }

  async delete(name: ObjectName, { signal }: CallOptions = {}): Promise<void> {
    checkObjectName(name);
    const { bucket, sdk } = this.#requests;
    const input = { Bucket: bucket, Key: this.#requests.key(name) };
    await this.#requests.retry(signal, async () => {
      try {
        await this.#requests.send(new sdk.DeleteObjectCommand(input), name, signal);
      } catch (error) {
        if (!isBackpackError(error) || error.code !== 'BP_OBJECT_MISSING') throw error;
      }
    });
  }

  /** Ends uploads that were begun more than a day ago and never completed. */
  async sweep(nowMs: number): Promise<void> {
    const { base, bucket, sdk } = this.#requests;
    try {
      const found = await this.#requests.send(
        new sdk.ListMultipartUploadsCommand({ Bucket: bucket, Prefix: base }),
        base,
        undefined,
      );
      for (const { Key, UploadId, Initiated } of found.Uploads ?? []) {
        const old = Initiated !== undefined && nowMs - Initiated.getTime() > dayMs;
        if (!old || Key === undefined || !isObjectName(Key.slice(base.length))) continue;
        await this.#requests.send(
          new sdk.AbortMultipartUploadCommand({ Bucket: bucket, Key, UploadId }),
          Key,
          undefined,
        );
      }
    } catch {
      // House-keeping: these credentials may not, or the server cannot.
    }
  }

  async entries(): Promise<readonly string[]> {
    const { base, bucket, sdk } = this.#requests;
    const input = { Bucket: bucket, Prefix: base, Delimiter: '/' };
    const page = await this.#requests.retry(undefined, () =>
      this.#requests.send(new sdk.ListObjectsV2Command(input), base, undefined),
    );
    const keys = [
      ...(page.Contents ?? []).map(({ Key = '' }) => Key),
      ...(page.CommonPrefixes ?? []).map(({ Prefix = '' }) => Prefix.replace(/\/$/, '')),
    ];
    return keys.map((key) => key.slice(base.length)).filter((name) => name !== '');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#requests.close();
  }

  /** A PUT that must not replace anything. */
  #putOnce(name: ObjectName, bytes: Uint8Array, signal: AbortSignal | undefined): Promise<ObjectInfo> {
    let unsure = false;
    return this.#requests.retry(signal, async () => {
      try {
        if (this.#conditional !== 'atomic' && (await this.#head(name, signal)) !== undefined)
          throw exists(this.location, name);
        const info = await this.#putConditionally(name, bytes, signal);
        if (this.#conditional === 'unknown') await this.#probe(name, bytes, signal);
        return info;
      } catch (error) {
        const taken = isBackpackError(error) && error.code === 'BP_OBJECT_EXISTS';
        // An earlier attempt of ours whose answer was lost may have written it.
        const found = taken && unsure ? await this.#same(name, bytes, signal) : undefined;
        if (found !== undefined) return found;
        unsure ||= isUnsure(error);
        throw error;
      }
    });
  }

  async #putConditionally(
    name: ObjectName,
    bytes: Uint8Array,
    signal: AbortSignal | undefined,
  ): Promise<ObjectInfo> {
    if (this.#conditional === 'none') return this.#put(name, bytes, {}, signal);
    try {
      return await this.#put(name, bytes, { IfNoneMatch: '*' }, signal);
    } catch (error) {
      if (isBackpackError(error) && error.code === 'BP_OBJECT_EXISTS') this.#conditional = 'atomic';
      if (!isBackpackError(error) || error.context['status'] !== 501) throw error;
      this.#conditional = 'none';
      return this.#put(name, bytes, {}, signal);
    }
  }

  /**
   * Writes what has just been written once more, on the condition that it is not there: a bucket that honours the
   * condition refuses, and one that does not replaces the object by the same bytes.
   */
  async #probe(name: ObjectName, bytes: Uint8Array, signal: AbortSignal | undefined): Promise<void> {
    try {
      await this.#put(name, bytes, { IfNoneMatch: '*' }, signal);
      this.#conditional = 'none';
    } catch (error) {
      if (isBackpackError(error) && error.code === 'BP_OBJECT_EXISTS') this.#conditional = 'atomic';
      // Anything else says nothing; the next write asks again.
    }
  }

  async #put(
    name: ObjectName,
    bytes: Uint8Array,
    condition: { readonly IfNoneMatch?: '*' },
    signal: AbortSignal | undefined,
  ): Promise<ObjectInfo> {
    const { bucket, sdk } = this.#requests;
    const command = new sdk.PutObjectCommand({
      Bucket: bucket,
      Key: this.#requests.key(name),
      Body: bytes,
      ContentLength: bytes.byteLength,
      ...this.#digest(bytes),
      ...condition,
      ...this.#writeOptions(name),
    });
    const { serverMs } = await this.#requests.send(command, name, signal, {
      bytes: bytes.byteLength,
    });
    return { name, sizeBytes: bytes.byteLength, timeMs: serverMs };
  }

  /** AWS wants a Content-MD5 with a lock; elsewhere the signed SHA-256 says the same, in less time. */
  #digest(bytes: Uint8Array): { readonly ContentMD5?: string } {
    if (this.#requests.options.retention === undefined) return {};
    return { ContentMD5: createHash('md5').update(bytes).digest('base64') };
  }

  #writeOptions(name: ObjectName): {
    StorageClass?: never;
    ServerSideEncryption?: 'AES256' | 'aws:kms';
    SSEKMSKeyId?: string;
    ObjectLockMode?: 'GOVERNANCE' | 'COMPLIANCE';
    ObjectLockRetainUntilDate?: Date;
  } {
    const { storageClass, encryption, retention } = this.#requests.options;
    const lock = retention !== undefined && !isReplaceable(name);
    return {
      ...(storageClass !== undefined && name.startsWith('packs/')
        ? { StorageClass: storageClass as never }
        : {}),
      ...(encryption === undefined ? {} : { ServerSideEncryption: encryption.algorithm }),
      ...(encryption?.kmsKeyId === undefined ? {} : { SSEKMSKeyId: encryption.kmsKeyId }),
      ...(lock
        ? {
            ObjectLockMode: retention.mode,
            ObjectLockRetainUntilDate: new Date(Date.now() + retention.days * dayMs),
          }
        : {}),
    };
  }

  /** What is there, when it is byte for byte what was to be written. */
  async #same(
    name: ObjectName,
    bytes: Uint8Array,
    signal: AbortSignal | undefined,
  ): Promise<ObjectInfo | undefined> {
    const info = await this.#head(name, signal);
    if (info?.sizeBytes !== bytes.byteLength) return undefined;
    return Buffer.compare(await this.#readWhole(name, undefined, signal), bytes) === 0 ? info : undefined;
  }

  /** One attempt to read a whole object. */
  async #readWhole(
    name: ObjectName,
    into: Uint8Array | undefined,
    signal: AbortSignal | undefined,
  ): Promise<Uint8Array> {
    const { bucket, sdk } = this.#requests;
    const input = { Bucket: bucket, Key: this.#requests.key(name) };
    const place = new Place(this.location, name);
    const begin = (headers: IncomingHttpHeaders): void => {
      const length = lengthOf(headers);
      if (length < 0 || length > wholeMax) throw shortRead(this.location, name, wholeMax, length);
      place.bytes = into?.subarray(0, length) ?? Buffer.allocUnsafeSlow(length);
    };
    const receiver = { begin, take: (piece: Uint8Array) => place.take(piece) };
    await this.#requests.send(new sdk.GetObjectCommand(input), name, signal, { receiver });
    return place.full();
  }

  /** Reads a range; after a broken connection only what is missing is asked for again. */
  async #getRange(
    name: ObjectName,
    range: ByteRange,
    bytes: Uint8Array,
    signal: AbortSignal | undefined,
  ): Promise<void> {
    const { bucket, sdk } = this.#requests;
    const place = new Place(this.location, name, bytes);
    await this.#requests.retry(signal, async () => {
      if (place.got === range.length) return;
      const from = place.got;
      const first = range.offset + from;
      const input = {
        Bucket: bucket,
        Key: this.#requests.key(name),
        Range: `bytes=${first}-${range.offset + range.length - 1}`,
      };
      const begin = (headers: IncomingHttpHeaders): void => {
        const length = lengthOf(headers);
        const isPart = headers['content-range']?.startsWith(`bytes ${first}-`) === true;
        if (isPart && length === range.length - from) return;
        if (isPart && length >= 0 && length < range.length - from)
          throw shortRead(this.location, name, range.length, from + length);
        throw brokenConnection(this.location, name, 'the answer is not the range that was asked for');
      };
      const receiver = { begin, take: (piece: Uint8Array) => place.take(piece) };
      await this.#requests
        .send(new sdk.GetObjectCommand(input), name, signal, { receiver })
        .catch((error: unknown) => {
          const short = isBackpackError(error) && error.code === 'BP_STORAGE_SHORT';
          throw short ? shortRead(this.location, name, range.length, from) : error;
        });
      place.full();
    });
  }

  /** Reads a long range in parts, several at once. */
  async #getParts(
    name: ObjectName,
    range: ByteRange,
    bytes: Uint8Array,
    signal: AbortSignal | undefined,
  ): Promise<void> {
    const stop = new AbortController();
    const either = signal === undefined ? stop.signal : AbortSignal.any([signal, stop.signal]);
    let next = 0;
    const reader = async (): Promise<void> => {
      while (next < range.length) {
        const at = next;
        const length = Math.min(partBytes, range.length - at);
        next += length;
        const part = { offset: range.offset + at, length };
        await this.#getRange(name, part, bytes.subarray(at, at + length), either);
      }
    };
    const readers = Array.from({ length: this.#requests.connections }, reader);
    try {
      await Promise.all(readers);
    } catch (error) {
      stop.abort();
      await Promise.allSettled(readers);
      throw error;
    }
  }
}

/** Where the bytes of an object go. */
class Place {
  readonly #location: string;
  readonly #name: ObjectName;
  bytes: Uint8Array;
  got = 0;

  constructor(location: string, name: ObjectName, bytes: Uint8Array = new Uint8Array()) {
    this.#location = location;
    this.#name = name;
    this.bytes = bytes;
  }

  take(piece: Uint8Array): void {
    if (this.got + piece.byteLength > this.bytes.byteLength)
      throw brokenConnection(this.#location, this.#name, 'the answer is longer than it should be');
    this.bytes.set(piece, this.got);
    this.got += piece.byteLength;
  }

  /** @throws BackpackError when bytes are missing */
  full(): Uint8Array {
    if (this.got !== this.bytes.byteLength)
      throw brokenConnection(this.#location, this.#name, 'the answer was cut short');
    return this.bytes;
  }
}

/** -1 when an answer does not say how long it is. */
function lengthOf(headers: IncomingHttpHeaders): number {
  const text = headers['content-length'] ?? '';
  return /^\d+$/.test(text) ? Number(text) : -1;
}

/** S3 tells the time of an object in seconds when asked for one, and in finer steps in listings. */
function seconds(time: Date | undefined): number {
  return Math.floor((time?.getTime() ?? 0) / 1000) * 1000;
}

/** Opens a bucket. No request is made before the first call. @throws BackpackError BP_LOCATION */
export async function openS3(spec: StorageSpec): Promise<S3Storage> {
  // Else the SDK prints a warning about the version of Node.js into the output of a command.
  process.env['AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED'] ??= 'true';
  const sdk = await import('@aws-sdk/client-s3');
  try {
    return new S3Storage(new S3Requests(sdk, spec));
  } catch (error) {
    if (isBackpackError(error)) throw error;
    throw new BackpackError('BP_LOCATION', `${spec.location} cannot be used: ${(error as Error).message}`, {
      kind: 'usage',
      cause: error,
      hint: 'check the endpoint and the region',
    });
  }
}
