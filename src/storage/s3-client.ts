/**
 * Requests to an S3 server through the AWS SDK: one attempt each, with limits on silence and on the whole time, and
 * retries by our own rules, so that a run ends within twice its timeout whatever the server does.
 */
import type * as SdkModule from '@aws-sdk/client-s3';
import { BackpackError } from '../base/errors.ts';
import type { S3Options, StorageSpec } from './open.ts';
import { type RetryPolicy, retrying } from './retry.ts';
import { fromSdkError } from './s3-errors.ts';
import { type HttpOptions, type Receiver, S3Http } from './s3-http.ts';
import { canceled, throwIfCanceled, timedOut } from './storage-errors.ts';

export type Sdk = typeof SdkModule;

const defaultTimeoutMs = 60_000;
const defaultConnections = 4;
/** Each part on its way is kept in memory. */
const defaultUploads = 2;
/** A peer that is slower than this is taken for dead, bytes per second. */
const rateMin = 16 * 1024;

/** Bucket and prefix of a location. @throws BackpackError BP_LOCATION */
function parseS3Location(location: string): { bucket: string; base: string; location: string } {
  const match = /^s3:\/\/([a-z0-9][a-z0-9._-]{1,61}[a-z0-9])(?:\/(.*))?$/.exec(location);
  const prefix = (match?.[2] ?? '').replace(/\/+$/, '');
  const bad = prefix.split('/').some((part) => part === '.' || part === '..') || /[^ -~]|\/\//.test(prefix);
  if (match === null || bad || prefix.startsWith('/')) {
    // Not repeated: it may hold a password.
    throw new BackpackError('BP_LOCATION', 'not the location of a bucket', {
      kind: 'usage',
      hint: 'give s3://BUCKET or s3://BUCKET/PREFIX; address and credentials are not part of it',
    });
  }
  const bucket = match[1]!;
  if (prefix === '') return { bucket, base: '', location: `s3://${bucket}` };
  return { bucket, base: `${prefix}/`, location: `s3://${bucket}/${prefix}` };
}

/** A command of the SDK whose answer is `O`. */
interface CommandOf<O> {
  readonly middlewareStack: { add(middleware: never, options: never): unknown };
  resolveMiddleware(
    stack: never,
    configuration: never,
    options: never,
  ): (args: never) => Promise<{ readonly output: O }>;
}

/** What is sent and received beside the head of a request. */
interface Traffic {
  /** Length of the body that is sent. */
  readonly bytes?: number;
  /** Takes the body of the answer. */
  readonly receiver?: Receiver;
}

/** See the file's comment. */
export class S3Requests {
  readonly sdk: Sdk;
  readonly bucket: string;
  /** What comes before the names of objects: empty, or ends with a slash. */
  readonly base: string;
  readonly location: string;
  readonly connections: number;
  /** Parts of uploads at the same time. */
  readonly uploads: number;
  readonly timeoutMs: number;
  readonly options: S3Options;
  readonly #client: SdkModule.S3Client;
  readonly #http: S3Http;
  readonly #policy: RetryPolicy;

