/** P03 in part: kill -9 after a checkpoint. The partial snapshot restores, and the next run does not do it again. */
import { spawnSync } from 'node:child_process';
import { existsSync, rmSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import * as rig from './rig.ts';

const kills = rig.setting('CHECKPOINT_KILLS', 4);

describe.skipIf(!rig.built)('kill -9 after a checkpoint', () => {
  const place = new rig.Place();

  beforeAll(async () => {
    const files = rig.setting('FILES', 4000);
    rig.makeSource(place.at('source'), new rig.Dice(rig.seed), { files, largeBytes: 0 });
    await place.init();
    place.save('empty');
  }, 60_000);
  afterAll(() => place.remove());

  it(
    `${kills} times`,
    async () => {
      const dice = new rig.Dice(rig.seed + 20);
      const problems: string[] = [];
      let reread = 0;
      for (let i = 0; i < kills; i += 1) {
        place.goBackTo('empty');
        const at = [String(1 + dice.next(2)), String(dice.next(60))];
        const script = join(import.meta.dirname, 'checkpointing.mjs');
        const killed = spawnSync(
          process.execPath,
          [script, place.repo, place.key, place.at('source'), hostname(), ...at],
          { encoding: 'utf8' },
        );
        const say = (text: string): void => {
          problems.push(`checkpoint ${at.join(' + ms ')}: ${text}`);
        };
        if (killed.signal !== 'SIGKILL') say(`ended by itself: ${killed.status} ${killed.stderr}`);
        const listed = rig.lines((await place.must(['list', '--json'])).stdout);
        const snapshots = listed.filter(({ type }) => type === 'snapshot');
        if (snapshots.length !== 1 || snapshots[0]!['partial'] !== true)
          say(`snapshots: ${JSON.stringify(snapshots)}`);
        const damage = place.verify();
        if (damage !== undefined) say(damage);
        rmSync(place.at('out'), { recursive: true, force: true });
        await place.must(['restore', String(snapshots[0]!['snapshotId']), '--to', place.at('out')]);
        const diff = spawnSync('diff', ['-rq', place.at('source'), place.at('out/source')], {
          encoding: 'utf8',
        });
        const wrong = diff.stdout.split('\n').filter((line) => line !== '' && !line.startsWith('Only in'));
        if (wrong.length > 0 || !existsSync(place.at('out/source'))) say(wrong.join('\n'));
        const next = rig.lines((await place.must(['backup', 'source', '--json'])).stdout).at(-1)!;
        if (!(Number(next['filesUnchanged']) > 0)) say(`nothing was used again: ${JSON.stringify(next)}`);
        reread += Number(next['filesNew']);
        const differs = await place.differs('latest', 'source');
        if (differs !== undefined) say(differs);
        const again = place.verify();
        if (again !== undefined) say(again);
      }
      rig.figures('checkpoint', { kills, filesReadByTheNextRuns: reread, problems });
      expect(problems).toEqual([]);
    },
    60_000 + kills * 30_000,
  );
});
