/**
 * P02, P03: kill -9 at any moment of a backup. Earlier snapshots stay whole, no step by hand is needed, the run that
 * was killed is complete or invisible, and the next one stores no more than what was not durable yet.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import * as rig from './rig.ts';

const kills = rig.setting('KILLS', 40);
const files = rig.setting('FILES', 600);
const largeBytes = rig.setting('LARGE_MIB', 12) * 2 ** 20;
/** Stored again beside the content: meta packs, index, snapshot, and groups that were cut in another place. */
const slackBytes = 2 * 2 ** 20;

interface Found {
  kills: number;
  byTime: number;
  byCall: number;
  twice: number;
  alreadyEnded: number;
  complete: number;
  invisible: number;
  durableKept: number;
  calls: number;
  distinctCalls: number;
  storedAgainMax: number;
  restores: number;
  problems: string[];
}

describe.skipIf(!rig.built || !rig.hasGcc)('kill -9 of a backup', () => {
  const place = new rig.Place();
  let counter = '';
  let fullBytes = 0;
  /** Duration and number of mutating calls of a whole run, by number of threads. */
  const fullMs = [0, 0, 0];
  const calls = [0, 0, 0];
  const earlier: { id: string; folder: string }[] = [];

  beforeAll(async () => {
    counter = rig.compile(place, 'failn');
    const dice = new rig.Dice(rig.seed);
    rig.makeSource(place.at('one'), dice, { files: 200, largeBytes: 2 ** 20 });
    rig.makeSource(place.at('two'), dice, { files: 100, largeBytes: 0 });
    rig.makeSource(place.at('source'), dice, { files, largeBytes });
    await place.init();
    for (const folder of ['one', 'two'])
      earlier.push({ id: (await place.backup(folder)).snapshotId, folder });
    place.save('base');
    for (const threads of [1, 2]) {
      const log = place.at(`calls-${threads}`);
      const args = ['--threads', String(threads)];
      const env = { LD_PRELOAD: counter, FAIL_ROOT: place.repo, FAIL_LOG: log };
      fullBytes = Math.max(fullBytes, (await place.backup('source', { env, args })).stored);
      calls[threads] = rig.callsOf(log).length;
      place.goBackTo('base');
      fullMs[threads] = (await place.must(['backup', 'source', ...args])).ms;
      place.goBackTo('base');
    }
  }, 120_000);

  afterAll(() => place.remove());

  /** Kills `count` backups and judges what is left. `main` may be a program with a planted fault. */
  async function campaign(count: number, main?: string, firstProblem = false): Promise<Found> {
    const dice = new rig.Dice(rig.seed + 1);
    const program = main === undefined ? {} : { main };
    const hit = new Set<number>();
    const found: Found = {
      kills: 0,
      byTime: 0,
      byCall: 0,
      twice: 0,
      alreadyEnded: 0,
      complete: 0,
      invisible: 0,
      durableKept: 0,
      calls: calls[1]!,
      distinctCalls: 0,
      storedAgainMax: 0,
      restores: 0,
      problems: [],
    };
    for (let i = 0; i < count; i += 1) {
      place.goBackTo('base');
      const times = dice.next(4) === 0 ? 2 : 1;
      for (let n = 0; n < times; n += 1) {
        const threads = 1 + dice.next(2);
        const byCall = i % 2 === 0;
        // Spread evenly over all calls and over all of the time, each moved a little by chance.
        const part = (Math.floor(i / 2) + dice.next(1000) / 1000) / Math.ceil(count / 2);
        const at = 1 + Math.floor(part * calls[threads]!);
        if (byCall) hit.add(at * 10 + threads);
        const torn: Record<string, string> = dice.next(2) === 0 ? { FAIL_TORN: '1' } : {};
        const env = { LD_PRELOAD: counter, FAIL_ROOT: place.repo, FAIL_AT: String(at), ...torn };
        const ended = await place.backpack(
          ['backup', 'source', '--json', '--threads', String(threads)],
          byCall
            ? { env, ...program }
            : { kill: { afterMs: 30 + part * (fullMs[threads]! - 30), signal: 'SIGKILL' }, ...program },
        );
        if (ended.signal === 'SIGKILL') {
          found.kills += 1;
          if (byCall) found.byCall += 1;
          else found.byTime += 1;
          if (n === 1) found.twice += 1;
        } else {
          found.alreadyEnded += 1;
          // The machine has become faster than it was when the whole run was measured.
          fullMs[threads] = Math.min(fullMs[threads]!, ended.ms);
        }
      }
      const before = found.problems.length;
      await judge(i, found);
      if (found.problems.length > before) {
        const last = found.problems.length - 1;
        found.problems[last] = `kill ${i}: ${found.problems[last]}`;
        if (firstProblem) break;
      }
      // A long run tells how far it is, so that one that is stopped was not for nothing.
      if (count > 100 && i % 20 === 19) rig.figures('kill-so-far', { ...found, distinctCalls: hit.size });
    }
    found.distinctCalls = hit.size;
    return found;
  }

  async function judge(i: number, found: Found): Promise<void> {
    const say = (problem: string | undefined): void => {
      if (problem !== undefined) found.problems.push(problem);
    };
    try {
      const ids = await place.list();
      for (const { id } of earlier) if (!ids.includes(id)) say(`snapshot ${id} is gone`);
      const own = ids.filter((id) => !earlier.some((one) => one.id === id));
      say(place.verify());
      // There now, though nobody was told: then it has to be whole.
      for (const id of own) say(await place.differs(id, 'source'));
      if (own.length > 0) found.complete += 1;
      else found.invisible += 1;
      if (i % 20 === 19) {
        for (const { id, folder } of earlier) say(await place.differs(id, folder));
        found.restores += earlier.length;
        place.ageTemporary();
      }
      const packs = rig.sizes(`${place.repo}/packs`);
      const base = rig.sizes(`${place.dir}/base-repo/packs`);
      const durable = [...packs].reduce((sum, [name, size]) => sum + (base.has(name) ? 0 : size), 0);
      if (durable > 0) found.durableKept += 1;
      const again = await place.backup('source');
      const excess = again.stored - Math.max(0, fullBytes - durable);
      found.storedAgainMax = Math.max(found.storedAgainMax, excess);
      if (excess > slackBytes) say(`stored ${again.stored} again, ${durable} of ${fullBytes} were durable`);
      if (i % 20 === 19) {
        say(await place.differs(again.snapshotId, 'source'));
        found.restores += 1;
        const left = place.temporary();
        if (left.length > 0) say(`temporary files remain: ${left.join(', ')}`);
      }
    } catch (error) {
      say((error as Error).message);
    }
  }

  it(
    `P02-P03: ${kills} kills lose nothing and need nobody's help`,
    async () => {
      const found = await campaign(kills);
      rig.figures('kill', { ...found, files, largeBytes, fullMs: Math.round(fullMs[1]!) });
      expect(found.problems).toEqual([]);
      expect(found.kills).toBeGreaterThan(kills * 0.6);
    },
    60_000 + kills * 10_000,
  );

  it('finds a planted fault: packs that are acknowledged before they are durable', async () => {
    const main = rig.plant(place, {
      // Packs appear a little after their acknowledgement, and nobody looks whether they are there.
      'storage/fs.js': [
        ['commit: async () => {', 'commit: () => late(name, file.sizeBytes, async () => {'],
        ['},\n            abort: drop', '}),\n            abort: drop'],
        ['async function makeDurably(', `${late}\nasync function makeDurably(`],
      ],
      'repo/commit.js': [['snapshot.packs.filter(', '[].filter(']],
      'operations/backup.js': [['async #close() {', `async #close() { ${wait(300)}`]],
    });
    const found = await campaign(16, main, true);
    rig.figures('kill-canary', { kills: found.kills, problem: found.problems[0]?.slice(0, 200) });
    expect(found.problems.length).toBeGreaterThan(0);
  }, 120_000);
});

const wait = (ms: number): string => `await new Promise((resolve) => setTimeout(resolve, ${ms}));`;
const late = `function late(name, sizeBytes, real) {
  if (!name.startsWith('packs/')) return real();
  setTimeout(() => real().catch(() => {}), 200);
  return Promise.resolve({ name, sizeBytes, timeMs: Date.now() });
}`;
