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

/** Asks each parent in turn; a later one wins. @param prefix what lstat gives of the entry's line */
export async function findInParents(
  parents: readonly ParentCursor[],
  path: ByteString,
  prefix: string,
): Promise<InParents> {
  let parent: ParentCursor | undefined;
  let known = false;
  for (const cursor of parents) {
    if (!cursor.matches(prefix)) {
      let found = cursor.seek(path);
      while (found === 'load') {
        await cursor.load();
        found = cursor.seek(path);
      }
      if (found === 'none') continue;
    }
    known = true;
    if (cursor.matches(prefix)) parent = cursor;
  }
  return { parent, known };
}
