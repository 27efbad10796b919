/**
 * The parts of a page line that the source gives (SPEC, "Pages", keys in their fixed order). When the *head*, which
 * is what lstat tells of a change, is also the beginning of the parent's line, the entry has not changed.
 */
import { type NameJson, nameToJson } from '../format/name-json.ts';
import { formatSeconds, formatTime } from '../format/time.ts';
import type { Owners } from '../platform/owners.ts';
import type { Extras } from '../source/extras.ts';
import type { FileStamp } from '../source/read-file.ts';
import { deviceNumbers } from '../source/source-stat.ts';
import type { SourceItem } from '../source/walk.ts';

/** Numbers filesystems in the order in which they are met, for `hl`. */
class FilesystemNumbers {
  readonly #numbers = new Map<number, number>();

  of(device: number): number {
    const found = this.#numbers.get(device);
    if (found !== undefined) return found;
    this.#numbers.set(device, this.#numbers.size);
    return this.#numbers.size - 1;
  }
}

/** Writes lines of one run. */
export class EntryLines {
  readonly #filesystems = new FilesystemNumbers();
  readonly #owners: Owners;
  readonly #atime: boolean;
  readonly #names = new Map<number, string>();

  /** @param atime whether access times are kept */
  constructor(owners: Owners, atime: boolean) {
    this.#owners = owners;
    this.#atime = atime;
  }

  /** The line up to what tells of a change. */
  head(item: SourceItem, type: string): string {
    const { stat } = item;
    const mtime = formatSeconds(stat.mtimeSec, stat.mtimeNsec);
    const ctime = formatSeconds(stat.ctimeSec, stat.ctimeNsec);
    const size = type === 'f' ? `,"s":${stat.size}` : '';
    const mode = stat.mode.toString(8).padStart(4, '0');
    const links =
      type !== 'd' && stat.nlink > 1 ? `,"hl":"${this.#filesystems.of(stat.dev)}:${stat.ino}"` : '';
    return (
      `{"p":${nameToJson(item.stored)},"t":"${type}"${size},"m":"${mtime}","c":"${ctime}","o":"${mode}",` +
      `"u":${stat.uid},"g":${stat.gid},"in":"${stat.ino}"${links}`
    );
  }

  /** What follows the head and may differ without a change: names of owners, access time; then target and device. */
  rest(item: SourceItem, type: string): string {
    const { stat } = item;
    const atime = this.#atime ? `,"a":"${formatSeconds(stat.atimeSec, stat.atimeNsec)}"` : '';
    const target = item.link === undefined ? '' : `,"l":${nameToJson(item.link)}`;
    const device = type === 'b' || type === 'c' ? `,"rd":[${deviceNumbers(stat.rdev).join(',')}]` : '';
    return `${this.#ownerNames(stat.uid, stat.gid)}${atime}${target}${device}`;
  }

  #ownerNames(uid: number, gid: number): string {
    // A number of its own for each pair: neither has more than 32 bits.
    const key = uid * 2 ** 32 + gid;
    const known = this.#names.get(key);
    if (known !== undefined) return known;
    const user = this.#owners.nameOf('user', uid);
    const group = this.#owners.nameOf('group', gid);
    const text =
      (user === undefined ? '' : `,"un":${JSON.stringify(user)}`) +
      (group === undefined ? '' : `,"gn":${JSON.stringify(group)}`);
    this.#names.set(key, text);
    return text;
  }
}

/** Extended attributes and flags as they stand in a line. */
export function extrasText({ xattrs, flags }: Extras): string {
  const xa = xattrs.map(({ name, value }) => `[${nameToJson(name)},"${value.toString('base64')}"]`);
  return (xa.length === 0 ? '' : `,"xa":[${xa.join(',')}]`) + (flags === '' ? '' : `,"fl":"${flags}"`);
}

/** What went wrong while an entry was read, as it stands in its line. */
export function warningsText(warnings: readonly string[]): string {
  return warnings.length === 0 ? '' : `,"w":${JSON.stringify(warnings)}`;
}

/** The mark of a folder above a root, which comes after the extras. */
export function ancestorText(item: SourceItem): string {
  return item.ancestor ? ',"an":1' : '';
}

/** What of a parent's line is neither lstat's nor content: taken over when only other things are new. */
export interface OldExtras {
  readonly text: string;
  readonly warnings: string;
}

/** Extras of a line of this program. */
export function extrasOfLine(line: string): OldExtras {
  const { xa, fl, w } = JSON.parse(line) as {
    xa?: (readonly [NameJson, string])[];
    fl?: string;
    w?: string[];
  };
  return {
    text: (xa === undefined ? '' : `,"xa":${JSON.stringify(xa)}`) + (fl === undefined ? '' : `,"fl":"${fl}"`),
    warnings: w === undefined ? '' : `,"w":${JSON.stringify(w)}`,
  };
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
