/** Options in the config file. Addresses and tokens can be secrets: they may stand in files, and are never shown. */
import { readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { BackpackError, hookedOperations, hookMoments } from 'backpack-cli/extension';

/** An address, read when it is needed. */
export interface Target {
  read(): string;
}

/** What a notification looks like: a text, or JSON, with `{placeholders}`; `json` is everything that is known. */
export type Template = 'json' | 'text' | 'slack' | 'discord' | Readonly<Record<string, unknown>>;

/** See the file's comment. */
export interface WebhookOptions {
  readonly notify?: Target;
  readonly events: readonly string[];
  readonly template: Template;
  readonly headers: Readonly<Record<string, string>>;
  readonly ping?: Target;
  readonly pingOn: readonly string[];
  readonly timeoutMs: number;
  readonly retries: number;
}

const names = [
  'url',
  'urlFile',
  'events',
  'template',
  'headers',
  'tokenFile',
  'ping',
  'pingFile',
  'pingOn',
  'timeout',
  'retries',
];
const templates = ['json', 'text', 'slack', 'discord'];
const eventNames = hookedOperations.flatMap((operation) =>
  hookMoments.map((moment) => `${operation}.${moment}`),
);

/** @throws BackpackError BP_WEBHOOK_OPTIONS */
export function readOptions(given: Readonly<Record<string, unknown>>): WebhookOptions {
  for (const name of Object.keys(given)) {
    if (!name.startsWith('//') && !names.includes(name))
      throw optionsError(`there is no option ${name}`, `options are ${names.join(', ')}`);
  }
  const { events = ['backup.after', 'backup.failed', 'check.failed', 'prune.failed'], template = 'json' } =
    given;
  const { headers = {}, tokenFile, pingOn = ['backup'], timeout = 10, retries = 3 } = given;
  const notify = targetOf(given, 'url', 'urlFile');
  const ping = targetOf(given, 'ping', 'pingFile');
  if (notify === undefined && ping === undefined)
    throw optionsError('neither url nor ping is given', 'give url, urlFile, ping or pingFile');
  if (!isList(events, eventNames))
    throw optionsError('events holds something that is no event', eventNames.join(', '));
  if (!isList(pingOn, hookedOperations)) throw optionsError('pingOn holds something that is no command');
  if (typeof template === 'string' ? !templates.includes(template) : !isObject(template))
    throw optionsError('template is neither an object nor one that is known', templates.join(', '));
  if (!isObject(headers) || Object.values(headers).some((value) => typeof value !== 'string'))
    throw optionsError('headers is not an object of texts');
  if (typeof timeout !== 'number' || !(timeout >= 1 && timeout <= 300))
    throw optionsError('timeout is not a number of seconds from 1 to 300');
  if (typeof retries !== 'number' || !Number.isInteger(retries) || retries < 0 || retries > 10)
    throw optionsError('retries is not a number from 0 to 10');
  const token =
    tokenFile === undefined ? {} : { authorization: `Bearer ${readSecret(tokenFile, 'tokenFile')}` };
  return {
    events,
    template: template as Template,
    headers: { ...(headers as Record<string, string>), ...token },
    pingOn,
    timeoutMs: timeout * 1000,
    retries,
    ...(notify === undefined ? {} : { notify }),
    ...(ping === undefined ? {} : { ping }),
  };
}

function targetOf(given: Readonly<Record<string, unknown>>, name: string, file: string): Target | undefined {
  if (given[name] === undefined && given[file] === undefined) return undefined;
  if (given[name] !== undefined && given[file] !== undefined)
    throw optionsError(`only one of ${name} and ${file} can be given`);
  const url = given[name] === undefined ? readSecret(given[file], file) : given[name];
  const ok = typeof url === 'string' && URL.canParse(url) && /^https?:\/\//.test(url);
  // The address is not repeated: it may be all that is needed to post there.
  if (!ok)
    throw optionsError(`${given[name] === undefined ? file : name} holds no http:// or https:// address`);
  return { read: () => url };
}

function readSecret(path: unknown, name: string): string {
  if (typeof path !== 'string') throw optionsError(`${name} is not the path of a file`);
  try {
    const text = readFileSync(path.startsWith('~/') ? join(homedir(), path.slice(2)) : path, 'utf8').trim();
    if (text === '' || text.length > 8192 || /[\r\n]/.test(text))
      throw new Error('it does not hold one line');
    return text;
  } catch (error) {
    throw optionsError(`cannot use ${name} ${path}: ${(error as Error).message}`);
  }
}

function isList<T extends string>(value: unknown, allowed: readonly T[]): value is readonly T[] {
  return Array.isArray(value) && value.every((one) => allowed.includes(one as T));
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function optionsError(
  message: string,
  hint = 'correct the options of backpack-webhook in the config file',
): BackpackError {
  return new BackpackError('BP_WEBHOOK_OPTIONS', `backpack-webhook: ${message}`, { kind: 'config', hint });
}
