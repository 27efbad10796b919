/**
 * The one error class of the program and the table of its codes.
 * Rules: below operations/ nothing prints or exits; add context, do not wrap again;
 * a `damaged` error names object, record and, where known, the affected paths.
 */

/** What kind of thing went wrong; decides the exit code. */
export type ErrorKind =
  | 'usage'
  | 'config'
  | 'key'
  | 'not-found'
  | 'exists'
  | 'conflict'
  | 'damaged'
  | 'unsupported'
  | 'storage'
  | 'network'
  | 'source'
  | 'target'
  | 'space'
  | 'limit'
  | 'canceled'
  | 'hook'
  | 'internal';

/** Whether trying again can help. */
export type Retry = 'never' | 'later' | 'now';

/** Plain data that goes with an error: numbers and strings only, never secrets. */
export type ErrorContext = Readonly<Record<string, string | number | boolean | undefined>>;

/** Fields of a {@link BackpackError} beyond its message. */
export interface ErrorOptions {
  readonly kind: ErrorKind;
  readonly retry?: Retry;
  readonly context?: ErrorContext;
  /** What to do next, one line. */
  readonly hint?: string;
  readonly cause?: unknown;
}

/** An error as it crosses threads and appears in `--json` output. */
export interface ErrorJson {
  readonly code: string;
  readonly kind: ErrorKind;
  readonly message: string;
  readonly retry: Retry;
  readonly context: ErrorContext;
  readonly hint?: string;
}

const brand = Symbol.for('backpack.error');

/** Every error this program throws on purpose. `code` is stable (`BP_...` or a format reason code `E_...`). */
export class BackpackError extends Error {
  readonly code: string;
  readonly kind: ErrorKind;
  readonly retry: Retry;
  readonly context: ErrorContext;
  readonly hint: string | undefined;

  constructor(code: string, message: string, options: ErrorOptions) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'BackpackError';
    this.code = code;
    this.kind = options.kind;
    this.retry = options.retry ?? 'never';
    this.context = options.context ?? {};
    this.hint = options.hint;
    Object.defineProperty(this, brand, { value: true });
  }

  /** The error as plain data, for another thread or for `--json`. */
  toJSON(): ErrorJson {
    const { code, kind, message, retry, context, hint } = this;
    return hint === undefined
      ? { code, kind, message, retry, context }
      : { code, kind, message, retry, context, hint };
  }

  /** Rebuilds an error from {@link toJSON}. */
  static fromJSON(json: ErrorJson): BackpackError {
    const { code, message, ...rest } = json;
    return new BackpackError(code, message, rest);
  }

  /** A copy with more context (existing fields win). */
  with(context: ErrorContext): BackpackError {
    const merged = { ...context, ...this.context };
    const copy = new BackpackError(this.code, this.message, {
      kind: this.kind,
      retry: this.retry,
      context: merged,
      ...(this.hint === undefined ? {} : { hint: this.hint }),
      cause: this.cause,
    });
    if (this.stack !== undefined) copy.stack = this.stack;
    return copy;
  }
}

/** True for errors of this class, also from another copy of the module or another realm. */
export function isBackpackError(error: unknown): error is BackpackError {
  return typeof error === 'object' && error !== null && brand in error;
}

/** Turns anything thrown into a {@link BackpackError}; unknown things become `BP_INTERNAL`. */
export function toBackpackError(error: unknown): BackpackError {
  if (isBackpackError(error)) return error;
  const message = error instanceof Error ? error.message : String(error);
  return new BackpackError('BP_INTERNAL', message, { kind: 'internal', cause: error });
}

/** What the system says of a call that failed, without the call and the path: `no such file or directory`. */
export function systemReason(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  return /^E[A-Z0-9]+: (.+?), [a-z_0-9]+(?: '.*)?$/s.exec(message)?.[1] ?? message;
}
