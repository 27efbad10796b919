/**
 * An S3 server in this process, for tests: AWS semantics, profiles that imitate what real servers were measured to do
 * (docs/storage.md), and faults on a schedule. It proves nothing about real servers: `npm run test:servers` does that.
 */
import { createHash, randomBytes } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createServer as createSecureServer } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';

/**
 * `aws`: conditions are honoured. `rgw`: not at the completion of an upload in parts. `swift`: conditions are 501.
 * `naive`: conditions are ignored, objects are overwritten.
 */
export type Profile = 'aws' | 'rgw' | 'swift' | 'naive';

/** What happens to a request instead of an answer. */
export type Fault =
  | 'error-500'
  | 'error-503'
  | 'error-429'
  | 'applied-500'
  | 'applied-reset'
  | 'reset'
  | 'reset-body'
  | 'reset-upload'
  | 'short-body'
  | 'slow'
  | 'hang'
  | 'bad-xml';

/** A request as a fault schedule sees it. */
export interface Seen {
  readonly method: string;
  readonly key: string;
  readonly query: URLSearchParams;
  /** Number of the request, from 0. */
  readonly number: number;
}

interface Stored {
  readonly bytes: Buffer;
  readonly time: Date;
  readonly headers: Readonly<Record<string, string>>;
}

/** See the file's comment. */
export class S3Stub {
  readonly objects = new Map<string, Stored>();
  readonly uploads = new Map<
    string,
    { readonly key: string; readonly parts: Map<number, Buffer>; readonly begun: Date }
  >();
  /** Every request so far, `METHOD key?query`. */
  readonly log: string[] = [];
  readonly bucket = 'bucket';
  profile: Profile = 'aws';
  fault: (seen: Seen) => Fault | undefined = () => undefined;
  /** Whether DELETE is refused. */
  mayDelete = true;
  /** How much later than they were written objects appear in listings, ms. */
  listingLagMs = 0;
  pageSize = 1000;
  requests = 0;
  /** Parts on their way at the same time: now, and at most so far. */
  parts = { now: 0, most: 0 };
  /** How long a part takes, ms. */
  partMs = 0;
  readonly #scheme: string;
  readonly #server: Server;
  /** What lies below the connections, by the port of the client: TLS cannot be reset, TCP can. */
  readonly #sockets = new Map<number, Socket>();

