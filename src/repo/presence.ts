/** Which packs are there and may be used: listings of packs/, gc/ and moved/ (SPEC, "Writing"). */
import { withObject } from '../container/container-reader.ts';
import { readText } from '../container/pack-finder.ts';
import { packName, parseContainerName } from '../format/names.ts';
import { parseMark } from '../format/streams.ts';
import { listAll } from '../storage/storage.ts';
import type { Repository } from './repository.ts';

/** The state of packs/ as a writer must see it. */
export interface Presence {
  /** Size of each pack that exists, by id. */
  readonly sizes: ReadonlyMap<string, number>;
  /** Names of objects that are about to be deleted. */
  readonly marked: ReadonlySet<string>;
  /** Whether a pack exists with this size (any size when not given) and is not marked. */
  has(pack: string, sizeBytes?: number): boolean;
}

/**
 * Lists gc/ first and packs/ second: in this order an acknowledged snapshot cannot lose a pack, whatever other
 * clients do (SPEC, "Writing, committing, deleting").
 * @throws BackpackError when a mark cannot be read: then nothing may be relied on
 */
export async function readPresence(repository: Repository): Promise<Presence> {
  const marked = new Set<string>();
  for (const { name, sizeBytes } of await listAll(repository.storage, 'gc/')) {
    try {
      for (const marks of parseMark(await readText(repository.read, name, sizeBytes))) marked.add(marks);
    } catch (error) {
      throw withObject(error, name);
    }
  }
  const sizes = new Map<string, number>();
  for await (const { name, sizeBytes } of repository.storage.list('packs/')) {
    const id = parseContainerName(name)?.id;
    if (id !== undefined) sizes.set(id, sizeBytes);
  }
  const has = (pack: string, sizeBytes?: number): boolean => {
    const size = sizes.get(pack);
    return (
      size !== undefined && (sizeBytes === undefined || size === sizeBytes) && !marked.has(packName(pack))
    );
  };
  return { sizes, marked, has };
}
