/** Writing bytes of a restored file, with its holes. */
import { constants, unlinkSync, writeSync } from 'node:fs';
import type { ByteString } from '../base/bytes.ts';
import type { Jail } from './jail.ts';

const { O_WRONLY, O_CREAT, O_EXCL, O_NOFOLLOW } = constants;

/** Some bytes of a file, or where a hole is. */
export interface Stretch {
  readonly length: number;
  readonly isHole: boolean;
}

/**
 * Makes a file that was not there; others cannot read it before its metadata is set.
 * @param mode given only when nobody could read it who may not do so in the end
 * @throws EEXIST
 */
export function createFile(jail: Jail, path: ByteString, mode = 0o600): number {
  return jail.open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, mode);
}

/** Removes a file that could not be completed. */
export function removeFile(jail: Jail, path: ByteString): void {
  try {
    unlinkSync(jail.at(path));
  } catch {
    // it was never made, or somebody else has removed it
  }
}

/** Writes all bytes at a position of the file. */
export function writeAll(fd: number, bytes: Uint8Array, position: number): void {
  for (let done = 0; done < bytes.byteLength; ) {
    done += writeSync(fd, bytes, done, bytes.byteLength - done, position + done);
  }
}

/** Writes what is not a hole to a file that has its length and no bytes there yet. */
export function writeSparse(
  fd: number,
  bytes: Uint8Array,
  position: number,
  stretches: readonly Stretch[],
): void {
  let at = 0;
  for (const { length, isHole } of stretches) {
    if (!isHole) writeAll(fd, bytes.subarray(at, at + length), position + at);
    at += length;
  }
}
