/** What a check found wrong, each thing once, with the snapshots and paths that it affects. */
import type { CheckProblem } from '../pipeline/check-jobs.ts';

/** At most this many paths are named for one thing that is damaged. */
const pathsMax = 100;

/** Something that is damaged or could not be read. */
export interface Finding {
  readonly code: string;
  readonly object: string;
  readonly record: number | undefined;
  readonly message: string;
  /** What to do; what is found later may know better. */
  hint: string | undefined;
  readonly unreadable: boolean;
  readonly snapshots: Set<string>;
  readonly paths: Set<string>;
  /** Number of affected paths in the snapshot that has most of them. */
  pathsTotal: number;
  /** Snapshot that is being counted, its paths so far, and the last one. */
  counted: { snapshot: string; paths: number; last: string };
}

/** See the file's comment. Memory: one entry per finding. */
export class CheckLog {
  readonly #found = new Map<string, Finding>();
  readonly #whole = new Map<string, Finding[]>();
  readonly #records = new Map<string, Map<number, Finding[]>>();

  /** Adds a finding; the same one again is returned as it is. */
  add(object: string, problem: CheckProblem): Finding {
    const { code, record, message, hint, unreadable } = problem;
    const key = `${object} ${record ?? ''} ${code}`;
    const old = this.#found.get(key);
    if (old !== undefined) return old;
    const finding: Finding = {
      code,
      object,
      record,
      message,
      hint,
      unreadable,
      snapshots: new Set(),
      paths: new Set(),
      pathsTotal: 0,
      counted: { snapshot: '', paths: 0, last: '' },
    };
    this.#found.set(key, finding);
    if (record === undefined) push(this.#whole, object, finding);
    else {
      const records = this.#records.get(object) ?? new Map<number, Finding[]>();
      this.#records.set(object, records);
      push(records, record, finding);
    }
    return finding;
  }

  /** What is wrong with an object as a whole. */
  whole(object: string): readonly Finding[] {
    return this.#whole.get(object) ?? none;
  }

  /** What is wrong with single records of an object. */
  records(object: string): ReadonlyMap<number, readonly Finding[]> | undefined {
    return this.#records.get(object);
  }

  /** Everything, in the order of objects and records. */
  all(): Finding[] {
    return [...this.#found.values()].sort(
      (a, b) =>
        (a.object < b.object ? -1 : a.object > b.object ? 1 : 0) || (a.record ?? -1) - (b.record ?? -1),
    );
  }
}

/** Notes that findings affect a snapshot and, where known, a path in it. */
export function affect(findings: readonly Finding[], snapshot: string, path?: string): void {
  for (const finding of findings) {
    finding.snapshots.add(snapshot);
    if (path === undefined) continue;
    if (finding.paths.size < pathsMax) finding.paths.add(path);
    const { counted } = finding;
    if (counted.snapshot !== snapshot) finding.counted = { snapshot, paths: 1, last: path };
    else if (counted.last !== path) {
      counted.paths += 1;
      counted.last = path;
    }
    finding.pathsTotal = Math.max(finding.pathsTotal, finding.counted.paths, finding.paths.size);
  }
}

const none: readonly Finding[] = [];

function push<K>(map: Map<K, Finding[]>, key: K, finding: Finding): void {
  const list = map.get(key);
  if (list === undefined) map.set(key, [finding]);
  else list.push(finding);
}
