/** For authors of extensions: `backpack-cli/extension`. A list of exports, nothing else. */
export {
  BackpackError,
  type ErrorContext,
  type ErrorJson,
  type ErrorKind,
  type ErrorOptions,
  isBackpackError,
  type Retry,
} from '../base/errors.ts';
export {
  defineExtension,
  type EntryFacts,
  type Extension,
  type ExtensionApi,
  extensionApiVersion,
  type HookCall,
  type HookedOperation,
  type HookMoment,
  type HookName,
  type HookOptions,
  hookedOperations,
  hookMoments,
  type KeyProvider,
  type OnFailure,
  type OperationHooks,
  type ProgramEvent,
} from './define.ts';
export type {
  AsyncHook,
  EntryFunction,
  EntryHook,
  EventFunction,
  EventHook,
  HookFunction,
  HookOutcome,
} from './hooks.ts';
