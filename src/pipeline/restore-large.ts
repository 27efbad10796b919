/**
 * The main thread's part of restoring one large file: all workers write its parts at once under another name, and it
 * gets its own when its XXH64 is right.
 */
import { closeSync, constants, ftruncateSync, linkSync, openSync, renameSync, unlinkSync } from 'node:fs';
import type { ByteString } from '../base/bytes.ts';
import { BackpackError } from '../base/errors.ts';
import type { PackFinder } from '../container/pack-finder.ts';
import { reject } from '../format/reject.ts';
import { Kernel } from '../kernel/kernel.ts';
import { isThere, partialName, replace, statAt } from '../target/existing.ts';
import type { Jail } from '../target/jail.ts';
import { isNameError, legalPath } from '../target/legal-name.ts';
import { setMetadata } from '../target/metadata.ts';
import { createFile, removeFile } from '../target/write-file.ts';
import { chainBytes, RangeChain } from './range-chain.ts';
import type { LargeResult, RestoreFile, RestoreLarge, RestoreOutcome, RestoreRules } from './restore-jobs.ts';
import { partsOf } from './restore-plan.ts';
import type { WorkerPort } from './worker-port.ts';

/** What it works with. */
export interface LargeOptions {
  readonly jail: Jail;
  readonly packs: PackFinder;
  readonly workers: readonly WorkerPort[];
  readonly writer: string;
  readonly rules: RestoreRules;
  readonly signal?: AbortSignal | undefined;
}

/** Restores a large file; no worker may be busy. @throws what went wrong; then nothing is left behind */
export async function restoreLarge(o: LargeOptions, file: RestoreFile): Promise<RestoreOutcome> {
  const { jail, rules } = o;
  const stat = statAtRefused(jail, file.path);
  if (stat === 'refused' || (rules.foldsNames && stat !== undefined && !jail.has(file.path))) {
    const as = legalPath(file.path);
    return { ...(await restoreLarge(o, { ...file, path: as })), as };
  }
  const replaces = stat !== undefined;
  if (replaces) {
    const kept =
      rules.overwrite === 'always'
        ? undefined
        : await o.workers[0]!.call<string[] | undefined>('keep', { ...file, extents: [] });
    if (kept !== undefined) return { was: 'same', lost: kept };
    if (rules.overwrite === 'never' || stat.isDirectory()) throw isThere(file.path);
  }
  const partial = partialName(file.path);
  let lost: string[];
  try {
    const fd = createFile(jail, partial);
    try {
      ftruncateSync(fd, file.sizeBytes);
    } finally {
      closeSync(fd);
    }
    await fill(o, file, partial);
    lost = nameIt(o, file, partial, replaces);
  } catch (error) {
    removeFile(jail, partial);
    throw error;
  }
  return replaces ? { was: 'replaced', lost } : { lost };
}

function statAtRefused(jail: Jail, path: ByteString): ReturnType<typeof statAt> | 'refused' {
  try {
    return statAt(jail, path);
  } catch (error) {
    if (isNameError(error)) return 'refused';
    throw error;
  }
}

async function fill(o: LargeOptions, file: RestoreFile, partial: ByteString): Promise<void> {
  const parts = await partsOf(file.extents, o.packs, o.writer);
  const chain = new SharedArrayBuffer(chainBytes(Kernel.create(0).hashStateBytes));
  const task: RestoreLarge = { file: { ...file, extents: [] }, partial, parts, chain, writer: o.writer };
  const stop = (): void => new RangeChain(chain).fail();
  o.signal?.addEventListener('abort', stop);
  const results = await Promise.all(
    o.workers.map((worker) => worker.call<LargeResult>('large', task)),
  ).finally(() => o.signal?.removeEventListener('abort', stop));
  const failed = results.find((result) => result.error !== undefined)?.error;
  if (failed !== undefined) throw BackpackError.fromJSON(failed);
  const x = results.find((result) => result.x !== undefined)?.x;
  if (x !== file.x) throw reject('E_HASH', 'the content has another XXH64 than the snapshot says');
}

/** @returns what of its metadata could not be set */
function nameIt(o: LargeOptions, file: RestoreFile, partial: ByteString, replaces: boolean): string[] {
  const { jail, rules } = o;
  let lost: string[];
  const fd = openSync(jail.at(partial), constants.O_RDONLY | constants.O_NOFOLLOW);
  try {
    lost = setMetadata(fd, file.metadata, rules.metadata);
  } finally {
    closeSync(fd);
  }
  if (replaces) {
    replace(jail, partial, file.path);
    return lost;
  }
  try {
    // Unlike rename, link never replaces what somebody put there meanwhile.
    linkSync(jail.at(partial), jail.at(file.path));
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code !== 'EPERM' && code !== 'ENOTSUP' && code !== 'EOPNOTSUPP' && code !== 'ENOSYS') throw error;
    renameSync(jail.at(partial), jail.at(file.path));
    return lost;
  }
  unlinkSync(jail.at(partial));
  return lost;
}
