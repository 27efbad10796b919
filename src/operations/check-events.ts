/** What a check says: events while it runs, findings with what they affect, a summary at its end. */
import type { Finding } from '../repo/check-log.ts';

/** What happens while a check runs. Findings come at the end, when it is known what they affect. */
export type CheckEvent =
  | {
      readonly type: 'progress';
      readonly objects: number;
      readonly objectsTotal: number;
      readonly bytesRead: number;
      readonly bytesTotal: number;
    }
  | {
      /** `unreadable`: the storage did not give the bytes, so nothing is known about them. */
      readonly type: 'damage' | 'unreadable';
      readonly code: string;
      readonly object: string;
      readonly record?: number;
      readonly message: string;
      readonly hint: string;
      /** Ids of the snapshots that are affected. */
      readonly snapshots: readonly string[];
      /** Affected paths, at most 100; of an unreadable page the first and the last. */
      readonly paths: readonly string[];
      /** How many paths the most affected snapshot has; at least the number of `paths`. */
      readonly pathsTotal: number;
    }
  | {
      readonly type: 'warning';
      readonly code: string;
      readonly message: string;
      readonly objects: readonly string[];
    };

/** Result of a check. */
export interface CheckSummary {
  readonly snapshots: number;
  readonly objects: number;
  /** Records of packs whose tag and content were checked; 0 without `readData`. */
  readonly records: number;
  readonly bytesRead: number;
  /** Number of damage events. */
  readonly damaged: number;
  /** Number of events about what the storage did not give. */
  readonly unreadable: number;
  readonly warnings: number;
  readonly elapsedMs: number;
}

/** A finding as an event. */
export function eventOf(finding: Finding): CheckEvent {
  const { code, object, record, message, hint, unreadable, snapshots, paths, pathsTotal } = finding;
  return {
    type: unreadable ? 'unreadable' : 'damage',
    code,
    object,
    ...(record === undefined ? {} : { record }),
    message,
    hint: hint ?? nextStep(object),
    snapshots: [...snapshots],
    paths: [...paths],
    pathsTotal,
  };
}

function nextStep(object: string): string {
  if (object.startsWith('index/'))
    return 'nothing is lost: the index is a cache; delete this object, and the next backup makes it anew';
  if (object.startsWith('packs/') || object.startsWith('snapshots/'))
    return 'everything else can still be restored; bring it back from another copy, or save what is left: node recover/recover.js --key key.bin scan --to DIR';
  return 'bring it back from another copy of the repository';
}
