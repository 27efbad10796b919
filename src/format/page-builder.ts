/**
 * Builds pages from entries in order (SPEC, "Pages"). A page is cut after an entry when it has at least 64 KiB and
 * the low 10 bits of XXH64 of the entry's path are zero, or before it would exceed its limits. Cuts depend on names,
 * so that after a change the stream meets the old cuts again and old pages can be used as they are.
 */
import type { ByteString } from '../base/bytes.ts';
import { KiB, MiB, packsPerPageMax } from '../base/limits.ts';
import { type Extent, formatExtent, hole, zeros } from './extents.ts';
import { nameToJson } from './name-json.ts';
import type { PageRef } from './snapshot.ts';

/** An entry to be written: the line up to its extents, and the extents. */
export interface NewEntry {
  readonly path: ByteString;
  /** JSON from `{` to before `"x"` or the closing brace, without a comma at its end. */
  readonly prefix: string;
  /** XXH64 of a file with content. */
  readonly x: string | undefined;
  readonly extents: readonly Extent[];
}

/** An entry taken over from a page of the parent, with its continuation lines. */
export interface KeptEntry {
  readonly path: ByteString;
  /** Its lines as they stand in the parent's page, LF included. */
  readonly text: string;
  readonly lines: number;
  readonly page: OldPage;
  /** Where it stands among the lines of that page. */
  readonly ordinal: number;
}

/** A page of the parent snapshot. */
export interface OldPage {
  readonly ref: PageRef;
  readonly packs: readonly string[];
}

/** A page that is complete: either an old one used again, or text to be stored. */
export type BuiltPage =
  | { readonly kind: 'old'; readonly page: OldPage }
  | {
      readonly kind: 'new';
      readonly text: string;
      readonly entries: number;
      readonly first: ByteString;
      readonly last: ByteString;
      readonly packs: readonly string[];
    };

const cutBytes = 64 * KiB;
const pageBytes = MiB;
const cutMask = 0x3ff;
/** Only the lines of one very large entry are spread over pages here; what was measured never is. */
const renderMax = pageBytes + 128 * KiB;
/** Extents of one line are split at about this much text. */
const extentText = 64 * KiB;

/** Collects entries and gives a page whenever one is complete. */
export class PageBuilder {
  readonly #hash: (path: ByteString) => number;
  #items: Item[] = [];
  #bytes = 0;
  #packs = new Map<string, number>();
  #keptPage: OldPage | undefined;

  /** @param pathHash the low 32 bits of XXH64 of a path's bytes */
  constructor(pathHash: (path: ByteString) => number) {
    this.#hash = pathHash;
  }

