/**
 * New files with as few system calls as is safe: a file whose owner and mode are right when it is made needs no others.
 * Nobody may read a file meanwhile who may not do so in the end. So the first file of a folder is made for its owner
 * only, and looked at; from then on it is known what owner files get there, and after the first of each mode whether
 * they get exactly that.
 */
import { fstatSync } from 'node:fs';
import type { ByteString } from '../base/bytes.ts';
import type { Jail } from './jail.ts';
import {
  type Has,
  type Metadata,
  type MetadataPolicy,
  ownerToSet,
  plainMode,
  setMetadata,
} from './metadata.ts';
import { createFile } from './write-file.ts';

/** A file that was just made. */
export interface NewFile {
  readonly fd: number;
  readonly has: Has;
}

const privateMode = 0o600;
const nothing: Has = {};

/** Makes a file that was not there. Its content comes next, then {@link finishFile}. @throws EEXIST */
export function newFile(jail: Jail, path: ByteString, m: Metadata, policy: MetadataPolicy): NewFile {
  const habits = jail.habits(path);
  const mode = plainMode(m);
  const { owner, modes } = habits;
  const wanted = ownerToSet(m, policy);
  const isRight = wanted === undefined || (wanted.uid === owner?.uid && wanted.gid === owner.gid);
  if (!habits.isOwn || mode === undefined) return { fd: createFile(jail, path, privateMode), has: nothing };
  if (owner === undefined || !isRight) {
    const fd = createFile(jail, path, privateMode);
    if (owner !== undefined) return { fd, has: nothing };
    const { uid, gid } = fstatSync(fd);
    habits.owner = { uid, gid };
    return { fd, has: { owner: habits.owner } };
  }
  const fd = createFile(jail, path, mode);
  if (modes.has(mode)) return { fd, has: { owner, mode } };
  const got = fstatSync(fd).mode & 0o7777;
  if (got === mode) modes.add(mode);
  return { fd, has: { owner, mode: got } };
}

/** Gives a file that has its content its metadata. @returns what could not be set, for people */
export function finishFile({ fd, has }: NewFile, m: Metadata, policy: MetadataPolicy): string[] {
  return setMetadata(fd, m, policy, has);
}
