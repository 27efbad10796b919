/** The storage contract and the storages that come with the program. */
export { FsStorage } from './fs.ts';
export { MemoryStorage } from './memory.ts';
export { checkObjectName, isObjectName, isReplaceable, type ObjectName } from './object-name.ts';
export {
  openStorage,
  type S3Options,
  type SharedRate,
  type StorageModule,
  type StorageSpec,
} from './open.ts';
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
