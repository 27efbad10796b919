/**
 * Writes index objects (SPEC, "Index"). Lines are handed on in bounded parts: a run of millions of new chunks must not
 * keep the lines of all of them.
 */
import { MiB } from '../base/limits.ts';
import { ContainerWriter, type WriterMemory } from '../container/container-writer.ts';
import type { Keyring } from '../container/keyring.ts';
import { indexName } from '../format/names.ts';
import type { Storage } from '../storage/storage.ts';

/** Lines that wait to be written, bytes: an index object is made when there are more. */
export const indexPartBytes: number = 4 * MiB;

/** Head of an index object. */
const head = '{"backpack":"index","v":1}\n';

/** What index objects are made with. */
export interface IndexTarget {
  readonly storage: Pick<Storage, 'create'>;
  readonly keyring: Keyring;
  readonly repo: string;
  readonly app: string;
  /** Not in use by another container meanwhile. */
  readonly memory: WriterMemory;
}

/**
 * Writes one index object.
 * @param id 40 hex, fresh
 * @param lines whole lines in pieces of any length; those of a pack are neighbours and begin with its `P` line
 */
export async function writeIndex(
  { storage, keyring, repo, app, memory }: IndexTarget,
  id: string,
  lines: Iterable<Uint8Array> | AsyncIterable<Uint8Array>,
): Promise<void> {
  const out = await storage.create(indexName(id));
  const writer = new ContainerWriter(memory, keyring, { kind: 'indx', repo, id, app }, out);
  try {
    const { kernel, plain } = memory.codec;
    let filled = kernel.bytes.write(head, plain, 'latin1');
    for await (const piece of lines) {
      const bytes = Buffer.from(piece.buffer, piece.byteOffset, piece.byteLength);
      // Records of whole lines, of up to 1 MiB.
      for (let from = 0; from < bytes.byteLength; ) {
        const room = from + MiB - filled;
        const end = room >= bytes.byteLength ? bytes.byteLength : bytes.lastIndexOf(10, room - 1) + 1;
        if (end > from) {
          kernel.bytes.set(bytes.subarray(from, end), plain + filled);
          filled += end - from;
          from = end;
        }
        if (from === bytes.byteLength) break;
        await writer.addRecord(plain, filled);
        filled = 0;
      }
    }
    await writer.addRecord(plain, filled);
    await writer.finish();
  } catch (error) {
    await writer.abort().catch(() => {});
    throw error;
  }
  await writer.commit();
}
