/**
 * The limit on open files (`ulimit -n`), which Node does not tell: what a process may have open, how many threads fit
 * into it, and the error for when it was too little. Does no more I/O than reading the limit.
 */
import { readFileSync } from 'node:fs';
import { BackpackError } from './errors.ts';

/** What Node itself, the main thread and the command keep open, with some to spare. */
const ofProcess = 30;
/** What a thread keeps open: its event loop and channels, a pack, a file, and a few folders. */
const ofThread = 12;

/** How many files this process may have open; undefined where the system does not say it. */
function openFilesMax(): number | undefined {
  try {
    const found = /^Max open files\s+(\d+)/m.exec(readFileSync('/proc/self/limits', 'latin1'));
    return found === null ? undefined : Number(found[1]);
  } catch {
    return undefined;
  }
}

/** As many of the wanted threads as the limit allows; 0: the work is done without any. */
export function threadsWithin(wanted: number, filesMax: number | undefined = openFilesMax()): number {
  if (filesMax === undefined) return wanted;
  return Math.max(0, Math.min(wanted, Math.floor((filesMax - ofProcess) / ofThread)));
}

/** Whether an error of the system says that too many files are open. */
export function isTooManyFiles(error: unknown): boolean {
  const { code } = (error ?? {}) as NodeJS.ErrnoException;
  return code === 'EMFILE' || code === 'ENFILE';
}

/** BP_TOO_MANY_FILES */
export function tooManyFiles(what: string, cause?: unknown): BackpackError {
  const max = openFilesMax();
  const allowed = max === undefined ? '' : `: this process may have ${max}`;
  return new BackpackError('BP_TOO_MANY_FILES', `${what}: too many open files${allowed}`, {
    kind: 'limit',
    retry: 'later',
    cause,
    hint: 'allow more and run it again: ulimit -n 1024',
  });
}
