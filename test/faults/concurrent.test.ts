/** P08 in part: two and three backups to one repository at once, of the same and of other files: all are complete. */
import { cpSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import * as rig from './rig.ts';

describe.skipIf(!rig.built)('backups at the same time', () => {
  const place = new rig.Place();

  beforeAll(async () => {
    const dice = new rig.Dice(rig.seed);
    rig.makeSource(place.at('shared'), dice, { files: 200, largeBytes: 9 * 2 ** 20 });
    for (const name of ['a', 'b', 'c']) {
      rig.makeSource(place.at(name), dice, { files: 100, largeBytes: 2 ** 20 });
      // Partly the same content in all of them, stored by whoever is first, or by each.
      cpSync(place.at('shared'), join(place.at(name), 'shared'), { recursive: true });
    }
    await place.init();
  }, 60_000);

  afterAll(() => place.remove());

  it.each([
    ['two', ['a', 'b']],
    ['three', ['a', 'b', 'c']],
    ['three of the same files', ['shared', 'shared', 'shared']],
  ])(
    'P08: %s',
    async (_, folders) => {
      const before = await place.list();
      const made = await Promise.all(
        folders.map(async (folder, i) => {
          const home = place.at(`home-${folder}-${i}`);
          mkdirSync(home, { recursive: true });
          return { folder, id: (await place.backup(folder, { env: { HOME: home } })).snapshotId };
        }),
      );
      expect(new Set(made.map(({ id }) => id)).size).toBe(folders.length);
      expect((await place.list()).sort()).toEqual([...before, ...made.map(({ id }) => id)].sort());
      expect(place.verify()).toBeUndefined();
      for (const { id, folder } of made) expect(await place.differs(id, folder)).toBeUndefined();
      expect(place.temporary()).toEqual([]);
    },
    120_000,
  );
});
