/**
 * Calls of the C library that Node lacks: extended attributes, holes, nodes, times in nanoseconds, file flags. They
 * go through `koffi`, an optional dependency without anything to build; where it is missing, or on another system
 * than Linux, {@link libc} is undefined and the caller says what is not kept. Nothing is loaded before it is needed.
 */
import { createRequire } from 'node:module';
import { getSystemErrorName } from 'node:util';
import { type ByteString, fromByteString } from '../base/bytes.ts';

/** A path as Node's file functions take it, or the number of an open file. */
export type FileOrFd = string | Uint8Array | number;

/** One extended attribute. */
export interface Xattr {
  readonly name: ByteString;
  readonly value: Buffer;
}

/** A point in time: seconds, below 2^53 of them, and the nanoseconds after it. */
export interface Time {
  readonly seconds: number;
  readonly nanoseconds: number;
}

/** See the file's comment. Every call throws what Node's file functions throw: an Error with `code` and `errno`. */
export interface Libc {
  /** Names of the extended attributes, sorted. A link is not followed; none where the filesystem has no such thing. */
  xattrNames(file: FileOrFd): readonly ByteString[];
  /** Value of an extended attribute. A link is not followed. */
  xattr(file: FileOrFd, name: ByteString): Buffer;
  /** Sets one. @param follow whether the last part of a path may be a link (of /proc) */
  setXattr(file: FileOrFd, name: ByteString, value: Uint8Array, follow?: boolean): void;
  /** First byte of data, or of a hole, at or after `offset`; undefined when there is none. Moves the file's position. */
  seek(fd: number, offset: number, what: 'data' | 'hole'): number | undefined;
  /** Makes a FIFO, a socket or a device. @param mode type and permissions @param device major and minor */
  makeNode(path: string | Uint8Array, mode: number, device: readonly [number, number]): void;
  /** Sets access and modification time. @param follow as for {@link setXattr} */
  setTimes(file: FileOrFd, atime: Time, mtime: Time, follow?: boolean): void;
  /**
   * What statx tells of an open file, for {@link FileState}; undefined where there is no such call.
   * @param into 256 bytes
   */
  readonly stat: ((fd: number, into: Uint8Array) => boolean) | undefined;
  /** The same of what is at a path; a link is not followed. False, too, when someone else has to say why not. */
  readonly statAt: ((path: string | Uint8Array, into: Uint8Array) => boolean) | undefined;
  /** Opens a name in an open folder, as Node's `openSync` opens a path; closed with `closeSync`. */
  openAt(folder: number, name: string | Uint8Array, flags: number, mode: number): number;
  /** Flags of a file, as bits of the kernel; undefined where the filesystem has none. */
  flags(fd: number): number | undefined;
  /** Sets flags. */
  setFlags(fd: number, flags: number): void;
}

type Call = (...args: unknown[]) => number;

interface Koffi {
  load(path: null): { func(prototype: string): Call };
  errno(): number;
}

