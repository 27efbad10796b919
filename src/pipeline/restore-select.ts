/** Some entries of a snapshot instead of all: what is wanted, and the folders that lead to it. */
import type { ByteString } from '../base/bytes.ts';
import type { Entry } from '../format/entry-stream.ts';

/** Decides about entries; asked about each in the order of the snapshot, about a folder before what is in it. */
export interface Selection {
  wants(path: ByteString, isFolder: boolean): boolean;
}

/** Entries that are wanted; a folder that is not comes only before something wanted in it, as one that leads there. */
export async function* selected(entries: AsyncIterable<Entry>, selection: Selection): AsyncGenerator<Entry> {
  /** Folders above the current path that were not given out yet. */
  let waiting: Entry[] = [];
  for await (const entry of entries) {
    const { path, type, json } = entry;
    waiting = waiting.filter((folder) => path.startsWith(`${folder.path}/`));
    const isFolder = type === 'd';
    if (json.an !== 1 && selection.wants(path, isFolder)) {
      yield* waiting;
      waiting = [];
      yield entry;
    } else if (isFolder) {
      if (json.an === 1) selection.wants(path, true);
      waiting.push({ ...entry, json: { ...json, an: 1 } });
    }
  }
}
