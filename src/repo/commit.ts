/** The commit of a snapshot and the after-check that makes it safe (SPEC, "Writing, committing, deleting"). */
import { ContainerWriter, type WriterMemory } from '../container/container-writer.ts';
import { snapshotName } from '../format/names.ts';
import { formatRoot, formatSnapshotLines, type Snapshot } from '../format/snapshot.ts';
import type { ObjectWriter } from '../storage/storage.ts';
import { notForwarded } from './forwarded.ts';
import { readPresence } from './presence.ts';
import type { Repository } from './repository.ts';

/** Writes the snapshot object: after this it exists, but nothing may be acknowledged before {@link afterCheck}. */
export async function putSnapshot(
  repository: Repository,
  memory: WriterMemory,
  snapshot: Snapshot,
  app: string,
): Promise<number> {
  const { repo, keyring, storage } = repository;
  const { id } = snapshot.root;
  const pieces: Buffer[] = [];
  const collect: ObjectWriter = {
    append: (more) => {
      for (const piece of more) pieces.push(Buffer.from(piece));
    },
    commit: () => storage.put(snapshotName(id), Buffer.concat(pieces), { exclusive: true }),
    abort: async () => {},
  };
  const writer = new ContainerWriter(memory, keyring, { kind: 'snap', repo, id, app }, collect);
  const { kernel, plain, plainMax } = memory.codec;
  for (const text of snapshotTexts(snapshot)) {
    const length = kernel.bytes.write(text, plain, plainMax, 'utf8');
    if (length !== Buffer.byteLength(text))
      throw new RangeError('a piece of a snapshot is larger than a record');
    await writer.addRecord(plain, length);
  }
  await writer.finish();
  return (await writer.commit()).sizeBytes;
}

/** The records of a snapshot: exactly the root line first. */
export function* snapshotTexts(snapshot: Snapshot): Generator<string> {
  yield formatRoot(snapshot.root);
  yield* formatSnapshotLines(snapshot);
}

/**
 * Packs of a snapshot that are gone, resized or about to be deleted, and not forwarded: none means that it is safe.
 */
export async function afterCheck(
  repository: Repository,
  snapshot: Pick<Snapshot, 'packs' | 'pages'>,
): Promise<readonly string[]> {
  const presence = await readPresence(repository);
  const missing = snapshot.packs.filter(({ id, sizeBytes }) => !presence.has(id, sizeBytes));
  if (missing.length === 0) return [];
  return notForwarded(
    repository,
    snapshot,
    missing.map(({ id }) => id),
    presence,
  );
}
