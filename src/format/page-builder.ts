/**
 * Builds pages from entries in order (SPEC, "Pages"). A page is cut after an entry when it has at least 64 KiB and
 * the low 10 bits of XXH64 of the entry's path are zero, or before it would exceed its limits. Cuts depend on names,
 * so that after a change the stream meets the old cuts again and old pages can be used as they are.
 */
import type { ByteString } from '../base/bytes.ts';
import { KiB, MiB, packsPerPageMax } from '../base/limits.ts';
import { TextBuffer } from '../base/text-buffer.ts';
import { type Extent, formatExtent, hole, zeros } from './extents.ts';
import { type NameJson, nameFromJson, nameToJson } from './name-json.ts';
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
      /** Its text in pieces: one string for all would have to be made only to be copied once more. */
      readonly text: readonly (string | Uint8Array)[];
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
/** A new entry of one line up to this length becomes bytes at once. */
const plainLineMax = 256 * KiB;

const noPages: readonly BuiltPage[] = [];

/** Collects entries and gives a page whenever one is complete. */
export class PageBuilder {
  readonly #hash: (path: ByteString) => number;
  /**
   * Lines of new entries, numbered with {@link #packs}: as bytes, because text of hundreds of thousands of entries
   * that wait for the end of their page is what the garbage collector would be busy with.
   */
  readonly #text = new TextBuffer(pageBytes + plainLineMax);
  /** How much of it is of entries that were appended: what was only measured may be behind. */
  #textBytes = 0;
  #items: Item[] = [];
  #bytes = 0;
  #packs = new Map<string, number>();
  /** How many of them the entries of this page name: the last one measured may begin the next page. */
  #packsUsed = 0;
  #keptPage: OldPage | undefined;

  /** @param pathHash the low 32 bits of XXH64 of a path's bytes */
  constructor(pathHash: (path: ByteString) => number) {
    this.#hash = pathHash;
  }

