/**
 * The flag that says of a file or folder that no backup is wanted of it (`chattr +d`). lstat does not tell it: each one
 * is opened, which is why nobody asks unless it is wished.
 */
import { closeSync, constants, openSync } from 'node:fs';
import type { ByteString } from '../base/bytes.ts';
import { BackpackError } from '../base/errors.ts';
import { flagBits } from '../platform/flags.ts';
import { type Libc, libc } from '../platform/libc.ts';
import type { OnIgnored } from './ignore-files.ts';
import { reach } from './reach.ts';
import type { SourceStat } from './source-stat.ts';

const { O_RDONLY, O_NOFOLLOW, O_NONBLOCK } = constants;
const nodump: number = flagBits('d');

/** See the file's comment. */
export class NodumpFlags {
  readonly #flags: Libc['flags'];
  readonly #onIgnored: OnIgnored;
  /** Filesystems that have no flags. */
  readonly #without = new Set<number>();

  /** @param onIgnored called once for each filesystem without flags */
  constructor(calls: Pick<Libc, 'flags'>, onIgnored: OnIgnored) {
    this.#flags = (fd) => calls.flags(fd);
    this.#onIgnored = onIgnored;
  }

  /** Whether a file or folder has the flag; what may not be opened has not, and is told when it is read. */
  has(real: ByteString, { type, dev }: Pick<SourceStat, 'type' | 'dev'>): boolean {
    // Nothing else can have flags, and opening it could do something.
    if (type !== 'f' && type !== 'd') return false;
    if (this.#without.has(dev)) return false;
    let fd: number;
    try {
      fd = reach(real, (path) => openSync(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK));
    } catch {
      return false;
    }
    try {
      const flags = this.#flags(fd);
      if (flags !== undefined) return (flags & nodump) !== 0;
      this.#without.add(dev);
      this.#onIgnored(real, 'its filesystem has no flags, so --exclude-nodump leaves out nothing there');
      return false;
    } catch {
      return false;
    } finally {
      closeSync(fd);
    }
  }
}

/** What reads flags. @throws BackpackError BP_NO_FLAGS: better no backup than one of what nobody wants backed up */
export function flagsOrThrow(): Pick<Libc, 'flags'> {
  const calls = libc();
  if (calls !== undefined) return calls;
  throw new BackpackError('BP_NO_FLAGS', 'file flags cannot be read here, so --exclude-nodump cannot work', {
    kind: 'unsupported',
    hint: 'install the optional package koffi on Linux, or leave out the option; nothing was stored',
  });
}
