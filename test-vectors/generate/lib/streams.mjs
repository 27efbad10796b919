// Sections 7 and 8: the NDJSON streams of snapshots, index, moved, mark and drop objects, as arrays of
// values. A stream becomes records by streamRecords().
import { ndjson } from './container.mjs';

export function snapshotRoot(fields) {
  return {
    backpack: 'snapshot',
    v: 1,
    id: fields.id,
    seq: fields.seq ?? 1,
    time: fields.time,
    end: fields.end ?? fields.time,
    host: fields.host ?? 'vector',
    user: fields.user ?? 'tester',
    set: fields.set ?? 'main',
    tags: fields.tags ?? [],
    pinned: fields.pinned ?? false,
    roots: fields.roots ?? ['.'],
    parents: fields.parents ?? [],
    prev: fields.prev ?? null,
    known: fields.known ?? [],
    replaces: fields.replaces ?? [],
    partial: fields.partial ?? false,
    app: 'test-vectors 1',
    features: fields.features ?? { incompat: [], roCompat: [], compat: [] },
    params: { dedup: 'xxh64+gmac', chunker: fields.chunker ?? 'fastcdc-1', packSize: 67108864 },
    stats: fields.stats ?? { files: 0, bytes: 0, stored: 0 },
  };
}

/** K lines from a Map id -> size, ascending by id. */
export const packLines = (sizes) => [...sizes.keys()].sort().map((id) => ['K', id, sizes.get(id)]);

/** G lines: pages are [{ pack, record, entries, first, last }]. */
export function pageLines(pages, packs) {
  const at = new Map(packs.map((line, i) => [line[1], i]));
  return pages.map((page) => ['G', at.get(page.pack), page.record, page.entries, page.first, page.last]);
}

/** Record 0 is the first line, the others take about `size` bytes of whole lines each. */
export function streamRecords(values, { size = 1048576, firstAlone = true } = {}) {
  const records = [];
  let lines = [];
  let bytes = 0;
  const close = () => {
    if (lines.length) records.push({ plain: Buffer.concat(lines) });
    lines = [];
    bytes = 0;
  };
  values.forEach((value, i) => {
    const line = ndjson([value]);
    lines.push(line);
    bytes += line.length;
    if ((i === 0 && firstAlone) || bytes >= size) close();
  });
  close();
  return records;
}

export const indexHead = { backpack: 'index', v: 1 };
export const movedHead = (from, writer) => ({ backpack: 'moved', v: 1, from, writer });
export const markHead = (why = 'unreferenced') => ({ backpack: 'mark', v: 1, why });
export const dropHead = (time, why = 'forget') => ({ backpack: 'drop', v: 1, time, why });

/** The index lines of one pack, taken from its table. */
export function indexLines(pack, size, dd, table) {
  const kept = table.filter((line) => line[0] === 'R' || line[0] === 'C').map((line) => line.slice(0, 5));
  return [['P', pack, size, dd], ...kept];
}
