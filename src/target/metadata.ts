/** Owner, mode and times of what is restored. */
import { fchmodSync, fchownSync, futimesSync, lchownSync, lutimesSync } from 'node:fs';
import { BackpackError } from '../base/errors.ts';

/** What an entry says about owner, mode and times. */
export interface Metadata {
  /** 4 octal digits. */
  readonly mode: string;
  /** `<sec>.<9 digits>`. */
  readonly mtime: string;
  readonly uid: number | undefined;
  readonly gid: number | undefined;
}

/** Only the superuser can give files away. */
const isRoot: boolean = process.getuid?.() === 0;

/** Sets metadata through an open handle: owner first, because changing it clears setuid. */
export function setMetadata(fd: number, m: Metadata): void {
  if (isRoot && m.uid !== undefined && m.gid !== undefined) fchownSync(fd, idOf(m.uid), idOf(m.gid));
  fchmodSync(fd, Number.parseInt(m.mode, 8));
  const time = timeOf(m.mtime);
  futimesSync(fd, time, time);
}

/** Number of a user or group: of 32 bits, the highest of which would mean "leave it as it is", that is: root's. */
function idOf(id: number): number {
  if (id < 0xffffffff) return id;
  throw new BackpackError('BP_TARGET_WRITE', `the owner ${id} cannot be set: the number is too large`, {
    kind: 'target',
    hint: 'restore as another user than root to leave owners out',
  });
}

/** Sets metadata of a symbolic link (links have no mode). */
export function setLinkMetadata(path: string | Buffer, m: Metadata): void {
  if (isRoot && m.uid !== undefined && m.gid !== undefined) lchownSync(path, idOf(m.uid), idOf(m.gid));
  const time = timeOf(m.mtime);
  lutimesSync(path, time, time);
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
