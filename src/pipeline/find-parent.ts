/** Finds what the parents of a backup say about an entry of the walk. */
import type { ByteString } from '../base/bytes.ts';
import type { ParentCursor } from './parent-cursor.ts';

/** What was found. */
export interface InParents {
  /** The parent whose entry of this path is unchanged. */
  readonly parent: ParentCursor | undefined;
  /** Whether any parent has the path. */
  readonly known: boolean;
}

const inNone: InParents = { parent: undefined, known: false };

/** {@link findInParents} where nothing has to be read for it: undefined when something may have to be. */
export function findNow(parents: readonly ParentCursor[], prefix: string): InParents | undefined {
  const [parent, ...more] = parents;
  if (parent === undefined) return inNone;
  return more.length === 0 && parent.matches(prefix) ? { parent, known: true } : undefined;
}

/**
 * Asks each parent in turn; a later one wins.
 * @param prefix what is expected of the entry's line when nothing has changed
 * @param head what lstat gives of it, with which the prefix begins
 */
export async function findInParents(
  parents: readonly ParentCursor[],
  path: ByteString,
  prefix: string,
  head: string,
): Promise<InParents> {
  let parent: ParentCursor | undefined;
  let known = false;
  for (const cursor of parents) {
    let matches = cursor.matches(prefix);
    if (!matches) {
      let found = cursor.seek(path);
      while (found === 'load') {
        await cursor.load();
        found = cursor.seek(path);
      }
      if (found === 'none') continue;
      matches = cursor.matches(head);
    }
    known = true;
    if (matches) parent = cursor;
  }
  return { parent, known };
}
