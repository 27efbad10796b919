/** The stream that a backup stores as one file: standard input, or what a program writes. */
import { basename } from 'node:path';
import { isatty } from 'node:tty';
import { utf8ToByteString } from '../base/bytes.ts';
import { BackpackError } from '../base/errors.ts';
import { checkPath } from '../format/path-rules.ts';
import type { StreamFile } from '../pipeline/stream-run.ts';
import type { ConfigSet } from '../schema/index.ts';
import type { StreamSource } from '../source/byte-stream.ts';
import { rootOfBytes } from '../source/walk.ts';
import { type ChoosingOptions, namesPaths } from './choosing.ts';
import type { Context } from './context.ts';

/** Options that have no meaning for a stream. */
const others = {
  filesFrom: '--files-from',
  filesFromNul: '--files-from-nul',
  dryRun: '--dry-run',
  skipIfUnchanged: '--skip-if-unchanged',
} as const;

/** The stream that the options, or the set, ask for. @throws BackpackError BP_USAGE */
export function streamFile(
  context: Context,
  paths: readonly string[],
  options: ChoosingOptions & { readonly dryRun?: boolean; readonly skipIfUnchanged?: boolean },
  set: ConfigSet | undefined,
): StreamFile | undefined {
  const ofSet = options.command !== true && !namesPaths(paths, options) ? set?.command : undefined;
  const command = options.command === true ? paths : ofSet;
  if (command === undefined && options.stdin !== true) {
    if (options.stdinName !== undefined)
      throw usage('--stdin-name names what --stdin or --command stores', 'give one of them, or leave it out');
    return undefined;
  }
  const flag = options.stdin === true ? '--stdin' : '--command';
  const [program, ...args] = command ?? [];
  if (options.stdin === true && options.command === true)
    throw usage(
      '--stdin and --command cannot be used together',
      'leave --stdin out: PROGRAM is run, and what it writes is stored',
    );
  if (options.stdin === true && paths.length > 0)
    throw usage(
      '--stdin stores standard input only',
      'leave the paths out, and make a snapshot of its own of them',
    );
  if (options.stdin !== true && (program ?? '') === '')
    throw usage('--command needs a program', 'backpack backup --command -- PROGRAM ARGUMENTS');
  for (const [name, option] of Object.entries(others)) {
    if (options[name as keyof typeof others] !== undefined)
      throw usage(`${option} cannot be used with ${flag}`, 'leave one of them out');
  }
  if (options.stdin === true && isatty(0))
    throw usage('standard input is a terminal', 'pipe something into it: PROGRAM | backpack backup --stdin');
  const name = options.stdinName ?? set?.stdinName ?? (program === undefined ? 'stdin' : basename(program));
  const source: StreamSource =
    program === undefined
      ? { fd: 0 }
      : { command: [program, ...args], cwd: context.cwd, env: environment(context) };
  return { source, stored: storedName(name), uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 };
}

function storedName(name: string): string {
  const { stored } = rootOfBytes(utf8ToByteString(name), '/');
  try {
    checkPath(stored);
  } catch (error) {
    throw usage(`not a name for a file: ${name}`, 'give another one with --stdin-name NAME', error);
  }
  return stored;
}

function environment({ env }: Context): Record<string, string> {
  return Object.fromEntries(
    Object.entries(env).filter((one): one is [string, string] => one[1] !== undefined),
  );
}

function usage(message: string, hint: string, cause?: unknown): BackpackError {
  return new BackpackError('BP_USAGE', message, { kind: 'usage', hint, cause });
}
