/** The rollback check that commands make before they believe a repository. */
import type { HeadStore } from '../config/heads.ts';
import type { Repository } from '../repo/repository.ts';
import { listSnapshots, type SnapshotList } from '../repo/snapshots.ts';

/** Lists the snapshots and compares with what this machine has seen. @throws BackpackError E_ROLLBACK */
export async function checkHead(repository: Repository, heads: HeadStore): Promise<SnapshotList> {
  const list = await listSnapshots(repository);
  const last = list.snapshots.at(-1);
  const head = last === undefined ? undefined : { id: last.id, seq: last.root.seq };
  heads.check(repository.repo, repository.storage.location, { ids: list.ids, dropped: list.dropped, head });
  return list;
}
