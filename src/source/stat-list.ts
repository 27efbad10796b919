/** What lstat told of many entries, in plain numbers: as it is posted to another thread. */
import { highOf, lowOf, type SourceStat, wholeOf } from './source-stat.ts';

/** Numbers of one entry. */
const fields = 17;

/** See the file's comment. */
export class StatList {
  /** The memory; another list can be made of it. */
  readonly numbers: Float64Array;

  /** @param of how many entries, or what another list consists of */
  constructor(of: number | Float64Array) {
    this.numbers = typeof of === 'number' ? new Float64Array(fields * of) : of;
  }

  /** Sets number `index`. */
  set(index: number, s: SourceStat): void {
    const { numbers } = this;
    let at = fields * index;
    numbers[at++] = s.type.charCodeAt(0);
    numbers[at++] = s.mode;
    numbers[at++] = s.nlink;
    numbers[at++] = s.uid;
    numbers[at++] = s.gid;
    numbers[at++] = s.size;
    numbers[at++] = s.sparse ? 1 : 0;
    numbers[at++] = s.dev;
    numbers[at++] = s.rdev;
    numbers[at++] = s.atimeSec;
    numbers[at++] = s.atimeNsec;
    numbers[at++] = s.mtimeSec;
    numbers[at++] = s.mtimeNsec;
    numbers[at++] = s.ctimeSec;
    numbers[at++] = s.ctimeNsec;
    numbers[at++] = lowOf(s.ino);
    numbers[at] = highOf(s.ino);
  }

  /** Number `index`. */
  get(index: number): SourceStat {
    const n = this.numbers;
    const at = fields * index;
    const low = n[at + 15]!;
    const high = n[at + 16]!;
    return {
      type: String.fromCharCode(n[at]!),
      mode: n[at + 1]!,
      nlink: n[at + 2]!,
      uid: n[at + 3]!,
      gid: n[at + 4]!,
      size: n[at + 5]!,
      sparse: n[at + 6] === 1,
      ino: wholeOf(high, low),
      dev: n[at + 7]!,
      rdev: n[at + 8]!,
      atimeSec: n[at + 9]!,
      atimeNsec: n[at + 10]!,
      mtimeSec: n[at + 11]!,
      mtimeNsec: n[at + 12]!,
      ctimeSec: n[at + 13]!,
      ctimeNsec: n[at + 14]!,
    };
  }
}
