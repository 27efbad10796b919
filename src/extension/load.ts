/**
 * Loads the extensions that the config file names, in its order. Nothing else is ever loaded: no folder is searched
 * for extensions.
 */
import { createRequire } from 'node:module';
import { homedir } from 'node:os';
import { dirname, isAbsolute, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { BackpackError, isBackpackError } from '../base/errors.ts';
import type { ExtensionConfig } from '../schema/index.ts';
import {
  defineExtension,
  type Extension,
  type ExtensionApi,
  extensionApiVersion,
  extensionError,
  type HookName,
  hookedOperations,
  hookMoments,
  type KeyProvider,
} from './define.ts';
import { AsyncHook, EntryHook, EventHook, limited } from './hooks.ts';

/** All hooks of the program. */
export class HookSet {
  readonly entry: EntryHook = new EntryHook();
  readonly event: EventHook = new EventHook();
  readonly #moments = new Map<HookName, AsyncHook>();

  constructor() {
    for (const operation of hookedOperations) {
      for (const moment of hookMoments) {
        const name: HookName = `${operation}.${moment}`;
        this.#moments.set(name, new AsyncHook(name, moment === 'before' ? 'abort' : 'warn'));
      }
    }
  }

  /** The hook of a moment. */
  moment(name: HookName): AsyncHook {
    const found = this.#moments.get(name);
    if (found !== undefined) return found;
    throw new BackpackError('BP_CONFIG', `there is no hook ${name}`, {
      kind: 'config',
      hint: `hooks are ${[...this.#moments.keys()].join(', ')}`,
    });
  }
}

/** What extensions added. */
export interface Extensions {
  readonly names: readonly string[];
  readonly hooks: HookSet;
  /** Addresses of the modules that open locations, by scheme. */
  readonly modules: Readonly<Record<string, string>>;
  /** Addresses of the modules that bring streams to servers, by scheme. */
  readonly transports: Readonly<Record<string, string>>;
  /** What these modules are given, by scheme. */
  readonly moduleOptions: Readonly<Record<string, unknown>>;
  readonly keyProviders: readonly { readonly by: string; readonly provider: KeyProvider }[];
}

/** Schemes that no extension may take over. */
const ownSchemes = ['file', 'tcp', 'tls', 's3', 'http', 'https', 'memory'];
const setupMs = 30_000;

/**
 * Loads extensions.
 * @param configPath the file that names them: relative paths and packages are looked for from its folder
 * @throws BackpackError BP_EXTENSION
 */
export async function loadExtensions(
  list: readonly ExtensionConfig[],
  configPath: string,
): Promise<Extensions> {
  const names: string[] = [];
  const hooks = new HookSet();
  const modules: Record<string, string> = {};
  const transports: Record<string, string> = {};
  const moduleOptions: Record<string, unknown> = {};
  const keyProviders: { by: string; provider: KeyProvider }[] = [];
  for (const { module, options = {} } of list) {
    const url = resolveModule(module, configPath);
    const extension = await importExtension(url, module);
    const { name } = extension;
    if (names.includes(name)) throw extensionError(`two extensions are called ${name}`);
    names.push(name);
    const registerIn =
      (place: Record<string, string>) =>
      (scheme: string, from: URL | string, given?: Readonly<Record<string, unknown>>): void => {
        const taken = [modules, transports].some((one) => Object.hasOwn(one, scheme));
        if (!/^[a-z][a-z0-9+.-]{1,31}$/.test(scheme) || ownSchemes.includes(scheme) || taken)
          throw extensionError(
            `the extension ${name} cannot register ${scheme}://: it is taken, or not a scheme`,
          );
        place[scheme] = new URL(from, url).href;
        if (given !== undefined) moduleOptions[scheme] = given;
      };
    const api: ExtensionApi = {
      apiVersion: extensionApiVersion,
      options,
      hooks: doors(hooks, name),
      storage: { register: registerIn(modules) },
      transport: { register: registerIn(transports) },
      keys: { add: (provider) => void keyProviders.push({ by: name, provider }) },
    };
    try {
      await limited(() => extension.setup(api), setupMs);
    } catch (error) {
      if (isBackpackError(error)) throw error;
      throw extensionError(
        `the extension ${name} could not be set up: ${(error as Error).message}`,
        undefined,
        error,
      );
    }
  }
  return { names, hooks, modules, transports, moduleOptions, keyProviders };
}

function doors(hooks: HookSet, name: string): ExtensionApi['hooks'] {
  const of = (operation: (typeof hookedOperations)[number]): ExtensionApi['hooks']['backup'] => ({
    before: hooks.moment(`${operation}.before`).by(name),
    after: hooks.moment(`${operation}.after`).by(name),
    failed: hooks.moment(`${operation}.failed`).by(name),
    finally: hooks.moment(`${operation}.finally`).by(name),
  });
  return {
    backup: of('backup'),
    restore: of('restore'),
    prune: of('prune'),
    check: of('check'),
    entry: hooks.entry.by(name),
    event: hooks.event.by(name),
  };
}

/** A path (beginning with `.`, `/` or `~`), a `file:` URL, or a package beside the config file or beside this program. */
function resolveModule(module: string, configPath: string): string {
  if (module.startsWith('file:')) return module;
  const path = module.startsWith('~/') ? join(homedir(), module.slice(2)) : module;
  if (isAbsolute(path)) return pathToFileURL(path).href;
  if (/^\.\.?\//.test(path)) return pathToFileURL(join(dirname(configPath), path)).href;
  let problem: unknown;
  for (const from of [pathToFileURL(configPath).href, import.meta.url]) {
    try {
      return pathToFileURL(createRequire(from).resolve(path)).href;
    } catch (error) {
      problem ??= error;
    }
  }
  const folder = dirname(configPath);
  throw extensionError(
    `the extension ${module} was not found`,
    `npm install --prefix ${folder} ${module}, or give its path`,
    problem,
  );
}

async function importExtension(url: string, module: string): Promise<Extension> {
  let found: { readonly default?: unknown };
  try {
    found = (await import(url)) as typeof found;
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    const here = code === 'ERR_MODULE_NOT_FOUND' && message.includes(fileURLToPath(url));
    const why = here ? 'there is no such file' : message;
    throw extensionError(`the extension ${module} cannot be loaded: ${why}`, undefined, error);
  }
  if (found.default === undefined)
    throw extensionError(`${module} has no default export, so it is no extension`);
  return defineExtension(found.default as Extension);
}
