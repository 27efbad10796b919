/** Public entry point: a list of exports, nothing else. */
export {
  BackpackError,
  type ErrorContext,
  type ErrorJson,
  type ErrorKind,
  type ErrorOptions,
  isBackpackError,
  type Retry,
} from './base/errors.ts';
