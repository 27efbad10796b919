/**
 * What is done about things that are in the target already. A file is replaced by renaming a complete one over it,
 * so that at any moment its name leads to the old content or to the new one; no link is followed, and a folder is
 * never replaced.
 */
import { randomBytes } from 'node:crypto';
import { lstatSync, renameSync, type Stats } from 'node:fs';
import { type ByteString, byteStringToText } from '../base/bytes.ts';
import { BackpackError } from '../base/errors.ts';
import type { Jail } from './jail.ts';

/**
 * `never`: what is there stays, and is reported unless it has the same content; `if-changed`: files with another
 * content are replaced; `always`: every file is written anew.
 */
export type OverwritePolicy = 'never' | 'if-changed' | 'always';

/** What to do when the target became full. */
export const spaceHint =
  'free some space and run the same command with --overwrite if-changed: what is complete is kept';

/** All of them, for those who parse options. */
export const overwritePolicies: readonly OverwritePolicy[] = ['never', 'if-changed', 'always'];

/** A name beside `path` for something that is not complete; not made from its own name, which may be a long one. */
export function partialName(path: ByteString): ByteString {
  const folder = path.slice(0, path.lastIndexOf('/') + 1);
  return `${folder}.backpack-${randomBytes(8).toString('hex')}.partial`;
}

/** What stands at a path; links are not followed. */
export function statAt(jail: Jail, path: ByteString): Stats | undefined {
  return lstatSync(jail.at(path), { throwIfNoEntry: false });
}

/** Moves what was made at `partial` to its own name, in the place of what is there. @throws BP_TARGET_EXISTS */
export function replace(jail: Jail, partial: ByteString, path: ByteString): void {
  if (statAt(jail, path)?.isDirectory())
    throw isThere(path, 'is a folder in the target and was left as it is');
  renameSync(jail.at(partial), jail.at(path));
}

/** What the system says of an error, without the way that names are reached by. */
export function systemText(error: Error): string {
  return error.message.replace(/, \w+ '\/proc\/self\/fd\/.*$/s, '');
}

/** BP_TARGET_EXISTS. */
export function isThere(path: ByteString, what = 'is there already and was left as it is'): BackpackError {
  return new BackpackError('BP_TARGET_EXISTS', `${byteStringToText(path)} ${what}`, {
    kind: 'target',
    context: { path: byteStringToText(path) },
    hint: 'restore into an empty folder, or give --overwrite if-changed',
  });
}
