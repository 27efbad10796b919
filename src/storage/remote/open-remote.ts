/** From a location on a server and the files it takes to a storage. Each thread reads the files for itself. */
import { closeSync, constants, fstatSync, openSync, readFileSync } from 'node:fs';
import { BackpackError } from '../../base/errors.ts';
import { accessFileMax, parseAccessKey } from '../../net/access-key.ts';
import type { AccessKey } from '../../net/handshake.ts';
import { readPem } from '../../net/pem.ts';
import { dial, type TlsOptions } from '../../net/transport.ts';
import { dialThrough, loadTransport } from '../../net/transport-module.ts';
import type { StorageSpec } from '../open.ts';
import { parseRemoteLocation, parseTransportLocation } from './location.ts';
import { type RemoteOptions, RemoteStorage } from './remote.ts';

/** @throws BackpackError BP_LOCATION, BP_ACCESS_KEY, BP_TLS */
export function openRemote(spec: StorageSpec): RemoteStorage {
  const { tls, host, port, repository } = parseRemoteLocation(spec.location);
  const options = tls ? tlsOptions(spec) : undefined;
  return new RemoteStorage({
    ...common(spec),
    location: `${tls ? 'tls' : 'tcp'}://${host.includes(':') ? `[${host}]` : host}:${port}/${repository}`,
    repository,
    dial: (limitMs) => dial({ host, port, tls: options }, limitMs),
  });
}

/** A location whose transport an extension brings. @throws BackpackError BP_LOCATION, BP_ACCESS_KEY, BP_TRANSPORT */
export async function openThroughTransport(
  scheme: string,
  module: string,
  spec: StorageSpec,
): Promise<RemoteStorage> {
  const { address, repository } = parseTransportLocation(scheme, spec.location);
  const transport = await loadTransport(scheme, module);
  const options = (spec.moduleOptions?.[scheme] ?? {}) as Readonly<Record<string, unknown>>;
  return new RemoteStorage({
    ...common(spec),
    location: `${scheme}://${address}/${repository}`,
    repository,
    dial: (limitMs) => dialThrough(scheme, transport, { address, options }, limitMs),
  });
}

/** What does not depend on how the server is reached. */
function common(spec: StorageSpec): Pick<RemoteOptions, 'access' | 'connections' | 'timeoutMs' | 'app'> {
  const access = spec.accessKeyFile === undefined ? undefined : readAccessKey(spec.accessKeyFile);
  const { connections, timeoutMs, app } = spec;
  return {
    ...(access === undefined ? {} : { access }),
    ...(connections === undefined ? {} : { connections }),
    ...(timeoutMs === undefined ? {} : { timeoutMs }),
    ...(app === undefined ? {} : { app }),
  };
}

function tlsOptions(spec: StorageSpec): TlsOptions {
  const pem = spec.tlsFile === undefined ? {} : readPem(readSecret(spec.tlsFile, 256 * 1024));
  const fingerprint = spec.tlsFingerprint?.replaceAll(':', '').toLowerCase();
  return { ...pem, ...(fingerprint === undefined ? {} : { fingerprints: [fingerprint] }) };
}

function readAccessKey(path: string): AccessKey {
  return parseAccessKey(readSecret(path, accessFileMax));
}

/** A file that only its owner may read. @throws BackpackError BP_ACCESS_KEY */
function readSecret(path: string, sizeMax: number): string {
  let fd: number | undefined;
  try {
    // Does not block: a FIFO is refused below, not waited for.
    fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
    const found = fstatSync(fd);
    if (!found.isFile() || found.size > sizeMax) throw new Error('it is not a small file');
    if (process.platform !== 'win32' && (found.mode & 0o077) !== 0) {
      throw new BackpackError('BP_ACCESS_KEY', `other users may read ${path}`, {
        kind: 'key',
        context: { path },
        hint: `chmod 600 ${path}`,
      });
    }
    return readFileSync(fd, 'latin1');
  } catch (error) {
    if (error instanceof BackpackError) throw error;
    throw new BackpackError('BP_ACCESS_KEY', `cannot read ${path}: ${(error as Error).message}`, {
      kind: 'key',
      context: { path },
      cause: error,
      hint: 'give the file that backpack serve user add wrote, with --access-key FILE',
    });
  } finally {
    if (fd !== undefined) closeSync(fd);
  }
}