  /** Adds an entry. @returns the pages that this completes */
  add(entry: NewEntry | KeptEntry): BuiltPage[] {
    const done: BuiltPage[] = [];
    let item = this.#measure(entry);
    if (
      this.#items.length > 0 &&
      (this.#bytes + item.bytes > pageBytes || this.#packs.size > packsPerPageMax)
    ) {
      done.push(...this.flush());
      item = this.#measure(entry);
    }
    this.#items.push(item);
    this.#bytes += item.bytes;
    // The length is that of the final text, so that the next run, which sees that text, cuts at the same places.
    if (this.#bytes >= cutBytes && (this.#hash(entry.path) & cutMask) === 0) done.push(...this.flush());
    return done;
  }

  /** Completes the last page, and the pages of an entry too large for one. */
  flush(): BuiltPage[] {
    const items = this.#items;
    const packs = [...this.#packs.keys()];
    const bytes = this.#bytes;
    this.#items = [];
    this.#bytes = 0;
    this.#packs = new Map();
    this.#keptPage = undefined;
    if (items.length === 0) return [];
    const old = wholeOldPage(items.map((item) => item.entry));
    if (old !== undefined) return [{ kind: 'old', page: old }];
    // Only new entries: what was rendered to measure it is the page already.
    const whole =
      bytes <= renderMax && packs.length <= packsPerPageMax && items.every((item) => item.text !== undefined);
    return whole ? [wholeNewPage(items, packs)] : renderPages(items.map((item) => item.entry));
  }

  #measure(entry: NewEntry | KeptEntry): Item {
    if (!('page' in entry)) {
      const lines = newLines(entry).map((line) => line.render((pack) => indexOf(this.#packs, pack)));
      const text = lines.length === 1 ? lines[0]! : lines.join('');
      return { entry, bytes: Buffer.byteLength(text), text, lines: lines.length };
    }
    if (this.#keptPage !== entry.page) for (const pack of entry.page.packs) indexOf(this.#packs, pack);
    this.#keptPage = entry.page;
    return { entry, bytes: Buffer.byteLength(entry.text), text: undefined, lines: entry.lines };
  }
}

interface Item {
  readonly entry: NewEntry | KeptEntry;
  readonly bytes: number;
  /** Of a new entry: its lines, with the pack numbers of this page. */
  readonly text: string | undefined;
  readonly lines: number;
}

function wholeNewPage(items: readonly Item[], packs: readonly string[]): BuiltPage {
  let text = headOf(packs);
  let entries = 0;
  for (const item of items) {
    text += item.text;
    entries += item.lines;
  }
  const { path: first } = items[0]!.entry;
  const { path: last } = items[items.length - 1]!.entry;
  return { kind: 'new', text, entries, first, last, packs };
}

function headOf(packs: readonly string[]): string {
  return `{"backpack":"page","v":1,"packs":${JSON.stringify(packs)}}\n`;
}

/** The parent's page that these entries are, all of them and nothing else. */
function wholeOldPage(items: readonly (NewEntry | KeptEntry)[]): OldPage | undefined {
  const first = items[0]!;
  if (!('page' in first) || first.ordinal !== 0) return undefined;
  let lines = 0;
  for (const item of items) {
    if (!('page' in item) || item.page !== first.page) return undefined;
    lines += item.lines;
  }
  return lines === first.page.ref.entries ? first.page : undefined;
}

/** Text of the entries as one page, or as several when the extents of one file fill more than a page. */
function renderPages(items: readonly (NewEntry | KeptEntry)[]): BuiltPage[] {
  const pages: BuiltPage[] = [];
  let packs = new Map<string, number>();
  let lines: string[] = [];
  let bytes = 0;
  let first: ByteString | undefined;
  let last: ByteString = '';
  const close = (): void => {
    pages.push({
      kind: 'new',
      text: headOf([...packs.keys()]) + lines.join(''),
      entries: lines.length,
      first: first!,
      last,
      packs: [...packs.keys()],
    });
    packs = new Map();
    lines = [];
    bytes = 0;
    first = undefined;
  };
  for (const item of items) {
    for (const line of 'page' in item ? keptLines(item) : newLines(item)) {
      if (bytes > 0 && (bytes + line.size > renderMax || packs.size + line.extents.length > packsPerPageMax))
        close();
      const text = line.render((pack) => indexOf(packs, pack));
      lines.push(text);
      bytes += Buffer.byteLength(text);
      first ??= item.path;
      last = item.path;
    }
  }
  close();
  return pages;
}

interface Line {
  /** About how long the text will be, bytes. */
  readonly size: number;
  readonly extents: readonly Extent[];
  render(k: (pack: string) => number): string;
}

function indexOf(packs: Map<string, number>, pack: string): number {
  if (pack === hole) return -1;
  if (pack === zeros) return -2;
  const found = packs.get(pack);
  if (found !== undefined) return found;
  packs.set(pack, packs.size);
  return packs.size - 1;
}

/** The lines of a new entry: its own, and continuation lines when the extents are many. */
function newLines(item: NewEntry): Line[] {
  const groups: Extent[][] = [[]];
  let text = 0;
  for (const extent of item.extents) {
    const size = 12 + String(extent.record).length + String(extent.length).length;
    if (text + size > extentText) {
      groups.push([]);
      text = 0;
    }
    groups[groups.length - 1]!.push(extent);
    text += size;
  }
  const x = item.x === undefined ? '' : `,"x":"${item.x}"`;
  const n = groups.length > 1 ? `,"n":${groups.length - 1}` : '';
  return groups.map((extents, i) => ({
    size: (i === 0 ? item.prefix.length : item.path.length) + 80 + extents.length * 20,
    extents,
    render: (k) => {
      const list = extents.map((e) => formatExtent(k(e.pack), e)).join(',');
      const start = i === 0 ? `${item.prefix}${x}${n}` : `{"p":${nameToJson(item.path)},"t":"+"`;
      return extents.length === 0 ? `${start}}\n` : `${start},"e":[${list}]}\n`;
    },
  }));
}

/** The lines of a kept entry, their pack numbers to be translated into those of the new page. */
function keptLines(item: KeptEntry): Line[] {
  return item.text
    .slice(0, -1)
    .split('\n')
    .map((line) => {
      const at = extentsAt(line);
      const extents = at < 0 ? [] : (JSON.parse(line.slice(at, -1)) as number[][]);
      const resolved = extents.map(([k, record, count, length, offset = 0]) => {
        const pack = k === -1 ? hole : k === -2 ? zeros : item.page.packs[k!]!;
        return { pack, record: record!, count: count!, length: length!, offset };
      });
      return {
        size: line.length + 1,
        extents: resolved,
        render: (k) =>
          at < 0
            ? `${line}\n`
            : `${line.slice(0, at)}[${resolved.map((e) => formatExtent(k(e.pack), e)).join(',')}]}\n`,
      };
    });
}

/** Where the extents of a line written by this program begin: they come last, and no string can hold this text. */
function extentsAt(line: string): number {
  const at = line.lastIndexOf(',"e":[');
  return at < 0 || !line.endsWith(']}') ? -1 : at + 5;
}
