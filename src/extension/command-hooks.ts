/**
 * External commands as hooks, from the config file. What they are told stands in their environment, which is made
 * anew: a few harmless variables of the user and `BACKPACK_*` results, never keys or credentials.
 */
import { BackpackError } from '../base/errors.ts';
import type { CommandHooks } from '../schema/index.ts';
import type { HookCall, HookName } from './define.ts';
import type { HookSet } from './load.ts';
import { runCommand } from './run-command.ts';

/** The user's environment. */
export type Environment = Readonly<Record<string, string | undefined>>;

const outputMax = 16 * 1024;
const timeoutDefault = 600;

/** Variables of the user that a hook gets: where things are and how to talk, nothing that opens anything. */
const passed =
  /^(?:PATH|HOME|USER|LOGNAME|SHELL|LANG|LC_[A-Z]+|TZ|TMPDIR|XDG_[A-Z_]+|DBUS_SESSION_BUS_ADDRESS|DISPLAY|WAYLAND_DISPLAY|BACKPACK_CONFIG)$/;

/** Adds the commands of `hooks` in the config file, in their order. */
export function addCommandHooks(
  hooks: HookSet,
  configured: CommandHooks | undefined,
  user: Environment,
): void {
  for (const [name, commands] of Object.entries(configured ?? {})) {
    if (name.startsWith('//')) continue;
    const hook = hooks.moment(name as HookName);
    for (const one of commands) {
      const { command, timeout = timeoutDefault, onFailure } = one;
      // The command ends itself in time; the limit of the hook is only a second line.
      const timeoutMs = timeout * 1000;
      const options = { timeoutMs: timeoutMs + 10_000, ...(onFailure === undefined ? {} : { onFailure }) };
      hook.add((call, signal) => run(command, call, user, timeoutMs, signal), options, command[0]);
    }
  }
}

async function run(
  command: readonly string[],
  call: HookCall,
  user: Environment,
  timeoutMs: number,
  signal: AbortSignal,
): Promise<void> {
  const env = hookEnvironment(call, user);
  const { problem, output, cut, exitCode } = await runCommand({ command, env, timeoutMs, signal, outputMax });
  if (problem === undefined) return;
  const text = output.toString('utf8').trimEnd();
  throw new BackpackError('BP_HOOK_FAILED', `the hook ${call.name} failed: ${command[0]} ${problem}`, {
    kind: 'hook',
    context: { hook: call.name, by: command[0], exitCode, output: cut ? `...${text}` : text },
    hint: 'correct the command under "hooks" in the config file',
  });
}

/** The environment of a command that runs as a hook. */
function hookEnvironment(call: HookCall, user: Environment): Record<string, string> {
  const env: Record<string, string> = {};
  for (const [name, value] of Object.entries(user)) {
    if (value !== undefined && passed.test(name)) env[name] = value;
  }
  const set = (name: string, value: unknown): void => {
    if (typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean')
      env[`BACKPACK_${name}`] = String(value).replaceAll('\0', '');
  };
  const { summary = {}, error } = call;
  for (const [key, value] of Object.entries(summary)) {
    if (key !== 'type') set(key === 'stored' ? 'BYTES_STORED' : snake(key), value);
  }
  set('EVENT', call.name);
  set('COMMAND', call.operation);
  set('REPOSITORY', call.repository);
  set('SET', call.set);
  set('ELAPSED_MS', call.elapsedMs);
  set('EXIT_CODE', call.exitCode);
  set('ERROR_CODE', error?.code);
  set('ERROR_MESSAGE', error?.message);
  return env;
}

function snake(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase();
}
