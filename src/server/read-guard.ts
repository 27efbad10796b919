/**
 * What the role write-only may read of a pack: header, table and trailer, and everything of packs of pages. Not the
 * records of data packs: who steals the key file and the access key of such a client cannot fetch old content.
 */
import { blockBytes } from '../base/limits.ts';
import type { ByteRange, Storage } from '../storage/index.ts';
import { tableOffsetOf } from './receipt.ts';
import { denied } from './rights.ts';

/** @throws BackpackError BP_STORAGE_DENIED when the range holds a record of a data pack */
export async function guardRead(
  storage: Storage,
  name: string,
  sizeBytes: number,
  range: ByteRange,
): Promise<void> {
  if (!name.startsWith('packs/') || range.length === 0) return;
  const { offset, length } = range;
  if (offset + length <= blockBytes) return;
  if (sizeBytes >= 2 * blockBytes) {
    const header = await storage.get(name, { range: { offset: 0, length: blockBytes } });
    const kind = /\nkind=([a-z]{4})\n/.exec(Buffer.from(header).toString('latin1'))?.[1];
    if (kind === 'meta') return;
    const trailer = await storage.get(name, {
      range: { offset: sizeBytes - blockBytes, length: blockBytes },
    });
    if (offset >= (tableOffsetOf(trailer) ?? Infinity)) return;
  }
  throw denied('write-only', 'read', name);
}
