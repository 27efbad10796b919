/** Cuts of `fastcdc-1` against the specification's definition. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Candidates, chunkSizes, gearTable, nextCut } from '../../../src/codec/chunker.ts';
import { noise } from '../operations/tree.ts';
import { runs } from '../support.ts';
import { type Candidate, candidatesByDefinition, candidatesOf, cutsOf, gearOf } from './fastcdc.ts';

const key = Buffer.alloc(32, 9);

class List implements Candidates {
  readonly list: Candidate[] = [];
  get count(): number {
    return this.list.length;
  }
  at(index: number): number {
    return this.list[index]!.at;
  }
  strict(index: number): boolean {
    return this.list[index]!.strict;
  }
}

/** The cuts when candidates become known in steps of the given lengths. */
function cutsInSteps(all: readonly Candidate[], size: number, steps: () => number): number[] {
  const list = new List();
  let known = 0;
  const more = (): void => {
    const to = Math.min(size, known + Math.max(1, steps()));
    list.list.push(...all.filter(({ at }) => at >= known && at < to));
    known = to;
  };
  const cuts: number[] = [];
  for (let start = 0, index = 0; start < size; ) {
    const cut = nextCut(list, index, start, known, size);
    if (cut === 'more') {
      expect(known).toBeLessThan(size);
      more();
      continue;
    }
    cuts.push(cut.at);
    index = cut.next;
    start = cut.at;
  }
  return cuts;
}

/** Made-up candidates, dense enough that every rule is met. */
const made = fc
  .tuple(
    fc.integer({ min: 1, max: 20 * 1024 * 1024 }),
    fc.array(fc.tuple(fc.nat(20 * 1024 * 1024), fc.boolean()), { maxLength: 40 }),
  )
  .map(([size, list]) => {
    const near = list.map(([at, strict]) => ({ at: at % (size + 1), strict }));
    const unique = new Map(near.filter(({ at }) => at >= 64).map((one) => [one.at, one]));
    return { size, all: [...unique.values()].sort((a, b) => a.at - b.at) };
  });

describe('cuts', () => {
  it('are those of the specification, however the candidates are delivered', () => {
    fc.assert(
      fc.property(
        made,
        fc.array(fc.integer({ min: 40_000, max: 3 * 1024 * 1024 }), { minLength: 1, maxLength: 5 }),
        ({ size, all }, steps) => {
          const expected = cutsOf(all, size);
          let i = 0;
          expect(cutsInSteps(all, size, () => size)).toEqual(expected);
          expect(cutsInSteps(all, size, () => steps[i++ % steps.length]!)).toEqual(expected);
        },
      ),
      runs(300),
    );
  });

  it('respect the bounds', () => {
    fc.assert(
      fc.property(made, ({ size, all }) => {
        const cuts = cutsInSteps(all, size, () => size);
        expect(cuts.at(-1)).toBe(size);
        cuts.forEach((cut, i) => {
          const length = cut - (cuts[i - 1] ?? 0);
          expect(length).toBeLessThanOrEqual(chunkSizes.max);
          expect(length).toBeGreaterThan(0);
          if (i < cuts.length - 1) expect(length).toBeGreaterThanOrEqual(chunkSizes.min);
        });
      }),
      runs(300),
    );
  });

  it('at the very bounds', () => {
    const { min, normal, max } = chunkSizes;
    const size = 9 * max;
    const first = (at: number, strict: boolean): number =>
      cutsInSteps([{ at, strict }], size, () => size)[0]!;
    expect(first(min - 1, true)).toBe(max);
    expect(first(min, true)).toBe(min);
    expect(first(min, false)).toBe(max);
    expect(first(normal - 1, false)).toBe(max);
    expect(first(normal, false)).toBe(normal);
    expect(first(max - 1, false)).toBe(max - 1);
    expect(first(max, true)).toBe(max);
    for (const length of [1, min - 1, min])
      expect(cutsInSteps([{ at: min - 1, strict: true }], length, () => length)).toEqual([length]);
  });
});

describe('the gear table', () => {
  it('is the keystream of AES-256-CTR', () => {
    const table = gearTable(key);
    expect(gearOf(key)).toEqual(Array.from({ length: 256 }, (_, i) => table.readBigUInt64LE(i * 8)));
    expect(gearTable(Buffer.alloc(32, 8)).equals(table)).toBe(false);
  });

  it('gives the same candidates by both references', () => {
    const bytes = noise(1_500_000, 4);
    const gear = gearOf(key);
    const found = candidatesByDefinition(gear, bytes);
    expect(found.length).toBeGreaterThan(1);
    expect(candidatesOf(gear, bytes)).toEqual(found);
  });
});

it('an insertion changes few chunks', () => {
  const gear = gearOf(key);
  const bytes = noise(14 * 1024 * 1024, 5);
  const chunks = (input: Buffer): Set<string> => {
    const cuts = cutsInSteps(candidatesOf(gear, input), input.length, () => input.length);
    return new Set(
      cuts.map((cut, i) => input.toString('latin1', cut - 200, cut) + (cut - (cuts[i - 1] ?? 0))),
    );
  };
  const before = chunks(bytes);
  expect(before.size).toBeGreaterThan(6);
  for (const [at, length] of [
    [0, 1],
    [10_000_000, 100_000],
  ] as const) {
    const after = chunks(Buffer.concat([bytes.subarray(0, at), noise(length, 6), bytes.subarray(at)]));
    expect([...after].filter((chunk) => !before.has(chunk)).length).toBeLessThanOrEqual(4);
  }
});
