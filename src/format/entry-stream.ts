/**
 * Entries from the pages of a snapshot, in order, with every rule checked (SPEC, "Pages"): order, parents, paths,
 * extents, continuation lines. Memory: one page and the folders above the current path.
 */
import type { ByteString } from '../base/bytes.ts';
import { isPageEntry, isPageHead, type PageEntry, schemaCode, schemaError } from '../schema/index.ts';
import { type Extent, type ExtentJson, resolveExtents } from './extents.ts';
import { letterOf, linesOf, parseHead, parseLine, skipUnknown } from './json-lines.ts';
import { nameFromJson } from './name-json.ts';
import { checkPath, checkTarget, comparePaths, parentOf } from './path-rules.ts';
import { reject } from './reject.ts';
import type { PageRef } from './snapshot.ts';

/** An entry with its content's place. */
export interface Entry {
  readonly path: ByteString;
  readonly type: string;
  readonly json: PageEntry;
  /** Of a file: all extents, continuation lines included. */
  readonly extents: readonly Extent[];
}

interface Open {
  readonly entry: Entry;
  readonly extents: Extent[];
  more: number;
  left: number;
}

/** Takes pages in order and gives entries. */
export class EntryStream {
  #last: ByteString | undefined;
  #open: Open | undefined;
  /** Folders above (and at) the last path. */
  #folders: ByteString[] = [];
  readonly #fromStart: boolean;
  readonly #after: ByteString | undefined;

  /**
   * @param fromStart whether the first page given is the first of the snapshot; else parents cannot be checked
   * @param after path of the last entry before the pages that were passed over: what follows must come after it
   */
  constructor(fromStart: boolean, after?: ByteString) {
    this.#fromStart = fromStart;
    this.#after = after;
  }

  /** Path of the last entry that was in order. */
  get last(): ByteString | undefined {
    return this.#last ?? this.#after;
  }

  /**
   * The entries that one page completes. An entry is given out when the next one begins, because its continuation
   * lines may stand on the next page.
   * @param ref what the snapshot says of this page
   * @throws BackpackError E_JSON, E_NEED, E_ORDER, E_PATH, E_EXTENT, E_LIMIT
   */
  *page(text: string, ref?: Pick<PageRef, 'entries' | 'first' | 'last'>): Generator<Entry> {
    const lines = linesOf(text);
    const first = lines.next();
    const head = parseHead(first.done ? '' : first.value, 'page');
    if (!isPageHead(head)) throw reject(schemaCode('pageHead'), 'a page has a wrong head');
    let count = 0;
    let last: ByteString = '';
    for (const line of lines) {
      const value = parseEntry(line);
      if (value === undefined) continue;
      const path = nameFromJson(value.p as string);
      count += 1;
      if (count === 1 && ref !== undefined && path !== ref.first) throw notAsListed();
      last = path;
      if (value.t === '+') {
        // The file it belongs to is on a page that was passed over.
        if (this.#last === undefined && !this.#fromStart) continue;
        this.#continue(path, value, head.packs);
        continue;
      }
      const done = this.#close();
      if (done !== undefined) yield done;
      this.#begin(path, value, head.packs);
    }
    if (ref !== undefined && (count !== ref.entries || last !== ref.last)) throw notAsListed();
  }

  /** The last entry, after the last page. */
  end(): Entry | undefined {
    return this.#close();
  }

  #begin(path: ByteString, json: PageEntry, packs: readonly string[]): void {
    checkPath(path);
    if (json.t === 'l') checkTarget(nameFromJson(json.l as string));
    const { last } = this;
    if (last !== undefined && comparePaths(last, path) >= 0) {
      throw reject('E_ORDER', 'paths do not ascend', { path: JSON.stringify(path) });
    }
    this.#last = path;
    if (this.#fromStart) this.#checkParent(path);
    if (json.t === 'd') this.#folders.push(path);
    const extents = resolveExtents((json.e ?? []) as readonly ExtentJson[], packs);
    const entry = { path, type: json.t, json, extents };
    this.#open = {
      entry,
      extents,
      more: json.n ?? -1,
      left: (json.t === 'f' ? (json.s ?? 0) : 0) - sum(extents),
    };
  }

  #continue(path: ByteString, json: PageEntry, packs: readonly string[]): void {
    const open = this.#open;
    if (open === undefined || open.entry.path !== path || open.entry.type !== 'f' || open.more === 0) {
      throw reject('E_ORDER', 'a continuation does not follow its file');
    }
    const extents = resolveExtents((json.e ?? []) as readonly ExtentJson[], packs);
    open.more -= 1;
    open.left -= sum(extents);
    for (const extent of extents) open.extents.push(extent);
  }

  #close(): Entry | undefined {
    const open = this.#open;
    this.#open = undefined;
    if (open === undefined) return undefined;
    const path = JSON.stringify(open.entry.path);
    if (open.more > 0) throw reject('E_EXTENT', 'continuation lines are missing', { path });
    if (open.left !== 0)
      throw reject('E_EXTENT', 'the extents of a file do not add up to its length', { path });
    return open.entry;
  }

  #checkParent(path: ByteString): void {
    const parent = parentOf(path);
    const folders = this.#folders;
    while (folders.length > 0 && folders[folders.length - 1] !== parent) folders.pop();
    if (parent !== undefined && folders.length === 0) {
      throw reject('E_ORDER', 'the folder of an entry is not in the snapshot', {
        path: JSON.stringify(path),
      });
    }
  }
}

/** An entry's line; undefined for an array that may be skipped. */
function parseEntry(line: string): PageEntry | undefined {
  const value = parseLine(line);
  if (Array.isArray(value)) {
    skipUnknown(letterOf(value));
    return undefined;
  }
  if (!/^[ \t]*\{[ \t]*"p"/.test(line)) throw reject('E_JSON', 'an entry does not begin with its path');
  if (!isPageEntry(value)) throw reject(schemaCode('pageEntry'), `not an entry: ${schemaError('pageEntry')}`);
  return value;
}

function notAsListed(): Error {
  return reject('E_ORDER', 'the page is not as the snapshot says');
}

function sum(extents: readonly Extent[]): number {
  let total = 0;
  for (const extent of extents) total += extent.length;
  return total;
}
