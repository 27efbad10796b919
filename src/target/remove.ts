/** Removing things from the target: never through a link, and never what another filesystem holds. */
import { lstatSync, rmdirSync, unlinkSync } from 'node:fs';
import type { ByteString } from '../base/bytes.ts';
import type { Jail } from './jail.ts';

/** Called for what could not be removed. */
export type OnRemoveError = (path: ByteString, error: unknown) => void;

/** Removes what is at `path` and below it. @returns whether all of it is gone */
export function removeTree(jail: Jail, path: ByteString, onError: OnRemoveError): boolean {
  try {
    const slash = path.lastIndexOf('/');
    const above = lstatSync(jail.real(slash < 0 ? '' : path.slice(0, slash)));
    return remove(jail, path, above.dev, onError);
  } catch (error) {
    onError(path, error);
    return false;
  }
}

function remove(jail: Jail, path: ByteString, device: number, onError: OnRemoveError): boolean {
  try {
    const stat = lstatSync(jail.at(path), { throwIfNoEntry: false });
    if (stat === undefined) return true;
    if (!stat.isDirectory()) {
      unlinkSync(jail.at(path));
      return true;
    }
    if (stat.dev !== device)
      throw Object.assign(new Error('it is another filesystem'), { errno: 0, code: 'EXDEV' });
    let empty = true;
    for (const name of jail.names(path)) empty = remove(jail, `${path}/${name}`, device, onError) && empty;
    jail.forget(path);
    if (empty) rmdirSync(jail.at(path));
    return empty;
  } catch (error) {
    onError(path, error);
    return false;
  }
}
