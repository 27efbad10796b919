/** The catalog of chunks as one thread sees it, and the order in which ranges of a file have their turn. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Catalog, type ChunkPlace, createCatalogMemory, setIdentity } from '../../../src/pipeline/catalog.ts';
import { createPackListMemory, PackList } from '../../../src/pipeline/pack-list.ts';
import { chainBytes, RangeChain } from '../../../src/pipeline/range-chain.ts';
import { noise } from '../operations/tree.ts';
import { idOf, runs } from '../support.ts';

function identityOf(n: number, crowded = false): Int32Array {
  const identity = new Int32Array(7);
  const g = noise(16, n);
  if (crowded) g.fill(1, 0, 8);
  setIdentity(identity, 1 + n, noise(8, n + 1).toString('hex'), g);
  return identity;
}

const placeOf = (n: number): ChunkPlace => ({
  pack: n % 7,
  record: n * 3,
  offset: n % 2 ? 0 : n,
  whole: n % 2 === 1,
});
const nowhere = (): ChunkPlace => ({ pack: -9, record: -9, offset: -9, whole: false });

function find(catalog: Catalog, identity: Int32Array): ChunkPlace | undefined {
  const place = nowhere();
  return catalog.find(identity, place) ? place : undefined;
}

describe('catalog', () => {
  it('finds what was published, with its place, and nothing else', () => {
    for (const crowded of [false, true]) {
      const catalog = new Catalog(createCatalogMemory(1 << 20, 1 << 20), 0);
      for (let n = 0; n < 500; n += 1) catalog.publish(catalog.add(identityOf(n, crowded), placeOf(n)));
      for (let n = 0; n < 500; n += 1) expect(find(catalog, identityOf(n, crowded))).toEqual(placeOf(n));
      for (let n = 500; n < 1000; n += 1) expect(find(catalog, identityOf(n, crowded))).toBeUndefined();
      expect(catalog.size).toBe(500);
    }
  });

  it('compares identities whole: each of the 28 bytes counts', () => {
    const catalog = new Catalog(createCatalogMemory(1 << 16, 1 << 16), 0);
    const identity = identityOf(1);
    catalog.publish(catalog.add(identity, placeOf(1)));
    for (let bit = 0; bit < 224; bit += 1) {
      const other = Int32Array.from(identity);
      other[bit >> 5]! ^= 1 << (bit & 31);
      expect(find(catalog, other), `bit ${bit}`).toBeUndefined();
    }
  });

  it('shows what is not yet published to its own thread only', () => {
    const memory = createCatalogMemory(1 << 16, 1 << 16);
    const [mine, other] = [new Catalog(memory, 0), new Catalog(memory, 1)];
    const token = mine.add(identityOf(1), placeOf(1));
    expect(find(mine, identityOf(1))).toEqual(placeOf(1));
    expect(find(other, identityOf(1))).toBeUndefined();
    mine.publish(token);
    expect(find(other, identityOf(1))).toEqual(placeOf(1));
  });

  it('grows over its levels and keeps everything', () => {
    for (const [first, count] of [
      [1 << 20, 40_000],
      [44 * 5, 1000],
      [44, 300],
    ] as const) {
      const catalog = new Catalog(createCatalogMemory(first, 1 << 26), 0);
      let kept = 0;
      for (let n = 0; n < count; n += 1) {
        const token = catalog.add(identityOf(n), placeOf(n));
        if (token >= 0) kept += 1;
        catalog.publish(token);
      }
      expect(kept).toBe(count);
      for (let n = 0; n < count; n += 37) expect(find(catalog, identityOf(n))).toEqual(placeOf(n));
    }
  });

  it('that is full forgets what is new, and keeps what it has', () => {
    const catalog = new Catalog(createCatalogMemory(44 * 100, 44 * 300), 0);
    const tokens = Array.from({ length: 1000 }, (_, n) => catalog.add(identityOf(n), placeOf(n)));
    for (const token of tokens) catalog.publish(token);
    const kept = tokens.filter((token) => token >= 0).length;
    expect(kept).toBeGreaterThanOrEqual(200);
    expect(kept).toBeLessThanOrEqual(300);
    expect(tokens.slice(0, 200).every((token) => token >= 0)).toBe(true);
    for (let n = 0; n < 1000; n += 1)
      expect(find(catalog, identityOf(n))).toEqual(tokens[n]! >= 0 ? placeOf(n) : undefined);
  });

  it('behaves like a map that may forget', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(60), fc.boolean()), { maxLength: 200 }),
        fc.integer({ min: 1, max: 40 }),
        (steps, slots) => {
          const catalog = new Catalog(createCatalogMemory(slots * 44, slots * 44 * 4), 0);
          const model = new Map<number, ChunkPlace>();
          for (const [n, add] of steps) {
            const found = find(catalog, identityOf(n));
            expect(found).toEqual(model.get(n));
            if (found !== undefined || !add) continue;
            const token = catalog.add(identityOf(n), placeOf(n));
            catalog.publish(token);
            if (token >= 0) model.set(n, placeOf(n));
          }
        },
      ),
      runs(100),
    );
  });
});

describe('list of packs', () => {
  it('numbers packs and ends with an error when it is full', () => {
    const memory = createPackListMemory(3);
    const [a, b] = [new PackList(memory), new PackList(memory)];
    expect([a.add(idOf(1)), b.add(idOf(2)), a.add(idOf(3))]).toEqual([0, 1, 2]);
    expect([0, 1, 2].map((n) => b.get(n))).toEqual([idOf(1), idOf(2), idOf(3)]);
    expect(() => a.add(idOf(4))).toThrow(RangeError);
  });
});

describe('chain of ranges', () => {
  it('gives turns in the order of ranges, whoever asks first', async () => {
    const memory = new SharedArrayBuffer(chainBytes(40));
    const seen: string[] = [];
    const worker = async (name: string): Promise<void> => {
      const chain = new RangeChain(memory);
      for (let range = chain.take(); range < 12; range = chain.take()) {
        await new Promise((resolve) => setTimeout(resolve, (range * 7) % 5));
        expect(await chain.turn(range)).toBe(true);
        seen.push(`${range} ${range === 0 ? 0 : chain.start} ${chain.state[0]}`);
        chain.state[0] = range + 1;
        chain.pass(range, range * 1e13 + 5);
      }
      expect(name).toBeTruthy();
    };
    await Promise.all(['a', 'b', 'c'].map(worker));
    expect(seen).toEqual(
      Array.from({ length: 12 }, (_, i) => `${i} ${i === 0 ? 0 : (i - 1) * 1e13 + 5} ${i}`),
    );
  });

  it('ends for all when one gives up', async () => {
    const memory = new SharedArrayBuffer(chainBytes(40));
    const waiting = [1, 2, 3].map((range) => new RangeChain(memory).turn(range));
    new RangeChain(memory).fail();
    expect(await Promise.all(waiting)).toEqual([false, false, false]);
    expect(await new RangeChain(memory).turn(0)).toBe(false);
  });
});
