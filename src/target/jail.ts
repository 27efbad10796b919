/**
 * Paths below the target of a restore. No path is ever opened through a symbolic link: each folder is opened from the
 * handle of its parent, and names are used relative to that handle (/proc/self/fd/N/name), so that a folder swapped
 * for a link during the run leads nowhere. Where the system has no /proc, each parent is looked at before use.
 * Folders may be nested as deep as a path can be long: nothing here recurses, and going up again costs one step per
 * level.
 */
import {
  closeSync,
  constants,
  existsSync,
  fstatSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
} from 'node:fs';
import { type ByteString, byteStringToText, toByteString, toFsPath } from '../base/bytes.ts';
import { BackpackError } from '../base/errors.ts';
import { foldersWithin, isTooManyFiles, tooManyFiles } from '../base/open-files.ts';
import { libc } from '../platform/libc.ts';

const { O_RDONLY, O_DIRECTORY, O_NOFOLLOW } = constants;
const openFolders = 64;
const openFoldersMin = 2;
const proc: boolean = existsSync('/proc/self/fd');

/**
 * What is known about files that this process makes in an open folder. Only of folders that nobody else may change: who
 * owns a folder could let files made in it belong to another group at any moment.
 */
export interface Habits {
  /** Whether the folder belongs to the user that runs this. */
  readonly isOwn: boolean;
  /** Owner and group that a file gets; undefined before one was made. */
  owner: { readonly uid: number; readonly gid: number } | undefined;
  /** Modes that a file gets exactly as they were asked for: no umask, ACL or filesystem takes anything from them. */
  readonly modes: Set<number>;
}

/** A folder that was opened once. Its handle may be closed by now; what it was is still known. */
interface Folder {
  readonly path: ByteString;
  readonly parent: Folder | undefined;
  readonly device: bigint;
  readonly inode: bigint;
  readonly habits: Habits;
  /** -1: closed. */
  handle: number;
}

/** See the file's comment. */
export class Jail {
  readonly #root: ByteString;
  readonly #top: Folder;
  /** Folders whose handles are open, but for the target itself, in order of use. */
  readonly #open = new Map<ByteString, Folder>();
  #last: Folder;
  /** Stays open whatever else is needed. */
  #pinned: Folder | undefined;
  #openMax: number = foldersWithin(openFolders);

  /** @param root absolute path of the target; it must exist */
  constructor(root: ByteString) {
    this.#root = root;
    this.#top = folderOf(openSync(toFsPath(root), O_RDONLY | O_DIRECTORY), '', undefined);
    this.#last = this.#top;
  }

  /**
   * What file functions take for `path` (allowed by the path rules, relative to the target).
   * @throws BackpackError BP_TARGET_ESCAPE when a folder on the way is a link or no folder
   */
  at(path: ByteString): string | Buffer {
    return this.#below(this.#parent(path).handle, path);
  }

