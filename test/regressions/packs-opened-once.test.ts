/** A file whose runs go back and forth between packs had them opened again and again, pushed out by what comes later. */
import { expect, it, vi } from 'vitest';
import { ContainerReader } from '../../src/container/container-reader.ts';
import { PackFinder } from '../../src/container/pack-finder.ts';
import { partsOf } from '../../src/pipeline/restore-plan.ts';

const idOf = (n: number): string => n.toString(16).padStart(40, '0');

it.each([3, 4, 6])('new packs between %i old ones', async (olds) => {
  let opened = 0;
  const open = vi.spyOn(ContainerReader, 'open').mockImplementation(async (_context, name) => {
    opened += 1;
    const id = name.slice(-44, -4);
    return { name, header: { id, kind: 'data', writer: 'w' }, table: { lengths: [1, 1, 1] } } as never;
  });
  const extents = [];
  for (let fresh = 0; fresh < 40; fresh += 1) {
    for (let i = 0; i < 8; i += 1) {
      const packs = [idOf(100 + fresh), ...Array.from({ length: olds }, (_, old) => idOf(old))];
      for (const pack of packs) extents.push({ pack, record: 0, count: 2, length: 2, offset: 0 });
    }
  }
  const parts = await partsOf(extents, new PackFinder({} as never, 'data', 16), 'w');
  open.mockRestore();
  expect(parts.flat().reduce((sum, { length }) => sum + length, 0)).toBe(2 * extents.length);
  // It was thousands.
  expect(opened).toBe(40 + olds);
});
