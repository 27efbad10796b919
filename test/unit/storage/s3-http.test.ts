/** What carries the requests to S3: answers of servers that are wrong, and what a request says. */
import { createHash } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { listAll, openStorage, type S3Options, type Storage } from '../../../src/storage/index.ts';
import { codeOfAsync } from '../support.ts';

const id = (n: number): string => `019b76daa8${n.toString(16).padStart(30, '0')}`;
const pack = (n: number): string => `packs/019b7/${id(n)}.bpk`;
const index = (n: number): string => `index/${id(n)}.bpk`;
const MiB = 1024 * 1024;

type Answer = (request: IncomingMessage, response: ServerResponse, body: Buffer) => unknown;
let answer: Answer;
let seen: { method: string; url: string; headers: IncomingMessage['headers']; body: Buffer }[];
let connections = 0;
let closed = 0;
let endpoint: string;
const server: Server = createServer(async (request, response) => {
  const pieces: Buffer[] = [];
  for await (const piece of request) pieces.push(piece as Buffer);
  const body = Buffer.concat(pieces);
  seen.push({ method: request.method!, url: request.url!, headers: request.headers, body });
  answer(request, response, body);
});
server.on('connection', (socket) => {
  connections += 1;
  socket.on('close', () => {
    closed += 1;
  });
});

