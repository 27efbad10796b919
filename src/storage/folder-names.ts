/**
 * The names in a folder, in the byte order of the objects below it, with little memory however many there are: the
 * folder is read piece by piece, only the first names of what is wanted are kept, and it is read again for the rest.
 */
import { opendir } from 'node:fs/promises';

/** Names that are kept at a time; up to twice as many while the folder is read. */
const namesMax = 32_768;

/** An entry of a folder, as the system gives it. */
export interface FolderEntry {
  readonly name: string;
  isDirectory(): boolean;
}

/**
 * @param keyOf the name of an entry as it is ordered, such as with a slash behind the name of a folder; undefined
 *   leaves it out
 * @param most for tests
 * @throws what the system says
 */
export async function* sortedNames(
  path: string,
  keyOf: (entry: FolderEntry) => string | undefined,
  most: number = namesMax,
): AsyncIterable<string> {
  let after: string | undefined;
  for (;;) {
    const { names, cut } = await firstNames(path, keyOf, after, most);
    yield* names;
    if (!cut) return;
    after = names.at(-1);
  }
}

/** The first names behind one; `cut` when there are more. */
async function firstNames(
  path: string,
  keyOf: (entry: FolderEntry) => string | undefined,
  after: string | undefined,
  most: number,
): Promise<{ names: string[]; cut: boolean }> {
  let names: string[] = [];
  let cut = false;
  /** Nothing from here on can be among the first ones. */
  let end: string | undefined;
  for await (const entry of await opendir(path, { bufferSize: 1024 })) {
    const key = keyOf(entry);
    if (key === undefined || (after !== undefined && key <= after) || (end !== undefined && key >= end))
      continue;
    if (names.push(key) < 2 * most) continue;
    names.sort(inOrder);
    end = names[most]!;
    names = names.slice(0, most);
    cut = true;
  }
  names.sort(inOrder);
  if (names.length > most) {
    names = names.slice(0, most);
    cut = true;
  }
  return { names, cut };
}

function inOrder(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
