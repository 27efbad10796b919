/** What a backup counts while it runs, of paths and of streams alike. */
export class BackupCounts {
  files = 0;
  bytes = 0;
  newFiles = 0;
  changedFiles = 0;
  unchangedFiles = 0;
  /** Looked unchanged, were too young to trust that, and were found to be so. */
  rereadFiles = 0;
  unchangedBytes = 0;
  /** Entries that are not files. */
  others = 0;
}
