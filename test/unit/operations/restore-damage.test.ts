/** Restore from a damaged repository: never a wrong byte, and everything that the damage does not touch. */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { ContainerReader } from '../../../src/container/container-reader.ts';
import { packName } from '../../../src/format/names.ts';
import { type RestoreEvent, restore } from '../../../src/operations/restore.ts';
import { listSnapshots, loadSnapshot, PageReader } from '../../../src/repo/snapshots.ts';
import { contents, makeSample, type Sample, seeded } from './sample.ts';

const slow = process.env['SLOW'] === '1';

/** Places that a file needs, as `object record`, from the text of the pages alone. */
async function needsOf(sample: Sample): Promise<Map<string, Set<string>>> {
  const repository = await sample.open();
  const newest = (await listSnapshots(repository)).snapshots.at(-1)!;
  const { pages } = await loadSnapshot(repository, newest);
  const reader = new PageReader(repository, '0'.repeat(16));
  const needs = new Map<string, Set<string>>();
  for (const page of pages) {
    const [head, ...lines] = (await reader.read(page)).trimEnd().split('\n');
    const { packs } = JSON.parse(head!) as { packs: string[] };
    for (const line of lines) {
      const { p, t, e } = JSON.parse(line) as { p: string; t: string; e?: number[][] };
      if (t !== 'f') continue;
      const places = needs.get(p) ?? new Set([`${packName(page.pack)} ${page.record}`]);
      needs.set(p, places);
      for (const [k, record, count] of e ?? []) {
        for (let i = 0; k! >= 0 && i < count!; i += 1) places.add(`${packName(packs[k!]!)} ${record! + i}`);
      }
    }
  }
  return needs;
}

/** What a byte of a pack belongs to: a record, the table, or one of the two ends, each of which mends the other. */
async function regionOf(sample: Sample, name: string): Promise<(at: number) => number | 'ends' | 'table'> {
  const { table, sizeBytes } = await ContainerReader.open((await sample.open()).read, name);
  const { offsets } = table;
  return (at) => {
    if (at < 512 || at >= sizeBytes - 512) return 'ends';
    const record = offsets.findLastIndex((offset) => offset <= at);
    return record === offsets.length - 1 ? 'table' : record;
  };
}

describe('a flipped byte', () => {
  let sample: Sample;
  let needs: Map<string, Set<string>>;
  beforeAll(async () => {
    sample = await makeSample(2);
    needs = await needsOf(sample);
  });

  /** Restores the newest snapshot. @returns paths of the files that are there, each compared with what it should be */
  async function restored(): Promise<Set<string>> {
    const target = mkdtempSync(join(tmpdir(), 'backpack-damage-'));
    try {
      const options = { snapshot: 'latest', path: '', target, threads: 0 };
      await restore(await sample.open(), options, () => {}).catch((error: { code?: string }) => {
        // A snapshot that cannot be read at all is refused as a whole.
        if (error.code !== 'BP_NO_SNAPSHOT' && !error.code?.startsWith('E_')) throw error;
      });
      const found = new Set<string>();
      for (const entry of readdirSync(target, { recursive: true, withFileTypes: true })) {
        if (!entry.isFile()) continue;
        const full = join(entry.parentPath, entry.name);
        const path = relative(target, full);
        expect(contents[path]?.equals(readFileSync(full)), path).toBe(true);
        found.add(path);
      }
      return found;
    } finally {
      rmSync(target, { recursive: true });
    }
  }

  test('nothing is missing without damage', async () => {
    expect([...(await restored())].sort()).toEqual(Object.keys(contents));
    expect([...needs.keys()].sort()).toEqual(Object.keys(contents));
  });

  test('in a pack costs the files that use its record, and no other', { timeout: 900_000 }, async () => {
    const next = seeded(11);
    const step = slow ? 1 : 97;
    let flips = 0;
    for (const [name, bytes] of sample.storage.objects) {
      if (!name.startsWith('packs/')) continue;
      const region = await regionOf(sample, name);
      for (let at = next() % step; at < bytes.byteLength; at += step) {
        const where = region(at);
        const lost = (path: string): boolean =>
          [...needs.get(path)!].some((place) =>
            where === 'table' ? place.startsWith(name) : place === `${name} ${where}`,
          );
        const flip = 1 + (next() % 255);
        bytes[at]! ^= flip;
        const found = await restored();
        bytes[at]! ^= flip;
        flips += 1;
        for (const path of needs.keys()) {
          expect(found.has(path), `${path} after a flip at ${at} of ${name}`).toBe(!lost(path));
        }
      }
    }
    expect(flips).toBeGreaterThan(150);
  });

  test('in a snapshot or any other object never gives a wrong file', { timeout: 900_000 }, async () => {
    const next = seeded(13);
    const step = slow ? 1 : 151;
    for (const [name, bytes] of sample.storage.objects) {
      if (name.startsWith('packs/') || name.startsWith('recover/') || name === 'README.txt') continue;
      if (name.startsWith('gc/') || name.startsWith('index/') || name.startsWith('moved/')) continue;
      for (let at = next() % step; at < bytes.byteLength; at += step) {
        const flip = 1 + (next() % 255);
        bytes[at]! ^= flip;
        const found = await restored();
        bytes[at]! ^= flip;
        if (!name.startsWith('snapshots/')) expect(found.size, `${name} ${at}`).toBe(needs.size);
      }
    }
  });

  test('in the newest snapshot is told when latest is an older one', async () => {
    const newest = [...sample.storage.objects.keys()]
      .filter((name) => name.startsWith('snapshots/'))
      .sort()
      .at(-1)!;
    const target = mkdtempSync(join(tmpdir(), 'backpack-damage-'));
    const bytes = sample.storage.objects.get(newest)!;
    // In the tag of the table: header and trailer would be made good.
    const at = bytes.byteLength - 512 - 8;
    bytes[at]! ^= 1;
    try {
      const events: RestoreEvent[] = [];
      const options = { snapshot: 'latest', path: '', target, threads: 0 };
      const summary = await restore(await sample.open(), options, (event) => events.push(event));
      expect(summary.damaged).toBe(1);
      expect(events).toContainEqual(
        expect.objectContaining({ type: 'problem', code: 'E_TAG', object: newest }),
      );
    } finally {
      bytes[at]! ^= 1;
      rmSync(target, { recursive: true });
    }
  });
});
