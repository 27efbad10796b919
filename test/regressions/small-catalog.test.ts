/** A level of the catalog in which no slot was left empty was searched without an end. */
import { expect, it } from 'vitest';
import { Catalog, type ChunkPlace, createCatalogMemory, setIdentity } from '../../src/pipeline/catalog.ts';

it.each([1, 2, 3, 4])('a level of %i slots can be full', (slots) => {
  const catalog = new Catalog(createCatalogMemory(slots * 44, slots * 44), 0);
  const place: ChunkPlace = { pack: 0, record: 0, offset: 0, whole: false };
  const identity = new Int32Array(7);
  for (let i = 0; i < 10; i += 1) {
    setIdentity(identity, i + 1, String(i).padStart(16, '0'), Buffer.alloc(16, i));
    expect(catalog.find(identity, { ...place })).toBe(false);
    catalog.publish(catalog.add(identity, place));
  }
  setIdentity(identity, 1, '0'.repeat(16), Buffer.alloc(16, 0));
  expect(catalog.find(identity, place)).toBe(true);
});
