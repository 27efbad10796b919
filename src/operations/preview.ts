/**
 * What a backup would store: the walk and the comparison with the parents, without reading a file or writing anything.
 * Its counts are those of a backup that begins now, as far as files can be counted without their content.
 */
import { accessSync, constants } from 'node:fs';
import type { ByteString } from '../base/bytes.ts';
import { type Clock, systemClock } from '../base/ports.ts';
import type { NameJson } from '../format/name-json.ts';
import { nameToJson } from '../format/name-json.ts';
import { EntryLines } from '../pipeline/entry-line.ts';
import { findInParents } from '../pipeline/find-parent.ts';
import { LinkedFiles } from '../pipeline/linked-files.ts';
import { Owners } from '../platform/owners.ts';
import { readPresence } from '../repo/presence.ts';
import type { Repository } from '../repo/repository.ts';
import { listSnapshots } from '../repo/snapshots.ts';
import { Filter, type FilterPorts } from '../source/filter.ts';
import { reach } from '../source/reach.ts';
import { type SourceItem, walk } from '../source/walk.ts';
import type { BackupEvent, BackupOptions } from './backup-options.ts';
import { openParents, parentsOf } from './parents.ts';
import { recordedRoots } from './roots.ts';

/** What happens while a preview runs. */
export type PreviewEvent =
  | {
      readonly type: 'would-store';
      readonly path: ByteString;
      /** Letter of the format. */
      readonly kind: string;
      readonly change: 'new' | 'changed';
      readonly bytes: number;
    }
  | Extract<BackupEvent, { type: 'source-error' | 'skipped' | 'excluded' | 'rules-ignored' }>;

/** What would be stored. */
export interface PreviewSummary {
  readonly files: number;
  readonly bytes: number;
  readonly newFiles: number;
  readonly changedFiles: number;
  readonly unchangedFiles: number;
  /** Look unchanged and would be read all the same: they are too young to be sure, or `readAll` wants it. */
  readonly rereadFiles: number;
  /** Bytes of new and changed files. */
  readonly newBytes: number;
  /** Bytes that would be read: those, and of files that are read again; of several names of one file once. */
  readonly bytesToRead: number;
  readonly sourceErrors: number;
  readonly excluded: number;
  readonly elapsedMs: number;
}

/** What of the options of a backup counts. */
export type PreviewOptions = Pick<
  BackupOptions,
  'roots' | 'filter' | 'decide' | 'host' | 'set' | 'readAll' | 'withAtime' | 'signal' | 'clock'
>;

type Counts = {
  -readonly [K in Exclude<keyof PreviewSummary, 'sourceErrors' | 'excluded' | 'elapsedMs'>]: number;
};

/** Calls between two moments at which a signal can be heard. */
const yieldEvery = 1024;

/**
 * Looks at the source and tells what a backup would store.
 * @param repository undefined: there is none yet, so everything is new
 */
export async function preview(
  repository: Repository | undefined,
  options: PreviewOptions,
  emit: (event: PreviewEvent) => void,
): Promise<PreviewSummary> {
  const clock: Clock = options.clock ?? systemClock;
  const started = clock.now();
  const cursors = repository === undefined ? [] : await cursorsOf(repository, options);
  const lines = new EntryLines(new Owners(), options.withAtime === true);
  const counts: Counts = {
    files: 0,
    bytes: 0,
    newFiles: 0,
    changedFiles: 0,
    unchangedFiles: 0,
    rereadFiles: 0,
    newBytes: 0,
    bytesToRead: 0,
  };
  const linked = new LinkedFiles();
  const left = { sourceErrors: 0, excluded: 0 };
  const filter = new Filter(options.filter, { ...portsOf(emit), decide: options.decide });
  let seen = 0;
  for (const item of walk(options.roots, filter)) {
    seen += 1;
    if (seen % yieldEvery === 0) await new Promise((resolve) => setImmediate(resolve));
    options.signal?.throwIfAborted();
    if ('code' in item) {
      const { code, message } = item;
      const path = item.stored || item.real;
      if (code === 'excluded') left.excluded += 1;
      else if (code !== 'skipped') left.sourceErrors += 1;
      if (code === 'excluded') emit({ type: code, path, reason: message });
      else if (code === 'skipped') emit({ type: code, path, reason: message });
      else emit({ type: 'source-error', path, code, message });
      continue;
    }
    const { stat, stored } = item;
    const kind = stat.type;
    if (kind === '?') {
      left.sourceErrors += 1;
      emit({ type: 'source-error', path: stored, code: 'ETYPE', message: 'unknown type of file' });
      continue;
    }
    const head = lines.head(item, kind);
    const prefix = head + lines.rest(item, kind);
    const { parent, known } = await findInParents(cursors, stored, prefix, head);
    const trusted = parent?.trusts(stat) === true && options.readAll !== true;
    const bytes = kind === 'f' ? stat.size : 0;
    if (kind === 'f') {
      const reads = bytes > 0 && !trusted && (stat.nlink === 1 || linked.of(stat).isFirst);
      const unreadable = reads ? whyUnreadable(item) : undefined;
      if (unreadable !== undefined) {
        left.sourceErrors += 1;
        emit({ type: 'source-error', path: stored, ...unreadable });
        continue;
      }
      counts.files += 1;
      counts.bytes += bytes;
      const same = trusted || bytes === 0 ? 'unchangedFiles' : 'rereadFiles';
      counts[parent !== undefined ? same : known ? 'changedFiles' : 'newFiles'] += 1;
      if (parent === undefined) counts.newBytes += bytes;
      if (reads) counts.bytesToRead += bytes;
    }
    if (parent === undefined && tells(item, known))
      emit({ type: 'would-store', path: stored, kind, change: known ? 'changed' : 'new', bytes });
  }
  return { ...counts, ...left, elapsedMs: clock.now() - started };
}

/** What the system says to somebody who may not read a file; it is not opened. */
function whyUnreadable({ real }: SourceItem): { code: string; message: string } | undefined {
  try {
    reach(real, (path) => accessSync(path, constants.R_OK));
    return undefined;
  } catch (error) {
    const { code = '', message } = error as NodeJS.ErrnoException;
    return { code, message };
  }
}

/** Folders change with what is in them: only new ones are worth a word, and none above a root. */
function tells({ stat, ancestor }: SourceItem, known: boolean): boolean {
  return !ancestor && !(known && stat.type === 'd');
}

function portsOf(emit: (event: PreviewEvent) => void): FilterPorts {
  return { onIgnored: (path, message) => emit({ type: 'rules-ignored', path, message }) };
}

async function cursorsOf(
  repository: Repository,
  { roots, host, set }: Pick<BackupOptions, 'roots' | 'host' | 'set'>,
): Promise<NonNullable<Awaited<ReturnType<typeof openParents>>[number]['cursor']>[]> {
  const recorded = recordedRoots(roots).map((path) => JSON.parse(nameToJson(path)) as NameJson);
  const list = await listSnapshots(repository);
  const presence = await readPresence(repository);
  const parents = await openParents(
    repository,
    parentsOf(list, { host, set, roots: recorded }),
    presence,
    [],
  );
  return parents.flatMap(({ cursor }) => (cursor === undefined ? [] : [cursor]));
}
