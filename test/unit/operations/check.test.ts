/** The check finds every kind of damage, names it, and is not misled by it. */
import { beforeAll, describe, expect, test } from 'vitest';
import {
  type CheckEvent,
  type CheckOptions,
  type CheckSummary,
  check,
} from '../../../src/operations/check.ts';
import type { Repository } from '../../../src/repo/repository.ts';
import { makeSample, type Sample, seeded } from './sample.ts';

type Damage = Extract<CheckEvent, { type: 'damage' | 'unreadable' }>;
type Warning = Extract<CheckEvent, { type: 'warning' }>;

interface Outcome {
  readonly summary: CheckSummary;
  readonly damage: readonly Damage[];
  readonly warnings: readonly Warning[];
}

async function run(repository: Repository, sample: Sample, options: CheckOptions = {}): Promise<Outcome> {
  const events: CheckEvent[] = [];
  const all = { readData: true, threads: 0, kitSums: sample.kitSums, ...options };
  const summary = await check(repository, all, (event) => events.push(event));
  return {
    summary,
    damage: events.filter((event): event is Damage => event.type === 'damage' || event.type === 'unreadable'),
    warnings: events.filter((event): event is Warning => event.type === 'warning'),
  };
}

const slow = process.env['SLOW'] === '1';

describe('single bytes', () => {
  /** Flips each byte in turn and checks the whole repository each time. */
  async function campaign(sample: Sample, step: number): Promise<{ flips: number; missed: string[] }> {
    const next = seeded(7);
    const repository = await sample.open();
    const missed: string[] = [];
    let flips = 0;
    for (const [name, bytes] of [...sample.storage.objects]) {
      for (let at = next() % step; at < bytes.byteLength; at += step) {
        const flip = 1 + (next() % 255);
        bytes[at]! ^= flip;
        const opened = name === 'backpack.json' ? await sample.open() : repository;
        const { damage } = await run(opened, sample);
        bytes[at]! ^= flip;
        flips += 1;
        const named = damage.length > 0 && damage.every(({ object }) => object === name);
        if (!named)
          missed.push(`${name} ${at} ^ ${flip}: ${damage.map(({ code, object }) => `${code} ${object}`)}`);
      }
    }
    return { flips, missed };
  }

  test('every byte of every object matters', { timeout: 900_000 }, async () => {
    const { flips, missed } = await campaign(await makeSample(1), 1);
    expect(missed).toEqual([]);
    expect(flips).toBeGreaterThan(28_000);
  });

  test.runIf(slow)('and of a repository with more snapshots', { timeout: 900_000 }, async () => {
    const { flips, missed } = await campaign(await makeSample(2), 1);
    expect(missed).toEqual([]);
    expect(flips).toBeGreaterThan(40_000);
  });
});

describe('whole objects', () => {
  let sample: Sample;
  beforeAll(async () => {
    sample = await makeSample(2);
  });

  test('an undamaged repository has nothing to report', async () => {
    const { summary, damage, warnings } = await run(await sample.open(), sample);
    expect({ damage, warnings }).toEqual({ damage: [], warnings: [] });
    expect(summary).toMatchObject({ snapshots: 2, objects: 11, damaged: 0, unreadable: 0, warnings: 0 });
    expect(summary.records).toBeGreaterThan(10);
  });
});
