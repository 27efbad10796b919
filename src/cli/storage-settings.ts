/**
 * What opens the storage of a location: options, environment and config file as one {@link StorageSpec}. Worker threads
 * get no environment of their own, so what the AWS credential chain reads is chosen here, for `s3://` only.
 */
import { createHash } from 'node:crypto';
import { join, resolve } from 'node:path';
import { BackpackError } from '../base/errors.ts';
import { createRateLimit, type RateLimit } from '../base/rate-limiter.ts';
import { parseSize } from '../base/sizes.ts';
import { expandHome, type Setting } from '../config/load.ts';
import type { Config } from '../schema/index.ts';
import { type S3Options, type StorageSpec, schemeOf } from '../storage/open.ts';
import type { CommonOptions, Context } from './context.ts';
import { mapped, picker } from './pick.ts';

/** The variables that the AWS credential chain, regions and profiles are made of. */
const awsVariables = /^(?:AWS_[A-Z0-9_]+|HOME)$/;

/** How a storage elsewhere is reached: settings and where they came from; undefined what is given nowhere. */
export interface StorageSettings {
  readonly accessKey: Setting<string> | undefined;
  readonly tls: Setting<string> | undefined;
  readonly tlsFingerprint: Setting<string> | undefined;
  readonly connections: Setting<number> | undefined;
  /** Seconds. */
  readonly timeout: Setting<number> | undefined;
  /** Bytes per second. */
  readonly uploadRate: Setting<number> | undefined;
  readonly downloadRate: Setting<number> | undefined;
  readonly cache: Setting<boolean> | undefined;
  /** Not looked at, but for `s3://`. */
  readonly endpoint: Setting<string> | undefined;
  readonly region: Setting<string> | undefined;
}

/** @throws BackpackError BP_USAGE */
export function storageSettings(
  { env, cwd }: Pick<Context, 'env' | 'cwd'>,
  options: CommonOptions,
  config: Config,
  configPath: string,
): StorageSettings {
  const pick = picker(env, configPath);
  const { accessKey, limits = {}, s3 } = config;
  const connections = pick({
    option: options.connections,
    flag: '--connections',
    variables: ['BACKPACK_CONNECTIONS'],
    file: limits.connections,
  });
  const timeout = pick({
    option: options.timeout,
    flag: '--timeout',
    variables: ['BACKPACK_TIMEOUT'],
    file: limits.timeout,
  });
  const upload = pick({
    option: options.limitUpload,
    flag: '--limit-upload',
    variables: ['BACKPACK_LIMIT_UPLOAD'],
    file: limits.uploadRate,
  });
  const download = pick({
    option: options.limitDownload,
    flag: '--limit-download',
    variables: ['BACKPACK_LIMIT_DOWNLOAD'],
    file: limits.downloadRate,
  });
  const access = pick({
    option: options.accessKey,
    flag: '--access-key',
    variables: ['BACKPACK_ACCESS_KEY_FILE'],
    file: accessKey && expandHome(accessKey),
  });
  const tls = pick({ option: options.tls, flag: '--tls', variables: ['BACKPACK_TLS_FILE'] });
  const endpoint = pick({
    option: options.s3Endpoint,
    flag: '--s3-endpoint',
    variables: ['AWS_ENDPOINT_URL_S3', 'AWS_ENDPOINT_URL'],
    file: s3?.endpoint,
  });
  return {
    accessKey: mapped(access, (file) => resolve(cwd, file)),
    tls: mapped(tls, (file) => resolve(cwd, expandHome(file))),
    tlsFingerprint: pick({
      option: options.tlsFingerprint,
      flag: '--tls-fingerprint',
      variables: ['BACKPACK_TLS_FINGERPRINT'],
    }),
    connections: mapped(connections, (text) => whole(text, 'connections', 64)),
    timeout: mapped(timeout, (text) => whole(text, 'seconds', 3600)),
    uploadRate: mapped(upload, rate),
    downloadRate: mapped(download, rate),
    cache: mapped(
      pick({ variables: ['BACKPACK_CACHE'], file: config.cache === true ? 1 : undefined }),
      (text) => text === '1',
    ),
    endpoint,
    region: pick({ variables: ['AWS_REGION', 'AWS_DEFAULT_REGION'], file: s3?.region }),
  };
}

