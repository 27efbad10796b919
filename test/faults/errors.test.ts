/**
 * P04, P05: every mutating call of a backup fails, once and from there on, with the errors of a full disk, a full
 * quota and a broken disk; and a disk that is really full. A clean error, nothing acknowledged wrongly, earlier
 * snapshots byte for byte as they were, no temporary file, and no fsync tried twice.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import * as rig from './rig.ts';

const errors = [
  { name: 'ENOSPC', errno: 28, exit: 14, code: 'BP_NO_SPACE' },
  { name: 'EIO', errno: 5, exit: 13, code: 'BP_STORAGE_IO' },
  { name: 'EDQUOT', errno: 122, exit: 14, code: 'BP_NO_SPACE' },
];
/** Campaigns take every call with every error, both ways; the commit tier goes through them in turn. */
const all = rig.setting('RUNS', 0) > 0;
const mounts = rig.isRoot && rig.hasTool('mount');

describe.skipIf(!rig.built || !rig.hasGcc)('a call that fails', () => {
  const place = new rig.Place();
  let counter = '';
  let base: Record<string, string> = {};
  let first = '';

  beforeAll(async () => {
    ({ counter, first, base } = await rig.disturbed(place, 5 * 2 ** 20));
  }, 60_000);

  afterAll(() => place.remove());

  /** One run with a fault. @returns what is wrong about it */
  async function judge(
    at: number,
    error: (typeof errors)[number],
    sticky: boolean,
    thorough: boolean,
    main?: string,
  ): Promise<string[]> {
    const problems: string[] = [];
    const log = place.at(`log-${at}-${error.name}-${sticky}-${main === undefined}`);
    place.goBackTo('base');
    const env: Record<string, string> = {
      LD_PRELOAD: counter,
      FAIL_ROOT: place.repo,
      FAIL_AT: String(at),
      FAIL_ERR: String(error.errno),
      FAIL_LOG: log,
      // A disk that is full can still delete; without that no program could clean up.
      FAIL_NOT: 'unlink',
      ...(sticky ? { FAIL_STICKY: '1' } : {}),
    };
    const args = ['backup', 'source', '--json', '--threads', '1'];
    const ended = await place.backpack(args, { env, ...(main === undefined ? {} : { main }) });
    const calls = rig.callsOf(log);
    const failed = calls[at - 1];
    const where = `${error.name} ${sticky ? 'from' : 'at'} call ${at} (${failed?.name} ${failed?.path})`;
    const say = (problem: string | undefined): void => {
      if (problem !== undefined) problems.push(`${where}: ${problem}`);
    };
    const summary = rig.summaryOf(ended);
    const told = rig.errorOf(ended);
    if (ended.code === 0) {
      // Only what the backup can do without may fail without a word: the index, which is a cache.
      const cache = calls.slice(at - 1, sticky ? undefined : at);
      if (sticky && cache.some(({ path }) => path.includes('/snapshots')))
        say('acknowledged without a snapshot');
      if (summary === undefined) say('ended well without a summary');
      else say(await place.differs(summary.snapshotId, 'source'));
    } else {
      if (ended.code !== error.exit) say(`wrong exit: ${rig.describe(ended)}`);
      if (told?.code !== error.code) say(`wrong error: ${rig.describe(ended)}`);
      if (summary !== undefined) say('a snapshot was acknowledged');
      if (/BP_INTERNAL|\n {4}at /.test(ended.stdout + ended.stderr)) say(`not clean: ${rig.describe(ended)}`);
    }
    const now = rig.fingerprint(place.repo);
    for (const [name, hash] of Object.entries(base))
      if (now[name] !== hash && !name.startsWith('index/')) say(`${name} was changed`);
    const left = place.temporary();
    if (left.length > 0) say(`temporary files remain: ${left.join(', ')}`);
    if (failed?.name === 'fsync' && failed.path.startsWith(`${place.repo}/tmp/`)) {
      const again = calls.slice(at).filter(({ name, path }) => path === failed.path && name !== 'unlink');
      if (again.length > 0) say(`the file was used after its fsync had failed: ${JSON.stringify(again)}`);
    }
    if (thorough) {
      say(place.verify());
      say(await place.differs(first, 'one'));
      say(await place.differs((await place.backup('source')).snapshotId, 'source'));
    }
    return problems;
  }

  async function count(): Promise<number> {
    place.goBackTo('base');
    const log = place.at('log-count');
    const env = { LD_PRELOAD: counter, FAIL_ROOT: place.repo, FAIL_LOG: log, FAIL_NOT: 'unlink' };
    await place.backup('source', { env, args: ['--threads', '1'] });
    return rig.callsOf(log).length;
  }

  it('P04-P05: ends cleanly and loses nothing', async () => {
    const calls = await count();
    const problems: string[] = [];
    let runs = 0;
    for (let at = 1; at <= calls; at += 1) {
      for (const [i, error] of errors.entries()) {
        for (const sticky of [false, true]) {
          if (!all && (at % errors.length !== i || sticky !== (Math.floor(at / errors.length) % 2 === 1)))
            continue;
          runs += 1;
          problems.push(...(await judge(at, error, sticky, runs % 10 === 0)));
        }
      }
    }
    rig.figures('errors', { calls, runs, problems });
    expect(problems).toEqual([]);
  }, 1_800_000);

  it('P04: every fsync that fails', async () => {
    place.goBackTo('base');
    const log = place.at('log-fsync');
    const env = { LD_PRELOAD: counter, FAIL_ROOT: place.repo, FAIL_LOG: log, FAIL_NOT: 'unlink' };
    await place.backup('source', { env, args: ['--threads', '1'] });
    const problems: string[] = [];
    let runs = 0;
    for (const [i, call] of rig.callsOf(log).entries()) {
      if (call.name !== 'fsync') continue;
      runs += 1;
      problems.push(...(await judge(i + 1, errors[1]!, false, false)));
    }
    rig.figures('fsync', { runs, problems });
    expect(problems).toEqual([]);
  }, 300_000);

  it('finds a planted fault: an fsync that is tried again', async () => {
    const main = rig.plant(place, {
      'storage/fs.js': [['await file.sync();', 'await file.sync().catch(() => file.sync());']],
    });
    place.goBackTo('base');
    const log = place.at('log-planted');
    const env = { LD_PRELOAD: counter, FAIL_ROOT: place.repo, FAIL_LOG: log, FAIL_NOT: 'unlink' };
    await place.backup('source', { env, args: ['--threads', '1'] });
    const at =
      rig
        .callsOf(log)
        .findIndex(({ name, path }) => name === 'fsync' && path.startsWith(`${place.repo}/tmp/`)) + 1;
    expect(await judge(at, errors[1]!, false, false, main)).not.toEqual([]);
  }, 60_000);

  it('P05: a restore that cannot write leaves no half file under its name', async () => {
    place.goBackTo('base');
    const { snapshotId } = await place.backup('source');
    const log = place.at('log-restore');
    const target = place.at('out');
    const restore = async (env: Record<string, string>): Promise<rig.Ended> => {
      spawnSync('rm', ['-rf', target]);
      mkdirSync(target);
      const args = ['restore', snapshotId, '--to', target, '--json', '--threads', '1'];
      return place.backpack(args, { env: { LD_PRELOAD: counter, FAIL_ROOT: target, ...env } });
    };
    expect((await restore({ FAIL_LOG: log })).code).toBe(0);
    const named = rig.callsOf(log);
    const calls = named.length;
    const dice = new rig.Dice(rig.seed + 3);
    const problems: string[] = [];
    const runs = all ? 60 : 9;
    for (let i = 0; i < runs; i += 1) {
      const error = errors[i % errors.length]!;
      const at = i < 3 ? i + 1 : 1 + dice.next(calls);
      const sticky: Record<string, string> = i % 2 === 0 ? { FAIL_STICKY: '1' } : {};
      const env = { FAIL_AT: String(at), FAIL_ERR: String(error.errno), FAIL_NOT: 'unlink', ...sticky };
      const ended = await restore(env);
      const where = `${error.name} at ${at} of ${calls}, sticky ${i % 2 === 0}`;
      // A file of another size or content than its source may only be absent.
      for (const line of differences(place.at('source'), join(target, 'source')))
        if (!line.startsWith(`Only in ${place.at('source')}`)) problems.push(`${where}: ${line}`);
      // Whether the target tells names apart is only asked: without an answer everything is restored all the same.
      const asked = named[at - 1]!.path.includes('/.backpack-') && i % 2 === 1;
      if (
        (ended.code === 0 && !asked) ||
        ended.code === null ||
        /BP_INTERNAL/.test(ended.stdout + ended.stderr)
      )
        problems.push(`${where}: ${rig.describe(ended)}`);
      if (error.exit === 14 && ended.code !== 14) problems.push(`${where}: ${rig.describe(ended)}`);
    }
    rig.figures('restore-errors', { calls, runs, problems });
    expect(problems).toEqual([]);
  }, 300_000);
});

