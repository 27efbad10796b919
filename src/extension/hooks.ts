/**
 * The hooks: a small fixed set. Whether one is sync or async is declared by its class; functions run one after the
 * other in the order in which they were added; a hook without functions is `noop`, so that hot paths pay nothing.
 * Failure is BP_HOOK_FAILED with its cause, and time is limited.
 */
import { BackpackError, isBackpackError } from '../base/errors.ts';
import type { EntryFacts, HookCall, HookOptions, OnFailure, ProgramEvent } from './define.ts';

/** A function of an {@link AsyncHook}. `signal` is aborted when its time is over or the command is stopped. */
export type HookFunction = (call: HookCall, signal: AbortSignal) => void | Promise<void>;

/** What is told about each function that ran. */
export interface HookOutcome {
  readonly call: HookCall;
  /** Name of the extension, or the program that ran. */
  readonly by: string;
  readonly elapsedMs: number;
  readonly onFailure: OnFailure;
  readonly error?: BackpackError;
}

interface Added {
  readonly by: string;
  readonly run: HookFunction;
  readonly timeoutMs: number;
  readonly onFailure: OnFailure;
}

const timeoutDefault = 30_000;

/** Functions that run at a moment of a command. */
export class AsyncHook {
  /** True as long as nothing was added. */
  noop = true;
  readonly #name: string;
  readonly #onFailure: OnFailure;
  readonly #added: Added[] = [];

  constructor(name: string, onFailure: OnFailure) {
    this.#name = name;
    this.#onFailure = onFailure;
  }

