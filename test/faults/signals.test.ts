/** P06: SIGINT and SIGTERM at any moment: the end comes within 5 s, with its exit code, and leaves no file behind. */
import { existsSync, readdirSync, rmSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import * as rig from './rig.ts';

const runs = rig.setting('RUNS', 10);

describe.skipIf(!rig.built || process.platform === 'win32')('signals', () => {
  const place = new rig.Place();
  let fullMs = 0;
  let limitMs = 5000;
  let base: Record<string, string> = {};
  let id = '';

  beforeAll(async () => {
    const dice = new rig.Dice(rig.seed);
    rig.makeSource(place.at('one'), dice, { files: 20, largeBytes: 0 });
    rig.makeSource(place.at('source'), dice, { files: 600, largeBytes: 24 * 2 ** 20 });
    await place.init();
    await place.backup('one');
    base = rig.fingerprint(place.repo);
    place.save('base');
    const started = performance.now();
    id = (await place.backup('source')).snapshotId;
    fullMs = performance.now() - started;
    // On a machine that is busy with other things, everything takes longer.
    limitMs = Math.max(5000, 4 * fullMs);
    place.save('full');
  }, 60_000);

  afterAll(() => place.remove());

  async function stopped(
    args: readonly string[],
    dice: rig.Dice,
  ): Promise<{ code: number; afterMs: number; ended: rig.Ended; late: boolean }> {
    const signal = dice.next(2) === 0 ? 'SIGINT' : 'SIGTERM';
    const wanted = signal === 'SIGINT' ? 130 : 143;
    const at = 60 + dice.next(Math.max(1, Math.round(fullMs - 60)));
    const ended = await place.backpack(args, { kill: { afterMs: at, signal } });
    // Before the program has begun, the system ends it; a shell makes the same exit code of that.
    const code = ended.signal === signal ? wanted : (ended.code ?? -1);
    // A run that was just ending, and said so, may end as if nothing had happened.
    const done = code === 0 && /^(Snapshot|Restored)/m.test(ended.stdout);
    return {
      code: code === wanted || done ? 0 : code || -2,
      afterMs: ended.ms - at,
      ended,
      late: ended.ms < at,
    };
  }

  it(
    `P06: ${runs} backups`,
    async () => {
      const dice = new rig.Dice(rig.seed + 5);
      const problems: string[] = [];
      let slowest = 0;
      let hit = 0;
      for (let i = 0; i < runs; i += 1) {
        place.goBackTo('base');
        const { code, afterMs, ended, late } = await stopped(['backup', 'source'], dice);
        if (late) continue;
        hit += 1;
        slowest = Math.max(slowest, afterMs);
        const say = (text: string | undefined): void => {
          if (text !== undefined) problems.push(`run ${i}: ${text}\n${rig.describe(ended)}`);
        };
        if (code !== 0) say('wrong exit code');
        if (afterMs > limitMs) say(`took ${Math.round(afterMs)} ms to end`);
        if (place.temporary().length > 0) say(`temporary files remain: ${place.temporary().join(', ')}`);
        const now = rig.fingerprint(place.repo);
        for (const [name, hash] of Object.entries(base)) if (now[name] !== hash) say(`${name} was changed`);
        if (i % 10 === 9) {
          say(place.verify());
          say(await place.differs((await place.backup('source')).snapshotId, 'source'));
        }
      }
      rig.figures('signals-backup', {
        runs,
        hit,
        slowestMs: Math.round(slowest),
        fullMs: Math.round(fullMs),
        problems,
      });
      expect(problems).toEqual([]);
      expect(hit).toBeGreaterThan(0);
    },
    60_000 + runs * 10_000,
  );

  it(
    `P06: ${runs} restores`,
    async () => {
      const dice = new rig.Dice(rig.seed + 6);
      const problems: string[] = [];
      let slowest = 0;
      let hit = 0;
      const out = place.at('out');
      place.goBackTo('full');
      for (let i = 0; i < runs; i += 1) {
        rmSync(out, { recursive: true, force: true });
        const { code, afterMs, ended, late } = await stopped(['restore', id, '--to', out], dice);
        if (late) continue;
        hit += 1;
        slowest = Math.max(slowest, afterMs);
        if (code !== 0) problems.push(`run ${i}: wrong exit code\n${rig.describe(ended)}`);
        if (afterMs > limitMs) problems.push(`run ${i}: took ${Math.round(afterMs)} ms to end`);
        const left = existsSync(out)
          ? (readdirSync(out, { recursive: true }) as string[]).filter((name) =>
              name.endsWith('.backpack-partial'),
            )
          : [];
        if (left.length > 0) problems.push(`run ${i}: a partial file remains: ${left.join(', ')}`);
      }
      rig.figures('signals-restore', { runs, hit, slowestMs: Math.round(slowest), problems });
      expect(problems).toEqual([]);
    },
    60_000 + runs * 10_000,
  );
});