describe.skipIf(!rig.built || !mounts)('a full disk', () => {
  const place = new rig.Place();
  const disk = place.at('disk');

  beforeAll(() => {
    mkdirSync(disk);
    const dice = new rig.Dice(rig.seed);
    rig.makeSource(place.at('one'), dice, { files: 20, largeBytes: 0 });
    rig.makeSource(place.at('source'), dice, { files: 100, largeBytes: 6 * 2 ** 20 });
  });

  afterAll(() => place.remove());

  async function withDisk(sizeKib: number, use: () => Promise<void>): Promise<void> {
    const made = spawnSync('mount', ['-t', 'tmpfs', '-o', `size=${sizeKib}k`, 'tmpfs', disk], {
      encoding: 'utf8',
    });
    expect(made.stderr).toBe('');
    try {
      await use();
    } finally {
      spawnSync('umount', [disk]);
    }
  }

  it('P05: a backup that does not fit', async () => {
    const repo = join(disk, 'repo');
    const on = ['--repo', repo, '--key', place.key];
    for (const sizeKib of all ? range(1000, 8000, 100) : [1000, 3100, 6700]) {
      spawnSync('rm', ['-f', place.key]);
      await withDisk(sizeKib, async () => {
        expect((await place.run(['init', ...on])).code).toBe(0);
        expect((await place.run(['backup', 'one', ...on])).code).toBe(0);
        const before = rig.fingerprint(repo);
        const ended = await place.run(['backup', 'source', '--json', ...on]);
        if (ended.code !== 0) {
          expect({ code: ended.code, error: rig.errorOf(ended)?.code }, rig.describe(ended)).toEqual({
            code: 14,
            error: 'BP_NO_SPACE',
          });
          expect(rig.summaryOf(ended)).toBeUndefined();
          // What was stored before is as it was, and can be read while the disk is full.
          expect(rig.fingerprint(repo)).toMatchObject(before);
          expect((await place.run(['list', ...on])).code).toBe(0);
        }
        expect(rig.sizes(join(repo, 'tmp')).size).toBe(0);
        const to = place.at('out');
        spawnSync('rm', ['-rf', to]);
        expect((await place.run(['restore', 'latest:one', '--to', to, ...on])).code).toBe(
          ended.code === 0 ? 1 : 0,
        );
        spawnSync('mount', ['-o', 'remount,size=64m', disk]);
        expect((await place.run(['backup', 'source', ...on])).code).toBe(0);
      });
    }
  }, 600_000);

  it('P05: a restore that does not fit', async () => {
    spawnSync('rm', ['-f', place.key]);
    await place.init();
    await place.backup('source');
    for (const sizeKib of [200, 3000, 6200]) {
      await withDisk(sizeKib, async () => {
        const ended = await place.backpack(['restore', 'latest', '--to', join(disk, 'out'), '--json']);
        expect({ code: ended.code, error: rig.errorOf(ended)?.code }, rig.describe(ended)).toEqual({
          code: 14,
          error: 'BP_NO_SPACE',
        });
        for (const line of differences(place.at('source'), join(disk, 'out/source')))
          expect(line).toMatch(new RegExp(`^Only in ${place.at('source')}`));
      });
    }
  }, 120_000);
});

/** Lines of `diff -rq`; nothing when there is no second folder. */
function differences(a: string, b: string): string[] {
  if (!existsSync(b)) return [];
  const found = spawnSync('diff', ['-rq', '--no-dereference', a, b], { encoding: 'utf8' });
  return found.stdout.split('\n').filter((line) => line !== '');
}

function range(from: number, to: number, step: number): number[] {
  return Array.from({ length: Math.floor((to - from) / step) + 1 }, (_, i) => from + i * step);
}
