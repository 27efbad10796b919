/**
 * What happens around every command: extensions of the config file are loaded before it, and its hooks run before,
 * after, on failure and finally. Commands speak through a context that listens, and say when they have understood their
 * options: one that was typed wrong runs no hooks.
 */
import { statSync } from 'node:fs';
import { BackpackError, toBackpackError } from '../base/errors.ts';
import { addCommandHooks } from '../extension/command-hooks.ts';
import {
  type HookCall,
  type HookedOperation,
  type HookMoment,
  hookedOperations,
  type ProgramEvent,
} from '../extension/define.ts';
import type { HookOutcome } from '../extension/hooks.ts';
import { HookSet, loadExtensions } from '../extension/load.ts';
import type { Config } from '../schema/index.ts';
import { type CommonOptions, type Context, exitCodeOf, exitCodes } from './context.ts';
import { Voice } from './render/output.ts';
import { duration, safe } from './render/text.ts';
import { readSettings } from './settings.ts';

/** The parts of a parsed command that matter here. */
interface ParsedCommand {
  name(): string;
  opts(): object;
  readonly parent: { name(): string; readonly parent: unknown } | null;
}

type Options = CommonOptions & { readonly set?: string; readonly dryRun?: boolean };

/** See the file's comment. */
export class Session {
  readonly #context: Context;
  /** A command with hooks, which may still be refused for how it was typed. */
  #prepared: HookedOperation | undefined;
  /** One whose hooks run. */
  #operation: HookedOperation | undefined;
  #hooks = new HookSet();
  #voice: Voice;
  #call: Pick<HookCall, 'repository' | 'set' | 'startedMs'> | undefined;
  #summary: ProgramEvent | undefined;

  /** @param context what commands are given; from now on it listens, and knows what extensions add */
  constructor(context: Context) {
    context.onEvent = (event) => this.#onEvent(event);
    context.begun = () => this.#begun();
    this.#context = context;
    this.#voice = new Voice(context, {});
  }

