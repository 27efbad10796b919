/**
 * Owner, mode, times, extended attributes and flags of what is restored. What cannot be set is told as text, and the
 * rest is set all the same: no content is ever lost because of its metadata. Nothing here follows a link but those
 * of /proc that lead to an open file.
 */
import {
  chmodSync,
  chownSync,
  closeSync,
  constants,
  fchmodSync,
  fchownSync,
  fstatSync,
  futimesSync,
  lchownSync,
  lstatSync,
  lutimesSync,
  openSync,
  type Stats,
  statSync,
  utimesSync,
} from 'node:fs';
import { type ByteString, byteStringToText } from '../base/bytes.ts';
import { secondsOf } from '../base/nanoseconds.ts';
import { flagBits, flagLetters, keptFlags } from '../platform/flags.ts';
import { type FileOrFd, libc, type Time } from '../platform/libc.ts';
import { Owners } from '../platform/owners.ts';

/** What an entry says about itself, as plain data. */
export interface Metadata {
  /** 4 octal digits. */
  readonly mode: string;
  /** `<sec>.<9 digits>`. */
  readonly mtime: string;
  /** Access time; that of the modification when there is none. */
  readonly atime?: string | undefined;
  readonly uid: number | undefined;
  readonly gid: number | undefined;
  readonly user?: string | undefined;
  readonly group?: string | undefined;
  /** Name, and value in base64. */
  readonly xattrs?: readonly (readonly [ByteString, string])[] | undefined;
  /** Letters of chattr. */
  readonly flags?: string | undefined;
}

/** What of it is wanted; plain data that can be posted. */
export interface MetadataPolicy {
  /** `names`: by name where this system has it, else by number. */
  readonly owners: 'names' | 'numbers' | 'none';
  /** Whether setuid, setgid, devices and capabilities come back. */
  readonly special: boolean;
}

/** What a new file has. */
export interface Has {
  readonly owner?: { readonly uid: number; readonly gid: number } | undefined;
  readonly mode?: number | undefined;
}

/** Everything that the user running it may do, as with tar. */
export const everything: MetadataPolicy = { owners: 'names', special: true };

/** Only the superuser can give files away. */
const user: number | undefined = process.getuid?.();
const isRoot: boolean = user === 0;
/** Of this process; asked once. */
let groups: readonly number[] | undefined;
const owners: Owners = new Owners();
const openPath = 0o10000000;
const capability = 'security.capability';

/**
 * Sets metadata through an open handle; flags come last, with {@link setFlags}.
 * Owner first, because changing it clears setuid and capabilities; mode after attributes, which need write access.
 * @param has what the file has already, for sure: it is not set again
 * @returns what could not be set, for people
 */
export function setMetadata(
  fd: number,
  m: Metadata,
  policy: MetadataPolicy = everything,
  has: Has = {},
): string[] {
  const lost: string[] = [];
  setOwner(lost, m, policy, (uid, gid) => {
    if (uid !== has.owner?.uid || gid !== has.owner.gid) fchownSync(fd, uid, gid);
  });
  setXattrs(lost, fd, m, policy);
  if (has.mode === undefined || has.mode !== plainMode(m)) {
    tell(lost, `mode ${m.mode}`, () =>
      fchmodSync(
        fd,
        modeOf(lost, m, policy, () => fstatSync(fd)),
      ),
    );
  }
  setTimes(lost, fd, m, (atime, mtime) => futimesSync(fd, atime, mtime));
  return lost;
}

/**
 * The mode that a new file may have from the beginning, when its owner is right; undefined when something has to be done
 * before, or is not sure to succeed.
 */
export function plainMode(m: Metadata): number | undefined {
  const mode = Number.parseInt(m.mode, 8);
  // Attributes (an ACL is one) need write access, and may change what the mode means.
  return (mode & 0o7000) === 0 && m.xattrs === undefined ? mode : undefined;
}

