/**
 * The limit on open files (`ulimit -n`), which Node does not tell: what a process may have open, how many threads fit
 * into it, and the error for when it was too little. Does no more I/O than reading the limit.
 */
import { readFileSync } from 'node:fs';
import { BackpackError } from './errors.ts';

/** What Node itself, the main thread and the command have open while their modules are loaded. */
const ofProcess = 60;
/** What a thread has open while its modules are loaded, many at once; later it needs less. */
const ofThread = 60;

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

/** How many folders may be kept open in one place, of the `most` that are useful: files and threads need some, too. */
export function foldersWithin(most: number, filesMax: number | undefined = openFilesMax()): number {
  if (filesMax === undefined) return most;
  return Math.max(2, Math.min(most, Math.floor((filesMax - ofProcess) / 16)));
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