  /** @param tls PEM: then it speaks HTTPS */
  constructor(tls?: { readonly key: string; readonly cert: string }) {
    const serve = (request: IncomingMessage, response: ServerResponse): void =>
      void this.#serve(request, response);
    this.#scheme = tls === undefined ? 'http' : 'https';
    this.#server = tls === undefined ? createServer(serve) : createSecureServer(tls, serve);
    this.#server.on('connection', (socket: Socket) => {
      const port = socket.remotePort ?? 0;
      this.#sockets.set(port, socket);
      socket.on('close', () => this.#sockets.delete(port));
    });
  }

  /** Starts it. @returns its address */
  async listen(): Promise<string> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve));
    return `${this.#scheme}://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const number = this.requests++;
    const url = new URL(request.url ?? '/', 'http://stub');
    const [, bucket = '', ...rest] = decodeURIComponent(url.pathname).split('/');
    const key = rest.join('/');
    const method = request.method ?? '';
    this.log.push(`${method} ${key}${url.search}`);
    const seen: Seen = { method, key, query: url.searchParams, number };
    if (url.searchParams.has('partNumber')) {
      this.parts.now += 1;
      this.parts.most = Math.max(this.parts.most, this.parts.now);
      response.on('close', () => {
        this.parts.now -= 1;
      });
      await new Promise((resolve) => setTimeout(resolve, this.partMs));
    }
    const fault = this.fault(seen);
    if (fault === 'hang') return;
    if (fault === 'reset') return void request.socket.destroy();
    // In the middle of what the client sends.
    if (fault === 'reset-upload') return void request.once('data', () => this.#reset(request));
    const body = await readAll(request).catch(() => undefined);
    if (body === undefined) return;
    if (fault === 'error-500') return fail(response, 500, 'InternalError');
    if (fault === 'error-503') return fail(response, 503, 'SlowDown');
    if (fault === 'error-429') return fail(response, 429, 'TooManyRequests');
    const refused = this.#check(request, bucket, body);
    if (refused !== undefined) return fail(response, ...refused);
    const answer = this.#answer(seen, request, body);
    if (fault === 'applied-500') return fail(response, 500, 'InternalError');
    if (fault === 'applied-reset') return void request.socket.destroy();
    if (fault === 'bad-xml' && answer.status === 200 && answer.type === 'application/xml')
      return send(response, 200, answer.body.subarray(0, answer.body.byteLength / 2), answer.headers);
    if (fault === 'slow') return drip(response, answer);
    if ((fault === 'short-body' || fault === 'reset-body') && answer.body.byteLength > 1) {
      response.writeHead(answer.status, { ...answer.headers, 'content-length': answer.body.byteLength });
      response.write(answer.body.subarray(0, answer.body.byteLength / 2));
      if (fault === 'reset-body') setTimeout(() => this.#reset(request), 5);
      else setTimeout(() => request.socket.end(), 5);
      return;
    }
    send(response, answer.status, method === 'HEAD' ? Buffer.alloc(0) : answer.body, answer.headers);
  }

  #reset(request: IncomingMessage): void {
    this.#sockets.get(request.socket.remotePort ?? 0)?.resetAndDestroy();
  }

  /** What every request must have: a signature that fits its key, an honest length, an honest digest; locks an MD5. */
  #check(request: IncomingMessage, bucket: string, body: Buffer): [number, string] | undefined {
    const { authorization = '', 'content-md5': md5, 'x-amz-content-sha256': sha256 = '' } = request.headers;
    const signed =
      /^AWS4-HMAC-SHA256 Credential=TESTKEY\/\d{8}\/[a-z0-9-]+\/s3\/aws4_request, SignedHeaders=[^,]+, Signature=[0-9a-f]{64}$/;
    if (!signed.test(authorization)) return [403, 'AccessDenied'];
    if (bucket !== this.bucket) return [404, 'NoSuchBucket'];
    if (request.headers['content-encoding']?.includes('aws-chunked')) return [411, 'MissingContentLength'];
    const isLocked = request.headers['x-amz-object-lock-mode'] !== undefined;
    const hasDigest = isLocked ? md5 !== undefined : /^[0-9a-f]{64}$/.test(String(sha256));
    if (request.method === 'PUT' && !hasDigest) return [400, 'InvalidDigest'];
    if (md5 !== undefined && md5 !== createHash('md5').update(body).digest('base64'))
      return [400, 'BadDigest'];
    const hex = createHash('sha256').update(body).digest('hex');
    if (/^[0-9a-f]{64}$/.test(String(sha256)) && sha256 !== hex) return [400, 'XAmzContentSHA256Mismatch'];
    return undefined;
  }

  #answer({ method, key, query }: Seen, request: IncomingMessage, body: Buffer): Answer {
    if (key === '' && query.has('uploads')) return this.#listUploads();
    if (key === '' && method === 'GET') return this.#list(query);
    if (query.has('uploads')) return this.#begin(key);
    const upload = query.get('uploadId');
    if (upload !== null) return this.#part(method, key, upload, query, request, body);
    if (method === 'PUT') return this.#put(key, body, request);
    if (method === 'DELETE') {
      if (!this.mayDelete) return error(403, 'AccessDenied');
      this.objects.delete(key);
      return { status: 204, body: Buffer.alloc(0), headers: {}, type: '' };
    }
    return this.#get(key, request);
  }

  #put(key: string, body: Buffer, request: IncomingMessage): Answer {
    if (request.headers['if-none-match'] !== undefined) {
      if (this.profile === 'swift') return error(501, 'NotImplemented');
      if (this.profile !== 'naive' && this.objects.has(key)) return error(412, 'PreconditionFailed');
    }
    const headers = Object.fromEntries(
      Object.entries(request.headers).filter(([name]) => name.startsWith('x-amz-')),
    ) as Record<string, string>;
    this.objects.set(key, { bytes: body, time: new Date(), headers });
    return { status: 200, body: Buffer.alloc(0), headers: { etag: etag(body) }, type: '' };
  }

  #get(key: string, request: IncomingMessage): Answer {
    const found = this.objects.get(key);
    if (found === undefined) return error(404, 'NoSuchKey');
    const headers = {
      etag: etag(found.bytes),
      'last-modified': found.time.toUTCString(),
      'content-length': String(found.bytes.byteLength),
    };
    const range = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '');
    if (range === null) return { status: 200, body: found.bytes, headers, type: 'bytes' };
    const [first, last] = [Number(range[1]), Math.min(Number(range[2]), found.bytes.byteLength - 1)];
    if (first >= found.bytes.byteLength) return error(416, 'InvalidRange');
    const part = found.bytes.subarray(first, last + 1);
    return {
      status: 206,
      body: part,
      headers: {
        ...headers,
        'content-length': String(part.byteLength),
        'content-range': `bytes ${first}-${last}/${found.bytes.byteLength}`,
      },
      type: 'bytes',
    };
  }

  #list(query: URLSearchParams): Answer {
    const prefix = query.get('prefix') ?? '';
    const after = query.get('continuation-token') ?? query.get('start-after') ?? '';
    const delimiter = query.get('delimiter');
    const now = Date.now();
    const keys = [...this.objects]
      .filter(
        ([key, { time }]) =>
          key.startsWith(prefix) && key > after && now - time.getTime() >= this.listingLagMs,
      )
      .map(([key]) => key)
      .sort();
    const groups = new Set<string>();
    const single: string[] = [];
    for (const key of keys) {
      const end = delimiter === null ? -1 : key.indexOf(delimiter, prefix.length);
      if (end < 0) single.push(key);
      else groups.add(key.slice(0, end + 1));
    }
    const page = single.slice(0, Math.min(this.pageSize, Number(query.get('max-keys') ?? 1000)));
    const more = page.length < single.length;
    const contents = page.map((key) => {
      const { bytes, time } = this.objects.get(key)!;
      return `<Contents><Key>${escaped(key)}</Key><LastModified>${time.toISOString()}</LastModified><Size>${bytes.byteLength}</Size></Contents>`;
    });
    return xml(
      `<ListBucketResult><Name>${this.bucket}</Name><KeyCount>${page.length}</KeyCount>${contents.join('')}` +
        [...groups]
          .map((group) => `<CommonPrefixes><Prefix>${escaped(group)}</Prefix></CommonPrefixes>`)
          .join('') +
        `<IsTruncated>${more}</IsTruncated>${more ? `<NextContinuationToken>${escaped(page.at(-1)!)}</NextContinuationToken>` : ''}</ListBucketResult>`,
    );
  }

  #listUploads(): Answer {
    const found = [...this.uploads].map(
      ([id, { key, begun }]) =>
        `<Upload><Key>${escaped(key)}</Key><UploadId>${id}</UploadId><Initiated>${begun.toISOString()}</Initiated></Upload>`,
    );
    return xml(
      `<ListMultipartUploadsResult>${found.join('')}<IsTruncated>false</IsTruncated></ListMultipartUploadsResult>`,
    );
  }

  #begin(key: string): Answer {
    const id = randomBytes(8).toString('hex');
    this.uploads.set(id, { key, parts: new Map(), begun: new Date() });
    return xml(
      `<InitiateMultipartUploadResult><Key>${escaped(key)}</Key><UploadId>${id}</UploadId></InitiateMultipartUploadResult>`,
    );
  }

  #part(
    method: string,
    key: string,
    id: string,
    query: URLSearchParams,
    request: IncomingMessage,
    body: Buffer,
  ): Answer {
    const upload = this.uploads.get(id);
    if (upload?.key !== key) return error(404, 'NoSuchUpload');
    if (method === 'PUT') {
      upload.parts.set(Number(query.get('partNumber')), body);
      return { status: 200, body: Buffer.alloc(0), headers: { etag: etag(body) }, type: '' };
    }
    if (method === 'DELETE') {
      if (!this.mayDelete) return error(403, 'AccessDenied');
      this.uploads.delete(id);
      return { status: 204, body: Buffer.alloc(0), headers: {}, type: '' };
    }
    const conditional =
      request.headers['if-none-match'] !== undefined && this.profile !== 'naive' && this.profile !== 'rgw';
    if (conditional && this.objects.has(key)) return error(412, 'PreconditionFailed');
    const wanted = [
      ...body
        .toString()
        .matchAll(
          /<ETag>([^<]+)<\/ETag>\s*<PartNumber>(\d+)<\/PartNumber>|<PartNumber>(\d+)<\/PartNumber>\s*<ETag>([^<]+)<\/ETag>/g,
        ),
    ].map((match) => ({
      number: Number(match[2] ?? match[3]),
      tag: (match[1] ?? match[4])!.replaceAll('&quot;', '"'),
    }));
    const parts = wanted.map(({ number, tag }) => {
      const part = upload.parts.get(number);
      return part !== undefined && etag(part) === tag ? part : undefined;
    });
    if (parts.length === 0 || parts.includes(undefined)) return error(400, 'InvalidPart');
    if (parts.slice(0, -1).some((part) => part!.byteLength < 5 * 1024 * 1024))
      return error(400, 'EntityTooSmall');
    this.uploads.delete(id);
    const bytes = Buffer.concat(parts as Buffer[]);
    this.objects.set(key, { bytes, time: new Date(), headers: {} });
    return xml(
      `<CompleteMultipartUploadResult><Key>${escaped(key)}</Key><ETag>"x-${parts.length}"</ETag></CompleteMultipartUploadResult>`,
    );
  }
}

interface Answer {
  readonly status: number;
  readonly body: Buffer;
  readonly headers: Readonly<Record<string, string>>;
  readonly type: string;
}

function xml(text: string, status = 200): Answer {
  const body = Buffer.from(`<?xml version="1.0" encoding="UTF-8"?>${text}`);
  return { status, body, headers: { 'content-type': 'application/xml' }, type: 'application/xml' };
}

function error(status: number, code: string): Answer {
  return xml(`<Error><Code>${code}</Code><Message>${code}</Message></Error>`, status);
}

function fail(response: ServerResponse, status: number, code: string): void {
  const { body, headers } = error(status, code);
  send(response, status, body, headers);
}

function send(
  response: ServerResponse,
  status: number,
  body: Buffer,
  headers: Readonly<Record<string, string>>,
): void {
  response.writeHead(status, { 'content-length': body.byteLength, ...headers });
  response.end(body);
}

/** One byte each 100 ms. */
function drip(response: ServerResponse, answer: Answer): void {
  response.writeHead(answer.status, { ...answer.headers, 'content-length': answer.body.byteLength });
  response.flushHeaders();
  let at = 0;
  const timer = setInterval(() => {
    if (at >= answer.body.byteLength || response.destroyed) {
      clearInterval(timer);
      response.end();
      return;
    }
    response.write(answer.body.subarray(at, at + 1));
    at += 1;
  }, 100);
}

function etag(bytes: Buffer): string {
  return `"${createHash('md5').update(bytes).digest('hex')}"`;
}

function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;');
}

async function readAll(request: IncomingMessage): Promise<Buffer> {
  const pieces: Buffer[] = [];
  for await (const piece of request) pieces.push(piece as Buffer);
  return Buffer.concat(pieces);
}