  /** Opens `path`; nothing of it may be a link if `flags` say so, and no folder above it ever is. @returns handle */
  open(path: ByteString, flags: number, mode: number): number {
    const { handle } = this.#parent(path);
    const calls = proc ? libc() : undefined;
    if (calls === undefined) return openSync(this.#below(handle, path), flags, mode);
    // A quarter of the time of opening a new file is the way through /proc.
    return calls.openAt(handle, toFsPath(path.slice(path.lastIndexOf('/') + 1)), flags, mode);
  }

  /** What is known about new files in the folder of `path`. */
  habits(path: ByteString): Habits {
    return this.#parent(path).habits;
  }

  /** Does something with two paths at once, in the way of {@link at}. */
  both<T>(a: ByteString, b: ByteString, act: (a: string | Buffer, b: string | Buffer) => T): T {
    const first = this.at(a);
    // The folders above `b` may be more than are kept open.
    this.#pinned = this.#last;
    try {
      return act(first, this.at(b));
    } finally {
      this.#pinned = undefined;
    }
  }

  /** Whether there is an entry of exactly this name, byte for byte, whatever the filesystem takes for the same. */
  has(path: ByteString): boolean {
    const slash = path.lastIndexOf('/');
    return this.names(path.slice(0, Math.max(0, slash))).includes(path.slice(slash + 1));
  }

  /** What file functions take for a folder itself; '' is the target. */
  real(folder: ByteString): string | Buffer {
    const { handle } = this.#folder(folder);
    if (proc) return `/proc/self/fd/${handle}/.`;
    return toFsPath(folder === '' ? this.#root : `${this.#root}/${folder}`);
  }

  /** Names of what is in a folder. */
  names(folder: ByteString): ByteString[] {
    return readdirSync(this.real(folder), { encoding: 'buffer' }).map(toByteString);
  }

  /** Lets go of a folder that is about to be removed, with nothing left in it. */
  forget(path: ByteString): void {
    const folder = this.#open.get(path);
    if (folder === undefined) return;
    closeSync(folder.handle);
    folder.handle = -1;
    this.#open.delete(path);
    if (this.#last === folder) this.#last = this.#top;
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
    this.#folder(path);
    return false;
  }

  /** A handle of a folder, to set its metadata through. */
  folder(path: ByteString): number {
    return this.#folder(path).handle;
  }

  /** Closes all handles. */
  close(): void {
    for (const { handle } of this.#open.values()) closeSync(handle);
    this.#open.clear();
    if (this.#top.handle >= 0) closeSync(this.#top.handle);
    this.#top.handle = -1;
  }

  #parent(path: ByteString): Folder {
    const last = this.#last;
    const { length } = last.path;
    // Most files lie in the folder of the one before.
    const isSame =
      last.handle >= 0 &&
      path.lastIndexOf('/') === (length === 0 ? -1 : length) &&
      (length === 0 || path.startsWith(last.path));
    return isSame ? last : this.#folder(path.slice(0, Math.max(0, path.lastIndexOf('/'))));
  }

  #below(handle: number, path: ByteString): string | Buffer {
    if (!proc) return toFsPath(`${this.#root}/${path}`);
    return toFsPath(`/proc/self/fd/${handle}/${path.slice(path.lastIndexOf('/') + 1)}`);
  }

  #folder(path: ByteString): Folder {
    const folder = this.#held(path) ?? this.#fromBelow(path) ?? this.#fromAbove(path);
    this.#last = folder;
    return folder;
  }

  /** A folder whose handle is open. */
  #held(path: ByteString): Folder | undefined {
    if (path === '') return this.#top;
    const found = this.#open.get(path);
    if (found !== undefined) {
      this.#open.delete(path);
      this.#open.set(path, found);
    }
    return found;
  }

  /** Goes up from the folder used last, when that is nearer than going down from the target. */
  #fromBelow(path: ByteString): Folder | undefined {
    if (!proc || !this.#last.path.startsWith(`${path}/`)) return undefined;
    const steps = slashes(this.#last.path.slice(path.length));
    if (steps > slashes(path)) return undefined;
    let folder = this.#last;
    while (folder.path !== path) {
      const { parent, handle } = folder;
      if (parent === undefined || handle < 0) return undefined;
      if (parent.handle < 0) {
        const up = this.#handleOf(`/proc/self/fd/${handle}/..`, O_RDONLY | O_DIRECTORY);
        const found = fstatSync(up, { bigint: true });
        // It must be the folder that was come through before: this one may have been moved elsewhere meanwhile.
        if (found.dev !== parent.device || found.ino !== parent.inode) {
          closeSync(up);
          return undefined;
        }
        parent.handle = up;
        this.#keep(parent);
      }
      folder = parent;
    }
    return folder;
  }

  /** Goes down from the nearest folder above whose handle is open. */
  #fromAbove(path: ByteString): Folder {
    let slash = path.lastIndexOf('/');
    let folder: Folder | undefined;
    while (slash >= 0) {
      folder = this.#held(path.slice(0, slash));
      if (folder !== undefined) break;
      slash = path.lastIndexOf('/', slash - 1);
    }
    folder ??= this.#top;
    while (folder.path.length < path.length) {
      const next = path.indexOf('/', folder === this.#top ? 0 : folder.path.length + 1);
      folder = this.#child(folder, next < 0 ? path : path.slice(0, next));
    }
    return folder;
  }

  #child(parent: Folder, path: ByteString): Folder {
    let handle = -1;
    try {
      const real = this.#below(parent.handle, path);
      if (!proc && !lstatSync(real).isDirectory())
        throw Object.assign(new Error('not a folder'), { code: 'ELOOP' });
      handle = this.#handleOf(real, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
      if (O_DIRECTORY === undefined && !fstatSync(handle).isDirectory())
        throw Object.assign(new Error('not a folder'), { code: 'ENOTDIR' });
    } catch (error) {
      if (handle >= 0) closeSync(handle);
      throw refused(path, error);
    }
    const folder = folderOf(handle, path, parent);
    this.#keep(folder);
    return folder;
  }

  /** Opens a folder; where the process may not have more open files, with fewer kept open from now on. */
  #handleOf(real: string | Buffer, flags: number): number {
    for (;;) {
      try {
        return openSync(real, flags);
      } catch (error) {
        // The one used last is the parent of what is being opened, and stays.
        if (!isTooManyFiles(error) || this.#open.size < 2) throw error;
        this.#openMax = Math.max(openFoldersMin, this.#open.size >> 1);
        do this.#evict();
        while (this.#open.size > this.#openMax + (this.#pinned === undefined ? 0 : 1));
      }
    }
  }

  #keep(folder: Folder): void {
    this.#open.set(folder.path, folder);
    // One more than that, when one is pinned: with only two, the last one and its parent are needed.
    while (this.#open.size > this.#openMax + (this.#pinned === undefined ? 0 : 1)) this.#evict();
  }

  /** Closes the handle that was not used for longest. */
  #evict(): void {
    for (const folder of this.#open.values()) {
      if (folder === this.#pinned) continue;
      closeSync(folder.handle);
      folder.handle = -1;
      this.#open.delete(folder.path);
      return;
    }
  }
}

/** How many slashes a path has. */
function slashes(path: ByteString): number {
  let count = 0;
  for (let at = path.indexOf('/'); at >= 0; at = path.indexOf('/', at + 1)) count += 1;
  return count;
}

function folderOf(handle: number, path: ByteString, parent: Folder | undefined): Folder {
  const { dev, ino, uid } = fstatSync(handle, { bigint: true });
  const habits = { isOwn: Number(uid) === process.geteuid?.(), owner: undefined, modes: new Set<number>() };
  return { path, parent, device: dev, inode: ino, habits, handle };
}

function refused(path: ByteString, cause: unknown): BackpackError {
  const { code } = (cause ?? {}) as NodeJS.ErrnoException;
  const leaves = code === 'ELOOP' || code === 'ENOTDIR';
  const text = byteStringToText(path);
  if (isTooManyFiles(cause)) return tooManyFiles(text, cause);
  const what = leaves ? 'is a link or no folder; nothing is written through it' : 'cannot be opened';
  return new BackpackError(leaves ? 'BP_TARGET_ESCAPE' : 'BP_TARGET_WRITE', `${text} ${what}`, {
    kind: 'target',
    context: { path: text },
    cause,
    hint: 'restore into an empty folder',
  });
}
