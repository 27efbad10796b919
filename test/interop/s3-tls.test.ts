/**
 * A bucket behind HTTPS: certificates of an authority that Node.js is told of in NODE_EXTRA_CA_CERTS, which counts from
 * the start of a process, so that the client is a process of its own; wrong certificates; connections that break.
 */
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { project, World } from '../cli/support.ts';
import { S3Stub } from '../stubs/s3-stub.ts';

const MiB = 1024 * 1024;
let world: World;
let stub: S3Stub;
let endpoint: string;

/** A certificate for a host, signed by the authority, or by itself. */
function certificate(name: string, host: string, ...more: string[]): { key: string; cert: string } {
  const openssl = (...words: string[]): void =>
    void execFileSync('openssl', words, { cwd: world.base, stdio: ['ignore', 'ignore', 'pipe'] });
  const [key, request, cert] = [`${name}.key`, `${name}.csr`, `${name}.crt`];
  openssl('ecparam', '-name', 'prime256v1', '-genkey', '-noout', '-out', key);
  if (name === 'ca') {
    openssl('req', '-new', '-x509', '-key', key, '-days', '2', '-subj', '/CN=authority', '-out', cert);
  } else {
    writeFileSync(join(world.base, 'ext'), `subjectAltName=${host}\n`);
    openssl('req', '-new', '-key', key, '-subj', `/CN=${name}`, '-out', request);
    const by = more.includes('self') ? ['-signkey', key] : ['-CA', 'ca.crt', '-CAkey', 'ca.key'];
    const days = more.includes('expired') ? '-1' : '2';
    const serial = more.includes('self') ? [] : ['-CAcreateserial'];
    openssl('x509', '-req', '-in', request, '-days', days, '-extfile', 'ext', ...by, ...serial, '-out', cert);
  }
  const read = (file: string): string => readFileSync(join(world.base, file), 'latin1');
  return { key: read(key), cert: read(cert) };
}

