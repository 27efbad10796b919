/** Options in the config file, and parts of a location. Both are checked here, before anything is opened. */
import { join } from 'node:path';
import { BackpackError } from 'backpack-cli/extension';

/** How a server is reached; plain data. */
export interface SftpOptions {
  /** When the location names none. */
  readonly user: string;
  /** Path of a private key without passphrase. */
  readonly identityFile?: string;
  /** Socket of an SSH agent. */
  readonly agent?: string;
  /** Files in which host keys are looked up. */
  readonly knownHosts: readonly string[];
  /** Fingerprints (`SHA256:...`) of the host key; when given, known_hosts is not read. */
  readonly fingerprints?: readonly string[];
  /** Whether a server must be able to make files durable. */
  readonly fsync: boolean;
  /** Ms until a silent server counts as gone. */
  readonly timeoutMs: number;
}

/** Defaults that come from the user's machine. */
export interface Surroundings {
  readonly user: string;
  readonly knownHosts: readonly string[];
  readonly home: string;
  readonly agent: string | undefined;
}

const known = ['user', 'identityFile', 'agent', 'knownHosts', 'fingerprint', 'fsync', 'timeout'];

/** @throws BackpackError BP_SFTP_OPTIONS */
export function readOptions(given: Readonly<Record<string, unknown>>, around: Surroundings): SftpOptions {
  for (const name of Object.keys(given)) {
    if (!name.startsWith('//') && !known.includes(name))
      throw optionsError(`there is no option ${name}`, `options are ${known.join(', ')}`);
  }
  const { user, identityFile, agent, knownHosts, fingerprint, fsync = true, timeout = 60 } = given;
  const path = (value: unknown, name: string): string => {
    const found = text(value, name);
    return found.startsWith('~/') ? join(around.home, found.slice(2)) : found;
  };
  const prints =
    fingerprint === undefined ? undefined : Array.isArray(fingerprint) ? fingerprint : [fingerprint];
  for (const print of prints ?? []) {
    if (typeof print !== 'string' || !/^SHA256:[A-Za-z0-9+/]{43}$/.test(print))
      throw optionsError('fingerprint is not SHA256:...', 'ssh-keygen -lf shows it');
  }
  if (typeof fsync !== 'boolean') throw optionsError('fsync is neither true nor false');
  if (typeof timeout !== 'number' || !(timeout >= 1 && timeout <= 3600))
    throw optionsError('timeout is not a number of seconds from 1 to 3,600');
  const socket =
    agent === undefined || agent === true ? around.agent : agent === false ? undefined : path(agent, 'agent');
  return {
    user: user === undefined ? around.user : text(user, 'user'),
    knownHosts: knownHosts === undefined ? around.knownHosts : [path(knownHosts, 'knownHosts')],
    fsync,
    timeoutMs: timeout * 1000,
    ...(identityFile === undefined ? {} : { identityFile: path(identityFile, 'identityFile') }),
    ...(socket === undefined ? {} : { agent: socket }),
    ...(prints === undefined ? {} : { fingerprints: prints as string[] }),
  };
}

/** Parts of `sftp://[user@]host[:port]/folder`; `/~/folder` counts from the home folder. */
export interface SftpPlace {
  readonly user: string | undefined;
  readonly host: string;
  readonly port: number;
  /** Path on the server. */
  readonly folder: string;
}

/** @throws BackpackError BP_LOCATION */
export function parseLocation(location: string): SftpPlace {
  const [, login, host, port, path] =
    /^sftp:\/\/(?:([^@/]*)@)?(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::([0-9]{1,5}))?(\/[^\0]*)$/.exec(
      location,
    ) ?? [];
  if (login?.includes(':'))
    throw locationError(
      'a location never holds a password',
      'log in with a key: options identityFile or agent',
    );
  if (host === undefined || path === undefined || Number(port ?? 22) > 65_535 || login === '')
    throw locationError(`not an SFTP location: ${location}`, 'sftp://[USER@]HOST[:PORT]/FOLDER');
  const parts = path.split('/').filter((part) => part !== '');
  const relative = parts[0] === '~';
  const inside = relative ? parts.slice(1) : parts;
  if (inside.length === 0 || inside.some((part) => part === '.' || part === '..'))
    throw locationError(`not a folder of its own: ${path}`, 'name a folder, without . and ..');
  return {
    user: login,
    host: host.replace(/^\[(.*)\]$/, '$1'),
    port: Number(port ?? 22),
    folder: (relative ? '' : '/') + inside.join('/'),
  };
}

function text(value: unknown, name: string): string {
  if (typeof value === 'string' && value !== '' && value.length <= 4096) return value;
  throw optionsError(`${name} is not a text`);
}

function optionsError(
  message: string,
  hint = 'correct the options of backpack-sftp in the config file',
): BackpackError {
  return new BackpackError('BP_SFTP_OPTIONS', `backpack-sftp: ${message}`, { kind: 'config', hint });
}

function locationError(message: string, hint: string): BackpackError {
  return new BackpackError('BP_LOCATION', message, { kind: 'usage', hint });
}
