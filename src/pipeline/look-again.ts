/** Looks at a file of the source once more, before all workers read it together. */
import type { ByteString } from '../base/bytes.ts';
import { libc } from '../platform/libc.ts';
import { stampOfStat } from '../source/file-state.ts';
import { piecesOf } from '../source/holes.ts';
import { reach } from '../source/reach.ts';
import { closeSource, type FileStamp, openSource, stampOf } from '../source/read-file.ts';
import { lstat } from '../source/source-stat.ts';
import type { RangesTask } from './jobs.ts';
import { rangeBytes } from './scan.ts';

/** The holes of a sparse file, and the state of the file in which it has them. */
export function piecesNow(
  path: ByteString,
  stamp: FileStamp,
): Pick<RangesTask, 'pieces'> & { stamp: FileStamp } {
  const calls = libc();
  if (stamp.sparse !== true || calls === undefined) return { stamp };
  let fd = -1;
  try {
    fd = openSource(path);
    const now = stampOf(fd, path);
    return { stamp: now, pieces: piecesOf(calls, fd, now.size, rangeBytes) };
  } catch {
    // Whoever reads it will meet the same error, and say so.
    return { stamp };
  } finally {
    if (fd >= 0) closeSource(fd);
  }
}

/** The state of a file that is to be read once more; undefined when there is nothing to read. */
export function stampAgain(path: ByteString): FileStamp | undefined {
  try {
    const stat = reach(path, lstat);
    return stat.type === 'f' && stat.size > 0 ? stampOfStat(stat) : undefined;
  } catch {
    return undefined;
  }
}
