/**
 * What an extension is: a module whose default export says its name, the version of this interface it was written
 * for, and a `setup` that registers what it adds. Extensions run only when the config file names them. They are never
 * given keys; one that provides keys hands them in.
 */
import { BackpackError } from '../base/errors.ts';
import type { AsyncHook, EntryHook, EventHook } from './hooks.ts';

/** Version of the interface between the program and its extensions. */
export const extensionApiVersion = 1;

/** Commands that have hooks. */
export const hookedOperations = ['backup', 'restore', 'prune', 'check'] as const;
/** A command that has hooks. */
export type HookedOperation = (typeof hookedOperations)[number];

/** Moments of a command: `after` when it did its work, `failed` when not, `finally` in both cases. */
export const hookMoments = ['before', 'after', 'failed', 'finally'] as const;
/** A moment of a command. */
export type HookMoment = (typeof hookMoments)[number];

/** Name of a hook, as `backup.before`. */
export type HookName = `${HookedOperation}.${HookMoment}`;

/** What a hook is told. Nothing in it is secret. */
export interface HookCall {
  readonly name: HookName;
  readonly operation: HookedOperation;
  readonly moment: HookMoment;
  /** Location of the repository. */
  readonly repository: string;
  /** Name given with `--set`. */
  readonly set?: string;
  /** Ms since 1970. */
  readonly startedMs: number;
  readonly elapsedMs: number;
  /** Exit code of the command; not before. */
  readonly exitCode?: number;
  /** The line `summary` of `--json`, when the command came to it. */
  readonly summary?: Readonly<Record<string, unknown>>;
  /** Why the command failed. */
  readonly error?: { readonly code: string; readonly message: string };
}

/** A line of `--json` (schemas/events.schema.json), except `status`. */
export interface ProgramEvent {
  readonly type: string;
  readonly [key: string]: unknown;
}

/** Something that a backup found: what an entry filter decides about. */
export interface EntryFacts {
  /** Path in the snapshot; bytes that are not UTF-8 are replaced. */
  readonly path: string;
  readonly kind: 'file' | 'folder' | 'link' | 'other';
  readonly sizeBytes: number;
  readonly mtimeMs: number;
}

/** Options of a hook that is added. */
export interface HookOptions {
  /** Ms that it may take; default 30,000. */
  readonly timeoutMs?: number;
  /** What its failure does; default `abort` for `before`, `warn` for the others. */
  readonly onFailure?: OnFailure;
}

/** What the failure of a hook does: end the command, warn, or nothing. */
export type OnFailure = 'abort' | 'warn' | 'ignore';

/**
 * Looks for the key of a repository.
 * @returns the bytes of a key file, or undefined when this provider has none
 */
export type KeyProvider = (wanted: {
  /** 32 hex; undefined when the repository does not tell. */
  readonly repositoryId: string | undefined;
  readonly location: string;
  readonly signal: AbortSignal;
}) => Uint8Array | undefined | Promise<Uint8Array | undefined>;

/** Hooks of one command. */
export type OperationHooks = { readonly [M in HookMoment]: AsyncHook };

/** What `setup` is given. It may be used only while `setup` runs. */
export interface ExtensionApi {
  readonly apiVersion: typeof extensionApiVersion;
  /** `options` of this extension in the config file. */
  readonly options: Readonly<Record<string, unknown>>;
  readonly hooks: { readonly [O in HookedOperation]: OperationHooks } & {
    /** Decides about each entry of a backup: skip it, with a reason. Synchronous. */
    readonly entry: EntryHook;
    /** Gets each event of `--json`, except `status`, also without `--json`. */
    readonly event: EventHook;
  };
  readonly storage: {
    /**
     * Adds a kind of location.
     * @param scheme as in `sftp://...`; not one of the program's own
     * @param module address of a module that exports `openStorage(spec)`: each thread loads it and opens its own
     * @param options plain data, the `spec.moduleOptions[scheme]` of that function (it is posted to threads)
     */
    register(scheme: string, module: URL | string, options?: Readonly<Record<string, unknown>>): void;
  };
  readonly transport: {
    /**
     * Adds a way to a Backpack server: locations `scheme://ADDRESS/NAME`, and `backpack serve --listen scheme://ADDRESS`.
     * @param scheme not one of the program's own
     * @param module address of a module that exports `connect`, and perhaps `listen` (`TransportModule` of
     * `backpack-cli/storage`)
     * @param options plain data that both are given
     */
    register(scheme: string, module: URL | string, options?: Readonly<Record<string, unknown>>): void;
  };
  readonly keys: {
    /** Adds a provider, asked when no key was named. The first that has the key wins. */
    add(provider: KeyProvider): void;
  };
}

/** See the file's comment. */
export interface Extension {
  /** For messages, as `sftp`. */
  readonly name: string;
  /** {@link extensionApiVersion} of the version it was written for. */
  readonly apiVersion: number;
  setup(api: ExtensionApi): void | Promise<void>;
}

const namePattern = /^[a-z][a-z0-9-]{0,63}$/;

/**
 * Checks an extension and gives it back: the default export of an extension's module.
 * @throws BackpackError BP_EXTENSION when it is not one, or was written for another version of the interface
 */
export function defineExtension(extension: Extension): Extension {
  const { name, apiVersion, setup } = (extension ?? {}) as Partial<Extension>;
  if (typeof name !== 'string' || !namePattern.test(name) || typeof setup !== 'function')
    throw extensionError('an extension needs a name (a-z, 0-9, -) and a function setup');
  if (apiVersion !== extensionApiVersion) {
    throw extensionError(
      `the extension ${name} was written for version ${apiVersion} of the interface, this program has ${extensionApiVersion}`,
      'use the version of the extension that fits this version of Backpack',
    );
  }
  return extension;
}

/** BP_EXTENSION */
export function extensionError(message: string, hint?: string, cause?: unknown): BackpackError {
  return new BackpackError('BP_EXTENSION', message, {
    kind: 'config',
    cause,
    hint: hint ?? 'correct "extensions" in the config file',
  });
}
