/**
 * Packs that are gone but forwarded (SPEC, "Writing and committing", 6 b): every record that a snapshot uses of them
 * is led by unmarked moved objects to a pack that is there and unmarked. Pages are read for this, but only when a
 * pack that a new snapshot names was compacted while it was written.
 */
import { readText } from '../container/pack-finder.ts';
import { rootWriter } from '../format/header.ts';
import { linesOf, parseLine } from '../format/json-lines.ts';
import { parseContainerName } from '../format/names.ts';
import type { Snapshot } from '../format/snapshot.ts';
import { parseMoved } from '../format/streams.ts';
import { listAll } from '../storage/storage.ts';
import { Forwarding } from './check-forwarding.ts';
import type { Presence } from './presence.ts';
import type { Repository } from './repository.ts';
import { PageReader } from './snapshots.ts';

/**
 * Those of the missing packs that are not forwarded as a whole, as far as the snapshot uses them.
 * @param missing ids of packs that {@link Presence.has} denies
 * @param presence listed before: moved/ is listed here, after gc/
 */
export async function notForwarded(
  repository: Repository,
  snapshot: Pick<Snapshot, 'pages'>,
  missing: readonly string[],
  presence: Presence,
): Promise<readonly string[]> {
  const moves = await readMoves(repository, presence);
  const lost = new Set(missing.filter((pack) => !moves.has(pack)));
  const open = new Set(missing.filter((pack) => moves.has(pack)));
  const use = (pack: string, record: number): void => {
    if (open.has(pack) && !leads(moves, presence, pack, record)) {
      open.delete(pack);
      lost.add(pack);
    }
  };
  for (const page of snapshot.pages) use(page.pack, page.record);
  const reader = new PageReader(repository, rootWriter);
  for (const page of snapshot.pages) {
    if (open.size === 0) break;
    // A page that cannot be read any more is in a lost pack, which is enough to store everything again.
    if (lost.has(page.pack)) continue;
    eachRecord(await reader.read(page), use);
  }
  return [...lost];
}

async function readMoves(repository: Repository, presence: Presence): Promise<Forwarding> {
  const moves = new Forwarding();
  for (const { name, sizeBytes } of await listAll(repository.storage, 'moved/')) {
    if (presence.marked.has(name)) continue;
    let moved: ReturnType<typeof parseMoved>;
    try {
      moved = parseMoved(await readText(repository.read, name, sizeBytes));
    } catch {
      // It leads nowhere; what only it forwards is missing.
      continue;
    }
    if (moved.from !== parseContainerName(name)?.from || moved.writer !== rootWriter) continue;
    for (const line of moved.moves) moves.add(moved.from, moved.writer, line);
  }
  return moves;
}

function leads(moves: Forwarding, presence: Presence, pack: string, record: number): boolean {
  try {
    moves.resolve(pack, record, (id) => presence.has(id));
    return true;
  } catch {
    return false;
  }
}

/** Calls for each record that the extents of a page name. */
function eachRecord(text: string, use: (pack: string, record: number) => void): void {
  const lines = linesOf(text);
  const { packs } = parseLine(String(lines.next().value)) as { packs: readonly string[] };
  for (const line of lines) {
    const { e = [] } = parseLine(line) as { e?: readonly (readonly number[])[] };
    for (const [k = -1, record = 0, count = 0] of e) {
      const pack = packs[k];
      if (pack !== undefined) for (let i = 0; i < count; i += 1) use(pack, record + i);
    }
  }
}
