// A whole repository in memory: object name -> bytes. Content goes through the writer's path of section 9
// (data packs, meta packs, index, snapshot); moved, mark and drop objects are added by hand.
import { concat, hex, objectName, Random, sha256, stampOf, text } from './bytes.mjs';
import { cutPoints } from './chunker.mjs';
import { build, ndjson } from './container.mjs';
import { Author, gmac } from './keys.mjs';
import { comparePaths, name, pages, rawName } from './pages.mjs';
import * as streams from './streams.mjs';
import { xxh64hex } from './xxh.mjs';

export const hole = (length) => ({ extent: -1, length });
export const zeros = (length) => ({ extent: -2, length });

const SMALL = 262144;
const GROUP = 1048576;
const README = 'This folder is a Backpack repository. How to read it: the format description, SPEC.md.\n';

export class Repository {
  constructor({ label, time = 1700000000000 }) {
    this.random = new Random(label);
    this.root = this.random.bytes(32);
    this.repo = hex(this.random.bytes(16));
    this.time = time;
    this.owner = new Author({ root: this.root, repo: this.repo });
    this.keyids = [this.owner.keyid];
    this.objects = new Map();
    this.packs = new Map(); // pack id -> { author, size, lines, records }
    this.catalog = new Map(); // chunk identity -> place
    this.pageCatalog = new Map(); // page identity -> place
    this.snapshots = []; // { id, seq, author, root, entries, listing }
    this.expected = new Map(); // snapshot id -> listing
  }

  newId() {
    this.time += 1000;
    return this.random.id(this.time);
  }

  writer(id) {
    return new Author({ root: this.root, repo: this.repo, writer: id });
  }

  /** Builds and stores one container (see build in container.mjs); returns its id. */
  put(spec) {
    const author = spec.author ?? this.owner;
    const id = spec.id ?? this.newId();
    const { bytes, lines } = build({ random: this.random, ...spec, author, id });
    this.objects.set(spec.name ?? objectName(spec.kind, id, spec.old), bytes);
    if (spec.kind === 'data' || spec.kind === 'meta') {
      this.packs.set(id, { author, kind: spec.kind, size: bytes.length, lines, records: spec.records });
    }
    return id;
  }

  /** Stores the content of regular files and sets s, x and e. Options: target (pack size), frame, cuts, group: false, pack. */
  storeContent(
    files,
    author,
    { target = 67108864, frame, cuts = cutPoints, group = true, pack: packSpec } = {},
  ) {
    const open = [];
    const current = () => {
      if (!open.length || open.at(-1).size >= target)
        open.push({ id: this.newId(), records: [], files: [], size: 0 });
      return open.at(-1);
    };
    const place = (chunk, entry, at, alone) => {
      const identity = [
        author.writer,
        author.dd,
        chunk.length,
        xxh64hex(chunk),
        gmac(author.kDedup, chunk),
      ].join();
      const hit = this.catalog.get(identity);
      if (hit) return hit;
      const pack = current();
      let hint;
      if (!pack.files.includes(entry)) hint = ['F', pack.files.push(entry) - 1, entry.p, entry.s, entry.m];
      let record = alone ? undefined : pack.group;
      if (!record || record.plain.length + chunk.length > GROUP) {
        record = { plain: Buffer.alloc(0), chunks: [], frame };
        pack.records.push(record);
        if (!alone) pack.group = record;
      }
      const offset = record.plain.length;
      const found = {
        pack: pack.id,
        record: pack.records.indexOf(record),
        offset,
        length: chunk.length,
        alone,
      };
      record.chunks.push({ offset, bytes: chunk, hint, file: pack.files.indexOf(entry), at });
      record.plain = concat(record.plain, chunk);
      pack.size += chunk.length;
      this.catalog.set(identity, found);
      return found;
    };
    for (const entry of files) {
      const parts = [entry.content].flat();
      const whole = concat(parts.map((part) => (Buffer.isBuffer(part) ? part : Buffer.alloc(part.length))));
      entry.s = whole.length;
      entry.sha256 = sha256(whole);
      if (whole.length === 0) continue;
      entry.x = xxh64hex(whole);
      entry.e = [];
      let at = 0;
      for (const part of parts) {
        if (!Buffer.isBuffer(part)) {
          entry.e.push([part.extent, 0, 0, part.length]);
        } else {
          const ends = cuts(author.kChunker, part);
          ends.forEach((end, i) => {
            const start = ends[i - 1] ?? 0;
            const chunk = part.subarray(start, end);
            addExtent(
              entry.e,
              place(chunk, entry, at + start, !group || ends.length > 1 || chunk.length >= SMALL),
            );
          });
        }
        at += part.length;
      }
    }
    for (const pack of open)
      this.put({ ...packSpec, author, kind: 'data', id: pack.id, records: pack.records });
    return open.map((pack) => pack.id);
  }