/** The owner that {@link setMetadata} will set; undefined when it sets none. */
export function ownerToSet(m: Metadata, policy: MetadataPolicy): { uid: number; gid: number } | undefined {
  if (m.uid === undefined || m.gid === undefined || policy.owners === 'none') return undefined;
  const owner = ownerOf(m, policy);
  // Others than the superuser keep what they restore, but for groups that they belong to.
  if (isRoot) return owner;
  groups ??= process.getgroups?.() ?? [];
  return owner.uid === user && groups.includes(owner.gid) ? owner : undefined;
}

/** Sets metadata of a symbolic link (links have no mode). @returns what could not be set */
export function setLinkMetadata(
  path: string | Buffer,
  m: Metadata,
  policy: MetadataPolicy = everything,
): string[] {
  const lost: string[] = [];
  setOwner(lost, m, policy, (uid, gid) => lchownSync(path, uid, gid));
  setXattrs(lost, path, m, policy);
  setTimes(lost, path, m, (atime, mtime) => lutimesSync(path, atime, mtime));
  return lost;
}

/**
 * Sets metadata of a FIFO, socket or device, which cannot be opened: through a handle that only names it.
 * @returns what could not be set
 */
export function setNodeMetadata(
  path: string | Buffer,
  m: Metadata,
  policy: MetadataPolicy = everything,
): string[] {
  const lost: string[] = [];
  const fd = openSync(path, openPath | constants.O_NOFOLLOW);
  try {
    if (fstatSync(fd).isSymbolicLink()) throw new Error('it was replaced by a link meanwhile');
    const real = `/proc/self/fd/${fd}`;
    setOwner(lost, m, policy, (uid, gid) => chownSync(real, uid, gid));
    setXattrs(lost, real, m, policy, true);
    tell(lost, `mode ${m.mode}`, () =>
      chmodSync(
        real,
        modeOf(lost, m, policy, () => fstatSync(fd)),
      ),
    );
    setTimes(lost, real, m, (atime, mtime) => utimesSync(real, atime, mtime), true);
  } finally {
    closeSync(fd);
  }
  return lost;
}

/** Whether an entry has flags to be set when everything else is done. */
export function hasFlags(m: Metadata): boolean {
  return m.flags !== undefined && flagBits(m.flags) !== 0;
}

/** Sets flags of an open file or folder: after this, an immutable one can no longer be changed. @returns what is lost */
export function setFlags(fd: number, m: Metadata): string[] {
  const calls = libc();
  const wanted = flagBits(m.flags ?? '');
  if (calls === undefined) return [`flags ${flagLetters(wanted)} (koffi is not installed)`];
  const lost: string[] = [];
  tell(lost, `flags ${flagLetters(wanted)}`, () => {
    const found = calls.flags(fd);
    if (found === undefined) throw Object.assign(new Error('this filesystem has none'), { code: 'ENOTSUP' });
    if ((found & wanted) >>> 0 === wanted) return;
    calls.setFlags(fd, found | wanted);
    const left = wanted & ~(calls.flags(fd) ?? 0) & keptFlags;
    if (left !== 0) lost.push(`flags ${flagLetters(left)} (not taken by this filesystem)`);
  });
  return lost;
}

function setOwner(
  lost: string[],
  m: Metadata,
  policy: MetadataPolicy,
  chown: (uid: number, gid: number) => void,
): void {
  const owner = ownerToSet(m, policy);
  if (owner === undefined) return;
  const { uid, gid } = owner;
  tell(lost, `owner ${uid}:${gid}`, () => {
    // The highest number of 32 bits would mean "leave it as it is", that is: root's.
    if (uid >= 0xffffffff || gid >= 0xffffffff)
      throw Object.assign(new Error('the number is too large'), { code: 'ERANGE' });
    chown(uid, gid);
  });
}

/** Numbers of the wanted owner on this system. */
function ownerOf(m: Metadata, policy: MetadataPolicy): { uid: number; gid: number } {
  const named = policy.owners === 'names';
  const uid = named && m.user !== undefined ? owners.idOf('user', m.user) : undefined;
  const gid = named && m.group !== undefined ? owners.idOf('group', m.group) : undefined;
  return { uid: uid ?? m.uid ?? -1, gid: gid ?? m.gid ?? -1 };
}

