/** Whether an object that is there is the one a client has sent before it lost its connection. */
import { blockBytes, MiB } from '../base/limits.ts';
import { ContentHash } from '../net/content-hash.ts';
import type { ObjectInfo, Storage } from '../storage/index.ts';
import { hashInTrailer } from './receipt.ts';

/** @returns what is there when it has this length and hash, else undefined */
export async function sameObject(
  storage: Storage,
  name: string,
  sizeBytes: number,
  xxh64: string | undefined,
): Promise<ObjectInfo | undefined> {
  const found = await storage.stat(name);
  if (found === undefined || found.sizeBytes !== sizeBytes || xxh64 === undefined) return undefined;
  if (sizeBytes >= blockBytes) {
    const range = { offset: sizeBytes - blockBytes, length: blockBytes };
    const given = hashInTrailer(await storage.get(name, { range }));
    if (given !== undefined) return given === xxh64 ? found : undefined;
  }
  const hash = new ContentHash();
  for (let offset = 0; offset < sizeBytes; offset += MiB) {
    hash.update(await storage.get(name, { range: { offset, length: Math.min(MiB, sizeBytes - offset) } }));
  }
  return hash.hex() === xxh64 ? found : undefined;
}