  /**
   * One backup. entries: [{ p: string or Buffer, t, content?, l?, ...fields of the page line }].
   * Options: author, cut (of pages), fields (of the root line), index: false, snapshot: false (leave the
   * commit out), splitExtents (number of extents per line), pages(pages) -> pages, stream(values) -> values.
   */
  backup(entries, options = {}) {
    const author = options.author ?? this.owner;
    const started = this.newId();
    const own = this.snapshots.filter((one) => one.author.writer === author.writer);
    const all = entries.map((entry) => fill(entry)).sort((a, b) => comparePaths(rawName(a.p), rawName(b.p)));
    const before = new Set(this.packs.keys());
    this.storeContent(
      all.filter((entry) => entry.t === 'f'),
      author,
      options,
    );
    const listing = all.map(listed);
    let made = pages(
      all.flatMap((entry) => split(entry, options.splitExtents)),
      options.cut,
    );
    if (options.pages) made = options.pages(made);

    const meta = this.newId();
    const id = this.newId();
    const fresh = [];
    for (const page of made) {
      const identity = [author.writer, author.dd, sha256(page.plain)].join();
      const known = this.pageCatalog.get(identity);
      Object.assign(page, known ?? { pack: meta, record: fresh.length });
      if (known) continue;
      this.pageCatalog.set(identity, { pack: meta, record: fresh.length });
      fresh.push({ plain: page.plain, chunks: [{ offset: 0, bytes: page.plain }] });
    }
    const sizes = new Map(made.map((page) => [page.pack, this.packs.get(page.pack)?.size ?? 0]));
    sizes.set(meta, 0);
    for (const entry of all)
      for (const [pack] of entry.e ?? []) if (pack.length) sizes.set(pack, this.packs.get(pack).size);
    const root = streams.snapshotRoot({
      id,
      time: timeText(Number.parseInt(started.slice(0, 12), 16)),
      end: timeText(Number.parseInt(id.slice(0, 12), 16)),
      seq: author.flags
        ? Math.floor(this.time / 1000)
        : 1 + Math.max(0, ...this.snapshots.map((one) => one.seq)),
      parents: own.length ? [own.at(-1).id] : [],
      prev: own.at(-1)?.id ?? null,
      known: this.snapshots.map((one) => one.id),
      stats: {
        files: all.filter((entry) => entry.t === 'f').length,
        bytes: all.reduce((sum, entry) => sum + (entry.s ?? 0), 0),
        stored: [...this.packs].reduce((sum, [pack, one]) => sum + (before.has(pack) ? 0 : one.size), 0),
      },
      ...options.fields,
    });
    const stream = () => {
      const packs = streams.packLines(sizes);
      const values = [root, ...packs, ...streams.pageLines(made, packs), ...(options.errors ?? [])];
      return options.stream ? options.stream(values) : values;
    };
    this.put({ author, kind: 'meta', id: meta, records: [...fresh, ...streams.streamRecords(stream())] });
    sizes.set(meta, this.packs.get(meta).size);
    if (options.index !== false) {
      const lines = [streams.indexHead];
      for (const [pack, one] of this.packs) {
        const chunks = one.lines.some((line) => line[0] === 'C');
        if (chunks && !before.has(pack))
          lines.push(...streams.indexLines(pack, one.size, one.author.dd, one.lines));
      }
      this.put({ author, kind: 'indx', records: streams.streamRecords(lines, { firstAlone: false }) });
    }
    if (options.snapshot !== false) {
      this.put({ author, kind: 'snap', id, records: streams.streamRecords(stream()) });
      this.snapshots.push({ id, seq: root.seq, author, root, listing });
      this.expected.set(id, listing);
    }
    return {
      id,
      meta,
      pages: made,
      root,
      listing,
      packs: [...this.packs.keys()].filter((one) => !before.has(one)),
    };
  }

  /** A new pack with some records of an old one (O lines), and the moved object.  */
  move(old, ranges, { author = this.owner, newAuthor = author, head = {} } = {}) {
    const from = this.packs.get(old);
    const to = this.newId();
    const kind = from.kind;
    const hints = from.lines.filter((line) => line[0] === 'F');
    const files = [];
    /** File hints are numbered within one table, so a moved chunk gets a new number and its hint again. */
    const renumber = (chunk) => {
      if (chunk.file === undefined) return chunk;
      const known = files.indexOf(chunk.file);
      if (known >= 0) return { ...chunk, file: known, hint: undefined };
      const file = files.push(chunk.file) - 1;
      return { ...chunk, file, hint: hints[chunk.file].with(1, file) };
    };
    const records = ranges.flatMap(([first, count]) =>
      from.records.slice(first, first + count).map((record, i) => ({
        ...record,
        chunks: record.chunks?.map(renumber),
        origin: i === 0 ? ['O', old, first, count] : undefined,
      })),
    );
    this.put({ author: newAuthor, kind, id: to, records });
    let next = 0;
    const lines = ranges.map(([first, count]) => {
      next += count;
      return ['V', first, count, to, next - count];
    });
    const values = [{ ...streams.movedHead(old, from.author.writer), ...head }, ...lines];
    const moved = this.put({
      kind: 'move',
      old,
      records: streams.streamRecords(values, { firstAlone: false }),
    });
    return { to, moved };
  }

