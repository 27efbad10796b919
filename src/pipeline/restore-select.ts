/** Some entries of a snapshot instead of all: what the patterns of a restore choose, and the folders that lead to it. */
import { type ByteString, byteStringToText } from '../base/bytes.ts';
import type { Entry } from '../format/entry-stream.ts';
import { isBelow } from '../repo/entries.ts';
import type { PatternRule } from '../source/pattern.ts';
import { type RuleState, Rules } from '../source/rules.ts';

/** A folder on the way to what was asked for last. */
interface Level {
  readonly path: ByteString;
  readonly state: RuleState;
}

/** What patterns choose of a snapshot (docs/choosing.md); paths are compared as if the snapshot lay at `/`. */
export class Selection {
  readonly #rules: Rules;
  /** Path in the snapshot that the user named. */
  readonly top: ByteString;
  readonly #topState: RuleState;
  readonly #levels: Level[] = [];

  /** @param top the path that was named: patterns are about what is below it */
  constructor(rules: readonly PatternRule[], top: ByteString) {
    this.#rules = new Rules(rules);
    this.top = top;
    this.#topState = this.#rules.named(
      top
        .split('/')
        .filter((name) => name !== '')
        .map(byteStringToText),
    );
  }

  /** Whether a path, which is {@link top} or below it, is wanted. Cheapest when asked in the order of a snapshot, but right in any. */
  wants(path: ByteString, isFolder: boolean): boolean {
    if (path === this.top) return true;
    const slash = path.lastIndexOf('/');
    const state = this.#folder(path.slice(0, Math.max(0, slash)));
    return !this.#rules.excludes(
      this.#rules.decide(state, byteStringToText(path.slice(slash + 1)), isFolder),
    );
  }

  /** What the patterns have come to in a folder. It need not have been asked about: its entry may be damaged. */
  #folder(path: ByteString): RuleState {
    const levels = this.#levels;
    while (levels.length > 0 && !isBelow(path, levels.at(-1)!.path)) levels.pop();
    let { path: at, state } = levels.at(-1) ?? { path: this.top, state: this.#topState };
    while (at.length < path.length) {
      const start = at === '' ? 0 : at.length + 1;
      const end = path.indexOf('/', start);
      at = end < 0 ? path : path.slice(0, end);
      const name = byteStringToText(at.slice(start));
      state = this.#rules.enter(state, name, this.#rules.decide(state, name, true));
      levels.push({ path: at, state });
    }
    return state;
  }
}

/**
 * Entries that are wanted; a folder that is not comes only before something wanted in it, as one that leads there, and
 * so does the folder that the user named.
 */
export async function* selected(entries: AsyncIterable<Entry>, selection: Selection): AsyncGenerator<Entry> {
  /** Folders above the current path that were not given out yet. */
  let waiting: Entry[] = [];
  let all = true;
  for await (const entry of entries) {
    const { path, type, json } = entry;
    if (waiting.length > 0) waiting = waiting.filter((folder) => isBelow(path, folder.path));
    const isFolder = type === 'd';
    const isLead = isFolder && (json.an === 1 || path === selection.top);
    if (isLead) waiting.push(entry);
    else if (selection.wants(path, isFolder)) {
      yield* waiting;
      waiting = [];
      yield entry;
    } else {
      all = false;
      if (isFolder) waiting.push({ ...entry, json: { ...json, an: 1 } });
    }
  }
  // There was nothing else.
  if (all) yield* waiting;
}
