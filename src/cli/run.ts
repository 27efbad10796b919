/** One run of the command line: the only place with streams, environment and exit codes. */
import { BackpackError, toBackpackError } from '../base/errors.ts';
import { isTooManyFiles, tooManyFiles } from '../base/open-files.ts';
import type { CommonOptions, Context } from './context.ts';
import { buildProgram } from './program.ts';
import { writeError } from './render/output.ts';
import type { Session } from './session.ts';
import { version } from './version.ts';

/** Node starts its inspector on SIGUSR1, which any local user could then reach. */
process.on('SIGUSR1', () => {});

const abort = new AbortController();
let signals = 0;
for (const [signal, code] of [
  ['SIGINT', 130],
  ['SIGTERM', 143],
] as const) {
  process.on(signal, () => {
    signals += 1;
    if (signals > 1) process.exit(code);
    process.exitCode = code;
    abort.abort(
      new BackpackError('BP_CANCELED', 'stopped by a signal', {
        kind: 'canceled',
        hint: 'nothing was lost; the next backup goes on with what is stored',
      }),
    );
  });
}
// A reader that closes its end (head) ends the command quietly.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(process.exitCode ?? 0);
  // A list that was cut short must not look like a whole one.
  const space = error.code === 'ENOSPC';
  process.stderr.write(`error: cannot write to standard output: ${error.message}\n`);
  process.exit(space ? 14 : 1);
});

const context: Context = {
  stdout: process.stdout,
  stderr: process.stderr,
  env: process.env,
  cwd: process.cwd(),
  app: `backpack ${version}`,
  signal: abort.signal,
  ...(process.stdin.isTTY && process.stderr.isTTY ? { ask } : {}),
};

let session = undefined as Session | undefined;
async function ask(question: string): Promise<string> {
  const { createInterface } = await import('node:readline/promises');
  const lines = createInterface({ input: process.stdin, output: process.stderr });
  try {
    return await lines.question(question, { signal: abort.signal });
  } finally {
    lines.close();
  }
}

let commands: string[] = [];
const json: CommonOptions = { json: process.argv.includes('--json') };
try {
  let exitCode: number | undefined;
  const program = buildProgram(context, version, (code) => {
    exitCode = code;
  });
  commands = program.commands.map((command) => command.name());
  program.hook('preAction', async (_, command) => {
    // Not before a command runs: help and version need none of it.
    const { Session: Around } = await import('./session.ts');
    session = new Around(context);
    await session.begin(command);
  });
  await program.parseAsync(process.argv);
  if (exitCode !== undefined) {
    const ended = await session?.end(exitCode);
    process.exitCode ??= ended;
  }
} catch (error) {
  const found = error as { code?: string; exitCode?: number };
  if (typeof found.code === 'string' && found.code.startsWith('commander.')) {
    // Help and version are no errors; without a command, the help has been written instead of an error.
    process.exitCode = found.exitCode === 0 ? 0 : 2;
    if (found.exitCode !== 0 && found.code !== 'commander.help') {
      const { usageError } = await import('./usage-error.ts');
      writeError(context, json, usageError((error as Error).message, process.argv.slice(2), commands));
    }
  } else {
    // The program's own files are opened by dozens at once.
    const known = isTooManyFiles(error) ? tooManyFiles('backpack', error) : toBackpackError(error);
    // People read first what went wrong, and then what hooks made of it; of --json, the error is the last line.
    const early = json.json === true ? undefined : writeError(context, json, known);
    await session?.fail(known, typeof process.exitCode === 'number' ? process.exitCode : undefined);
    const code = early ?? writeError(context, json, known);
    process.exitCode ??= code;
  }
}
