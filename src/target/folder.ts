/** The folder that a restore writes to: made when missing, and asked what it can hold. */

import { randomBytes } from 'node:crypto';
import {
  closeSync,
  existsSync,
  lstatSync,
  openSync,
  readdirSync,
  realpathSync,
  statfsSync,
  unlinkSync,
} from 'node:fs';
import { dirname } from 'node:path';
import { utf8ToByteString } from '../base/bytes.ts';
import { BackpackError } from '../base/errors.ts';
import { makeFolders, unmakeFolders } from '../base/folders.ts';
import type { Jail } from './jail.ts';

/** A target that can be used. */
export interface Target {
  /** Its real path. */
  readonly path: string;
  /** Folders that were made for it, the innermost last. */
  readonly made: readonly string[];
}

/** Makes the target and the folders above it. @throws the system's error; then nothing was made */
export function makeTarget(target: string): Target {
  const made: string[] = [];
  try {
    makeFolders(target, 0o777, made);
    readdirSync(target);
    return { path: realpathSync(target), made };
  } catch (error) {
    unmakeFolders(made);
    throw error;
  }
}

/** Space of the filesystem that holds, or would hold, a folder. */
export interface Space {
  /** What a user may still write, bytes. */
  readonly bytes: number;
  /** Unit of allocation, bytes. */
  readonly blockBytes: number;
  /** Files that can still be made; undefined where the filesystem has no such limit. */
  readonly files: number | undefined;
}

/** Space at a path, or at the nearest folder above it that is there. */
export function spaceAt(path: string): Space {
  if (!existsSync(path) && dirname(path) !== path) return spaceAt(dirname(path));
  const { bavail, bsize, files, ffree } = statfsSync(path);
  return { bytes: bavail * bsize, blockBytes: bsize, files: files > 0 ? ffree : undefined };
}

/**
 * Whether the target takes some different names for the same one: `A` and `a`, or the two ways to write an accent.
 * A file is made and removed to find out.
 */
export function foldsNames(jail: Jail): boolean {
  const name = `.backpack-${randomBytes(8).toString('hex')}`;
  const at = jail.at(utf8ToByteString(`${name}-a\u00e9`));
  try {
    closeSync(openSync(at, 'wx', 0o600));
  } catch {
    // What cannot be written at all is told for each file.
    return false;
  }
  try {
    return [`${name}-A\u00e9`, `${name}-ae\u0301`].some(
      (other) => lstatSync(jail.at(utf8ToByteString(other)), { throwIfNoEntry: false }) !== undefined,
    );
  } finally {
    unlinkSync(at);
  }
}

/** BP_NO_SPACE before anything is written. */
export function noSpace(target: string, what: string): BackpackError {
  return new BackpackError('BP_NO_SPACE', `${target} has no room for this restore: ${what}`, {
    kind: 'space',
    hint: 'free some space, restore less, or give --no-space-check',
  });
}
