/**
 * What lstat does not tell of a file: extended attributes (ACLs and capabilities are some of them) and file flags.
 * Only read where something is new or changed: changing them changes the change time, so an entry that lstat shows
 * unchanged still has the old ones.
 */
import { closeSync, constants, openSync } from 'node:fs';
import { flagLetters, keptFlags } from '../platform/flags.ts';
import type { FileOrFd, Libc, Xattr } from '../platform/libc.ts';

/** See the file's comment. */
export interface Extras {
  /** Sorted by name. */
  readonly xattrs: readonly Xattr[];
  /** Letters of chattr. */
  readonly flags: string;
  /** Whether attributes are missing here, because they could not be read or are too many. */
  readonly incomplete: boolean;
}

/** Names and values of one entry together (SPEC, "Entries"). */
const xattrBytesMax: number = 512 * 1024;

const noXattrs: { readonly xattrs: Xattr[]; readonly incomplete: boolean } = {
  xattrs: [],
  incomplete: false,
};

/** Nothing, completely. */
export const noExtras: Extras = { xattrs: [], flags: '', incomplete: false };

/**
 * Extras of an open file, or of what a path names; links are not followed. Never throws.
 * @param flagsFd an open file to read flags from; they cannot be read without one
 */
export function readExtras(libc: Libc, file: FileOrFd, flagsFd?: number): Extras {
  const { xattrs, incomplete } = readXattrs(libc, file);
  const flags = flagsFd === undefined ? '' : readFlags(libc, flagsFd);
  return xattrs.length === 0 && flags === '' && !incomplete ? noExtras : { xattrs, flags, incomplete };
}

/** Extras of a file or folder by its path, which is opened for its flags where that is allowed. */
export function readExtrasAt(libc: Libc, path: string | Buffer, folder: boolean): Extras {
  let fd: number;
  try {
    const { O_RDONLY, O_NOFOLLOW, O_NONBLOCK, O_DIRECTORY } = constants;
    fd = openSync(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | (folder ? O_DIRECTORY : 0));
  } catch {
    return readExtras(libc, path);
  }
  try {
    return readExtras(libc, fd, fd);
  } finally {
    closeSync(fd);
  }
}

function readXattrs(libc: Libc, file: FileOrFd): { xattrs: Xattr[]; incomplete: boolean } {
  const xattrs: Xattr[] = [];
  let incomplete = false;
  let bytes = 0;
  let names: readonly string[];
  try {
    names = libc.xattrNames(file);
  } catch (error) {
    return { xattrs, incomplete: !gone(error) };
  }
  if (names.length === 0) return noXattrs;
  for (const name of names) {
    try {
      const value = libc.xattr(file, name);
      bytes += name.length + value.byteLength;
      xattrs.push({ name, value });
    } catch (error) {
      incomplete ||= !gone(error);
    }
  }
  return bytes > xattrBytesMax ? { xattrs: [], incomplete: true } : { xattrs, incomplete };
}

/** The file or the attribute was removed meanwhile; whoever asked looks at the file again anyhow. */
function gone(error: unknown): boolean {
  const { code } = error as NodeJS.ErrnoException;
  return code === 'ENOENT' || code === 'ENODATA' || code === 'ENOTDIR';
}

function readFlags(libc: Libc, fd: number): string {
  try {
    const flags = libc.flags(fd) ?? 0;
    return (flags & keptFlags) === 0 ? '' : flagLetters(flags);
  } catch {
    return '';
  }
}
