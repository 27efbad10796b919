/**
 * Checks the pages of one snapshot against the packs (SPEC, "Pages", "Reader's duties" 6): every page as its G line
 * says, entries in order, every extent on whole chunks of a data pack of the same writer. Findings about packs learn
 * here which paths they affect. Memory: one page.
 */

import type { Breath } from '../base/breath.ts';
import { byteStringToText } from '../base/bytes.ts';
import { isBackpackError } from '../base/errors.ts';
import { type Entry, EntryStream } from '../format/entry-stream.ts';
import { type Extent, hole, zeros } from '../format/extents.ts';
import { linesOf, parseLine } from '../format/json-lines.ts';
import { type NameJson, nameFromJson } from '../format/name-json.ts';
import { packName } from '../format/names.ts';
import { reject } from '../format/reject.ts';
import type { PageRef, Snapshot } from '../format/snapshot.ts';
import type { PackFacts } from '../pipeline/check-jobs.ts';
import { problemOf } from '../pipeline/object-checker.ts';
import { coversChunks, type FactsCache } from './check-facts.ts';
import type { Forwarding, RecordPlace } from './check-forwarding.ts';
import { affect, type CheckLog } from './check-log.ts';
import type { PageReader } from './snapshots.ts';

/** What the check of pages needs. */
export interface PagesContext {
  readonly log: CheckLog;
  readonly facts: FactsCache;
  readonly forwarding: Forwarding;
  /** A reader of pages for snapshots of one writer. */
  readonly readerFor: (writer: string) => PageReader;
  /** Whether a pack exists. */
  readonly present: (pack: string) => boolean;
  /** Called once per page. */
  readonly onPage: () => void;
  /** Taken with every extent: a page can name millions of records. */
  readonly breath: Breath;
}

/** Checks the pages of a snapshot. @param writer of the snapshot */
export async function checkPages(context: PagesContext, snapshot: Snapshot, writer: string): Promise<void> {
  const pass = new PagesPass(context, snapshot.root.id, writer);
  for (const page of snapshot.pages) await pass.page(page);
  await pass.end();
}

class PagesPass {
  readonly #c: PagesContext;
  readonly #snapshot: string;
  readonly #writer: string;
  readonly #reader: PageReader;
  #stream = new EntryStream(true);
  /** The page that the entry at hand began on. */
  #from: PageRef | undefined;

  constructor(context: PagesContext, snapshot: string, writer: string) {
    this.#c = context;
    this.#snapshot = snapshot;
    this.#writer = writer;
    this.#reader = context.readerFor(writer);
  }

  async page(page: PageRef): Promise<void> {
    this.#c.onPage();
    const text = await this.#text(page);
    if (text === undefined) {
      await this.#restart();
      return;
    }
    try {
      checkShape(text, page);
    } catch (error) {
      this.#problem(page, error);
    }
    this.#from ??= page;
    try {
      for (const entry of this.#stream.page(text)) {
        await this.#entry(entry);
        this.#from = page;
      }
      this.#from = page;
    } catch (error) {
      this.#problem(page, error);
      this.#stream = new EntryStream(false);
    }
  }

  async end(): Promise<void> {
    try {
      const entry = this.#stream.end();
      if (entry !== undefined) await this.#entry(entry);
    } catch (error) {
      this.#problem(this.#from!, error);
    }
  }