  /** Adds an entry. @returns the pages that this completes */
  add(entry: NewEntry | KeptEntry): readonly BuiltPage[] {
    let before = noPages;
    let item = this.#measure(entry);
    if (
      this.#items.length > 0 &&
      (this.#bytes + item.bytes > pageBytes || this.#packs.size > packsPerPageMax)
    ) {
      before = this.flush();
      item = this.#measure(entry);
    }
    this.#append(item);
    // The length is that of the final text, so that the next run, which sees that text, cuts at the same places.
    if (this.#bytes < cutBytes || (this.#hash(entry.path) & cutMask) !== 0) return before;
    return [...before, ...this.flush()];
  }

  /** Completes the last page, and the pages of an entry too large for one. */
  flush(): BuiltPage[] {
    const items = this.#items;
    const packs = [...this.#packs.keys()].slice(0, this.#packsUsed);
    this.#text.cut(this.#textBytes);
    const text = this.#text.view;
    this.#textBytes = 0;
    this.#items = [];
    this.#bytes = 0;
    this.#text.clear();
    this.#packs = new Map();
    this.#packsUsed = 0;
    this.#keptPage = undefined;
    if (items.length === 0) return [];
    const old = wholeOldPage(items);
    if (old !== undefined) return [{ kind: 'old', page: old }];
    const [only] = items;
    // Only new entries: what was rendered to measure it is the page already.
    if (items.length === 1 && only?.kind === 'lines') {
      const { lines: entries, first, last } = only;
      return [{ kind: 'new', text: [headOf(packs), Buffer.from(text)], entries, first, last, packs }];
    }
    return renderPages(flatLines(items, text, packs));
  }

  /** What an entry adds to the page; a new one of one line has its text behind that of the others. */
  #measure(entry: NewEntry | KeptEntry): Item {
    if ('page' in entry) {
      if (this.#keptPage !== entry.page) for (const pack of entry.page.packs) indexOf(this.#packs, pack);
      this.#keptPage = entry.page;
      return { kind: 'entry', entry, bytes: Buffer.byteLength(entry.text), lines: entry.lines };
    }
    this.#text.cut(this.#textBytes);
    if (entry.extents.length === 1 && entry.prefix.length < plainLineMax / 4) {
      this.#addPlain(entry, entry.extents[0]!);
      const bytes = this.#text.length - this.#textBytes;
      return { kind: 'lines', bytes, lines: 1, first: entry.path, last: entry.path };
    }
    const texts = newLines(entry).map((line) => line.render((pack) => indexOf(this.#packs, pack)));
    const [line = ''] = texts;
    const bytes = texts.reduce((sum, text) => sum + Buffer.byteLength(text), 0);
    if (texts.length > 1 || bytes > plainLineMax) return { kind: 'entry', entry, bytes, lines: texts.length };
    this.#text.addUtf8(line);
    return { kind: 'lines', bytes, lines: 1, first: entry.path, last: entry.path };
  }

  /** The line of an entry with one extent, as nearly all are, without a string for it. */
  #addPlain({ prefix, x }: NewEntry, { pack, record, count, length, offset }: Extent): void {
    const text = this.#text;
    const k = indexOf(this.#packs, pack);
    text.addUtf8(prefix);
    if (x !== undefined) {
      text.add(',"x":"');
      text.add(x);
      text.add('"');
    }
    if (k < 0) {
      text.add(`,"e":[${formatExtent(k, { record, count, length, offset })}]}\n`);
      return;
    }
    text.add(',"e":[[');
    text.addNumber(k);
    text.add(',');
    text.addNumber(record);
    text.add(',');
    text.addNumber(count);
    text.add(',');
    text.addNumber(length);
    if (offset > 0) {
      text.add(',');
      text.addNumber(offset);
    }
    text.add(']]}\n');
  }

  #append(item: Item): void {
    const before = this.#items[this.#items.length - 1];
    this.#packsUsed = this.#packs.size;
    this.#bytes += item.bytes;
    this.#textBytes += item.kind === 'lines' ? item.bytes : 0;
    if (item.kind === 'lines' && before?.kind === 'lines') {
      before.bytes += item.bytes;
      before.lines += 1;
      before.last = item.last;
    } else {
      this.#items.push(item);
    }
  }
}

/** One entry, or lines of new entries that follow each other. */
type Item =
  | {
      readonly kind: 'entry';
      readonly entry: NewEntry | KeptEntry;
      readonly bytes: number;
      readonly lines: number;
    }
  | Lines;

interface Lines {
  readonly kind: 'lines';
  bytes: number;
  lines: number;
  readonly first: ByteString;
  last: ByteString;
}

function headOf(packs: readonly string[]): string {
  return `{"backpack":"page","v":1,"packs":${JSON.stringify(packs)}}\n`;
}

/** The parent's page that these entries are, all of them and nothing else. */
function wholeOldPage(items: readonly Item[]): OldPage | undefined {
  const [first] = items;
  if (first?.kind !== 'entry' || !('page' in first.entry) || first.entry.ordinal !== 0) return undefined;
  const { page } = first.entry;
  let lines = 0;
  for (const item of items) {
    if (item.kind !== 'entry' || !('page' in item.entry) || item.entry.page !== page) return undefined;
    lines += item.lines;
  }
  return lines === page.ref.entries ? page : undefined;
}

/** Text of the entries as one page, or as several when the extents of one file fill more than a page. */
function renderPages(all: Iterable<PathLine>): BuiltPage[] {
  const pages: BuiltPage[] = [];
  let packs = new Map<string, number>();
  let lines: string[] = [];
  let bytes = 0;
  let first: ByteString | undefined;
  let last: ByteString = '';
  const close = (): void => {
    pages.push({
      kind: 'new',
      text: [headOf([...packs.keys()]), ...lines],
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
  for (const { path, line } of all) {
    if (bytes > 0 && (bytes + line.size > renderMax || packs.size + line.extents.length > packsPerPageMax))
      close();
    const text = line.render((pack) => indexOf(packs, pack));
    lines.push(text);
    bytes += Buffer.byteLength(text);
    first ??= path;
    last = path;
  }
  close();
  return pages;
}

interface PathLine {
  readonly path: ByteString;
  readonly line: Line;
}

/** All lines of a page, one by one. @param text the lines of its new entries, which name their packs by `packs` */
function* flatLines(items: readonly Item[], text: Buffer, packs: readonly string[]): Generator<PathLine> {
  let from = 0;
  for (const item of items) {
    if (item.kind === 'entry') {
      const { entry } = item;
      const lines = 'page' in entry ? oldLines(entry.text, entry.page.packs) : newLines(entry);
      for (const line of lines) yield { path: entry.path, line };
      continue;
    }
    const run = text.toString('utf8', from, from + item.bytes);
    for (const one of run.slice(0, -1).split('\n')) {
      const { p } = JSON.parse(one) as { p: NameJson };
      for (const line of oldLines(`${one}\n`, packs)) yield { path: nameFromJson(p), line };
    }
    from += item.bytes;
  }
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

/** Lines whose pack numbers are those of another page, to be translated into those of a new one. */
function oldLines(text: string, packs: readonly string[]): Line[] {
  return text
    .slice(0, -1)
    .split('\n')
    .map((line) => {
      const at = extentsAt(line);
      const extents = at < 0 ? [] : (JSON.parse(line.slice(at, -1)) as number[][]);
      const resolved = extents.map(([k, record, count, length, offset = 0]) => {
        const pack = k === -1 ? hole : k === -2 ? zeros : packs[k!]!;
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