  /** Before a command: loads what the config file names, and gathers its hooks. */
  async begin(command: ParsedCommand): Promise<void> {
    const options = command.opts() as Options;
    const name = command.name();
    const top = command.parent?.parent == null;
    // What only shows or has no repository loads nothing.
    if (!top && command.parent?.name() === 'config') return;
    this.#voice = new Voice(this.#context, options);
    const settings = readSettings(this.#context, options);
    const { config, configPath } = settings;
    const set = options.set === undefined ? undefined : config.sets?.[options.set];
    if (namesPrograms(config, set)) checkConfigMode(configPath);
    const extensions = await loadExtensions(config.extensions ?? [], configPath);
    this.#context.extensions = extensions;
    this.#hooks = extensions.hooks;
    const operation = hookedOperations.find((one) => one === name);
    // A command that a hook calls runs no hooks; a dry run changes nothing.
    const nested = this.#context.env['BACKPACK_EVENT'] !== undefined;
    if (operation === undefined || !top || nested || options.dryRun === true) return;
    addCommandHooks(extensions.hooks, config.hooks, this.#context.env);
    addCommandHooks(extensions.hooks, set?.hooks, this.#context.env);
    this.#prepared = operation;
    const repository = set?.repository === undefined ? settings : readSettings(this.#context, options, set);
    this.#call = {
      repository: repository.location.value,
      startedMs: Date.now(),
      ...(options.set === undefined ? {} : { set: options.set }),
    };
  }

  async #begun(): Promise<void> {
    this.#operation = this.#prepared;
    await this.#run('before', {}, this.#context.signal);
  }

  /** After a command that came to its end. @returns the exit code */
  async end(exitCode: number): Promise<number> {
    const done = exitCode === exitCodes.ok || exitCode === exitCodes.incomplete;
    const error = await this.#finish(done ? 'after' : 'failed', { exitCode });
    if (error !== undefined) throw error;
    return exitCode;
  }

  /** After a command that failed. @param exitCode when it is not the error's own */
  async fail(error: BackpackError, exitCode: number = exitCodeOf(error)): Promise<void> {
    const { code, message } = error;
    await this.#finish('failed', { exitCode, error: { code, message } });
  }

  async #finish(
    moment: 'after' | 'failed',
    more: Pick<HookCall, 'exitCode' | 'error'>,
  ): Promise<BackpackError | undefined> {
    let first: BackpackError | undefined;
    const summary = this.#summary === undefined ? {} : { summary: this.#summary };
    for (const one of [moment, 'finally'] as const) {
      try {
        await this.#run(one, { ...more, ...summary });
      } catch (error) {
        first ??= toBackpackError(error);
      }
    }
    // Hooks run once, whatever their own failure leads to.
    this.#operation = undefined;
    if (this.#summary !== undefined) this.#write(this.#summary);
    for (const error of await this.#hooks.event.settle()) this.#warn(error);
    return first;
  }

  async #run(
    moment: HookMoment,
    more: Pick<HookCall, 'exitCode' | 'error' | 'summary'>,
    signal?: AbortSignal,
  ): Promise<void> {
    if (this.#operation === undefined || this.#call === undefined) return;
    const hook = this.#hooks.moment(`${this.#operation}.${moment}`);
    if (hook.noop) return;
    const elapsedMs = Date.now() - this.#call.startedMs;
    const about = { name: `${this.#operation}.${moment}`, operation: this.#operation, moment } as const;
    await hook.run({ ...about, ...this.#call, elapsedMs, ...more }, (outcome) => this.#tell(outcome), signal);
  }

  #tell({ call, by, elapsedMs, onFailure, error }: HookOutcome): void {
    const output = error?.context['output'];
    const shown = onFailure !== 'ignore' && typeof output === 'string' && output !== '' ? { output } : {};
    this.#voice.event({ type: 'hook', hook: call.name, by, ok: error === undefined, elapsedMs, ...shown });
    if (error === undefined) {
      if (this.#voice.verbose) this.#voice.say(`hook ${call.name}: ${safe(by)} in ${duration(elapsedMs)}\n`);
      return;
    }
    if ('output' in shown) {
      for (const line of shown.output.split('\n')) this.#voice.warn(`  ${safe(by)}: ${safe(line)}\n`);
    }
    if (onFailure === 'warn') this.#warn(error);
  }

  #warn(error: BackpackError): void {
    this.#voice.event({ type: 'warning', code: error.code, message: error.message });
    this.#voice.warn(`warning: ${safe(error.message)} (${error.code})\n`);
  }

  /** Listens to what commands tell. @returns whether the event is held back: the summary comes after the hooks */
  #onEvent(event: ProgramEvent): boolean {
    if (event.type !== 'status') this.#hooks.event.emit(event);
    if (this.#operation === undefined || event.type !== 'summary') return false;
    this.#summary = event;
    return true;
  }

  #write(event: ProgramEvent): void {
    if (this.#voice.json) this.#context.stdout.write(`${JSON.stringify(event)}\n`);
  }
}

function namesPrograms(config: Config, set: Config | undefined): boolean {
  return [config.hooks, config.extensions, config.keyCommand, set?.hooks, set?.keyCommand].some(
    (value) => value !== undefined,
  );
}

/** A file that names programs to run must not be writable by just anyone. @throws BackpackError BP_CONFIG_MODE */
function checkConfigMode(path: string): void {
  const { mode, uid } = statSync(path);
  const self = process.getuid?.();
  if (self === undefined || ((mode & 0o002) === 0 && (uid === self || uid === 0 || self === 0))) return;
  throw new BackpackError('BP_CONFIG_MODE', `${path} names programs to run, and other users can change it`, {
    kind: 'config',
    context: { path, mode: (mode & 0o777).toString(8) },
    hint: `chmod o-w ${path}, and own it`,
  });
}