  /** After a page that cannot be read: what stood on it cannot be missed in what follows. */
  async #restart(): Promise<void> {
    try {
      const entry = this.#stream.end();
      if (entry !== undefined) await this.#entry(entry);
    } catch {
      // The continuation of the file may stand on the page that was not read.
    }
    this.#stream = new EntryStream(false);
  }

  /** The text of a page; undefined when it cannot be read, which is noted with the names it would have had. */
  async #text(page: PageRef): Promise<string | undefined> {
    const { log, facts, forwarding, present } = this.#c;
    let place: RecordPlace;
    try {
      place = forwarding.resolve(page.pack, page.record, present);
    } catch (error) {
      this.#lost(page, packName(page.pack), error, undefined);
      return undefined;
    }
    const object = packName(place.pack);
    const found = await facts.get(place.pack);
    for (const finding of log.whole(object)) this.#affectRange([finding], page);
    if (found === undefined) return undefined;
    if (found.kind !== 'meta') {
      this.#lost(
        page,
        object,
        reject('E_KIND', 'a page lies in a pack that is not of kind meta'),
        place.record,
      );
      return undefined;
    }
    try {
      if ((place.writer ?? found.writer) !== this.#writer) {
        const problem = reject('E_WRITER', 'a page lies in a pack of another writer');
        this.#lost(page, object, problem, place.record);
      }
      return await this.#reader.read({ ...page, pack: place.pack, record: place.record });
    } catch (error) {
      this.#lost(page, object, error, place.record);
      return undefined;
    }
  }

  #lost(page: PageRef, object: string, error: unknown, record: number | undefined): void {
    this.#affectRange([this.#c.log.add(object, problemOf(error, record))], page);
  }

  #affectRange(findings: Parameters<typeof affect>[0], page: PageRef): void {
    affect(findings, this.#snapshot, byteStringToText(page.first));
    affect(findings, this.#snapshot, byteStringToText(page.last));
  }

  /** Something is wrong with what a page says. */
  #problem(page: PageRef, error: unknown, entry?: Entry): void {
    // What was stopped is not damaged.
    this.#c.breath.check();
    const finding = this.#c.log.add(packName(page.pack), problemOf(error, page.record));
    const path = entry?.path ?? (isBackpackError(error) ? pathOf(error.context['path']) : undefined);
    if (path === undefined) this.#affectRange([finding], page);
    else affect([finding], this.#snapshot, byteStringToText(path));
  }

  async #entry(entry: Entry): Promise<void> {
    for (const extent of entry.extents) {
      if (extent.pack === hole || extent.pack === zeros) continue;
      await this.#c.breath.take();
      try {
        await this.#extent(entry, extent);
      } catch (error) {
        this.#problem(this.#from!, error, entry);
      }
    }
  }

  /** @throws BackpackError E_EXTENT, E_KIND, E_WRITER for what the page says wrongly */
  async #extent(entry: Entry, extent: Extent): Promise<void> {
    const { pack, record, count, length, offset } = extent;
    if (!this.#c.present(pack)) return this.#moved(entry, extent);
    const facts = await this.#use(entry, pack, undefined);
    if (facts === undefined) return;
    if (record + count > facts.lengths.length)
      throw reject('E_EXTENT', `records ${record} to ${record + count - 1} are not in ${packName(pack)}`);
    let whole = 0;
    for (let i = record; i < record + count; i += 1) whole += facts.lengths[i]!;
    this.#affectRecords(entry, pack, record, count);
    if (whole === length && offset === 0) {
      for (let i = record; i < record + count; i += 1) requireChunks(facts, pack, i, 0, facts.lengths[i]!);
      return;
    }
    if (count > 1 || offset + length > whole)
      throw reject('E_EXTENT', 'records have another length than their extent');
    requireChunks(facts, pack, record, offset, length);
  }

  /** An extent in a pack that is gone: each record may have gone elsewhere. */
  async #moved(entry: Entry, extent: Extent): Promise<void> {
    const { forwarding, present, log } = this.#c;
    let whole = 0;
    for (let i = 0; i < extent.count; i += 1) {
      let place: RecordPlace;
      try {
        place = forwarding.resolve(extent.pack, extent.record + i, present);
      } catch (error) {
        affect(
          [log.add(packName(extent.pack), problemOf(error))],
          this.#snapshot,
          byteStringToText(entry.path),
        );
        return;
      }
      const facts = await this.#use(entry, place.pack, place.writer);
      if (facts === undefined) return;
      const found = facts.lengths[place.record];
      if (found === undefined) throw reject('E_EXTENT', `a moved record is not in ${packName(place.pack)}`);
      whole += found;
      this.#affectRecords(entry, place.pack, place.record, 1);
      const slice = extent.count === 1 && (extent.offset > 0 || extent.length !== found);
      requireChunks(
        facts,
        place.pack,
        place.record,
        slice ? extent.offset : 0,
        slice ? extent.length : found,
      );
      if (slice) return;
    }
    if (whole !== extent.length) throw reject('E_EXTENT', 'records have another length than their extent');
  }

  /** What is known about a pack that an entry uses; its findings learn of the entry. */
  async #use(entry: Entry, pack: string, writer: string | undefined): Promise<PackFacts | undefined> {
    const { log, facts } = this.#c;
    const object = packName(pack);
    const findings = log.whole(object);
    if (findings.length > 0) affect(findings, this.#snapshot, byteStringToText(entry.path));
    const found = facts.peek(pack) ?? (await facts.get(pack));
    if (found === undefined) return undefined;
    if (found.kind !== 'data')
      throw reject('E_KIND', `content of a file lies in ${object}, which is no data pack`);
    if ((writer ?? found.writer) !== this.#writer)
      throw reject('E_WRITER', `content of a file lies in ${object}, a pack of another writer`);
    return found;
  }

  #affectRecords(entry: Entry, pack: string, record: number, count: number): void {
    const damaged = this.#c.log.records(packName(pack));
    if (damaged === undefined) return;
    for (let i = record; i < record + count; i += 1) {
      const findings = damaged.get(i);
      if (findings !== undefined) affect(findings, this.#snapshot, byteStringToText(entry.path));
    }
  }
}

function requireChunks(facts: PackFacts, pack: string, record: number, offset: number, length: number): void {
  if (coversChunks(facts, record, offset, length)) return;
  throw reject('E_EXTENT', `an extent does not cover whole chunks of record ${record} of ${packName(pack)}`);
}

/** A page is what its G line says. @throws BackpackError E_ORDER, E_JSON */
function checkShape(text: string, page: PageRef): void {
  let count = -1;
  let first: string | undefined;
  let last: string | undefined;
  for (const line of linesOf(text)) {
    count += 1;
    if (count === 1) first = line;
    last = line;
  }
  const fits =
    count === page.entries &&
    first !== undefined &&
    last !== undefined &&
    pathOfLine(first) === page.first &&
    pathOfLine(last) === page.last;
  if (!fits) throw reject('E_ORDER', 'a page is not as the snapshot says: other entries');
}

function pathOfLine(line: string): string | undefined {
  const { p } = parseLine(line) as { p?: unknown };
  const named = typeof p === 'string' || (Array.isArray(p) && p.length === 1 && typeof p[0] === 'string');
  return named ? nameFromJson(p as NameJson) : undefined;
}

/** A path as errors carry it: JSON of a byte string. */
function pathOf(value: unknown): string | undefined {
  if (typeof value !== 'string') return undefined;
  try {
    const path: unknown = JSON.parse(value);
    return typeof path === 'string' ? path : undefined;
  } catch {
    return undefined;
  }
}
