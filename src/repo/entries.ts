/** The entries of a snapshot, or of one path in it, read page by page. */
import type { ByteString } from '../base/bytes.ts';
import { withObject } from '../container/container-reader.ts';
import { type Entry, EntryStream } from '../format/entry-stream.ts';
import { packName } from '../format/names.ts';
import { comparePaths } from '../format/path-rules.ts';
import type { PageRef, Snapshot } from '../format/snapshot.ts';
import type { PageReader } from './snapshots.ts';

/** Whether `path` is `top` or lies below it; an empty top holds everything. */
export function isBelow(path: ByteString, top: ByteString): boolean {
  return top === '' || path === top || (path.startsWith(top) && path.charCodeAt(top.length) === 47);
}

/** Whether `path` is a folder above `top`. */
function isAbove(path: ByteString, top: ByteString): boolean {
  return top.startsWith(path) && top.charCodeAt(path.length) === 47;
}

/** What to do about a page that cannot be read: the rest of the snapshot goes on without it. */
export type OnPageError = (error: unknown, page: PageRef) => void;

/**
 * Yields the entries at and below `top`, the folders above it first. Pages that cannot hold any of them are not read.
 */
export async function* entriesOf(
  reader: PageReader,
  snapshot: Snapshot,
  top: ByteString,
  onPageError: OnPageError,
): AsyncGenerator<Entry> {
  let stream = new EntryStream(top === '');
  let last = -1;
  let bad: PageRef | undefined;
  for (const [index, page] of snapshot.pages.entries()) {
    if (!mayHold(page, top)) continue;
    // The same page again, a hundred thousand times perhaps: it has been reported.
    if (page.pack === bad?.pack && page.record === bad.record) continue;
    let text: string;
    try {
      text = await reader.read(page);
    } catch (error) {
      onPageError(error, page);
      bad = page;
      continue;
    }
    if (index !== last + 1) {
      // Pages were passed over: parents and continuation lines that stood there cannot be known.
      const end = endBeforeGap(stream);
      if (end !== undefined && wanted(end, top)) yield end;
      stream = new EntryStream(false, stream.last);
    }
    last = index;
    try {
      for (const entry of stream.page(text, page)) if (wanted(entry, top)) yield entry;
    } catch (error) {
      // What a page says wrongly costs the rest of this page only.
      onPageError(withObject(error, packName(page.pack), page.record), page);
      bad = page;
      stream = new EntryStream(false, stream.last);
    }
  }
  try {
    const end = stream.end();
    if (end !== undefined && wanted(end, top)) yield end;
  } catch (error) {
    onPageError(error, snapshot.pages[last]!);
  }
}

/** The last entry before pages that were passed over; a file that goes on there is lost with them. */
function endBeforeGap(stream: EntryStream): Entry | undefined {
  try {
    return stream.end();
  } catch {
    return undefined;
  }
}

function wanted(entry: Entry, top: ByteString): boolean {
  return isBelow(entry.path, top) || isAbove(entry.path, top);
}

function mayHold(page: PageRef, top: ByteString): boolean {
  if (top === '') return true;
  if (comparePaths(page.last, top) >= 0 && (comparePaths(page.first, top) <= 0 || isBelow(page.first, top)))
    return true;
  // Folders above the top: each is on the page whose range holds it.
  for (let slash = top.indexOf('/'); slash > 0; slash = top.indexOf('/', slash + 1)) {
    const above = top.slice(0, slash);
    if (comparePaths(page.first, above) <= 0 && comparePaths(page.last, above) >= 0) return true;
  }
  return false;
}
