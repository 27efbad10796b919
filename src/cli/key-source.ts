/**
 * Keys that are in no file: printed by a command, or read from a descriptor. Neither the arguments nor the
 * environment of any process ever hold a key.
 */
import { closeSync, readSync } from 'node:fs';
import { BackpackError } from '../base/errors.ts';
import { keyFileMax } from '../base/limits.ts';
import type { Setting } from '../config/load.ts';
import { runCommand } from '../extension/run-command.ts';
import type { Config, ConfigSet } from '../schema/index.ts';
import type { CommonOptions, Context } from './context.ts';

/** Where a key comes from that is in no file. */
export interface KeySource {
  /** For people. */
  readonly text: string;
  /** Bytes of a key file; read once. */
  read(): Promise<Uint8Array>;
}

const commandMs = 120_000;

/**
 * The key source of the settings; undefined when the key is in a file or not named.
 * @throws BackpackError BP_USAGE when two are named
 */
export function keySource(
  context: Context,
  options: CommonOptions,
  config: Config,
  set: ConfigSet | undefined,
  configPath: string,
): Setting<KeySource> | undefined {
  const { key, keyCommand, keyFd } = options;
  if ([key, keyCommand, keyFd].filter((one) => one !== undefined).length > 1)
    throw twice('--key, --key-command and --key-fd', 'usage');
  const shell = (text: string): KeySource => commandSource(context, ['/bin/sh', '-c', text], text);
  if (keyCommand !== undefined)
    return { value: shell(keyCommand), origin: 'option', source: '--key-command' };
  if (keyFd !== undefined) return { value: descriptorSource(keyFd), origin: 'option', source: '--key-fd' };
  if (key !== undefined) return undefined;
  const env = context.env['BACKPACK_KEY_COMMAND'] ?? '';
  const file = context.env['BACKPACK_KEY_FILE'] ?? '';
  if (env !== '' && file !== '') throw twice('BACKPACK_KEY_FILE and BACKPACK_KEY_COMMAND', 'usage');
  if (env !== '') return { value: shell(env), origin: 'environment', source: 'BACKPACK_KEY_COMMAND' };
  if (file !== '') return undefined;
  for (const part of [set, config]) {
    if (part?.key !== undefined && part.keyCommand !== undefined)
      throw twice(`key and keyCommand in ${configPath}`, 'config');
    if (part?.key !== undefined) return undefined;
    if (part?.keyCommand !== undefined) {
      const value = commandSource(context, part.keyCommand, part.keyCommand.join(' '));
      return { value, origin: 'file', source: configPath };
    }
  }
  return undefined;
}

function twice(what: string, kind: 'usage' | 'config'): BackpackError {
  return new BackpackError(kind === 'usage' ? 'BP_USAGE' : 'BP_CONFIG', `only one of ${what} can be given`, {
    kind,
    hint: 'name the key once',
  });
}

function commandSource(context: Context, command: readonly string[], text: string): KeySource {
  let bytes: Promise<Uint8Array> | undefined;
  const env = Object.fromEntries(
    Object.entries(context.env).filter(
      (entry): entry is [string, string] =>
        entry[1] !== undefined && !/^(?:BACKPACK_(?:KEY|ACCESS_KEY)|AWS_)/.test(entry[0]),
    ),
  );
  const run = async (): Promise<Uint8Array> => {
    const { problem, output } = await runCommand({
      command,
      env,
      timeoutMs: commandMs,
      signal: context.signal,
      outputMax: keyFileMax,
      stdoutOnly: true,
    });
    context.signal.throwIfAborted();
    const bad = problem ?? (output.length === 0 ? 'printed nothing' : '');
    if (bad === '') return output;
    throw new BackpackError('BP_KEY_COMMAND', `the key command (${text}) ${bad}`, {
      kind: 'key',
      hint: 'it must print the key file to standard output and end with exit code 0',
    });
  };
  return { text, read: () => (bytes ??= run()) };
}

function descriptorSource(text: string): KeySource {
  const fd = Number(text);
  if (!Number.isInteger(fd) || fd < 0 || fd > 65_535 || fd === 1 || fd === 2) {
    throw new BackpackError('BP_USAGE', `not a descriptor to read a key from: ${text}`, {
      kind: 'usage',
      hint: 'for example: backpack list --key-fd 3 3< key.bin',
    });
  }
  let bytes: Uint8Array | undefined;
  return { text: `descriptor ${fd}`, read: async () => (bytes ??= readDescriptor(fd)) };
}

function readDescriptor(fd: number): Uint8Array {
  const buffer = Buffer.alloc(keyFileMax + 1);
  let length = 0;
  try {
    for (let count = 1; count > 0 && length < buffer.length; length += count)
      count = readSync(fd, buffer, length, buffer.length - length, null);
    closeSync(fd);
  } catch (error) {
    throw new BackpackError('BP_KEY_FILE', `no key can be read from descriptor ${fd}`, {
      kind: 'key',
      cause: error,
      hint: 'for example: backpack list --key-fd 3 3< key.bin',
    });
  }
  return buffer.subarray(0, length);
}