beforeAll(async () => {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterAll(() => {
  server.closeAllConnections();
  server.close();
});
const opened: Storage[] = [];
beforeEach(() => {
  seen = [];
  connections = 0;
  closed = 0;
  vi.stubEnv('AWS_ACCESS_KEY_ID', 'TESTKEY');
  vi.stubEnv('AWS_SECRET_ACCESS_KEY', 'TESTSECRET');
});
afterEach(async () => {
  vi.unstubAllEnvs();
  for (const storage of opened.splice(0)) await storage[Symbol.asyncDispose]();
});

async function open(s3: S3Options = {}, timeoutMs = 10_000): Promise<Storage> {
  const storage = await openStorage({ location: 's3://bucket/a', s3: { endpoint, ...s3 }, timeoutMs });
  opened.push(storage);
  return storage;
}

const ok: Answer = (request, response) => {
  const url = request.url!;
  if (request.method === 'HEAD') return response.writeHead(404).end();
  response.writeHead(200, { etag: '"x"' });
  if (request.method !== 'POST') response.end();
  else if (url.includes('uploadId='))
    response.end('<CompleteMultipartUploadResult><ETag>"x"</ETag></CompleteMultipartUploadResult>');
  else response.end('<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>');
};
const range = { offset: 1000, length: 500 };

describe('an answer', () => {
  it.each<[string, Record<string, string | number>, number, number, string]>([
    ['another range', { 'content-range': 'bytes 0-499/9999' }, 206, 500, 'BP_STORAGE_NETWORK'],
    ['the whole object', {}, 200, 9999, 'BP_STORAGE_NETWORK'],
    ['a part without a range', {}, 206, 500, 'BP_STORAGE_NETWORK'],
    ['fewer bytes', { 'content-range': 'bytes 1000-1199/1200' }, 206, 200, 'BP_STORAGE_SHORT'],
    ['more bytes', { 'content-range': 'bytes 1000-1999/9999' }, 206, 1000, 'BP_STORAGE_NETWORK'],
  ])('with %s is refused', async (_, headers, status, length, code) => {
    answer = (_request, response) =>
      response.writeHead(status, { ...headers, 'content-length': length }).end(Buffer.alloc(length));
    const into = Buffer.alloc(500, 'o');
    const storage = await open({}, 1000);
    expect(await codeOfAsync(() => storage.get(pack(1), { range, into }))).toBe(code);
    expect(into.equals(Buffer.alloc(500, 'o'))).toBe(true);
  });

  it('that is far too long is refused before memory is taken, and not read', async () => {
    answer = (_request, response) => {
      response.writeHead(200, { 'content-length': 2 ** 40 });
      response.write(Buffer.alloc(100));
    };
    const storage = await open();
    const before = process.memoryUsage().arrayBuffers;
    expect(await codeOfAsync(() => storage.get(index(1)))).toBe('BP_STORAGE_SHORT');
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(8 * MiB);
    await vi.waitFor(() => expect(closed).toBe(1));
  });

  it('that does not say how long it is is refused', async () => {
    answer = (_request, response) => response.writeHead(200).end('abc');
    const storage = await open();
    expect(await codeOfAsync(() => storage.get(index(1)))).toBe('BP_STORAGE_SHORT');
  });

  it.each([
    ['an error', 400],
    ['a listing', 200],
  ])('with %s that never ends is not collected for ever', async (_, status) => {
    let sent = 0;
    answer = (_request, response) => {
      response.writeHead(status, { 'content-type': 'application/xml' });
      const more = (): void => {
        while (!response.destroyed && sent < 200 * MiB) {
          sent += MiB;
          if (!response.write(Buffer.alloc(MiB, ' '))) return void response.once('drain', more);
        }
      };
      more();
    };
    const storage = await open({}, 60_000);
    expect(await codeOfAsync(() => listAll(storage, ''))).toBe('BP_STORAGE_IO');
    expect(connections).toBe(1);
    expect(sent).toBeLessThan(64 * MiB);
  });

  it('that breaks off is gone on with, not begun again', async () => {
    const bytes = Buffer.from(Array.from({ length: 500 }, (_, i) => i % 251));
    answer = (request, response) => {
      const [first, last] = /(\d+)-(\d+)/.exec(request.headers.range!)!.slice(1).map(Number) as [
        number,
        number,
      ];
      const part = bytes.subarray(first - 1000, last - 999);
      response.writeHead(206, {
        'content-range': `bytes ${first}-${last}/9999`,
        'content-length': part.length,
      });
      if (seen.length > 1) return response.end(part);
      response.write(part.subarray(0, 200));
      setTimeout(() => response.destroy(), 20);
    };
    const storage = await open();
    expect(Buffer.compare(await storage.get(pack(1), { range }), bytes)).toBe(0);
    expect(seen.map(({ headers }) => headers.range)).toEqual(['bytes=1000-1499', 'bytes=1200-1499']);
  });

  it.each([301, 302, 307, 308])('that leads elsewhere (%i) is not followed', async (status) => {
    answer = (_request, response) =>
      response
        .writeHead(status, { location: `${endpoint}/elsewhere` })
        .end('<Error><Code>PermanentRedirect</Code></Error>');
    const storage = await open();
    expect(await codeOfAsync(() => storage.get(pack(1), { range }))).toBe('BP_STORAGE_IO');
    expect(seen.map(({ url }) => url.split('?')[0])).toEqual([`/bucket/a/${pack(1)}`]);
  });

  it('is its own, when many come at once in small and in large pieces', async () => {
    const content = (name: string): Buffer =>
      Buffer.alloc(700_000, createHash('sha256').update(name).digest());
    answer = (request, response) => {
      const bytes = content(request.url!.split('?')[0]!.slice('/bucket/a/'.length));
      response.writeHead(200, { 'content-length': bytes.length });
      let at = 0;
      const more = (): void => {
        const end = at + 1 + ((at * 7 + 4001) % 90_000);
        response.write(bytes.subarray(at, end));
        at = end;
        if (at < bytes.length) setImmediate(more);
        else response.end();
      };
      more();
    };
    const storage = await open();
    const names = Array.from({ length: 24 }, (_, i) => pack(i));
    const got = await Promise.all(names.map((name) => storage.get(name)));
    for (const [i, name] of names.entries()) expect(Buffer.compare(got[i]!, content(name))).toBe(0);
    // 4 connections by default, and 2 for what must not wait.
    expect(connections).toBeLessThanOrEqual(6);
  });

  it('that is collected is whole, also when it comes in pieces that arrive later', async () => {
    const names = Array.from({ length: 50 }, (_, i) => index(i));
    const entry = (name: string): string =>
      `<Contents><Key>a/${name}</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified><Size>1</Size></Contents>`;
    const text = `<ListBucketResult>${names.map(entry).join('')}<IsTruncated>false</IsTruncated></ListBucketResult>`;
    answer = async (_request, response) => {
      response.writeHead(200, { 'content-type': 'application/xml' });
      for (let at = 0; at < text.length; at += 1500) {
        response.write(text.slice(at, at + 1500));
        await new Promise((resolve) => setTimeout(resolve, 2));
      }
      response.end();
    };
    const storage = await open();
    expect((await listAll(storage, '')).map(({ name }) => name)).toEqual(names);
  });
});

describe('a request', () => {
  const put = (): (typeof seen)[number] => seen.find(({ method }) => method === 'PUT')!;

  it('signs the SHA-256 of its body, and has no MD5 unless there is a lock', async () => {
    answer = ok;
    const bytes = Buffer.from('some bytes');
    await (await open()).put('README.txt', bytes);
    const sha256 = createHash('sha256').update(bytes).digest('hex');
    expect(put().headers['x-amz-content-sha256']).toBe(sha256);
    expect(put().headers.authorization).toMatch(/SignedHeaders=[^,]*x-amz-content-sha256/);
    expect(put().headers['content-md5']).toBeUndefined();
    expect(put().headers['content-encoding']).toBeUndefined();
    expect(put().body.equals(bytes)).toBe(true);
    seen = [];
    await (await open({ retention: { mode: 'GOVERNANCE', days: 1 } })).put(index(1), bytes);
    expect(put().headers['x-amz-object-lock-mode']).toBe('GOVERNANCE');
    expect(put().headers['content-md5']).toBe(createHash('md5').update(bytes).digest('base64'));
    expect(put().headers.authorization).toMatch(/SignedHeaders=[^,]*content-md5/);
  });

  it('for a pack in parts says class, encryption and lock once, and each part has its digest', async () => {
    answer = ok;
    const storage = await open({
      storageClass: 'STANDARD_IA',
      encryption: { algorithm: 'aws:kms', kmsKeyId: 'key-1' },
      retention: { mode: 'COMPLIANCE', days: 2 },
    });
    const writer = await storage.create(pack(1));
    await writer.append([Buffer.alloc(9 * MiB, 'x')]);
    await writer.commit();
    const begin = seen.find(({ method }) => method === 'POST')!;
    expect(begin.headers['x-amz-storage-class']).toBe('STANDARD_IA');
    expect(begin.headers['x-amz-server-side-encryption']).toBe('aws:kms');
    expect(begin.headers['x-amz-object-lock-mode']).toBe('COMPLIANCE');
    const parts = seen.filter(({ method }) => method === 'PUT');
    expect(parts.map(({ url }) => /partNumber=\d+&uploadId=u\b/.exec(url)?.[0]).sort()).toEqual([
      'partNumber=1&uploadId=u',
      'partNumber=2&uploadId=u',
    ]);
    for (const { headers, body } of parts) {
      expect(headers['x-amz-content-sha256']).toBe(createHash('sha256').update(body).digest('hex'));
      expect(headers['content-md5']).toBe(createHash('md5').update(body).digest('base64'));
      expect(headers['x-amz-storage-class']).toBeUndefined();
    }
  });

  it('carries the token of a session, signed', async () => {
    vi.stubEnv('AWS_SESSION_TOKEN', 'token-of-a-session');
    answer = (_request, response) =>
      response
        .writeHead(206, { 'content-range': 'bytes 1000-1499/9999', 'content-length': 500 })
        .end(Buffer.alloc(500));
    await (await open()).get(pack(1), { range });
    expect(seen[0]!.headers['x-amz-security-token']).toBe('token-of-a-session');
    expect(seen[0]!.headers.authorization).toMatch(/SignedHeaders=[^,]*x-amz-security-token/);
    expect(seen[0]!.headers.range).toBe('bytes=1000-1499');
  });

  it('has an answer before its body is gone: the answer counts', async () => {
    const refusing = createServer((_request, response) => {
      response.writeHead(403, { connection: 'close' });
      response.end('<Error><Code>AccessDenied</Code></Error>');
    });
    await new Promise<void>((resolve) => refusing.listen(0, '127.0.0.1', resolve));
    const address = `http://127.0.0.1:${(refusing.address() as AddressInfo).port}`;
    const storage = await open({ endpoint: address });
    const code = await codeOfAsync(() => storage.put('README.txt', Buffer.alloc(1000)));
    expect(code).toBe('BP_STORAGE_DENIED');
    refusing.closeAllConnections();
    refusing.close();
  });
});
