/** The storage contract and the storages that come with the program. */

export type {
  TransportCall,
  TransportChannel,
  TransportListener,
  TransportModule,
} from '../net/transport-module.ts';
export { type CacheLimits, CacheStorage } from './cache.ts';
export { ForwardStorage } from './forward.ts';
export { FsStorage } from './fs.ts';
export { MemoryStorage } from './memory.ts';
export { checkObjectName, isObjectName, isReplaceable, type ObjectName } from './object-name.ts';
export {
  openStorage,
  type S3Options,
  type StorageModule,
  type StorageSpec,
} from './open.ts';
export { ReadOnlyStorage } from './read-only.ts';
export { type RetryPolicy, RetryStorage } from './retry.ts';
export {
  type ByteRange,
  type CallOptions,
  type GetOptions,
  type ListOptions,
  listAll,
  type ObjectInfo,
  type ObjectWriter,
  type PutOptions,
  type Storage,
  type StorageCapabilities,
} from './storage.ts';
export {
  exists as objectExists,
  finished as writerFinished,
  notFound as objectMissing,
  shortRead,
  throwIfCanceled,
} from './storage-errors.ts';
export { type StorageLimits, ThrottleStorage } from './throttle.ts';
export { TimeoutStorage } from './timeout.ts';
