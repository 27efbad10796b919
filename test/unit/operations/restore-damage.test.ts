/** Restore from a damaged repository: never a wrong byte, and everything that the damage does not touch. */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { ContainerReader } from '../../../src/container/container-reader.ts';
import { packName, shortId } from '../../../src/format/names.ts';
import { reject } from '../../../src/format/reject.ts';
import { openParents, type Parent } from '../../../src/operations/parents.ts';
import { type RestoreEvent, restore } from '../../../src/operations/restore.ts';
import type { Presence } from '../../../src/repo/presence.ts';
import { CopyFinder } from '../../../src/repo/snapshot-copies.ts';
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

  test('in a snapshot or any other object costs no file', { timeout: 900_000 }, async () => {
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
        expect(found.size, `${name} ${at}`).toBe(needs.size);
      }
    }
  });

  /** Damages objects for a moment, where header and trailer do not mend it: in the tag of the table. */
  async function damaged(names: readonly string[], work: (target: string) => Promise<void>): Promise<void> {
    const flip = (): void => {
      for (const name of names) {
        const bytes = sample.storage.objects.get(name)!;
        bytes[bytes.byteLength - 512 - 8]! ^= 1;
      }
    };
    const target = mkdtempSync(join(tmpdir(), 'backpack-damage-'));
    flip();
    try {
      await work(target);
    } finally {
      flip();
      rmSync(target, { recursive: true });
    }
  }

  const snapshotNames = (): string[] =>
    [...sample.storage.objects.keys()].filter((name) => name.startsWith('snapshots/')).sort();

  /** The pack with the copy of the newest snapshot. */
  async function packOfCopy(): Promise<string> {
    const repository = await sample.open();
    const object = (await listSnapshots(repository)).snapshots.at(-1)!.object;
    return (await new CopyFinder(repository).find(object, reject('E_TAG', '')))!.pack.name;
  }

  test('in the newest snapshot: its copy is restored, and it is told', async () => {
    const newest = snapshotNames().at(-1)!;
    const copy = await packOfCopy();
    await damaged([newest], async (target) => {
      const events: RestoreEvent[] = [];
      const options = { snapshot: 'latest', path: '', target, threads: 0 };
      const summary = await restore(await sample.open(), options, (event) => events.push(event));
      expect(summary).toMatchObject({ damaged: 0, fromCopy: true, files: needs.size });
      expect(newest).toContain(summary.snapshotId);
      expect(events).toContainEqual(
        expect.objectContaining({ type: 'copy', code: 'E_TAG', object: newest, copy }),
      );
    });
  });

  test('in the newest snapshot and its copy: an older one never takes its place', async () => {
    const [older, newest] = snapshotNames() as [string, string];
    await damaged([newest, await packOfCopy()], async (target) => {
      const repository = await sample.open();
      const id = older.slice(27, 67);
      for (const snapshot of ['latest', `@${new Date().getFullYear()}`]) {
        const options = { snapshot, path: '', target, threads: 0 };
        await expect(restore(repository, options, () => {})).rejects.toMatchObject({
          code: 'E_TAG',
          kind: 'damaged',
          message: expect.stringContaining(newest),
          hint: expect.stringContaining(shortId(id)),
        });
        expect(readdirSync(target)).toEqual([]);
      }
      const options = { snapshot: id, path: '', target, threads: 0 };
      const summary = await restore(repository, options, () => {});
      expect(summary).toMatchObject({ snapshotId: id, damaged: 0, fromCopy: false });
      expect(summary.files).toBeGreaterThan(0);
    });
  });

  test('in a snapshot: the next backup is compared with its copy, or reads all again', async () => {
    const newest = snapshotNames().at(-1)!;
    const none = { has: (): boolean => true } as unknown as Presence;
    const parentsIn = async (names: readonly string[]): Promise<Parent[]> => {
      const { snapshots } = await listSnapshots(await sample.open());
      let parents: Parent[] = [];
      await damaged(names, async () => {
        parents = await openParents(await sample.open(), [snapshots.at(-1)!], none, []);
      });
      return parents;
    };
    expect(await parentsIn([newest])).toHaveLength(1);
    expect(await parentsIn([newest, await packOfCopy()])).toEqual([]);
  });

  test('a copy of another writer is not believed', async () => {
    const repository = await sample.open();
    const { object } = (await listSnapshots(repository)).snapshots.at(-1)!;
    const name = await packOfCopy();
    const finder = new CopyFinder({
      ...repository,
      keyring: Object.assign(Object.create(repository.keyring), {
        open: () => ({}),
      }) as typeof repository.keyring,
    });
    expect((await finder.find(object, reject('E_TAG', '')))?.pack.name).toBe(name);
    // The object itself says who wrote it.
    const bytes = sample.storage.objects.get(object.name)!;
    const kept = Buffer.from(bytes);
    try {
      for (const at of [0, bytes.byteLength - 512]) {
        const text = bytes.toString('latin1', at, at + 512);
        const as = text
          .replace(/^writer=.*$/m, `writer=${'1'.repeat(16)}`)
          .replace(/^kem=.*$/m, `kem=${'1'.repeat(64)}`)
          .replace(/^flags=.*$/m, 'flags=00000001');
        bytes.write(as, at, 'latin1');
      }
      expect(await finder.find(object, reject('E_TAG', ''))).toBeUndefined();
    } finally {
      kept.copy(bytes);
    }
  });
});
