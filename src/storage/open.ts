/** From a location to a storage. Each worker thread opens its own from the same location. */
import { BackpackError } from '../base/errors.ts';
import { FsStorage } from './fs.ts';
import type { RemoteSpec } from './remote/open-remote.ts';
import type { Storage } from './storage.ts';

/** Where a repository is and how it is reached; plain data, so that it can be given to a worker thread. */
export interface StorageSpec extends Omit<RemoteSpec, 'location'> {
  readonly location: string;
}

/**
 * Opens the storage of a location.
 * @throws BackpackError BP_LOCATION for a kind of location this version does not know
 */
export async function openStorage(spec: StorageSpec): Promise<Storage> {
  const scheme = /^([a-z][a-z0-9+.-]*):\/\//.exec(spec.location)?.[1];
  if (scheme === undefined) return new FsStorage(spec.location);
  if (scheme === 'tcp' || scheme === 'tls') {
    const { openRemote } = await import('./remote/open-remote.ts');
    return openRemote(spec);
  }
  throw new BackpackError('BP_LOCATION', `locations of type ${scheme}:// are not supported by this version`, {
    kind: 'usage',
    hint: 'give the path of a folder, for example /mnt/usb/backup, or tcp://HOST:PORT/NAME',
  });
}
