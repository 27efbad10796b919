/** An entry of a parent's page taken apart: what is new of it can be changed, and its content compared. */
import { type Extent, resolveExtents } from '../format/extents.ts';
import type { KeptEntry, NewEntry } from '../format/page-builder.ts';

/** Hash and extents of an entry, continuation lines included. */
export function contentOf(kept: KeptEntry | NewEntry): Pick<NewEntry, 'x' | 'extents'> {
  if (!('page' in kept)) return kept;
  let x: string | undefined;
  const extents: Extent[] = [];
  for (const line of kept.text.slice(0, -1).split('\n')) {
    const found = JSON.parse(line) as { x?: string; e?: number[][] };
    x ??= found.x;
    for (const extent of resolveExtents(found.e ?? [], kept.page.packs)) extents.push(extent);
  }
  return { x, extents };
}

/** Whether a parent's line says exactly what a new entry says, so that it, and with it its page, can stay. */
export function sameEntry(kept: KeptEntry | NewEntry, entry: NewEntry): boolean {
  if (!('page' in kept) || !kept.text.startsWith(entry.prefix)) return false;
  const after = kept.text.slice(entry.prefix.length, entry.prefix.length + 6);
  if (after !== (entry.x === undefined ? '}\n' : ',"x":"')) return false;
  const { x, extents } = contentOf(kept);
  return (
    x === entry.x &&
    extents.length === entry.extents.length &&
    extents.every((old, i) => {
      const e = entry.extents[i]!;
      return (
        old.pack === e.pack &&
        old.record === e.record &&
        old.count === e.count &&
        old.length === e.length &&
        old.offset === e.offset
      );
    })
  );
}
