/** Public entry point: a list of exports, nothing else. */
export {
  BackpackError,
  type ErrorContext,
  type ErrorJson,
  type ErrorKind,
  type ErrorOptions,
  isBackpackError,
  type Retry,
} from './base/errors.ts';
export { backup } from './operations/backup.ts';
export type { BackupEvent, BackupOptions, BackupSummary } from './operations/backup-options.ts';
export {
  type RestoreEvent,
  type RestoreOptions,
  type RestoreSummary,
  restore,
} from './operations/restore.ts';
export { checkFree, createRepository } from './repo/create.ts';
export { openRepository, type Repository } from './repo/repository.ts';
export {
  findSnapshot,
  listSnapshots,
  loadSnapshot,
  type SnapshotInfo,
  type SnapshotList,
} from './repo/snapshots.ts';
export { rootOf, type SourceRoot } from './source/walk.ts';
