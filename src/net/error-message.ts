/**
 * Errors on the wire. A server says nothing about its own folders; a client believes no text it gets: codes have a
 * form, control characters (which a terminal would obey) are taken out, lengths are limited.
 */
import { BackpackError, type ErrorKind, isBackpackError, type Retry } from '../base/errors.ts';
import type { Message } from './messages.ts';

const kinds: ReadonlySet<string> = new Set<ErrorKind>([
  'not-found',
  'exists',
  'conflict',
  'damaged',
  'unsupported',
  'storage',
  'network',
  'space',
  'limit',
  'key',
]);

/** An error as a server tells it. */
export function formatError(error: unknown): Message {
  if (!isBackpackError(error) || !kinds.has(error.kind)) {
    return {
      code: 'BP_SERVER_FAILED',
      kind: 'storage',
      retry: 'later',
      message: 'the server failed',
      hint: logs,
    };
  }
  const { code, kind, retry, context } = error;
  const { object } = context;
  const name = typeof object === 'string' ? { object } : {};
  if (context['location'] === undefined) {
    return {
      code,
      kind,
      retry,
      message: error.message,
      ...name,
      ...(error.hint ? { hint: error.hint } : {}),
    };
  }
  // The text names a folder of the server.
  const message = `${name.object ?? 'an object'}: ${words[code] ?? 'the storage of the server failed'}`;
  return { code, kind, retry, message, ...name, hint: logs };
}

const logs = 'look at the log of the server';

const words: Readonly<Record<string, string>> = {
  BP_OBJECT_MISSING: 'it is not there',
  BP_OBJECT_EXISTS: 'it is there already',
  BP_STORAGE_SHORT: 'it is shorter than it should be',
  BP_NO_SPACE: 'no space left on the server',
  BP_STORAGE_DENIED: 'the server may not read or write its folder',
};

/** An error as a client believes it. */
export function parseError(message: Message, location: string): BackpackError {
  const text = (field: string, max: number): string | undefined => {
    const value = Object.hasOwn(message, field) ? message[field] : undefined;
    return typeof value === 'string' ? printable(value).slice(0, max) : undefined;
  };
  const code = text('code', 60) ?? '';
  const kind = text('kind', 20) ?? '';
  const retry = text('retry', 10) ?? '';
  const object = text('object', 300);
  const hint = text('hint', 300);
  return new BackpackError(
    /^BP_[A-Z]+(?:_[A-Z]+){0,4}$/.test(code) ? code : 'BP_SERVER_FAILED',
    `${text('message', 500) ?? 'the server failed'} (said by the server at ${location})`,
    {
      kind: kinds.has(kind) ? (kind as ErrorKind) : 'storage',
      retry: retry === 'now' || retry === 'later' ? (retry satisfies Retry) : 'never',
      context: { location, ...(object === undefined ? {} : { object }) },
      ...(hint === undefined ? {} : { hint }),
    },
  );
}

/** Without characters that a terminal would obey. */
function printable(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, '?');
}
