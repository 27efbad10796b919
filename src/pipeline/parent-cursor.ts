/**
 * Reads the pages of a parent snapshot beside the walk: both are in the same order, so a merge with memory for one
 * page finds the old line of each path.
 */
import type { ByteString } from '../base/bytes.ts';
import { nanosecondsOf, secondsOf } from '../base/nanoseconds.ts';
import type { Extent } from '../format/extents.ts';
import { resolveExtents } from '../format/extents.ts';
import { nameFromJson } from '../format/name-json.ts';
import type { KeptEntry, NewEntry, OldPage } from '../format/page-builder.ts';
import { comparePaths } from '../format/path-rules.ts';
import type { PageRef } from '../format/snapshot.ts';
import type { SourceStat } from '../source/source-stat.ts';

/** Gets the text of a page, authenticated. */
export type LoadPage = (ref: PageRef) => Promise<string>;

interface Loaded {
  readonly page: OldPage;
  readonly text: string;
  /** Whether all packs it names are there. */
  readonly usable: boolean;
  at: number;
  ordinal: number;
}

/** What {@link ParentCursor.seek} found. */
export type Found = 'equal' | 'none' | 'load';

/** A position in the pages of one parent. */
export class ParentCursor {
  readonly #pages: readonly PageRef[];
  readonly #load: LoadPage;
  readonly #packIsThere: (pack: string) => boolean;
  #next = 0;
  #page: Loaded | undefined;

  readonly #trustSec: number;
  readonly #trustNsec: number;
  /** Whether the parent's writer could read extended attributes and flags: else an entry without may have some. */
  readonly hasExtras: boolean;

  /**
   * @param trustBeforeNs files whose ctime is not below this may have changed after the parent read them, in the same
   * tick of the clock
   */
  constructor(
    pages: readonly PageRef[],
    load: LoadPage,
    packIsThere: (pack: string) => boolean,
    trustBeforeNs: bigint,
    hasExtras = true,
  ) {
    this.#trustNsec = nanosecondsOf(trustBeforeNs);
    this.#trustSec = secondsOf(trustBeforeNs);
    this.hasExtras = hasExtras;
    this.#pages = pages;
    this.#load = load;
    this.#packIsThere = packIsThere;
  }

  /** Whether an entry that looks the same has not changed: one of the same tick of the clock may have. */
  trusts({ ctimeSec, ctimeNsec }: Pick<SourceStat, 'ctimeSec' | 'ctimeNsec'>): boolean {
    return ctimeSec < this.#trustSec || (ctimeSec === this.#trustSec && ctimeNsec < this.#trustNsec);
  }

  /** Whether the line at the cursor begins with `prefix` and its content can be used. */
  matches(prefix: string): boolean {
    const page = this.#page;
    if (page === undefined || !page.usable || !page.text.startsWith(prefix, page.at)) return false;
    const after = page.text.charCodeAt(page.at + prefix.length);
    return after === 44 || after === 125;
  }

