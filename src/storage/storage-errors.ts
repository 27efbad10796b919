/** Errors of storages. Codes are tested on `errno`, because Node's names lie in places (EDQUOT, ESTALE). */
import { BackpackError, isBackpackError } from '../base/errors.ts';
import { isTooManyFiles, tooManyFiles } from '../base/open-files.ts';

const noSpace = new Set([-28, -122, -27]);

/** An error of the operating system, with the object it concerns. */
export function fromSystemError(error: unknown, location: string, object: string): BackpackError {
  const e = error as NodeJS.ErrnoException;
  const errno = e.errno ?? 0;
  const context = { location, object, errno };
  if (noSpace.has(errno)) {
    return new BackpackError('BP_NO_SPACE', `no space left at ${location}`, {
      kind: 'space',
      retry: 'later',
      context,
      cause: error,
      hint: 'free some space and run the command again; everything stored so far is kept',
    });
  }
  if (e.code === 'ENOENT') return notFound(location, object);
  if (e.code === 'EEXIST') return exists(location, object);
  if (isTooManyFiles(e)) return tooManyFiles(object, error);
  const denied = e.code === 'EACCES' || e.code === 'EPERM' || e.code === 'EROFS';
  return new BackpackError(
    denied ? 'BP_STORAGE_DENIED' : 'BP_STORAGE_IO',
    `${object}: ${e.message ?? String(error)}`,
    {
      kind: 'storage',
      retry: 'later',
      context,
      cause: error,
      hint: denied
        ? `check the permissions of ${location}`
        : `check the disk or mount that holds ${location}`,
    },
  );
}

/** BP_OBJECT_MISSING */
export function notFound(location: string, object: string): BackpackError {
  return new BackpackError('BP_OBJECT_MISSING', `${object} is not at ${location}`, {
    kind: 'not-found',
    context: { location, object },
    hint: 'run backpack check to see what this affects',
  });
}

/** BP_OBJECT_EXISTS */
export function exists(location: string, object: string): BackpackError {
  return new BackpackError('BP_OBJECT_EXISTS', `${object} is already at ${location}`, {
    kind: 'exists',
    context: { location, object },
    hint: 'objects are never overwritten; run the command again',
  });
}

/** BP_STORAGE_SHORT: fewer bytes than asked for. */
export function shortRead(location: string, object: string, wanted: number, got: number): BackpackError {
  return new BackpackError('BP_STORAGE_SHORT', `${object}: asked for ${wanted} bytes, got ${got}`, {
    kind: 'damaged',
    context: { location, object, wanted, got },
    hint: 'the object is cut short; run backpack check',
  });
}

/** BP_INTERNAL: a writer was used after its commit or abort. */
export function finished(object: string): BackpackError {
  return new BackpackError('BP_INTERNAL', `the writer of ${object} was used after its end`, {
    kind: 'internal',
  });
}

/** Ends a call whose signal was aborted. @throws BackpackError the signal's reason, or BP_CANCELED */
export function throwIfCanceled(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw canceled(signal);
}

/** The error of a call that was ended by its signal. */
export function canceled(signal: AbortSignal): BackpackError {
  const { reason } = signal;
  if (isBackpackError(reason)) return reason;
  return new BackpackError('BP_CANCELED', 'the call was canceled', { kind: 'canceled', cause: reason });
}

/** BP_STORAGE_TIMEOUT: no answer in time; the call may succeed when it is made again. */
export function timedOut(location: string, object: string, ms: number): BackpackError {
  return new BackpackError(
    'BP_STORAGE_TIMEOUT',
    `${location} did not answer for ${Math.round(ms / 100) / 10} s`,
    {
      kind: 'network',
      retry: 'now',
      context: { location, object },
      hint: 'check the network and the server, then run the command again; what is stored is kept',
    },
  );
}

/** BP_STORAGE_NETWORK: a connection could not be made or broke. */
export function brokenConnection(location: string, object: string, cause: unknown): BackpackError {
  const why = cause instanceof Error ? cause.message || (cause as NodeJS.ErrnoException).code : String(cause);
  return new BackpackError('BP_STORAGE_NETWORK', `the connection to ${location} failed: ${why}`, {
    kind: 'network',
    retry: 'now',
    context: { location, object },
    cause,
    hint: 'check the network and the server, then run the command again; what is stored is kept',
  });
}
