/** The form in which the kernel tells the state of a file (struct statx), on machines with the low byte first. */

/** Length of the struct. */
export const statxBytes = 256;

/** Indexes of 32-bit words. A field of 64 bits has its low word first; a time has its nanoseconds two words on. */
export const statWord: Readonly<
  Record<
    | 'nlink'
    | 'uid'
    | 'gid'
    | 'mode'
    | 'ino'
    | 'size'
    | 'blocks'
    | 'atime'
    | 'ctime'
    | 'mtime'
    | 'rdevMajor'
    | 'rdevMinor'
    | 'devMajor'
    | 'devMinor',
    number
  >
> = {
  nlink: 4,
  uid: 5,
  gid: 6,
  mode: 7,
  ino: 8,
  size: 10,
  blocks: 12,
  atime: 16,
  ctime: 24,
  mtime: 28,
  rdevMajor: 32,
  rdevMinor: 33,
  devMajor: 34,
  devMinor: 35,
};

const highWord = 2 ** 32;

/** A field of 64 bits without a sign; exact below 2^53. */
export function unsignedAt(words: Int32Array, at: number): number {
  return (words[at + 1]! >>> 0) * highWord + (words[at]! >>> 0);
}

/** The seconds of a time. */
export function secondsAt(words: Int32Array, at: number): number {
  return words[at + 1]! * highWord + (words[at]! >>> 0);
}