  /** Moves to the first entry that is not below `path`; `load` means: await {@link load} and ask again. */
  seek(path: ByteString): Found {
    for (;;) {
      const page = this.#page;
      if (page === undefined) {
        while (this.#next < this.#pages.length && comparePaths(this.#pages[this.#next]!.last, path) < 0)
          this.#next += 1;
        const next = this.#pages[this.#next];
        return next === undefined || comparePaths(next.first, path) > 0 ? 'none' : 'load';
      }
      const order = comparePaths(pathAt(page.text, page.at), path);
      if (order === 0) return 'equal';
      if (order > 0) return 'none';
      this.#advance();
    }
  }

  /** Reads the next page. */
  async load(): Promise<void> {
    const ref = this.#pages[this.#next]!;
    this.#next += 1;
    const text = await this.#load(ref);
    const end = text.indexOf('\n');
    const { packs } = JSON.parse(text.slice(0, end)) as { packs: string[] };
    const usable = packs.every(this.#packIsThere);
    this.#page = { page: { ref, packs }, text, usable, at: end + 1, ordinal: 0 };
    if (this.#page.at >= text.length) this.#page = undefined;
    // A page may begin with continuation lines of an entry that was passed over.
    while (this.#page !== undefined && isContinuation(this.#page.text, this.#page.at)) this.#advance();
  }

  /**
   * Takes the entry at the cursor over, when it is one line that the next page cannot go on with.
   * @returns undefined otherwise; then nothing has happened, and {@link take} will do it
   */
  takeNow(path: ByteString): KeptEntry | undefined {
    const page = this.#page!;
    const { text, at, ordinal } = page;
    const end = text.indexOf('\n', at) + 1;
    if (end === 0 || end >= text.length) return undefined;
    if (isContinuation(text, end)) return undefined;
    page.at = end;
    page.ordinal = ordinal + 1;
    return { path, text: text.slice(at, end), lines: 1, page: page.page, ordinal };
  }

  /**
   * Takes the entry at the cursor over. One whose continuation lines go on in the next page is taken apart, because
   * the pages name their packs differently.
   */
  async take(path: ByteString, prefix: string): Promise<KeptEntry | NewEntry> {
    const page = this.#page!;
    const start = page.at;
    const { ordinal } = page;
    const line = page.text.slice(start, page.text.indexOf('\n', start));
    const more = continuationsOf(line, prefix.length);
    this.#advance();
    const lines = (this.#page === page ? page.ordinal : page.page.ref.entries) - ordinal;
    if (lines === more + 1) {
      const end = this.#page === page ? page.at : page.text.length;
      return { path, text: page.text.slice(start, end), lines, page: page.page, ordinal };
    }
    const found = JSON.parse(line) as { x: string; e: number[][] };
    const extents: Extent[] = resolveExtents(found.e, page.page.packs);
    extents.push(...continuations(page, start + line.length + 1));
    for (let left = more + 1 - lines; left > 0; ) {
      const ref = this.#pages[this.#next];
      if (ref === undefined) break;
      const before = this.#next;
      this.#page = undefined;
      const text = await this.#load(ref);
      const packs = (JSON.parse(text.slice(0, text.indexOf('\n'))) as { packs: string[] }).packs;
      const loaded: Loaded = {
        page: { ref, packs },
        text,
        usable: packs.every(this.#packIsThere),
        at: text.indexOf('\n') + 1,
        ordinal: 0,
      };
      const rest = continuations(loaded, loaded.at);
      extents.push(...rest);
      this.#next = before + 1;
      this.#page = loaded;
      const from = loaded.ordinal;
      while (this.#page === loaded && isContinuation(loaded.text, loaded.at)) this.#step(loaded);
      left -= Math.max(1, loaded.ordinal - from);
    }
    return { path, prefix: line.slice(0, line.indexOf(',"x":"', prefix.length)), x: found.x, extents };
  }

  /** The full line at the cursor, for comparison with a file that was read again. */
  get line(): string | undefined {
    const page = this.#page;
    return page?.text.slice(page.at, page.text.indexOf('\n', page.at));
  }

  /** Passes one entry and its continuation lines. */
  #advance(): void {
    const page = this.#page;
    if (page === undefined) return;
    this.#step(page);
    while (this.#page === page && isContinuation(page.text, page.at)) this.#step(page);
  }

  #step(page: Loaded): void {
    page.at = page.text.indexOf('\n', page.at) + 1;
    page.ordinal += 1;
    if (page.at >= page.text.length || page.at === 0) this.#page = undefined;
  }
}

/** Number of continuation lines of an entry. Text between quotes cannot hold what is looked for. */
function continuationsOf(line: string, from: number): number {
  const at = line.indexOf(',"e":[', from);
  if (at < 0) return 0;
  return Number(/,"n":(\d+)$/.exec(line.slice(Math.max(from, at - 24), at))?.[1] ?? 0);
}

function continuations(page: Loaded, from: number): Extent[] {
  const extents: Extent[] = [];
  for (
    let at = from;
    at < page.text.length && isContinuation(page.text, at);
    at = page.text.indexOf('\n', at) + 1
  ) {
    const line = page.text.slice(at, page.text.indexOf('\n', at));
    extents.push(...resolveExtents((JSON.parse(line) as { e: number[][] }).e, page.page.packs));
  }
  return extents;
}

/** Lines of this program have the path first and the type second. */
function pathAt(text: string, at: number): ByteString {
  const end = text.indexOf('\n', at);
  return nameFromJson((JSON.parse(text.slice(at, end)) as { p: string }).p);
}

function isContinuation(text: string, at: number): boolean {
  const end = text.indexOf('\n', at);
  const type = text.indexOf(',"t":"', at);
  return type > 0 && type < end && text.charCodeAt(type + 6) === 43;
}
