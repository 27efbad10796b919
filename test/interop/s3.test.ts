/** The command on a bucket: worker threads, credentials that may not delete, and the way back without Backpack. */
import { spawn } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { project, World } from '../cli/support.ts';
import { S3Stub } from '../stubs/s3-stub.ts';

let stub: S3Stub;
let endpoint: string;
let world: World;
beforeAll(async () => {
  stub = new S3Stub();
  endpoint = await stub.listen();
});
afterAll(() => stub.close());
beforeEach(() => {
  world = new World();
  Object.assign(world.env, {
    AWS_ACCESS_KEY_ID: 'TESTKEY',
    AWS_SECRET_ACCESS_KEY: 'TESTSECRET',
    AWS_ENDPOINT_URL: endpoint,
    BACKPACK_REPOSITORY: 's3://bucket/laptop',
  });
  mkdirSync(join(world.dir, 'data'));
  for (let i = 0; i < 30; i += 1)
    writeFileSync(join(world.dir, 'data', `${i}.txt`), `content ${i}\n`.repeat(i * 50));
  writeFileSync(join(world.dir, 'data/large'), Buffer.alloc(12_000_000, 'never the same twice'));
});
afterEach(() => {
  world.remove();
  stub.objects.clear();
  stub.mayDelete = true;
  stub.fault = () => undefined;
});

/** Runs a shell command; the stub lives in this process, so nothing here may block. */
function sh(command: string, env: Record<string, string> = {}): Promise<{ code: number; output: string }> {
  return new Promise((resolve) => {
    const child = spawn('sh', ['-c', command], { cwd: world.dir, env: { ...world.env, ...env } });
    let output = '';
    for (const stream of [child.stdout, child.stderr])
      stream.on('data', (data: Buffer) => {
        output += data.toString();
      });
    child.on('close', (code) => resolve({ code: code ?? -1, output }));
  });
}

async function good(command: string, env: Record<string, string> = {}): Promise<string> {
  const { code, output } = await sh(command, env);
  expect({ code, output: code === 0 ? '' : output }).toEqual({ code: 0, output: '' });
  return output;
}

describe('a repository in a bucket', () => {
  it('is made, written by threads, checked and restored with credentials that may not delete', async () => {
    stub.mayDelete = false;
    const said = await good('backpack init && backpack backup data --threads 2');
    expect(said).toContain('Created repository');
    expect(said).not.toMatch(/TESTSECRET|Warning|NodeDeprecation/);
    for (let i = 0; i < 3; i += 1)
      await good(`echo ${i} > data/new-${i} && backpack backup data --threads 2`);
    await good('backpack check --read-data && backpack list');
    await good('backpack restore latest --to out && diff -r data out/data');
  });

  it('is refused where there is one already, and where other things are', async () => {
    await good('backpack init');
    expect(await sh('backpack init')).toMatchObject({
      code: 11,
      output: expect.stringContaining('BP_REPOSITORY_EXISTS'),
    });
    stub.objects.clear();
    stub.objects.set('laptop/photos/1.jpg', { bytes: Buffer.from('x'), time: new Date(), headers: {} });
    expect(await sh('backpack init')).toMatchObject({
      code: 11,
      output: expect.stringContaining('holds photos'),
    });
  });

  it('a server that is overloaded for a while costs time only', async () => {
    await good('backpack init');
    stub.fault = ({ number }) =>
      number % 7 === 3 ? 'error-503' : number % 11 === 5 ? 'applied-reset' : undefined;
    await good('backpack backup data --threads 2 --timeout 20');
    stub.fault = () => undefined;
    await good('backpack check --read-data');
  });

  it('a server that says nothing ends the run with a clear error in twice the timeout', async () => {
    await good('backpack init');
    stub.fault = () => 'hang';
    const started = performance.now();
    const { code, output } = await sh('backpack list --timeout 2');
    expect({ code, output }).toMatchObject({
      code: 13,
      output: expect.stringContaining('BP_STORAGE_TIMEOUT'),
    });
    expect(performance.now() - started).toBeLessThan(4000 + 1500);
  });

  it('comes back with curl and recover.js alone', async ({ skip }) => {
    if ((await sh('curl --help all | grep -q aws-sigv4')).code !== 0) skip();
    stub.pageSize = 5;
    await good('backpack init --key key.bin && backpack backup data --key key.bin');
    const auth = [
      'aws-sigv4 = "aws:amz:us-east-1:s3"',
      'user = "TESTKEY:TESTSECRET"',
      'header = "x-amz-content-sha256: UNSIGNED-PAYLOAD"',
    ];
    writeFileSync(join(world.dir, 's3.conf'), `${auth.join('\n')}\n`, { mode: 0o600 });
    const recipe = /```sh s3-fetch\n([\s\S]*?)```/.exec(
      readFileSync(join(project, 'docs/storage.md'), 'utf8'),
    )![1]!;
    await good(`set -eu\n${recipe}`, { S3: `${endpoint}/bucket`, PREFIX: 'laptop/' });
    await good(
      'node fetched/recover/recover.js --key key.bin --repo fetched restore --to out && diff -r data out/data',
    );
    stub.pageSize = 1000;
  });
});

describe('storage test', () => {
  it('passes on an empty prefix and leaves nothing; touches nothing where something is', async () => {
    const said = await good('backpack storage test s3://bucket/new');
    expect(said).toMatch(/^\d\d cases passed, 0 failed/);
    expect(said).toContain('exclusive creation: atomic');
    expect([...stub.objects.keys()]).toEqual([]);
    await good('backpack init');
    const before = [...stub.objects.keys()].sort();
    expect(await sh('backpack storage test s3://bucket/laptop')).toMatchObject({
      code: 11,
      output: expect.stringContaining('BP_LOCATION_IN_USE'),
    });
    expect([...stub.objects.keys()].sort()).toEqual(before);
  });

  it('says what does not hold, with exit code 13', async () => {
    // Content that is shorter than it was.
    stub.fault = ({ method, key }) => {
      const found = method === 'PUT' ? undefined : stub.objects.get(key);
      if (found !== undefined && found.bytes.byteLength > 4_000_000)
        stub.objects.set(key, { ...found, bytes: found.bytes.subarray(1) });
      return undefined;
    };
    const { code, output } = await sh('backpack storage test s3://bucket/bad --timeout 5');
    expect(code).toBe(13);
    expect(output).toContain('FAILED  a large object comes back');
    expect([...stub.objects.keys()]).toEqual([]);
  });
});