  /** Adds a function. @param by who adds it, for messages; extensions do not give it */
  add(run: HookFunction, options: HookOptions = {}, by = ''): void {
    checkFunction(run, this.#name, by);
    const { timeoutMs = timeoutDefault, onFailure = this.#onFailure } = options;
    this.#added.push({ by, run, timeoutMs, onFailure });
    this.noop = false;
  }

  /** A door to this hook that says who adds. */
  by(name: string): AsyncHook {
    const door = new AsyncHook(this.#name, this.#onFailure);
    door.add = (run, options) => this.add(run, options, name);
    return door;
  }

  /**
   * Runs the functions in order. One that fails with `abort` ends it; for others only the outcome tells.
   * @throws BackpackError BP_HOOK_FAILED, BP_CANCELED
   */
  async run(call: HookCall, tell: (outcome: HookOutcome) => void, signal?: AbortSignal): Promise<void> {
    for (const { by, run, timeoutMs, onFailure } of this.#added) {
      signal?.throwIfAborted();
      const begun = performance.now();
      let error: BackpackError | undefined;
      try {
        await limited((own) => run(call, own), timeoutMs, signal);
      } catch (cause) {
        signal?.throwIfAborted();
        error = hookFailed(this.#name, by, cause);
      }
      const outcome = { call, by, elapsedMs: Math.round(performance.now() - begun), onFailure };
      tell(error === undefined ? outcome : { ...outcome, error });
      if (error !== undefined && onFailure === 'abort') throw error;
    }
  }
}

/** A function of an {@link EntryHook}: a reason to leave the entry out (for a folder: with all below it), or nothing. */
export type EntryFunction = (entry: EntryFacts) => string | undefined;

/** Synchronous decisions about entries of a backup. */
export class EntryHook {
  /** True as long as nothing was added. */
  noop = true;
  readonly #added: { readonly by: string; readonly run: EntryFunction }[] = [];

  /** Adds a function. */
  add(run: EntryFunction, by = ''): void {
    checkFunction(run, 'entry', by);
    this.#added.push({ by, run });
    this.noop = false;
  }

  /** A door to this hook that says who adds. */
  by(name: string): EntryHook {
    const door = new EntryHook();
    door.add = (run) => this.add(run, name);
    return door;
  }

  /** The first reason to leave the entry out. @throws BackpackError BP_HOOK_FAILED */
  decide(entry: EntryFacts): string | undefined {
    for (const { by, run } of this.#added) {
      let reason: unknown;
      try {
        reason = run(entry);
      } catch (cause) {
        throw hookFailed('entry', by, cause);
      }
      if (reason === undefined) continue;
      if (typeof reason !== 'string')
        throw hookFailed('entry', by, new TypeError('it returned neither a reason nor undefined'));
      return `${by}: ${reason}`;
    }
    return undefined;
  }
}

/** A function of an {@link EventHook}. */
export type EventFunction = (event: ProgramEvent) => void | Promise<void>;

/** Listeners to the events of a command. Their failures are told once each and change nothing. */
export class EventHook {
  /** True as long as nothing was added. */
  noop = true;
  readonly #added: { readonly by: string; readonly run: EventFunction; error?: BackpackError }[] = [];
  readonly #pending = new Set<Promise<void>>();

  /** Adds a function. */
  add(run: EventFunction, by = ''): void {
    checkFunction(run, 'event', by);
    this.#added.push({ by, run });
    this.noop = false;
  }

  /** A door to this hook that says who adds. */
  by(name: string): EventHook {
    const door = new EventHook();
    door.add = (run) => this.add(run, name);
    return door;
  }

  /** Tells everyone. A listener that failed is told nothing more. */
  emit(event: ProgramEvent): void {
    for (const one of this.#added) {
      if (one.error !== undefined) continue;
      const fail = (cause: unknown): void => {
        one.error ??= hookFailed('event', one.by, cause);
      };
      try {
        const result = one.run(event);
        if (result === undefined) continue;
        const pending: Promise<void> = Promise.resolve(result)
          .catch(fail)
          .finally(() => this.#pending.delete(pending));
        this.#pending.add(pending);
      } catch (cause) {
        fail(cause);
      }
    }
  }

  /** Waits for async listeners, for a while. @returns what failed */
  async settle(timeoutMs: number = timeoutDefault): Promise<BackpackError[]> {
    const late = await limited(async () => void (await Promise.all(this.#pending)), timeoutMs).then(
      () => [],
      (cause: unknown) => [hookFailed('event', 'listeners', cause)],
    );
    return [...this.#added.flatMap(({ error }) => error ?? []), ...late];
  }
}

/** Runs an async function with a limit of time. The function is told by its signal; nobody waits for it any longer. */
export async function limited<T>(
  run: (signal: AbortSignal) => T | Promise<T>,
  timeoutMs: number,
  signal?: AbortSignal,
): Promise<T> {
  const own = new AbortController();
  let timer: NodeJS.Timeout | undefined;
  let stop: (() => void) | undefined;
  const over = new Promise<never>((_, reject) => {
    const end = (reason: unknown): void => {
      reject(reason);
      own.abort(reason);
    };
    timer = setTimeout(() => end(new Error(`it took longer than ${timeoutMs / 1000} s`)), timeoutMs);
    stop = () => end(signal?.reason);
    signal?.addEventListener('abort', stop, { once: true });
  });
  try {
    return await Promise.race([run(own.signal), over]);
  } finally {
    clearTimeout(timer);
    if (stop !== undefined) signal?.removeEventListener('abort', stop);
  }
}

/** BP_HOOK_FAILED, unless it is that already. */
function hookFailed(hook: string, by: string, cause: unknown): BackpackError {
  if (isBackpackError(cause) && cause.code === 'BP_HOOK_FAILED') return cause;
  const why = cause instanceof Error ? cause.message : String(cause);
  return new BackpackError('BP_HOOK_FAILED', `the hook ${hook} of ${by || 'an extension'} failed: ${why}`, {
    kind: 'hook',
    context: { hook, by },
    cause,
    hint: 'correct it, or take it out of the config file',
  });
}

function checkFunction(run: unknown, hook: string, by: string): void {
  if (typeof run === 'function') return;
  throw new BackpackError('BP_EXTENSION', `${by || 'an extension'} adds to ${hook} what is not a function`, {
    kind: 'config',
    hint: 'correct the extension',
  });
}
