/**
 * Every byte matters: each byte of each object of a small repository is changed, one at a time, and the check must
 * name that object and no other. With every commit most bytes of tables, which are padding, are passed over; the
 * campaign (scripts/campaigns/flips.mjs) leaves none out and has the real kit beside the containers.
 */
import { describe, expect, test } from 'vitest';
import { ContainerReader } from '../../../src/container/container-reader.ts';
import { type CheckEvent, check } from '../../../src/operations/check.ts';
import type { Repository } from '../../../src/repo/repository.ts';
import { makeSample, type Sample, seeded } from './sample.ts';

/** One byte of one object and what it is changed by. */
interface Flip {
  readonly name: string;
  readonly at: number;
  readonly by: number;
}

/** Where the table of a container begins; other objects have none. */
async function tableOf(repository: Repository, name: string, size: number): Promise<number> {
  return name.endsWith('.bpk')
    ? (await ContainerReader.open(repository.read, name)).trailer.tableOffset
    : size;
}

/** Whether an object is a file of the kit, which is one SHA-256: every change of a byte is as good as another. */
const isKit = (name: string): boolean => name.startsWith('recover/') || name === 'README.txt';

/** All flips, in the order of the objects. @param step in tables, which are mostly padding */
async function* flipsOf(sample: Sample, step: number, seed: number, kit: boolean): AsyncGenerator<Flip> {
  const next = seeded(seed);
  const repository = await sample.open();
  for (const [name, bytes] of [...sample.storage.objects]) {
    if (isKit(name) && !kit) continue;
    const table = await tableOf(repository, name, bytes.byteLength);
    const inTable = (at: number): boolean => at > table && at < bytes.byteLength - 512;
    for (let at = 0; at < bytes.byteLength; at += inTable(at) && inTable(at + step) ? step : 1) {
      // A single bit turns a digit into another digit, which no grammar refuses.
      const inText = name === 'backpack.json' || at >= bytes.byteLength - 512;
      for (const by of inText ? [1 + (next() % 255), 1] : [1 + (next() % 255)]) yield { name, at, by };
    }
  }
}

/** Checks the whole repository once per flip. @returns what was not named, or what was named falsely */
async function campaign(
  sample: Sample,
  options: {
    readonly step: number;
    readonly seed: number;
    readonly shard: number;
    readonly shards: number;
    readonly kit: boolean;
  },
): Promise<{ flips: number; byKind: Record<string, number>; missed: string[] }> {
  const repository = await sample.open();
  const missed: string[] = [];
  const byKind: Record<string, number> = {};
  let flips = 0;
  let number = 0;
  const { step, seed, shard, shards, kit } = options;
  for await (const { name, at, by } of flipsOf(sample, step, seed, kit)) {
    number += 1;
    if (number % shards !== shard) continue;
    const bytes = sample.storage.objects.get(name)!;
    bytes[at]! ^= by;
    const opened = name === 'backpack.json' ? await sample.open() : repository;
    const damage: CheckEvent[] = [];
    await check(opened, { readData: true, threads: 0, kitSums: sample.kitSums }, (event) => {
      if (event.type === 'damage' || event.type === 'unreadable') damage.push(event);
    });
    bytes[at]! ^= by;
    flips += 1;
    const kind = name.endsWith('.bpk') ? name.slice(0, name.indexOf('/')) : name;
    byKind[kind] = (byKind[kind] ?? 0) + 1;
    const named = damage.length > 0 && damage.every((event) => 'object' in event && event.object === name);
    if (!named) missed.push(`${name} ${at} ^ ${by}: ${JSON.stringify(damage)}`);
  }
  return { flips, byKind, missed };
}

describe('single bytes', () => {
  test('every byte matters', { timeout: 300_000 }, async () => {
    const sample = await makeSample(1);
    const { flips, missed } = await campaign(sample, { step: 5, seed: 7, shard: 0, shards: 1, kit: true });
    expect(missed).toEqual([]);
    expect(flips).toBeGreaterThan(9_000);
  });

  const shard = /^(\d+)\/(\d+)$/.exec(process.env['FLIPS_SHARD'] ?? '');
  test.runIf(shard !== null)('every single one, beside the real kit', { timeout: 3_600_000 }, async () => {
    const sample = await makeSample(process.env['FLIPS_SNAPSHOTS'] === '2' ? 2 : 1, undefined, 'real');
    const seed = Number(process.env['FLIPS_SEED'] ?? '7');
    const kit = process.env['FLIPS_KIT'] !== '0';
    const part = { shard: Number(shard![1]) - 1, shards: Number(shard![2]), kit };
    const started = performance.now();
    const { flips, byKind, missed } = await campaign(sample, { step: 1, seed, ...part });
    const seconds = Math.round((performance.now() - started) / 1000);
    console.log(JSON.stringify({ shard: shard![0], flips, missed: missed.length, seconds, byKind }));
    expect(missed).toEqual([]);
    expect(flips).toBeGreaterThan(0);
  });
});
