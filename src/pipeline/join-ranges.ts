/** Puts together what all workers did of one large file. */
import { BackpackError } from '../base/errors.ts';
import { sameStamp } from '../source/read-file.ts';
import { joinExtents } from './extent-list.ts';
import type { FileResult, FileTask, RangesResult } from './jobs.ts';

/** @param results of all workers @throws BackpackError what ended one of them, when it was not the source */
export function joinRanges(results: readonly RangesResult[], file: FileTask): FileResult {
  const failed = results.find((result) => result.error !== undefined)?.error;
  if (failed !== undefined) {
    if (failed.kind !== 'source') throw BackpackError.fromJSON(failed);
    return { x: '', extents: [], error: failed };
  }
  const ranges = results.flatMap((result) => [...result.ranges]).sort((a, b) => a[0] - b[0]);
  const end = results.find((result) => result.end !== undefined)?.end;
  const extents: number[] = [];
  for (const [, list] of ranges) joinExtents(extents, list);
  if (end === undefined) throw new RangeError(`no worker saw the end of a file of ${file.stamp.size} bytes`);
  const states = results.flatMap(({ before }) => (before === undefined ? [] : [before]));
  // Each worker opens the file for itself: when it changed in between, each range is of one state, but not the whole.
  const mixed = states.some((state) => !sameStamp(state, states[0]!));
  const known = end.warnings ?? [];
  return mixed && !known.includes('torn')
    ? { ...end, warnings: ['torn', ...known], extents }
    : { ...end, extents };
}
