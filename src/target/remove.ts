/** Removing things from the target: never through a link, and never what another filesystem holds. */
import { lstatSync, rmdirSync, unlinkSync } from 'node:fs';
import type { Breath } from '../base/breath.ts';
import type { ByteString } from '../base/bytes.ts';
import type { Jail } from './jail.ts';

/** Called for what could not be removed. */
export type OnRemoveError = (path: ByteString, error: unknown) => void;

/** Removes what is at `path` and below it. @returns whether all of it is gone @throws what `breath` throws */
export async function removeTree(
  jail: Jail,
  path: ByteString,
  breath: Breath,
  onError: OnRemoveError,
): Promise<boolean> {
  let device: number;
  try {
    const slash = path.lastIndexOf('/');
    device = lstatSync(jail.real(slash < 0 ? '' : path.slice(0, slash))).dev;
  } catch (error) {
    onError(path, error);
    return false;
  }
  return remove(jail, path, device, breath, onError);
}

async function remove(
  jail: Jail,
  path: ByteString,
  device: number,
  breath: Breath,
  onError: OnRemoveError,
): Promise<boolean> {
  await breath.take();
  let names: ByteString[];
  try {
    const stat = lstatSync(jail.at(path), { throwIfNoEntry: false });
    if (stat === undefined) return true;
    if (!stat.isDirectory()) {
      unlinkSync(jail.at(path));
      return true;
    }
    if (stat.dev !== device)
      throw Object.assign(new Error('it is another filesystem'), { errno: 0, code: 'EXDEV' });
    names = jail.names(path);
  } catch (error) {
    onError(path, error);
    return false;
  }
  let empty = true;
  for (const name of names) empty = (await remove(jail, `${path}/${name}`, device, breath, onError)) && empty;
  try {
    jail.forget(path);
    if (empty) rmdirSync(jail.at(path));
    return empty;
  } catch (error) {
    onError(path, error);
    return false;
  }
}