/** setuid for someone else than the owner would be a gift: it goes with the owner. Of folders it only means heritage. */
function modeOf(lost: string[], m: Metadata, policy: MetadataPolicy, look: () => Stats): number {
  const mode = Number.parseInt(m.mode, 8);
  if ((mode & 0o6000) === 0) return mode;
  if (!policy.special) return mode & 0o1777;
  const stat = look();
  if (stat.isDirectory() || m.uid === undefined || m.gid === undefined) return mode;
  const wanted = ownerOf(m, policy);
  const gone = (stat.uid === wanted.uid ? 0 : 0o4000) | (stat.gid === wanted.gid ? 0 : 0o2000);
  if ((mode & gone) !== 0) lost.push('setuid or setgid (the owner is another one)');
  return mode & ~gone;
}

function setXattrs(
  lost: string[],
  file: FileOrFd,
  m: Metadata,
  policy: MetadataPolicy,
  follow = false,
): void {
  const xattrs = (m.xattrs ?? []).filter(([name]) => policy.special || name !== capability);
  if (xattrs.length === 0) return;
  const calls = libc();
  if (calls === undefined) {
    lost.push(
      `${xattrs.length} extended ${xattrs.length === 1 ? 'attribute' : 'attributes'} (koffi is not installed)`,
    );
    return;
  }
  for (const [name, value] of xattrs) {
    tell(lost, `extended attribute ${byteStringToText(name)}`, () => {
      if (name === '' || name.includes('\0') || name.length > 255) throw new Error('no such name can be');
      calls.setXattr(file, name, Buffer.from(value, 'base64'), follow);
    });
  }
}

function setTimes(
  lost: string[],
  file: FileOrFd,
  m: Metadata,
  micro: (atime: string, mtime: string) => void,
  follow = false,
): void {
  const atime = m.atime ?? m.mtime;
  tell(lost, `time ${m.mtime}`, () => {
    const calls = libc();
    if (calls === undefined) micro(timeOf(atime), timeOf(m.mtime));
    else {
      const mtime = parseTime(m.mtime);
      calls.setTimes(file, m.atime === undefined ? mtime : parseTime(m.atime), mtime, follow);
      // Beyond 32 bits a filesystem may take the nearest time that it knows, without a word.
      if ((mtime.seconds | 0) !== mtime.seconds && secondsOf(mtimeOf(file, follow)) !== mtime.seconds)
        throw Object.assign(new RangeError('no such time'), { code: 'ERANGE' });
    }
  });
}

function mtimeOf(file: FileOrFd, follow: boolean): bigint {
  if (typeof file === 'number') return fstatSync(file, { bigint: true }).mtimeNs;
  return (follow ? statSync : lstatSync)(file as Buffer, { bigint: true }).mtimeNs;
}

/** Runs one step; a failure is told, with the system's code, and is no reason to stop. @returns whether it worked */
function tell(lost: string[], what: string, step: () => void): boolean {
  try {
    step();
    return true;
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    lost.push(`${what} (${code ?? message})`);
    return false;
  }
}

/** @throws RangeError for a time that no system has: 2^53 seconds are 285 million years */
function parseTime(time: string): Time {
  const dot = time.indexOf('.');
  const seconds = Number(time.slice(0, dot));
  if (!Number.isSafeInteger(seconds)) throw Object.assign(new RangeError('no such time'), { code: 'ERANGE' });
  return { seconds, nanoseconds: Number(time.slice(dot + 1)) };
}

/**
 * Seconds as Node takes them: a string, because numbers below 0 would silently become the present; microseconds,
 * because a double could round up the last nanoseconds of a second to the next one. Half a microsecond is added,
 * because what a double cannot hold exactly is cut off, not rounded.
 */
function timeOf(mtime: string): string {
  const dot = mtime.indexOf('.');
  const seconds = Number(mtime.slice(0, dot));
  const fraction = mtime.slice(dot, dot + 7);
  return seconds < 0 ? String(seconds + Number(`0${fraction}`)) : `${seconds}${fraction}5`;
}
