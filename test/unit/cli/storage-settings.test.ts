/** From options, environment and config file to what opens a storage: what wins, and what worker threads may know. */
import { describe, expect, it } from 'vitest';
import type { CommonOptions, Context } from '../../../src/cli/context.ts';
import { storageSpec } from '../../../src/cli/storage-settings.ts';
import type { Config } from '../../../src/schema/index.ts';
import type { StorageSpec } from '../../../src/storage/open.ts';
import { codeOf } from '../support.ts';

function spec(
  location: string,
  options: CommonOptions = {},
  env: Record<string, string> = {},
  config: Config = {},
): StorageSpec {
  return storageSpec({ env, cwd: '/home/me' } as unknown as Context, options, config, location, '/cache');
}

describe('the environment of worker threads', () => {
  const env = {
    AWS_SECRET_ACCESS_KEY: 's',
    AWS_PROFILE: 'p',
    HOME: '/h',
    BACKPACK_KEY_FILE: 'k',
    PATH: '/bin',
  };

  it('has what the AWS credential chain reads, and nothing else', () => {
    expect(spec('s3://bucket', {}, env).environment).toEqual({
      AWS_SECRET_ACCESS_KEY: 's',
      AWS_PROFILE: 'p',
      HOME: '/h',
    });
  });

  it('is empty for every other location', () => {
    for (const location of ['/mnt/x', 'tcp://host/x', 'sftp://host/x'])
      expect(spec(location, {}, env).environment).toBeUndefined();
  });
});

it('is plain data that can be posted', () => {
  const found = spec('s3://bucket', { limitUpload: '1M', connections: '2' }, { AWS_REGION: 'eu-1' });
  const copy = structuredClone(found);
  expect({ ...copy, limits: undefined }).toEqual({ ...found, limits: undefined });
  expect(copy.limits?.upload?.bytesPerSecond).toBe(1024 * 1024);
});

it('option, then environment, then config file', () => {
  const config: Config = {
    accessKey: 'c',
    s3: { endpoint: 'https://config', region: 'from-config' },
    limits: { connections: 3, timeout: 30, uploadRate: '1 MiB' },
  };
  const env = { AWS_ENDPOINT_URL: 'https://env', BACKPACK_ACCESS_KEY_FILE: 'e', BACKPACK_CONNECTIONS: '5' };
  const fromFile = spec('s3://bucket', {}, {}, config);
  expect(fromFile).toMatchObject({ accessKeyFile: '/home/me/c', connections: 3, timeoutMs: 30_000 });
  expect(fromFile.s3).toEqual({ endpoint: 'https://config', region: 'from-config' });
  expect(fromFile.limits?.upload?.bytesPerSecond).toBe(1024 * 1024);
  const fromEnv = spec('s3://bucket', {}, env, config);
  expect(fromEnv).toMatchObject({ accessKeyFile: '/home/me/e', connections: 5, timeoutMs: 30_000 });
  expect(fromEnv.s3?.endpoint).toBe('https://env');
  const fromOption = spec(
    's3://bucket',
    { s3Endpoint: 'http://option:1', accessKey: '/o', connections: '7', timeout: '9' },
    env,
    config,
  );
  expect(fromOption).toMatchObject({ accessKeyFile: '/o', connections: 7, timeoutMs: 9000 });
  expect(fromOption.s3?.endpoint).toBe('http://option:1');
});

it.each<CommonOptions>([
  { connections: '0' },
  { connections: 'many' },
  { timeout: '-1' },
  { timeout: '99999' },
  { limitUpload: '0' },
  { limitDownload: 'fast' },
  { s3Endpoint: 'ftp://host' },
  { s3Endpoint: 'https://user:secret@host' },
  { s3Endpoint: 'https://host/path' },
])('refuses %j', (options) => {
  expect(codeOf(() => spec('s3://bucket', options))).toBe('BP_USAGE');
});

it('copies are kept when asked for, of storages elsewhere, apart for each location', () => {
  const one = spec('s3://bucket/a', {}, { BACKPACK_CACHE: '1' }).cacheFolder;
  expect(one).toMatch(/^\/cache\/[0-9a-f]{32}$/);
  expect(spec('s3://bucket/b', {}, {}, { cache: true }).cacheFolder).not.toBe(one);
  expect(spec('s3://bucket/a').cacheFolder).toBeUndefined();
  expect(spec('/mnt/x', {}, { BACKPACK_CACHE: '1' }).cacheFolder).toBeUndefined();
});

it('a storage that is a folder needs nothing', () => {
  expect(spec('/mnt/x', {}, { AWS_REGION: 'x' })).toEqual({ location: '/mnt/x' });
});
