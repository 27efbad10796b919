/** Pages (SPEC, "Pages"): whatever is put into them comes out again, and what has not changed stays where it is. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { xxh64 } from '../../src/codec/xxhash.ts';
import { type Entry, EntryStream } from '../../src/format/entry-stream.ts';
import { type Extent, hole, zeros } from '../../src/format/extents.ts';
import { nameToJson } from '../../src/format/name-json.ts';
import { type BuiltPage, type NewEntry, PageBuilder } from '../../src/format/page-builder.ts';
import { comparePaths } from '../../src/format/path-rules.ts';
import type { PageRef } from '../../src/format/snapshot.ts';
import { type LoadPage, ParentCursor } from '../../src/pipeline/parent-cursor.ts';
import { idOf, runs } from '../unit/support.ts';

const hash = (path: string): number => Number.parseInt(xxh64(Buffer.from(path, 'latin1')).slice(8), 16);

/** A file or folder with the fewest keys. */
function entryOf(path: string, extents: readonly Extent[] | undefined, padding = 0): NewEntry {
  const name = nameToJson(path);
  const label = padding > 0 ? `,"later":"${'u'.repeat(padding)}"` : '';
  if (extents === undefined)
    return {
      path,
      prefix: `{"p":${name},"t":"d","m":"1.000000000","o":"0755"${label}`,
      x: undefined,
      extents: [],
    };
  const size = extents.reduce((sum, extent) => sum + extent.length, 0);
  const prefix = `{"p":${name},"t":"f","s":${size},"m":"1.000000000","o":"0644"${label}`;
  return { path, prefix, x: size === 0 ? undefined : '0123456789abcdef', extents };
}

function build(entries: readonly (NewEntry | Parameters<PageBuilder['add']>[0])[]): BuiltPage[] {
  const builder = new PageBuilder(hash);
  return [...entries.flatMap((entry) => builder.add(entry)), ...builder.flush()];
}

function textOf(pieces: readonly (string | Uint8Array)[]): string {
  return pieces.map((piece) => (typeof piece === 'string' ? piece : Buffer.from(piece).toString())).join('');
}

function texts(pages: readonly BuiltPage[]): string[] {
  return pages.map((page) => {
    if (page.kind === 'old') throw new Error('an old page');
    return textOf(page.text);
  });
}

function readBack(pages: readonly string[]): Entry[] {
  const stream = new EntryStream(true);
  const found = pages.flatMap((text) => [...stream.page(text)]);
  const last = stream.end();
  return last === undefined ? found : [...found, last];
}

/** Pages as a parent snapshot has them. */
class Stored {
  readonly refs: PageRef[] = [];
  readonly texts = new Map<PageRef, string>();
  #count = 0;