  /** A new root; K_dedup and K_chunker stay, as after a rotation without a leak. */
  rotate() {
    const before = this.owner;
    this.oldRoots = [before.root, ...(this.oldRoots ?? [])];
    this.root = this.random.bytes(32);
    this.owner = new Author({
      root: this.root,
      repo: this.repo,
      kDedup: before.kDedup,
      kChunker: before.kChunker,
    });
    this.keyids.push(this.owner.keyid);
  }

  nameOf(id) {
    return [...this.objects.keys()].find((one) => one.endsWith(`${id}.bpk`));
  }

  remove(...ids) {
    for (const id of ids) this.objects.delete(this.nameOf(id));
  }

  /** Replaces the bytes of an object by change(bytes). */
  change(id, change) {
    const name = this.nameOf(id);
    this.objects.set(name, change(this.objects.get(name)));
  }

  mark(ids, why) {
    const lines = ids.map((id) => ['X', this.nameOf(id)]);
    return this.put({ kind: 'mark', records: [{ plain: ndjson([streams.markHead(why), ...lines]) }] });
  }

  drop(ids, why) {
    const lines = ids.map((id) => ['S', id]);
    const head = streams.dropHead(timeText(this.time), why);
    return this.put({ kind: 'drop', records: [{ plain: ndjson([head, ...lines]) }] });
  }

  /** The readable files at the top. */
  finish(more = {}) {
    const head = {
      backpack: 'repository',
      v: 1,
      repo: this.repo,
      features: { incompat: [], roCompat: [], compat: [] },
      keys: this.keyids,
      made: timeText(1700000000000),
      ...more,
    };
    const open = JSON.stringify(head).slice(0, -1);
    this.objects.set('README.txt', text(README));
    this.objects.set('backpack.json', text(`${open},"xxh64":"${xxh64hex(text(open))}"}\n`));
    return this;
  }
}

/** The format's time: whole seconds, then nine digits. */
export function timeText(milliseconds) {
  const nanos = `${milliseconds % 1000}000000`.padStart(9, '0');
  return `${Math.floor(milliseconds / 1000)}.${nanos}`;
}
export const snapshotName = (id) => `snapshots/${stampOf(id)}-${id}.bpk`;

function fill(entry) {
  const defaults = {
    m: '1700000000.000000000',
    o: { d: '0755', l: '0777' }[entry.t] ?? '0644',
    u: 1000,
    g: 1000,
  };
  const out = { ...defaults, ...entry, p: name(entry.p) };
  if (out.l !== undefined) out.l = name(out.l);
  return out;
}

/** An extent, or a longer last extent when whole records follow each other. */
function addExtent(extents, { pack, record, offset, length, alone }) {
  const last = extents.at(-1);
  if (alone && last?.length === 4 && last[0] === pack && last[1] + last[2] === record && last.whole) {
    last[2] += 1;
    last[3] += length;
    return;
  }
  const extent = offset ? [pack, record, 1, length, offset] : [pack, record, 1, length];
  Object.defineProperty(extent, 'whole', { value: alone });
  extents.push(extent);
}

/** The entry and its `+` lines. */
function split(entry, perLine = 1500) {
  const { content, sha256: _, ...line } = entry;
  const extents = line.e ?? [];
  if (extents.length <= perLine) return [line];
  const more = [];
  for (let at = perLine; at < extents.length; at += perLine) {
    more.push({ p: line.p, t: '+', e: extents.slice(at, at + perLine) });
  }
  return [{ ...line, n: more.length, e: extents.slice(0, perLine) }, ...more];
}

/** What a reader must find for an entry. */
function listed(entry) {
  const out = { path: entry.p, type: entry.t };
  if (entry.t === 'f') Object.assign(out, { size: entry.s, sha256: entry.sha256 });
  Object.assign(out, { mode: entry.o, mtime: entry.m, uid: entry.u, gid: entry.g });
  if (entry.l !== undefined) out.link = entry.l;
  if (entry.rd) out.rdev = entry.rd;
  if (entry.hl) out.hl = entry.hl;
  if (entry.an) out.an = 1;
  return out;
}
