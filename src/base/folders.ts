/** Making folders. Not by the recursive mkdir of Node: it never ends below /proc, and takes other errors for ENOENT. */
import { existsSync, mkdirSync, rmdirSync } from 'node:fs';
import { dirname } from 'node:path';

/**
 * Makes a folder and those above it that are missing.
 * @param mode before the umask
 * @param made gets each that was made, the innermost last: also when a later one fails
 * @returns `made`; nothing was added when something of this name was there
 * @throws Error of the system
 */
export function makeFolders(path: string, mode: number = 0o700, made: string[] = []): string[] {
  try {
    mkdirSync(path, { mode });
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'EEXIST') return made;
    // Where the parent is there, ENOENT means that nothing can be made here.
    if (code !== 'ENOENT' || existsSync(dirname(path))) throw error;
    makeFolders(dirname(path), mode, made);
    mkdirSync(path, { mode });
  }
  made.push(path);
  return made;
}

/** Removes folders that were made, as far as nothing is in them. */
export function unmakeFolders(made: readonly string[]): void {
  try {
    for (const folder of made.toReversed()) rmdirSync(folder);
  } catch {
    // Something is in it after all, and stays.
  }
}