/** @throws BackpackError BP_USAGE */
export function storageSpec(
  context: Context,
  options: CommonOptions,
  config: Config,
  location: string,
  cache: string,
): StorageSpec {
  const found = storageSettings(context, options, config, '');
  const { uploadRate, downloadRate, timeout } = found;
  const limit = (setting: Setting<number> | undefined): RateLimit | undefined =>
    setting && createRateLimit(setting.value);
  const limits = { upload: limit(uploadRate), download: limit(downloadRate) };
  const scheme = schemeOf(location);
  const isS3 = scheme === 's3';
  const { modules = {}, transports = {}, moduleOptions } = context.extensions ?? {};
  const byModule = scheme !== undefined && Object.hasOwn(modules, scheme);
  const byTransport = scheme !== undefined && Object.hasOwn(transports, scheme);
  return given({
    location,
    accessKeyFile: found.accessKey?.value,
    tlsFile: found.tls?.value,
    tlsFingerprint: found.tlsFingerprint?.value,
    app: context.app,
    connections: found.connections?.value,
    timeoutMs: timeout && timeout.value * 1000,
    limits: limits.upload || limits.download ? given(limits) : undefined,
    cacheFolder: found.cache?.value === true && scheme !== undefined ? cacheOf(cache, location) : undefined,
    s3: isS3 ? s3Options(found, config) : undefined,
    modules: byModule ? modules : undefined,
    transports: byTransport ? transports : undefined,
    moduleOptions: byModule || byTransport ? moduleOptions : undefined,
    environment: isS3 ? awsEnvironment(context.env) : undefined,
  });
}

/** A folder for this location alone. */
function cacheOf(folder: string, location: string): string {
  return join(folder, createHash('sha256').update(location).digest('hex').slice(0, 32));
}

function rate(text: string): number {
  const bytes = parseSize(text);
  if (bytes !== undefined && bytes > 0) return bytes;
  throw usage(`not a rate in bytes per second: ${text}`, 'give a number, or for example 10 MiB');
}

function s3Options(found: StorageSettings, config: Config): S3Options {
  const endpoint = found.endpoint?.value;
  if (endpoint !== undefined && !/^https?:\/\/[^/@?#]+\/?$/.test(endpoint))
    // Not repeated: it may hold a password.
    throw usage('the S3 endpoint is not the address of a server', 'give https://HOST or http://HOST:PORT');
  const { storageClass, addressing, encryption, retention } = config.s3 ?? {};
  const region = found.region?.value;
  return given({ endpoint, region, addressing, storageClass, encryption, retention });
}

function awsEnvironment(env: Context['env']): Record<string, string> {
  const found: Record<string, string> = {};
  for (const [name, value] of Object.entries(env))
    if (value !== undefined && awsVariables.test(name)) found[name] = value;
  return found;
}

function whole(text: string, what: string, max: number): number {
  const value = Number(text);
  if (Number.isInteger(value) && value >= 1 && value <= max) return value;
  throw usage(`not a number of ${what}: ${text}`, `give a number from 1 to ${max}`);
}

function usage(message: string, hint: string): BackpackError {
  return new BackpackError('BP_USAGE', message, { kind: 'usage', hint });
}

/** The fields that have a value. */
function given<T extends object>(fields: { [K in keyof T]: T[K] | undefined }): T {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as T;
}

/** For whoever wants to know what the storage has: copies prove nothing. */
export function withoutCache(spec: StorageSpec): StorageSpec {
  const { cacheFolder: _, ...rest } = spec;
  return rest;
}
