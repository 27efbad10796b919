// Section 6: names, order, entry lines and the cut of pages.
import { concat, text } from './bytes.mjs';
import { xxh64 } from './xxh.mjs';

/** A name as JSON: a string, or a one-element array with base64. */
export function name(bytes) {
  const raw = Buffer.isBuffer(bytes) ? bytes : text(bytes);
  const string = raw.toString('utf8');
  // biome-ignore lint/suspicious/noControlCharactersInRegex: names with control bytes are the point
  const plain = !/[\u0000-\u001f\u007f]/.test(string) && text(string).equals(raw);
  return plain ? string : [raw.toString('base64')];
}

export const rawName = (value) => (Array.isArray(value) ? Buffer.from(value[0], 'base64') : text(value));

/** Byte order with `/` below every other byte. */
export function comparePaths(a, b) {
  const rank = (byte) => (byte === 0x2f ? -1 : byte);
  const shared = Math.min(a.length, b.length);
  for (let i = 0; i < shared; i++) if (a[i] !== b[i]) return rank(a[i]) - rank(b[i]);
  return a.length - b.length;
}

const KEY_ORDER = 'p t s m c o u g in hl un gn bt a l rd xa fl an w x n e'.split(' ');

/** One line, keys in the order of the format, undefined ones left out. */
export function entryLine(entry) {
  const out = {};
  for (const key of KEY_ORDER) if (entry[key] !== undefined) out[key] = entry[key];
  return text(`${JSON.stringify(out)}\n`);
}

/** The pack list of one page, in order of first use. */
export class PackList {
  ids = [];
  index(id) {
    const found = this.ids.indexOf(id);
    return found >= 0 ? found : this.ids.push(id) - 1;
  }
}

export const pageHead = (packs) => text(`${JSON.stringify({ backpack: 'page', v: 1, packs })}\n`);

/** An entry's extents with pack ids replaced by positions in a page's list. */
const placed = (entry, list) =>
  entry.e === undefined
    ? entry
    : {
        ...entry,
        e: entry.e.map(([id, ...rest]) => [typeof id === 'string' ? list.index(id) : id, ...rest]),
      };

/**
 * Pages from entries whose extents name packs by id. Lines: `+` lines are entries with t '+'.
 * Returns [{ plain, entries, first, last }].
 */
export function pages(entries, { min = 65536, mask = 1023n, max = 1048576, packs = 16384 } = {}) {
  const out = [];
  let lines = [];
  let list = new PackList();
  let size = 0;
  let names = [];
  const close = () => {
    if (lines.length === 0) return;
    const plain = concat(pageHead(list.ids), lines);
    out.push({ plain, entries: lines.length, first: names[0], last: names.at(-1) });
    lines = [];
    list = new PackList();
    size = 0;
    names = [];
  };
  entries.forEach((entry, i) => {
    let line = entryLine(placed(entry, list));
    if (lines.length > 0 && (size + line.length > max || list.ids.length > packs)) {
      close();
      line = entryLine(placed(entry, list));
    }
    lines.push(line);
    names.push(entry.p);
    size += line.length;
    const followed = entries[i + 1]?.t === '+';
    if (!followed && size >= min && (xxh64(rawName(entry.p)) & mask) === 0n) close();
  });
  close();
  return out;
}
