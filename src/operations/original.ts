/** Whether a snapshot says where the paths in it came from: for a restore to there. */
import { type ByteString, byteStringToText } from '../base/bytes.ts';
import { BackpackError } from '../base/errors.ts';
import { type NameJson, nameFromJson } from '../format/name-json.ts';
import { shortId } from '../format/names.ts';
import { isBelow } from '../repo/entries.ts';
import type { SnapshotInfo } from '../repo/snapshots.ts';

/**
 * Refuses what would be restored below `/` although it was never there: what was backed up by a relative path, or as a
 * stream.
 * @param path in the snapshot; empty for all @throws BackpackError BP_NO_ORIGINAL
 */
export function mustKnowOrigin({ id, root }: SnapshotInfo, path: ByteString): void {
  const nowhere = (root.roots as readonly NameJson[])
    .map(nameFromJson)
    .filter((name) => !name.startsWith('/') && meet(name, path));
  const [first, ...others] = nowhere;
  if (first === undefined) return;
  const more = others.length === 0 ? '' : ` and ${others.length} more`;
  throw new BackpackError(
    'BP_NO_ORIGINAL',
    `snapshot ${shortId(id)} does not say where ${byteStringToText(first) || '.'}${more} came from: ` +
      'it was backed up by a relative path, or as a stream',
    {
      kind: 'usage',
      hint: `restore it with --to DIR, where DIR is the folder it belongs in; nothing was written`,
    },
  );
}

/** Whether one of two paths holds the other. */
function meet(one: ByteString, other: ByteString): boolean {
  return isBelow(one, other) || isBelow(other, one);
}