  add(page: BuiltPage): void {
    if (page.kind === 'old') {
      this.refs.push(page.page.ref);
      return;
    }
    const { entries, first, last, text } = page;
    const ref = { pack: idOf(900_000), record: this.#count++, entries, first, last };
    this.refs.push(ref);
    this.texts.set(ref, textOf(text));
  }

  /** The pages of the next snapshot when these entries are what the walk finds. */
  async next(entries: readonly NewEntry[]): Promise<BuiltPage[]> {
    const load: LoadPage = async (ref) => this.texts.get(ref)!;
    const cursor = new ParentCursor(this.refs, load, () => true, 2n ** 63n);
    const merged: Parameters<PageBuilder['add']>[0][] = [];
    for (const entry of entries) {
      if (!cursor.matches(entry.prefix)) {
        for (let found = cursor.seek(entry.path); found === 'load'; found = cursor.seek(entry.path))
          await cursor.load();
      }
      const same = cursor.matches(entry.prefix);
      const now = same ? cursor.takeNow(entry.path) : undefined;
      merged.push(now ?? (same ? await cursor.take(entry.path, entry.prefix) : entry));
    }
    return build(merged);
  }
}

function store(pages: readonly BuiltPage[]): Stored {
  const stored = new Stored();
  for (const page of pages) stored.add(page);
  return stored;
}

const extent = fc.oneof(
  fc.record({
    pack: fc.nat(50).map(idOf),
    record: fc.nat(3000),
    count: fc.integer({ min: 1, max: 40 }),
    length: fc.integer({ min: 1, max: 2 ** 31 }),
    offset: fc.constant(0),
  }),
  fc.record({
    pack: fc.nat(50).map(idOf),
    record: fc.nat(3000),
    count: fc.constant(1),
    length: fc.integer({ min: 1, max: 2 ** 20 }),
    offset: fc.nat(2 ** 20),
  }),
  fc.record({
    pack: fc.constantFrom(hole, zeros),
    record: fc.constant(0),
    count: fc.constant(0),
    length: fc.integer({ min: 1, max: 2 ** 40 }),
    offset: fc.constant(0),
  }),
);
const name = fc
  .oneof(
    fc.string({ minLength: 1, maxLength: 8 }),
    fc.uint8Array({ minLength: 1, maxLength: 6 }).map((bytes) => Buffer.from(bytes).toString('latin1')),
  )
  .map((text) => Buffer.from(text, 'utf8').toString('latin1').replaceAll(/[/\0]/g, '_'))
  .filter((text) => text !== '.' && text !== '..');

/** A tree: paths with their parents, in order; leaves may have content. */
const tree = fc
  .array(
    fc.tuple(fc.array(name, { minLength: 1, maxLength: 4 }), fc.array(extent, { maxLength: 6 }), fc.nat(9)),
    { maxLength: 40 },
  )
  .map((list) => {
    const found = new Map<string, NewEntry>();
    for (const [parts] of list)
      for (let i = 1; i < parts.length; i += 1)
        found.set(parts.slice(0, i).join('/'), entryOf(parts.slice(0, i).join('/'), undefined));
    for (const [parts, extents, big] of list) {
      const path = parts.join('/');
      if (!found.has(path)) found.set(path, entryOf(path, extents, big === 0 ? 40_000 : 0));
    }
    return [...found.values()].sort((a, b) => comparePaths(a.path, b.path));
  });

describe('entries', () => {
  it('come back from pages', () => {
    fc.assert(
      fc.property(tree, (entries) => {
        const back = readBack(texts(build(entries)));
        expect(back.map(({ path, extents }) => ({ path, extents }))).toEqual(
          entries.map(({ path, extents }) => ({ path, extents })),
        );
      }),
      runs(150),
    );
  });

  it('that have not changed keep every page, and come back after a change', {
    timeout: 120_000,
  }, async () => {
    await fc.assert(
      fc.asyncProperty(tree, fc.nat(), async (entries, which) => {
        const stored = store(build(entries));
        expect((await stored.next(entries)).map((page) => page.kind)).toEqual(stored.refs.map(() => 'old'));
        fc.pre(entries.length > 0);
        // Without one leaf.
        const leaves = entries.filter(
          (entry) => !entries.some(({ path }) => path.startsWith(`${entry.path}/`)),
        );
        const gone = leaves[which % leaves.length];
        const rest = entries.filter((entry) => entry !== gone);
        const pages = await stored.next(rest);
        for (const page of pages) stored.add(page);
        const all = stored.refs.slice(-pages.length).map((ref) => stored.texts.get(ref)!);
        expect(
          readBack(pages.length === 0 ? [] : all).map(({ path, extents }) => ({ path, extents })),
        ).toEqual(rest.map(({ path, extents }) => ({ path, extents })));
      }),
      runs(60),
    );
  });
});

describe('a large snapshot', () => {
  const folders = Array.from({ length: 60 }, (_, i) => `folder-${String(i).padStart(3, '0')}`);
  const entries = folders.flatMap((folder, f) => [
    entryOf(folder, undefined),
    ...Array.from({ length: 120 }, (_, i) =>
      entryOf(
        `${folder}/file-${String(i).padStart(4, '0')}.dat`,
        [{ pack: idOf((f * 7 + i) % 90), record: i, count: 1, length: 1000 + i, offset: i * 3 }],
        40,
      ),
    ),
  ]);
  const first = build(entries);

  it('has pages of at least 64 KiB (but the last) and at most 1 MiB', () => {
    const sizes = texts(first).map((text) => text.length - text.indexOf('\n') - 1);
    expect(sizes.length).toBeGreaterThan(5);
    for (const size of sizes.slice(0, -1)) expect(size).toBeGreaterThanOrEqual(65_536);
    for (const size of sizes) expect(size).toBeLessThanOrEqual(1_048_576);
  });

  it('lists the packs of each page in order of first use, each once', () => {
    for (const text of texts(first)) {
      const [head, ...lines] = text
        .trimEnd()
        .split('\n')
        .map((line) => JSON.parse(line) as { packs: string[]; e?: number[][] });
      const used = lines.flatMap((line) => (line.e ?? []).map(([k]) => k!)).filter((k) => k >= 0);
      expect([...new Set(used)]).toEqual(head!.packs.map((_, i) => i));
      expect(new Set(head!.packs).size).toBe(head!.packs.length);
    }
  });

  it('rewrites at most two pages for an entry more, less, or changed', async () => {
    const stored = store(first);
    for (let at = 100; at < entries.length; at += 700) {
      const path = `${entries[at]!.path}.new`;
      const more = [
        ...entries,
        entryOf(path, [{ pack: idOf(500), record: 0, count: 1, length: 5, offset: 0 }]),
      ].sort((a, b) => comparePaths(a.path, b.path));
      const less = entries.filter((entry, i) => i !== at || entry.extents.length === 0);
      const changed = entries.map((entry, i) =>
        i === at && entry.extents.length > 0
          ? entryOf(entry.path, [{ pack: idOf(501), record: 1, count: 1, length: 77, offset: 0 }], 30)
          : entry,
      );
      for (const next of [more, less, changed]) {
        const pages = await stored.next(next);
        expect(pages.filter((page) => page.kind === 'new').length).toBeLessThanOrEqual(2);
        expect(pages.filter((page) => page.kind === 'old').length).toBeGreaterThanOrEqual(
          stored.refs.length - 2,
        );
      }
    }
  });

  it('has the cuts of a first run again after a change', async () => {
    const less = entries.filter((_, i) => i !== 1000);
    const pages = await store(first).next(less);
    const fresh = build(less);
    expect(pages.map((page) => (page.kind === 'old' ? page.page.ref.last : page.last))).toEqual(
      fresh.map((page) => (page.kind === 'old' ? '' : page.last)),
    );
  });
});

describe('a file of very many extents', () => {
  const huge = (count: number, packs: number): NewEntry =>
    entryOf(
      'd/huge',
      Array.from({ length: count }, (_, i) => ({
        pack: idOf(i % packs),
        record: i,
        count: 1,
        length: 1_000_000,
        offset: 3,
      })),
    );
  const around = (file: NewEntry): NewEntry[] => [
    entryOf('a', []),
    entryOf('d', undefined),
    file,
    entryOf('e', [{ pack: zeros, record: 0, count: 0, length: 4, offset: 0 }]),
  ];

  it.each([
    [3000, 3],
    [100_000, 40],
    [60_000, 20_000],
  ])('is split into + lines: %i extents in %i packs', async (count, packs) => {
    const entries = around(huge(count, packs));
    const pages = build(entries);
    for (const text of texts(pages)) {
      expect(Buffer.byteLength(text)).toBeLessThanOrEqual(2 * 1024 * 1024);
      expect(
        Math.max(
          ...text
            .split('\n')
            .slice(1)
            .map((line) => line.length),
        ),
      ).toBeLessThan(100_000);
      expect(
        (JSON.parse(text.slice(0, text.indexOf('\n'))) as { packs: string[] }).packs.length,
      ).toBeLessThanOrEqual(16_384);
    }
    const back = readBack(texts(pages));
    expect(back.map(({ path, extents }) => ({ path, extents }))).toEqual(
      entries.map(({ path, extents }) => ({ path, extents })),
    );
    // An unchanged second run gives the same content, whatever pages it keeps.
    const stored = store(pages);
    const again = await stored.next(entries);
    for (const page of again) stored.add(page);
    const kept = stored.refs.slice(-again.length).map((ref) => stored.texts.get(ref)!);
    expect(readBack(kept).map(({ path, extents }) => ({ path, extents }))).toEqual(
      entries.map(({ path, extents }) => ({ path, extents })),
    );
    expect(kept).toEqual(texts(pages));
  });
});