/** Largest list of names, and largest value, that Linux knows. */
const listMax = 65_536;
const valueMax = 65_536;
const atFdcwd = -100;
const closeOnExec = 0o2000000;
const atSymlinkNofollow = 0x100;
const atNoAutomount = 0x800;
const atEmptyPath = 0x1000;
const statBasic = 0x7ff;
const seekData = 3;
const seekHole = 4;
const getFlags = 0x80086601;
const setFlagsRequest = 0x40086602;
/** Files without flags or attributes: the filesystem does not have them, or the kind of file has none. */
const nothing: readonly string[] = ['ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'ENOTTY', 'EINVAL'];

const noNames: readonly ByteString[] = [];

let loaded: { readonly libc: Libc | undefined } | undefined;

/** The calls, or undefined where they are not available. Loaded once per thread. */
export function libc(): Libc | undefined {
  loaded ??= { libc: load() };
  return loaded.libc;
}

function load(): Libc | undefined {
  if (process.platform !== 'linux') return undefined;
  try {
    // Not an import: it is only wanted when used, and synchronously.
    return new Calls(createRequire(import.meta.url)('koffi') as Koffi);
  } catch {
    return undefined;
  }
}

class Calls implements Libc {
  readonly stat: Libc['stat'];
  readonly statAt: Libc['statAt'];
  readonly #errno: () => number;
  readonly #list = Buffer.alloc(listMax);
  readonly #value = Buffer.alloc(valueMax);
  readonly #times = Buffer.alloc(32);
  readonly #timeWords = new DataView(this.#times.buffer, this.#times.byteOffset, 32);
  readonly #word = Buffer.alloc(8);
  readonly #call: Readonly<Record<string, Call>>;

  constructor(koffi: Koffi) {
    this.#errno = () => koffi.errno();
    const c = koffi.load(null);
    this.#call = {
      llistxattr: c.func('long llistxattr(void *path, void *list, size_t size)'),
      flistxattr: c.func('long flistxattr(int fd, void *list, size_t size)'),
      lgetxattr: c.func('long lgetxattr(void *path, void *name, void *value, size_t size)'),
      fgetxattr: c.func('long fgetxattr(int fd, void *name, void *value, size_t size)'),
      setxattr: c.func('int setxattr(void *path, void *name, void *value, size_t size, int flags)'),
      lsetxattr: c.func('int lsetxattr(void *path, void *name, void *value, size_t size, int flags)'),
      fsetxattr: c.func('int fsetxattr(int fd, void *name, void *value, size_t size, int flags)'),
      lseek: c.func('int64_t lseek(int fd, int64_t offset, int whence)'),
      mknod: c.func('int mknod(void *path, uint32_t mode, uint64_t device)'),
      utimensat: c.func('int utimensat(int dir, void *path, void *times, int flags)'),
      futimens: c.func('int futimens(int fd, void *times)'),
      openat: c.func('int openat(int folder, const char *name, int flags, uint32_t mode)'),
      openatBytes: c.func('int openat(int folder, void *name, int flags, uint32_t mode)'),
      ioctl: c.func('int ioctl(int fd, unsigned long request, void *argument)'),
    };
    this.stat = statCall(c);
    this.statAt = statAtCall(c);
  }

  xattrNames(file: FileOrFd): readonly ByteString[] {
    const call = typeof file === 'number' ? 'flistxattr' : 'llistxattr';
    const length = this.#call[call]!(argument(file), this.#list, listMax);
    if (length === 0) return noNames;
    if (length < 0) {
      if (nothing.includes(this.#code())) return [];
      throw this.#error(call);
    }
    return this.#list.toString('latin1', 0, length).split('\0').slice(0, -1).sort();
  }

  xattr(file: FileOrFd, name: ByteString): Buffer {
    const call = typeof file === 'number' ? 'fgetxattr' : 'lgetxattr';
    const length = this.#call[call]!(argument(file), text(name), this.#value, valueMax);
    if (length < 0) throw this.#error(call);
    return Buffer.from(this.#value.subarray(0, length));
  }

  setXattr(file: FileOrFd, name: ByteString, value: Uint8Array, follow = false): void {
    const call = typeof file === 'number' ? 'fsetxattr' : follow ? 'setxattr' : 'lsetxattr';
    // An empty buffer may have no address.
    const bytes = value.byteLength === 0 ? Buffer.alloc(1) : Buffer.from(value);
    this.#check(call, argument(file), text(name), bytes, value.byteLength, 0);
  }

  seek(fd: number, offset: number, what: 'data' | 'hole'): number | undefined {
    const found = this.#call['lseek']!(fd, offset, what === 'data' ? seekData : seekHole);
    if (found >= 0) return Number(found);
    if (this.#code() === 'ENXIO') return undefined;
    throw this.#error('lseek');
  }

  makeNode(path: string | Uint8Array, mode: number, device: readonly [number, number]): void {
    this.#check('mknod', argument(path), mode, deviceNumber(device));
  }

  setTimes(file: FileOrFd, atime: Time, mtime: Time, follow = false): void {
    this.#setTime(0, atime);
    this.#setTime(16, mtime);
    if (typeof file === 'number') this.#check('futimens', file, this.#times);
    else this.#check('utimensat', atFdcwd, argument(file), this.#times, follow ? 0 : atSymlinkNofollow);
  }

  /** Two words of 64 bits at one of 32: big integers would be garbage for every file. */
  #setTime(at: number, { seconds, nanoseconds }: Time): void {
    const words = this.#timeWords;
    words.setInt32(at, seconds, true);
    words.setInt32(at + 4, Math.floor(seconds / 2 ** 32), true);
    words.setInt32(at + 8, nanoseconds, true);
  }

  openAt(folder: number, name: string | Uint8Array, flags: number, mode: number): number {
    for (;;) {
      const fd =
        typeof name === 'string'
          ? this.#call['openat']!(folder, name, flags | closeOnExec, mode)
          : this.#call['openatBytes']!(folder, argument(name), flags | closeOnExec, mode);
      if (fd >= 0) return fd;
      if (this.#code() !== 'EINTR') throw this.#error('open');
    }
  }

  flags(fd: number): number | undefined {
    this.#word.fill(0);
    if (this.#call['ioctl']!(fd, getFlags, this.#word) === 0) return this.#word.readUInt32LE(0);
    if (nothing.includes(this.#code())) return undefined;
    throw this.#error('ioctl');
  }

  setFlags(fd: number, flags: number): void {
    this.#word.fill(0);
    this.#word.writeUInt32LE(flags >>> 0);
    this.#check('ioctl', fd, setFlagsRequest, this.#word);
  }

  #check(name: string, ...args: unknown[]): void {
    if (this.#call[name]!(...args) !== 0) throw this.#error(name);
  }

  #code(): string {
    return getSystemErrorName(-this.#errno());
  }

  #error(syscall: string): Error {
    const errno = -this.#errno();
    const code = getSystemErrorName(errno);
    return Object.assign(new Error(`${code}: ${syscall}`), { code, errno, syscall });
  }
}

/** Younger than the others: an older C library does not have it. */
function statCall(c: ReturnType<Koffi['load']>): Libc['stat'] {
  try {
    const call = c.func('int statx(int dir, void *path, int flags, unsigned int mask, void *out)');
    const empty = Buffer.alloc(1);
    return (fd, into) => call(fd, empty, atEmptyPath, statBasic, into) === 0;
  } catch {
    return undefined;
  }
}

/** {@link statCall} for paths: text is passed on as it is, without an object for its bytes. */
function statAtCall(c: ReturnType<Koffi['load']>): Libc['statAt'] {
  try {
    const flags = atSymlinkNofollow | atNoAutomount;
    const byText = c.func('int statx(int dir, const char *path, int flags, unsigned int mask, void *out)');
    const byBytes = c.func('int statx(int dir, void *path, int flags, unsigned int mask, void *out)');
    return (path, into) => {
      if (typeof path !== 'string') return byBytes(atFdcwd, argument(path), flags, statBasic, into) === 0;
      // The C library would take what is before it for the path.
      return !path.includes('\0') && byText(atFdcwd, path, flags, statBasic, into) === 0;
    };
  } catch {
    return undefined;
  }
}

function argument(file: FileOrFd): number | Uint8Array {
  if (typeof file === 'number') return file;
  return Buffer.concat([typeof file === 'string' ? Buffer.from(file) : file, Buffer.alloc(1)]);
}

function text(name: ByteString): Buffer {
  return fromByteString(`${name}\0`);
}

/** Linux: 12 bits of the major at 8, the low 8 bits of the minor at 0, the rest above. */
function deviceNumber([major, minor]: readonly [number, number]): bigint {
  const a = BigInt(major);
  const b = BigInt(minor);
  return (b & 0xffn) | ((a & 0xfffn) << 8n) | ((b & ~0xffn) << 12n) | ((a & ~0xfffn) << 32n);
}
