/**
 * Paths below the target of a restore. No path is ever opened through a symbolic link: each folder is opened from the
 * handle of its parent, and names are used relative to that handle (/proc/self/fd/N/name), so that a folder swapped
 * for a link during the run leads nowhere. Where the system has no /proc, each parent is looked at before use.
 */
import { closeSync, constants, existsSync, fstatSync, lstatSync, mkdirSync, openSync } from 'node:fs';
import { type ByteString, byteStringToText, toFsPath } from '../base/bytes.ts';
import { BackpackError } from '../base/errors.ts';

const { O_RDONLY, O_DIRECTORY, O_NOFOLLOW } = constants;
const openFolders = 64;
const proc: boolean = existsSync('/proc/self/fd');

/** See the file's comment. */
export class Jail {
  readonly #root: ByteString;
  /** Handles of folders by path, in order of use. */
  readonly #handles = new Map<ByteString, number>();

  /** @param root absolute path of the target; it must exist */
  constructor(root: ByteString) {
    this.#root = root;
    this.#handles.set('', openSync(toFsPath(root), O_RDONLY | O_DIRECTORY));
  }

  /**
   * What file functions take for `path` (allowed by the path rules, relative to the target).
   * @throws BackpackError BP_TARGET_ESCAPE when a folder on the way is a link or no folder
   */
  at(path: ByteString): string | Buffer {
    const slash = path.lastIndexOf('/');
    const folder = slash < 0 ? '' : path.slice(0, slash);
    const name = path.slice(slash + 1);
    const handle = this.#open(folder);
    return toFsPath(proc ? `/proc/self/fd/${handle}/${name}` : `${this.#root}/${path}`);
  }

  /** Makes a folder. @returns whether it was made now; false when a folder was there */
  makeFolder(path: ByteString): boolean {
    const real = this.at(path);
    try {
      mkdirSync(real, 0o700);
      return true;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    }
    this.#open(path);
    return false;
  }

  /** A handle of a folder, to set its metadata through. */
  folder(path: ByteString): number {
    return this.#open(path);
  }

  /** Closes all handles. */
  close(): void {
    for (const handle of this.#handles.values()) closeSync(handle);
    this.#handles.clear();
  }

  #open(path: ByteString): number {
    const found = this.#handles.get(path);
    if (found !== undefined) {
      if (path !== '') {
        this.#handles.delete(path);
        this.#handles.set(path, found);
      }
      return found;
    }
    const real = this.at(path);
    let handle: number;
    try {
      if (!proc && !lstatSync(real).isDirectory())
        throw Object.assign(new Error('not a folder'), { code: 'ELOOP' });
      handle = openSync(real, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
    } catch (error) {
      throw this.#refused(path, error);
    }
    if (!fstatSync(handle).isDirectory()) {
      closeSync(handle);
      throw this.#refused(path, undefined);
    }
    this.#handles.set(path, handle);
    if (this.#handles.size > openFolders) this.#evict();
    return handle;
  }

  /** Closes the handle that was not used for longest; the target's own (first) stays. */
  #evict(): void {
    const [, oldest] = [...this.#handles.keys()].slice(0, 2);
    closeSync(this.#handles.get(oldest!)!);
    this.#handles.delete(oldest!);
  }

  #refused(path: ByteString, cause: unknown): BackpackError {
    const { code } = (cause ?? {}) as NodeJS.ErrnoException;
    const leaves = code === 'ELOOP' || code === 'ENOTDIR' || cause === undefined;
    const what = leaves ? 'is a link or no folder; nothing is written through it' : 'cannot be opened';
    return new BackpackError(
      leaves ? 'BP_TARGET_ESCAPE' : 'BP_TARGET_WRITE',
      `${byteStringToText(path)} ${what}`,
      {
        kind: 'target',
        context: { path: byteStringToText(path) },
        cause,
        hint: 'restore into an empty folder',
      },
    );
  }
}