  constructor(sdk: Sdk, spec: StorageSpec) {
    const { bucket, base, location } = parseS3Location(spec.location);
    this.sdk = sdk;
    this.bucket = bucket;
    this.base = base;
    this.location = location;
    this.options = spec.s3 ?? {};
    this.connections = spec.connections ?? defaultConnections;
    this.uploads = spec.connections ?? defaultUploads;
    this.timeoutMs = spec.timeoutMs ?? defaultTimeoutMs;
    this.#policy = {
      forMs: this.timeoutMs,
      pauseMs: Math.min(200, this.timeoutMs / 20),
      pauseMaxMs: Math.min(10_000, this.timeoutMs / 4),
      random: Math.random,
      now: () => performance.now(),
    };
    this.#http = new S3Http(this.connections + 2, Math.min(10_000, this.#silenceMs), this.#silenceMs);
    this.#client = new sdk.S3Client(this.#clientOptions());
  }

  #clientOptions(): SdkModule.S3ClientConfig {
    const { endpoint, addressing, region } = this.options;
    const quiet = (): void => {};
    return {
      ...(region === undefined ? (endpoint === undefined ? {} : { region: 'us-east-1' }) : { region }),
      ...(endpoint === undefined ? {} : { endpoint }),
      forcePathStyle: addressing === undefined ? endpoint !== undefined : addressing === 'path',
      // The SHA-256 of a body is part of what is signed. Checksums that the SDK adds by itself go behind the body, where other servers store them as data.
      requestChecksumCalculation: 'WHEN_REQUIRED',
      responseChecksumValidation: 'WHEN_REQUIRED',
      expectContinueHeader: false,
      followRegionRedirects: endpoint === undefined,
      maxAttempts: 1,
      requestHandler: this.#http as never,
      logger: { trace: quiet, debug: quiet, info: quiet, warn: quiet, error: quiet },
    };
  }

  /** How long an attempt may be without a byte: half, so that the last attempt also fits into twice the timeout. */
  get #silenceMs(): number {
    return Math.max(1, this.timeoutMs / 2);
  }

  key(name: string): string {
    return this.base + name;
  }

  /**
   * Tries until it works, fails for good, or the time is over.
   * @param attempt gets the number of failures so far
   */
  retry<T>(signal: AbortSignal | undefined, attempt: (failures: number) => Promise<T>): Promise<T> {
    return retrying(this.#policy, signal, attempt);
  }

  /**
   * One attempt, with a limit on silence and a lowest rate: a peer that sends a byte per second is not waited for.
   * @returns the answer, with the server's clock in ms (0 when it tells none)
   */
  async send<O extends object>(
    command: CommandOf<O>,
    object: string,
    signal: AbortSignal | undefined,
    { bytes = 0, receiver }: Traffic = {},
  ): Promise<O & { readonly serverMs: number }> {
    throwIfCanceled(signal);
    const { location } = this;
    const stop = new AbortController();
    const end = (): void => stop.abort();
    signal?.addEventListener('abort', end, { once: true });
    let late = false;
    const giveUp = (): void => {
      late = true;
      stop.abort();
    };
    let timer = setTimeout(giveUp, this.#silenceMs + (bytes / rateMin) * 1000);
    let since = 0;
    const watch = (): void => {
      if (since < (rateMin / 4) * (this.#silenceMs / 1000)) giveUp();
      since = 0;
    };
    const watched: Receiver | undefined = receiver && {
      begin: (headers) => {
        clearTimeout(timer);
        timer = setInterval(watch, this.#silenceMs);
        receiver.begin(headers);
      },
      take: (piece) => {
        since += piece.byteLength;
        receiver.take(piece);
      },
    };
    let serverMs = 0;
    const readClock = (next: (args: unknown) => Promise<RawAnswer>) => async (args: unknown) => {
      const result = await next(args);
      serverMs = Date.parse(result.response.headers?.['date'] ?? '') || 0;
      return result;
    };
    const place = { step: 'deserialize', priority: 'low', name: 'readClock', override: true };
    command.middlewareStack.add(readClock as never, place as never);
    const options: HttpOptions = {
      abortSignal: stop.signal,
      ...(watched === undefined ? {} : { receiver: watched }),
    };
    try {
      const answer = await this.#client.send(command as never, options as never);
      return Object.assign(answer as O, { serverMs });
    } catch (error) {
      if (signal?.aborted) throw canceled(signal);
      if (late) throw timedOut(location, object, this.timeoutMs);
      throw fromSdkError(error, { location, object, timeoutMs: this.timeoutMs });
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener('abort', end);
    }
  }

  close(): void {
    this.#client.destroy();
  }
}

interface RawAnswer {
  readonly response: { readonly headers?: Readonly<Record<string, string>> };
}