/** Runs a program with the bucket's environment; the stub lives in this process, so nothing here may block. */
function run(words: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<{ code: number; out: string }> {
  return new Promise((resolve) => {
    const child = spawn(words[0]!, words.slice(1), { cwd: world.dir, env: { ...world.env, ...env } });
    let out = '';
    for (const stream of [child.stdout, child.stderr])
      stream.on('data', (data: Buffer) => {
        out += data.toString();
      });
    child.on('close', (code) => resolve({ code: code ?? -1, out }));
  });
}

/** Runs a body with `storage`, `name(n)` and `code(promise)` in a process of its own; what it returns, as JSON. */
async function probe(body: string, timeoutMs = 10_000): Promise<unknown> {
  const text = `
    import { openStorage, listAll } from ${JSON.stringify(join(project, 'dist/storage/index.js'))};
    const s3 = { endpoint: process.env.AWS_ENDPOINT_URL };
    const storage = await openStorage({ location: 's3://bucket/probe', s3, timeoutMs: ${timeoutMs} });
    const name = (n) => 'packs/019b7/019b76daa8' + String(n).padStart(30, '0') + '.bpk';
    const code = (promise) => promise.then(() => 'ok', (error) => error.code);
    const result = await (async () => { ${body} })();
    console.log(JSON.stringify(result));
    await storage[Symbol.asyncDispose]();`;
  const { code, out } = await run([process.execPath, '--input-type=module', '-e', text]);
  expect({ code, out: code === 0 ? '' : out }).toEqual({ code: 0, out: '' });
  return JSON.parse(out.trim().split('\n').at(-1)!);
}

describe.skipIf(spawnSync('openssl', ['version']).status !== 0)('a bucket behind HTTPS', () => {
  beforeAll(async () => {
    world = new World();
    certificate('ca', '');
    stub = new S3Stub(certificate('server', 'IP:127.0.0.1'));
    endpoint = await stub.listen();
  });
  afterAll(async () => {
    await stub.close();
    world.remove();
  });
  beforeEach(() => {
    Object.assign(world.env, {
      AWS_ACCESS_KEY_ID: 'TESTKEY',
      AWS_SECRET_ACCESS_KEY: 'TESTSECRET',
      AWS_ENDPOINT_URL: endpoint,
      NODE_EXTRA_CA_CERTS: join(world.base, 'ca.crt'),
    });
  });
  afterEach(() => {
    stub.objects.clear();
    stub.uploads.clear();
    stub.fault = () => undefined;
  });

  it('passes through the contract of a storage', async () => {
    const { code, out } = await run(['backpack', 'storage', 'test', 's3://bucket/new']);
    expect(out).toMatch(/^\d\d cases passed, 0 failed/);
    expect(code).toBe(0);
    expect([...stub.objects.keys()]).toEqual([]);
    expect(stub.uploads.size).toBe(0);
  });

  it('takes a backup by threads, and gives it back', async () => {
    writeFileSync(join(world.dir, 'file'), Buffer.alloc(11 * MiB, 'never the same twice'));
    const steps = `set -e; export BACKPACK_REPOSITORY=s3://bucket/laptop
      backpack init; backpack backup file --threads 2; backpack check --read-data --threads 2
      backpack restore latest --to out --threads 2; find out -type f -exec cmp file {} +`;
    expect(await run(['sh', '-c', steps])).toMatchObject({ code: 0 });
  });

  it('gives objects, ranges and listings, and drops what is given up', async () => {
    const result = await probe(`
      const writer = await storage.create(name(1));
      await writer.append([Buffer.alloc(${9 * MiB}, 'abc')]);
      await writer.commit();
      const dropped = await storage.create(name(2));
      await dropped.append([Buffer.alloc(${9 * MiB}, 'x')]);
      await dropped.abort();
      await storage.put('README.txt', Buffer.from('read me'));
      const range = { offset: ${8 * MiB - 1}, length: 6 };
      return [
        (await storage.get(name(1))).equals(Buffer.alloc(${9 * MiB}, 'abc')),
        (await storage.get(name(1), { range })).toString(),
        (await listAll(storage, '')).map((info) => [info.name.length, info.sizeBytes]),
        await code(storage.get(name(2))),
      ];`);
    expect(result).toEqual([
      true,
      Buffer.alloc(9 * MiB, 'abc').toString('latin1', 8 * MiB - 1, 8 * MiB + 5),
      [
        [10, 7],
        [56, 9 * MiB],
      ],
      'BP_OBJECT_MISSING',
    ]);
    expect(stub.uploads.size).toBe(0);
  });

  it('ends a call in the middle of an answer when its signal says so', async () => {
    stub.objects.set(`probe/${nameOf(1)}`, { bytes: Buffer.alloc(1000), time: new Date(), headers: {} });
    stub.fault = ({ method }) => (method === 'GET' ? 'slow' : undefined);
    const result = await probe(`
      const from = performance.now();
      const range = { offset: 0, length: 1000 };
      const signal = AbortSignal.timeout(500);
      const ended = await code(storage.get(name(1), { range, signal }));
      return [ended, performance.now() - from < 3000];`);
    expect(result).toEqual(['BP_CANCELED', true]);
  });

  it.each(['short-body', 'reset-body'] as const)(
    'goes on behind an answer that breaks off (%s)',
    async (fault) => {
      const bytes = Buffer.alloc(300_000, 'the content of an object ');
      stub.objects.set(`probe/${nameOf(1)}`, { bytes, time: new Date(), headers: {} });
      let broken = 0;
      const get = `const range = { offset: 1000, length: 250_000 };
      const got = await storage.get(name(1), { range }).catch((error) => error);
      return got instanceof Error ? got.code : Buffer.from(got).toString('latin1');`;
      stub.fault = ({ method }) => (method === 'GET' && broken++ < 2 ? fault : undefined);
      expect((await probe(get)) === bytes.toString('latin1', 1000, 251_000)).toBe(true);
      expect(broken).toBeGreaterThan(2);
      // Half of it came, and nothing more ever does: an error, never a shorter answer.
      broken = 0;
      stub.fault = ({ method }) => (method !== 'GET' ? undefined : broken++ === 0 ? fault : 'reset');
      expect(await probe(get, 1500)).toBe('BP_STORAGE_NETWORK');
    },
  );

  it('stores an object whose connection was reset while it was sent', async () => {
    let resets = 0;
    stub.fault = ({ method }) => (method === 'PUT' && resets++ < 2 ? 'reset-upload' : undefined);
    const put = `const writer = await storage.create(name(1));
      await writer.append([Buffer.alloc(${9 * MiB}, 'abc')]);
      await writer.commit();
      return (await storage.get(name(1))).equals(Buffer.alloc(${9 * MiB}, 'abc'));`;
    expect(await probe(put)).toBe(true);
    expect(resets).toBeGreaterThan(2);
    stub.objects.clear();
    stub.fault = ({ method }) => (method === 'PUT' ? 'reset-upload' : undefined);
    expect(
      await probe(`return code(storage.put('index/' + name(1).slice(12), Buffer.alloc(1_000_000)));`, 1500),
    ).toBe('BP_STORAGE_NETWORK');
    expect([...stub.objects.keys()]).toEqual([]);
  });

  it.each<[string, string, string[], string]>([
    ['of an authority that nobody named', 'IP:127.0.0.1', ['unknown'], 'unable to verify'],
    ['signed by itself', 'IP:127.0.0.1', ['self'], 'self-signed'],
    ['for another host', 'DNS:elsewhere.example', [], 'IP: 127.0.0.1 is not in'],
    ['that is out of date', 'IP:127.0.0.1', ['expired'], 'certificate has expired'],
  ])('is refused at once with a certificate %s', async (_, host, how, why) => {
    const other = new S3Stub(certificate('other', host, ...how));
    const address = await other.listen();
    const env = {
      AWS_ENDPOINT_URL: address,
      ...(how.includes('unknown') ? { NODE_EXTRA_CA_CERTS: '' } : {}),
    };
    const from = performance.now();
    const { code, out } = await run(['backpack', 'list', '--repo', 's3://bucket/laptop'], env);
    await other.close();
    expect({ code, out }).toMatchObject({ code: 13 });
    expect(out).toMatch(/s3:\/\/bucket\/laptop has no valid certificate: .*\(BP_STORAGE_NETWORK\)/);
    expect(out).toContain(why);
    expect(out).toContain('NODE_EXTRA_CA_CERTS');
    expect(other.requests).toBe(0);
    expect(performance.now() - from).toBeLessThan(20_000);
  });

  it('is told from a server that does not speak HTTPS', async () => {
    const plain = createServer((_request, response) => response.end());
    await new Promise<void>((resolve) => plain.listen(0, '127.0.0.1', resolve));
    const env = { AWS_ENDPOINT_URL: `https://127.0.0.1:${(plain.address() as AddressInfo).port}` };
    const words = ['backpack', 'list', '--repo', 's3://bucket/laptop', '--timeout', '2'];
    const { code, out } = await run(words, env);
    plain.closeAllConnections();
    plain.close();
    expect({ code, out }).toMatchObject({ code: 13, out: expect.stringContaining('BP_STORAGE_NETWORK') });
  });
});

function nameOf(n: number): string {
  return `packs/019b7/019b76daa8${String(n).padStart(30, '0')}.bpk`;
}
