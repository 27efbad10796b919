/**
 * Entries of what no worker reads: links, folders, FIFOs, devices, empty files; and those of a parent that are taken
 * over, as they are or with something new that is no change of the file.
 */
import type { ByteString } from '../base/bytes.ts';
import type { KeptEntry, NewEntry } from '../format/page-builder.ts';
import { type Libc, libc } from '../platform/libc.ts';
import { type Extras, noExtras, readExtras, readExtrasAt } from '../source/extras.ts';
import { reach } from '../source/reach.ts';
import type { SourceItem } from '../source/walk.ts';
import { ancestorText, extrasOfLine, extrasText, warningsText } from './entry-line.ts';
import { contentOf, sameEntry } from './kept-entry.ts';
import type { ParentCursor } from './parent-cursor.ts';

/** See the file's comment. */
export class EntryMaker {
  /** Entries whose extended attributes and flags could not be looked at. */
  withoutExtras = 0;
  readonly #libc: Libc | undefined = libc();
  readonly #onWarning: (path: ByteString, warnings: readonly string[]) => void;

  constructor(onWarning: (path: ByteString, warnings: readonly string[]) => void) {
    this.#onWarning = onWarning;
  }

  /**
   * {@link unchanged} of what needs no closer look, as nearly all; undefined for the rest. The parent's line has been
   * found to match the whole of what is expected.
   */
  unchangedNow(parent: ParentCursor, item: SourceItem, type: string): KeptEntry | undefined {
    if (type === 'd' || !(parent.hasExtras || this.#libc === undefined)) return undefined;
    return parent.takeNow(item.stored);
  }

  /** The parent's entry; rewritten where something is new that is no change of the file. */
  async unchanged(
    parent: ParentCursor,
    item: SourceItem,
    type: string,
    prefix: string,
    head: string,
  ): Promise<KeptEntry | NewEntry> {
    const hasExtras = parent.hasExtras || this.#libc === undefined;
    const exact = hasExtras && parent.matches(prefix);
    if (exact && (type !== 'd' || parent.line!.includes(',"an":1') === item.ancestor))
      return parent.take(item.stored, prefix);
    const old = extrasOfLine(parent.line!);
    const kept = await parent.take(item.stored, head);
    const extras = hasExtras ? old.text : this.#extras(item, type).text;
    const line = prefix + extras + ancestorText(item) + old.warnings;
    const entry = { path: item.stored, prefix: line, ...contentOf(kept) };
    return sameEntry(kept, entry) ? kept : entry;
  }

  /** An entry that is no file, or an empty one. */
  withoutContent(
    item: SourceItem,
    type: string,
    prefix: string,
    kept: KeptEntry | NewEntry | undefined,
  ): KeptEntry | NewEntry {
    const { text, warnings } = this.#extras(item, type);
    const line = prefix + text + ancestorText(item) + warningsText(warnings);
    const entry = { path: item.stored, prefix: line, x: undefined, extents: [] };
    return kept !== undefined && sameEntry(kept, entry) ? kept : entry;
  }

  /** Extended attributes and flags of what no worker opens. */
  #extras(item: SourceItem, type: string): { text: string; warnings: readonly string[] } {
    const calls = this.#libc;
    if (calls === undefined) {
      this.withoutExtras += 1;
      return { text: '', warnings: [] };
    }
    let found: Extras = noExtras;
    try {
      // A folder above a root may be named by a link.
      found = reach(item.ancestor ? `${item.real}/.` : item.real, (path) =>
        type === 'f' || type === 'd' ? readExtrasAt(calls, path, type === 'd') : readExtras(calls, path),
      );
    } catch {
      // It is gone, and with it what it had.
    }
    const warnings = found.incomplete ? ['xattrs'] : [];
    if (found.incomplete) this.#onWarning(item.stored, warnings);
    return { text: extrasText(found), warnings };
  }
}
