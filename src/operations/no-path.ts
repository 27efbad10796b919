/** A path that is not in a snapshot, and what the paths in it look like. */
import { type ByteString, byteStringToText } from '../base/bytes.ts';
import { BackpackError } from '../base/errors.ts';
import { type NameJson, nameFromJson } from '../format/name-json.ts';
import { shortId } from '../format/names.ts';
import { isBelow } from '../repo/entries.ts';
import type { SnapshotInfo } from '../repo/snapshots.ts';

/** Beginnings of paths that are named; who has more looks for himself. */
const rootsMax = 3;

/** BP_NO_PATH. @param text how paths are shown */
export function noPath(
  path: ByteString,
  { id, root }: SnapshotInfo,
  text: (path: ByteString) => string = byteStringToText,
): BackpackError {
  const roots = (root.roots as readonly NameJson[]).map((name) => nameFromJson(name).replace(/^\/+/, ''));
  const elsewhere = roots.length <= rootsMax && roots.every((top) => top !== '' && !isBelow(path, top));
  const where = elsewhere ? `paths in it begin with ${roots.map(text).join(' or ')}; ` : '';
  return new BackpackError('BP_NO_PATH', `${text(path)} is not in snapshot ${shortId(id)}`, {
    kind: 'not-found',
    hint: `${where}backpack ls ${shortId(id)} shows what is in it`,
  });
}
