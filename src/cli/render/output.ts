/**
 * How a command speaks: results to stdout, talk to stderr; with --json only lines of typed events, on stdout.
 * Errors are three lines: what, where, what next.
 */
import type { BackpackError } from '../../base/errors.ts';
import type { CommonOptions, Context } from '../context.ts';
import { asTyped, exitCodeOf } from '../context.ts';
import { safe } from './text.ts';

/** The voice of one command. */
export class Voice {
  readonly json: boolean;
  readonly quiet: boolean;
  readonly verbose: boolean;
  readonly context: Context;

  constructor(context: Context, options: CommonOptions) {
    this.context = context;
    this.json = options.json === true;
    this.quiet = options.quiet === true;
    this.verbose = options.verbose === true;
  }

  /** One event of --json; hooks hear it in any case. */
  event(value: { readonly type: string; readonly [key: string]: unknown }): void {
    const held = this.context.onEvent?.(value) === true;
    if (this.json && !held) this.context.stdout.write(`${JSON.stringify(value)}\n`);
  }

  /** A result, for people. */
  result(text: string): void {
    if (!this.json) this.context.stdout.write(text);
  }

  /** Talk, for people; not with --quiet. */
  say(text: string): void {
    if (!this.json && !this.quiet) this.context.stderr.write(text);
  }

  /** Something that went wrong while the command goes on. */
  warn(text: string): void {
    if (!this.json) this.context.stderr.write(text);
  }
}

/** Writes an error and gives its exit code. */
export function writeError(context: Context, options: CommonOptions, error: BackpackError): number {
  const exitCode = exitCodeOf(error);
  if (options.json === true) {
    const { hint } = error;
    const line = {
      type: 'error',
      code: error.code,
      message: error.message,
      hint: hint ?? '',
      exitCode,
      kind: error.kind,
      retry: error.retry,
      context: error.context,
    };
    context.stdout.write(`${JSON.stringify(line)}\n`);
    return exitCode;
  }
  context.stderr.write(`error: ${safe(error.message)} (${error.code})\n`);
  const where = placeOf(error);
  if (where !== '') context.stderr.write(`  ${safe(where)}\n`);
  if (error.hint !== undefined && error.hint !== '') {
    context.stderr.write(`  next: ${safe(asTyped(context, error.hint))}\n`);
  }
  if (error.kind === 'internal') {
    const stack = error.cause instanceof Error ? error.cause.stack : error.stack;
    context.stderr.write(
      `${stack ?? ''}\n  This is a fault in Backpack: please report it with the lines above.\n`,
    );
  }
  return exitCode;
}

function placeOf(error: BackpackError): string {
  const { object, record, tried, path } = error.context;
  const parts: string[] = [];
  if (typeof object === 'string') parts.push(`in ${object}`);
  if (typeof record === 'number') parts.push(`record ${record}`);
  if (typeof tried === 'string') parts.push(`tried ${tried}`);
  if (typeof path === 'string' && !error.message.includes(path)) parts.push(`at ${path}`);
  return parts.join(', ');
}
