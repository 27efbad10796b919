/**
 * From a location to a storage. Each worker thread opens its own from the same {@link StorageSpec}, so that no bytes of
 * objects cross threads. What a kind of storage needs is imported when it is used.
 */
import { BackpackError } from '../base/errors.ts';
import { FsStorage } from './fs.ts';
import type { Storage } from './storage.ts';
import type { StorageLimits } from './throttle.ts';

/** How an S3 bucket is reached, beyond what the AWS environment says. */
export interface S3Options {
  /** Address of a server that is not AWS, `https://host[:port]`. */
  readonly endpoint?: string;
  readonly region?: string;
  /** `path`: https://host/bucket/key; `virtual`: https://bucket.host/key. Default: path with an endpoint. */
  readonly addressing?: 'path' | 'virtual';
  /** Storage class of packs, for example `STANDARD_IA`. */
  readonly storageClass?: string;
  /** Encryption by the server, on top of Backpack's own. */
  readonly encryption?: { readonly algorithm: 'AES256' | 'aws:kms'; readonly kmsKeyId?: string };
  /** Lock of every object against deletion, where the bucket has object lock. */
  readonly retention?: { readonly mode: 'GOVERNANCE' | 'COMPLIANCE'; readonly days: number };
}

/** Where a repository is and how it is reached; plain data, so that it can be given to a worker thread. */
export interface StorageSpec {
  /** A path, or `scheme://...`; never with credentials. */
  readonly location: string;
  /** Path of the access key file for `tcp://` and `tls://`. The file is read by whoever opens the storage. */
  readonly accessKeyFile?: string;
  /** Path of a PEM file for `tls://`: own certificate and key, then who may have signed the server's certificate. */
  readonly tlsFile?: string;
  /** SHA-256 of the server's certificate, 64 hex digits; then nobody has to have signed it. */
  readonly tlsFingerprint?: string;
  /** Name and version of the program, for the log of a server. */
  readonly app?: string;
  /** Connections of one client, all threads together. */
  readonly connections?: number;
  /** How long nothing may arrive before a call fails, ms. */
  readonly timeoutMs?: number;
  /** Limits on what is sent and received, all threads together. */
  readonly limits?: StorageLimits;
  readonly s3?: S3Options;
  /** Folder for copies of small objects that never change: see cache.ts. */
  readonly cacheFolder?: string;
  /** Address (`file://` or `node:` resolvable) of the module that opens locations of a scheme: {@link StorageModule}. */
  readonly modules?: Readonly<Record<string, string>>;
  /** Address of the module that brings a stream to a Backpack server, by scheme: `TransportModule`. */
  readonly transports?: Readonly<Record<string, string>>;
  /** Options for those modules, by scheme; plain data. */
  readonly moduleOptions?: Readonly<Record<string, unknown>>;
  /**
   * Environment that worker threads get: the variables of the AWS credential chain for `s3://`, else nothing. They can
   * hold secrets, so a spec is never printed.
   */
  readonly environment?: Readonly<Record<string, string>>;
}

/** A module named in {@link StorageSpec.modules}. */
export interface StorageModule {
  openStorage(spec: StorageSpec): Storage | Promise<Storage>;
}

/** The scheme of a location; undefined for a path. */
export function schemeOf(location: string): string | undefined {
  return /^([a-z][a-z0-9+.-]*):\/\//.exec(location)?.[1];
}

/**
 * Opens the storage of a location.
 * @throws BackpackError BP_LOCATION for a kind of location this version does not know
 */
export async function openStorage(spec: StorageSpec): Promise<Storage> {
  let storage = await openUnlimited(spec);
  if (spec.limits !== undefined) {
    const { ThrottleStorage } = await import('./throttle.ts');
    storage = new ThrottleStorage(storage, spec.limits);
  }
  if (spec.cacheFolder !== undefined) {
    const { CacheStorage } = await import('./cache.ts');
    storage = new CacheStorage(storage, spec.cacheFolder);
  }
  return storage;
}

async function openUnlimited(spec: StorageSpec): Promise<Storage> {
  const scheme = schemeOf(spec.location);
  if (scheme === undefined) return new FsStorage(spec.location);
  const module = spec.modules?.[scheme];
  if (module !== undefined) return openModule(scheme, module, spec);
  const transport = spec.transports?.[scheme];
  if (transport !== undefined) {
    const { openThroughTransport } = await import('./remote/open-remote.ts');
    return openThroughTransport(scheme, transport, spec);
  }
  switch (scheme) {
    case 's3': {
      const { openS3 } = await import('./s3.ts');
      return openS3(spec);
    }
    case 'tcp':
    case 'tls':
      return (await import('./remote/open-remote.ts')).openRemote(spec);
    default:
      throw new BackpackError(
        'BP_LOCATION',
        `locations of type ${scheme}:// are not supported by this version`,
        {
          kind: 'usage',
          hint: 'give the path of a folder, tcp://HOST:PORT/NAME, or s3://BUCKET/PREFIX',
        },
      );
  }
}

async function openModule(scheme: string, address: string, spec: StorageSpec): Promise<Storage> {
  let module: Partial<StorageModule>;
  try {
    module = (await import(address)) as Partial<StorageModule>;
  } catch (error) {
    throw moduleError(scheme, `cannot be loaded: ${(error as Error).message}`, error);
  }
  if (typeof module.openStorage !== 'function')
    throw moduleError(scheme, 'does not export openStorage', undefined);
  const { RetryStorage } = await import('./retry.ts');
  return new RetryStorage(await module.openStorage(spec), { forMs: spec.timeoutMs ?? 60_000 });
}

function moduleError(scheme: string, problem: string, cause: unknown): BackpackError {
  return new BackpackError('BP_LOCATION', `the module for ${scheme}:// ${problem}`, {
    kind: 'usage',
    hint: 'check the extensions of the config file',
    cause,
  });
}
