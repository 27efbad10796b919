/**
 * What opens the storage of a location: options, environment and config file as one {@link StorageSpec}. Worker threads
 * get no environment of their own, so what the AWS credential chain reads is chosen here, for `s3://` only.
 */
import { createHash } from 'node:crypto';
import { join, resolve } from 'node:path';
import { BackpackError } from '../base/errors.ts';
import { createRateLimit, type RateLimit } from '../base/rate-limiter.ts';
import { parseSize } from '../base/sizes.ts';
import { expandHome } from '../config/load.ts';
import type { Config } from '../schema/index.ts';
import { type S3Options, type StorageSpec, schemeOf } from '../storage/open.ts';
import type { CommonOptions, Context } from './context.ts';

/** The variables that the AWS credential chain, regions and profiles are made of. */
const awsVariables = /^(?:AWS_[A-Z0-9_]+|HOME)$/;

/** @throws BackpackError BP_USAGE */
export function storageSpec(
  context: Context,
  options: CommonOptions,
  config: Config,
  location: string,
  cache: string,
): StorageSpec {
  const { env, cwd } = context;
  const pick = (option: string | undefined, variable: string): string | undefined =>
    option ?? (env[variable] === '' ? undefined : env[variable]);
  const fromFile = config.accessKey === undefined ? undefined : expandHome(config.accessKey);
  const accessKey = pick(options.accessKey, 'BACKPACK_ACCESS_KEY_FILE') ?? fromFile;
  const tls = pick(options.tls, 'BACKPACK_TLS_FILE');
  const connections = pick(options.connections, 'BACKPACK_CONNECTIONS');
  const timeout = pick(options.timeout, 'BACKPACK_TIMEOUT');
  const upload = rate(options.limitUpload, env['BACKPACK_LIMIT_UPLOAD'], config.limits?.uploadRate);
  const download = rate(options.limitDownload, env['BACKPACK_LIMIT_DOWNLOAD'], config.limits?.downloadRate);
  const cached = pick(undefined, 'BACKPACK_CACHE') ?? (config.cache === true ? '1' : undefined);
  const scheme = schemeOf(location);
  const isS3 = scheme === 's3';
  const { modules = {}, transports = {}, moduleOptions } = context.extensions ?? {};
  const byModule = scheme !== undefined && Object.hasOwn(modules, scheme);
  const byTransport = scheme !== undefined && Object.hasOwn(transports, scheme);
  return given({
    location,
    accessKeyFile: accessKey && resolve(cwd, accessKey),
    tlsFile: tls && resolve(cwd, expandHome(tls)),
    tlsFingerprint: pick(options.tlsFingerprint, 'BACKPACK_TLS_FINGERPRINT'),
    app: context.app,
    connections:
      connections === undefined ? config.limits?.connections : whole(connections, 'connections', 64),
    timeoutMs: seconds(timeout === undefined ? config.limits?.timeout : whole(timeout, 'seconds', 3600)),
    limits: upload || download ? given({ upload, download }) : undefined,
    cacheFolder: cached === '1' && schemeOf(location) !== undefined ? cacheOf(cache, location) : undefined,
    s3: isS3 ? s3Options(context, options, config) : undefined,
    modules: byModule ? modules : undefined,
    transports: byTransport ? transports : undefined,
    moduleOptions: byModule || byTransport ? moduleOptions : undefined,
    environment: isS3 ? awsEnvironment(env) : undefined,
  });
}

/** A folder for this location alone. */
function cacheOf(folder: string, location: string): string {
  return join(folder, createHash('sha256').update(location).digest('hex').slice(0, 32));
}

/** A limit on bytes per second, in memory that all threads share. */
function rate(
  option: string | undefined,
  env: string | undefined,
  file: number | string | undefined,
): RateLimit | undefined {
  const text = option ?? (env || file?.toString());
  if (text === undefined) return undefined;
  const bytes = parseSize(text);
  if (bytes !== undefined && bytes > 0) return createRateLimit(bytes);
  throw usage(`not a rate in bytes per second: ${text}`, 'give a number, or for example 10 MiB');
}

function s3Options(context: Context, options: CommonOptions, config: Config): S3Options {
  const fromAws = context.env['AWS_ENDPOINT_URL_S3'] || context.env['AWS_ENDPOINT_URL'] || undefined;
  const endpoint = options.s3Endpoint ?? fromAws ?? config.s3?.endpoint;
  if (endpoint !== undefined && !/^https?:\/\/[^/@?#]+\/?$/.test(endpoint))
    // Not repeated: it may hold a password.
    throw usage('the S3 endpoint is not the address of a server', 'give https://HOST or http://HOST:PORT');
  const { storageClass, addressing, encryption, retention } = config.s3 ?? {};
  const region = context.env['AWS_REGION'] || context.env['AWS_DEFAULT_REGION'] || config.s3?.region;
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

function seconds(value: number | undefined): number | undefined {
  return value === undefined ? undefined : value * 1000;
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
