/**
 * The part of a page line that lstat gives (SPEC, "Pages", keys in their fixed order): when it is also the beginning
 * of the parent's line, the entry has not changed.
 */
import { nameToJson } from '../format/name-json.ts';
import { formatTime } from '../format/time.ts';
import type { FileStamp } from '../source/read-file.ts';
import type { SourceItem } from '../source/walk.ts';

/** Numbers filesystems in the order in which they are met, for `hl`. */
export class FilesystemNumbers {
  readonly #numbers = new Map<bigint, number>();

  of(device: bigint): number {
    const found = this.#numbers.get(device);
    if (found !== undefined) return found;
    this.#numbers.set(device, this.#numbers.size);
    return this.#numbers.size - 1;
  }
}

/** Type letter of an entry; `?` for something that no letter stands for. */
export function typeOf(item: SourceItem): string {
  const { stat } = item;
  if (stat.isFile()) return 'f';
  if (stat.isDirectory()) return 'd';
  if (stat.isSymbolicLink()) return 'l';
  if (stat.isFIFO()) return 'p';
  if (stat.isSocket()) return 's';
  if (stat.isBlockDevice()) return 'b';
  return stat.isCharacterDevice() ? 'c' : '?';
}

/** The line up to its content, without a closing brace. */
export function entryPrefix(item: SourceItem, type: string, filesystems: FilesystemNumbers): string {
  const { stat } = item;
  const mtime = formatTime(stat.mtimeNs);
  const ctime = formatTime(stat.ctimeNs);
  const size = type === 'f' ? `,"s":${stat.size}` : '';
  const mode = (Number(stat.mode) & 0o7777).toString(8).padStart(4, '0');
  const links = type !== 'd' && stat.nlink > 1n ? `,"hl":"${filesystems.of(stat.dev)}:${stat.ino}"` : '';
  const target = item.link === undefined ? '' : `,"l":${nameToJson(item.link)}`;
  const device = type === 'b' || type === 'c' ? `,"rd":[${major(stat.rdev)},${minor(stat.rdev)}]` : '';
  return (
    `{"p":${nameToJson(item.stored)},"t":"${type}"${size},"m":"${mtime}","c":"${ctime}","o":"${mode}",` +
    `"u":${stat.uid},"g":${stat.gid},"in":"${stat.ino}"${links}${target}${device}${item.ancestor ? ',"an":1' : ''}`
  );
}

/** What {@link withStamp} replaces: no name can hold this text, because quotes in names are escaped. */
const stamped = /"t":"f","s":\d+,"m":"[-0-9.]+","c":"[-0-9.]+"/;

/** The same line of a file, with the state in which it was really read. */
export function withStamp(prefix: string, stamp: FileStamp): string {
  const { size, mtimeNs, ctimeNs } = stamp;
  return prefix.replace(
    stamped,
    () => `"t":"f","s":${size},"m":"${formatTime(mtimeNs)}","c":"${formatTime(ctimeNs)}"`,
  );
}

/** Linux: 12 bits at 8, and the bits from 32 on. */
function major(rdev: bigint): bigint {
  return ((rdev >> 8n) & 0xfffn) | ((rdev >> 32n) & ~0xfffn);
}

/** Linux: the low 8 bits, and those from 12 on. */
function minor(rdev: bigint): bigint {
  return (rdev & 0xffn) | ((rdev >> 12n) & 0xffffff00n);
}
