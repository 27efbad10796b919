/**
 * What carries the requests of the AWS SDK: HTTP over connections that are kept, one attempt, no redirect. An answer
 * goes piece by piece to whoever wants it, without a stream in between, and is over when the call is; any other answer
 * is collected, up to a limit. It knows nothing of S3: the SDK has signed, and reads what comes back.
 */
import {
  type ClientRequest,
  Agent as HttpAgent,
  request as httpRequest,
  type IncomingHttpHeaders,
  type IncomingMessage,
} from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';
import type { Socket } from 'node:net';
import { Readable } from 'node:stream';

/** Takes an answer that went well. What it throws ends the call, and the connection. */
export interface Receiver {
  /** Looks at the answer before any of its body is taken. */
  begin(headers: IncomingHttpHeaders): void;
  /** The piece is valid during the call only. */
  take(piece: Uint8Array): void;
}

/** What comes with a request. */
export interface HttpOptions {
  readonly abortSignal?: AbortSignal;
  readonly receiver?: Receiver;
}

/** A request as the SDK hands it over: signed, with an encoded path. */
interface SignedRequest {
  readonly method: string;
  readonly protocol: string;
  readonly hostname: string;
  readonly port?: number;
  readonly path: string;
  readonly query?: Readonly<Record<string, string | readonly string[] | null>>;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: Uint8Array | string;
}

interface Answer {
  readonly response: {
    readonly statusCode: number;
    readonly reason: string | undefined;
    readonly headers: IncomingHttpHeaders;
    readonly body: Uint8Array | Readable;
  };
}

/** Longest answer that is collected: a page of a listing has 1,000 names of at most 1 KiB. */
const answerMax = 16 * 1024 * 1024;
/** What a plain connection reads at a time, into memory that is used again. */
const readBytes = 256 * 1024;

/** See the file's comment. The methods are those that the SDK asks of a request handler. */
export class S3Http {
  readonly metadata = { handlerProtocol: 'http/1.1' };
  readonly #plain: HttpAgent;
  readonly #secure: HttpsAgent;
  readonly #connectMs: number;
  readonly #silenceMs: number;

  /**
   * @param sockets connections at the same time
   * @param silenceMs how long nothing may move on a connection
   */
  constructor(sockets: number, connectMs: number, silenceMs: number) {
    const options = { keepAlive: true, maxSockets: sockets };
    this.#plain = new ReusingAgent(options);
    this.#secure = new HttpsAgent(options);
    this.#connectMs = connectMs;
    this.#silenceMs = silenceMs;
  }

  handle(request: SignedRequest, { abortSignal, receiver }: HttpOptions = {}): Promise<Answer> {
    const isSecure = request.protocol === 'https:';
    const options = {
      method: request.method,
      host: request.hostname.replace(/^\[|\]$/g, ''),
      port: request.port,
      path: request.path + queryOf(request.query),
      headers: request.headers,
      agent: isSecure ? this.#secure : this.#plain,
      timeout: this.#silenceMs,
    };
    return new Promise((resolve, reject) => {
      if (abortSignal?.aborted) return reject(named('AbortError', 'the request was given up'));
      const call = isSecure ? httpsRequest(options) : httpRequest(options);
      const giveUp = (): void => void call.destroy(named('AbortError', 'the request was given up'));
      abortSignal?.addEventListener('abort', giveUp, { once: true });
      call.once('close', () => abortSignal?.removeEventListener('abort', giveUp));
      call.on('error', reject);
      call.once('timeout', () => call.destroy(named('TimeoutError', 'nothing moved on the connection')));
      call.once('socket', (socket) => this.#limitConnecting(call, socket));
      call.once('response', (message) => readAnswer(message, receiver).then(resolve, reject));
      call.end(request.body);
    });
  }

  #limitConnecting(call: ClientRequest, socket: Socket): void {
    if (!socket.connecting) return;
    const late = (): void => void call.destroy(named('TimeoutError', 'no connection'));
    const timer = setTimeout(late, this.#connectMs);
    const done = (): void => clearTimeout(timer);
    socket.once('connect', done).once('close', done);
  }

  updateHttpClientConfig(): void {}

  httpHandlerConfigs(): object {
    return {};
  }

  destroy(): void {
    this.#plain.destroy();
    this.#secure.destroy();
  }
}

/** Connections that read to the same memory again and again: a buffer for each 64 KiB is work for the collector. */
class ReusingAgent extends HttpAgent {
  // Not a declared method of the class in @types/node 20, but a documented one.
  override createConnection(options: object, done: never): never {
    const onread = {
      buffer: Buffer.allocUnsafeSlow(readBytes),
      callback(this: Socket, length: number, buffer: Buffer): boolean {
        // The parser of HTTP copies what is of the body, before the next piece is read.
        this.emit('data', buffer.subarray(0, length));
        return true;
      },
    };
    return super.createConnection({ ...options, onread } as never, done) as never;
  }
}

/** Called when the head of an answer has come, so that no piece of the body passes before somebody listens. */
function readAnswer(message: IncomingMessage, receiver: Receiver | undefined): Promise<Answer> {
  const { statusCode = 0, statusMessage: reason, headers } = message;
  return new Promise((resolve, reject) => {
    const fail = (error: unknown): void => {
      reject(error);
      message.destroy();
    };
    const pieces: Buffer[] = [];
    let length = 0;
    const collect = (piece: Uint8Array): void => {
      length += piece.byteLength;
      if (length > answerMax) throw named('AnswerTooLong', 'the answer is longer than any should be');
      pieces.push(Buffer.from(piece));
    };
    const wanted = statusCode >= 200 && statusCode < 300 ? receiver : undefined;
    message.on('error', reject);
    message.on('data', (piece: Uint8Array) => {
      try {
        if (wanted === undefined) collect(piece);
        else wanted.take(piece);
      } catch (error) {
        fail(error);
      }
    });
    message.on('end', () => {
      if (!message.complete) return reject(named('IncompleteAnswer', 'the answer was cut short'));
      // The SDK wants a stream where it would hand one out.
      const body = wanted === undefined ? Buffer.concat(pieces) : Readable.from([]);
      resolve({ response: { statusCode, reason, headers, body } });
    });
    try {
      wanted?.begin(headers);
    } catch (error) {
      fail(error);
    }
  });
}

function queryOf(query: SignedRequest['query'] = {}): string {
  const parts = Object.keys(query)
    .sort()
    .flatMap((key) => {
      const value = query[key];
      const name = escaped(key);
      if (Array.isArray(value)) return value.map((one) => `${name}=${escaped(one)}`);
      return [typeof value === 'string' ? `${name}=${escaped(value)}` : name];
    });
  return parts.length === 0 ? '' : `?${parts.join('&')}`;
}

/** As the signature has it. */
function escaped(text: string): string {
  return encodeURIComponent(text).replace(
    /[!'()*]/g,
    (sign) => `%${sign.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}

function named(name: string, message: string): Error {
  return Object.assign(new Error(message), { name });
}
