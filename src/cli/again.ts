/** The options that a later command needs to find the same repository in the same way, as they can be typed. */
import { resolve } from 'node:path';
import { expandHome } from '../config/load.ts';
import type { ConfigSet } from '../schema/index.ts';
import type { CommonOptions, Context } from './context.ts';
import type { Settings } from './settings.ts';

/** A word as it can be typed in a shell. */
export function shell(word: string): string {
  return /^[A-Za-z0-9_./:@%+=,-][A-Za-z0-9_./:@%+=,~-]*$/.test(word)
    ? word
    : `'${word.replaceAll("'", "'\\''")}'`;
}

/**
 * What was given as an option, or by a set that another command does not name; what the environment or the config file
 * says holds for the next command, too. A descriptor cannot be repeated.
 */
export function locating(
  context: Context,
  options: CommonOptions,
  { location, key, keyFrom }: Settings,
  set?: ConfigSet,
): string {
  const repo = location.origin === 'option' || (location.origin === 'file' && set?.repository !== undefined);
  const file = key?.origin === 'option' || (key?.origin === 'file' && set?.key !== undefined);
  return (
    option('--repo', repo ? location.value : undefined) +
    option('--key', file ? key?.value : undefined) +
    option('--key-command', keyFrom?.source === '--key-command' ? keyFrom.value.text : undefined) +
    reaching(context, options)
  );
}

/** The options of {@link locating} that name neither the repository nor its key. */
export function reaching({ cwd }: Context, options: CommonOptions): string {
  const path = (given: string | undefined): string | undefined => given && resolve(cwd, given);
  const { config, s3Endpoint, accessKey, tls, tlsFingerprint } = options;
  return (
    option('--config', path(config)) +
    option('--s3-endpoint', s3Endpoint) +
    option('--access-key', path(accessKey)) +
    option('--tls', path(tls && expandHome(tls))) +
    option('--tls-fingerprint', tlsFingerprint)
  );
}

function option(name: string, value: string | undefined): string {
  return value === undefined ? '' : ` ${name} ${shell(value)}`;
}
