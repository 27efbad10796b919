/**
 * Paths below the target of a restore. No path is ever opened through a symbolic link: each folder is opened from the
 * handle of its parent, and names are used relative to that handle (/proc/self/fd/N/name), so that a folder swapped
 * for a link during the run leads nowhere. Where the system has no /proc, each parent is looked at before use.
 */
import { closeSync, constants, existsSync, lstatSync, mkdirSync, openSync, readdirSync } from 'node:fs';
import { type ByteString, byteStringToText, toByteString, toFsPath } from '../base/bytes.ts';
import { BackpackError } from '../base/errors.ts';

const { O_RDONLY, O_DIRECTORY, O_NOFOLLOW } = constants;
const openFolders = 64;
const proc: boolean = existsSync('/proc/self/fd');

/** See the file's comment. */
export class Jail {
  readonly #root: ByteString;
  /** Handles of folders by path, in order of use. */
  readonly #handles = new Map<ByteString, number>();
  #lastFolder: ByteString | undefined;
  #lastHandle = -1;
  #pinned: ByteString = '';

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
    const folder = folderOf(path);
    // Most files lie in the folder of the one before.
    if (folder !== this.#lastFolder) {
      this.#lastHandle = this.#open(folder);
      this.#lastFolder = folder;
    }
    return toFsPath(
      proc ? `/proc/self/fd/${this.#lastHandle}/${path.slice(slash + 1)}` : `${this.#root}/${path}`,
    );
  }

  /** Does something with two paths at once, in the way of {@link at}. */
  both<T>(a: ByteString, b: ByteString, act: (a: string | Buffer, b: string | Buffer) => T): T {
    const first = this.at(a);
    // The folders above `b` may be more than are kept open.
    this.#pinned = folderOf(a);
    try {
      return act(first, this.at(b));
    } finally {
      this.#pinned = '';
    }
  }

  /** Whether there is an entry of exactly this name, byte for byte, whatever the filesystem takes for the same. */
  has(path: ByteString): boolean {
    return this.names(folderOf(path)).includes(path.slice(path.lastIndexOf('/') + 1));
  }

  /** What file functions take for a folder of the target itself; '' is the target. */
  real(folder: ByteString): string | Buffer {
    const handle = this.#open(folder);
    if (proc) return `/proc/self/fd/${handle}/.`;
    return toFsPath(folder === '' ? this.#root : `${this.#root}/${folder}`);
  }

  /** Lets go of a folder that is about to be removed. */
  forget(folder: ByteString): void {
    const handle = this.#handles.get(folder);
    if (handle === undefined || folder === '') return;
    closeSync(handle);
    this.#handles.delete(folder);
    if (this.#lastFolder === folder) this.#lastFolder = undefined;
  }

  /** Names of what is in a folder. */
  names(folder: ByteString): ByteString[] {
    return readdirSync(this.real(folder), { encoding: 'buffer' }).map(toByteString);
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
    this.#lastFolder = undefined;
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
    this.#handles.set(path, handle);
    if (this.#handles.size > openFolders) this.#evict();
    return handle;
  }

  /** Closes the handle that was not used for longest; the target's own and a pinned one stay. */
  #evict(): void {
    for (const [path, handle] of this.#handles) {
      if (path === '' || path === this.#pinned) continue;
      closeSync(handle);
      this.#handles.delete(path);
      if (this.#lastFolder === path) this.#lastFolder = undefined;
      return;
    }
  }

  #refused(path: ByteString, cause: unknown): BackpackError {
    const { code } = cause as NodeJS.ErrnoException;
    const leaves = code === 'ELOOP' || code === 'ENOTDIR';
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

function folderOf(path: ByteString): ByteString {
  return path.slice(0, Math.max(0, path.lastIndexOf('/')));
}
