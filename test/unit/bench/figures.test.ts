/** What the benchmark says about its runs, from runs made up here. Nothing is timed. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { edit, numbers } from '../../../bench/corpora.mjs';
import { plot } from '../../../bench/plot.mjs';
import { report, targets } from '../../../bench/report.mjs';
import { grouped, median, pairedRatio, type Run, rowsOf } from '../../../bench/statistics.mjs';
import { noise } from '../operations/tree.ts';
import { runs as runsOfProperty, temporaryFolder } from '../support.ts';

const run = (program: string, round: number, wallS: number, more: Partial<Run> = {}): Run => ({
  part: 'big',
  measure: 'first',
  program,
  round,
  wallS,
  cpuS: wallS * 2,
  rssBytes: 1e8 + round,
  ...more,
});
const sample: Run[] = [
  run('restic', 1, 20),
  run('backpack', 1, 5, { storedBytes: 2.5e9 }),
  run('backpack', 2, 10),
  run('restic', 2, 60),
  run('restic', 3, 25),
  run('backpack', 3, 5),
];

describe('figures of the benchmark', () => {
  it('takes the median, whatever the order', () => {
    fc.assert(
      fc.property(
        fc.array(fc.double({ noNaN: true, min: 0, max: 1e15 }), { minLength: 1, maxLength: 20 }),
        (values) => {
          const middle = median(values);
          const half = values.length / 2;
          expect(values.filter((v) => v < middle).length).toBeLessThanOrEqual(half);
          expect(values.filter((v) => v > middle).length).toBeLessThanOrEqual(half);
          expect(median([...values].reverse())).toBe(middle);
        },
      ),
      runsOfProperty(100),
    );
    expect(median([4, 1, 3, 2])).toBe(2.5);
    expect(() => median([])).toThrow(RangeError);
  });

  it('compares programs round by round, not medians of different moments', () => {
    const of = (program: string): Run[] => sample.filter((r) => r.program === program);
    expect(pairedRatio(of('backpack'), of('restic'), 'wallS')).toBe(5);
    expect(pairedRatio(of('backpack').slice(0, 1), of('restic'), 'cpuS')).toBe(4);
    expect(pairedRatio(of('backpack'), [], 'wallS')).toBeUndefined();
    const [restic, own] = rowsOf(grouped(sample).get('big, first')!, 'backpack');
    expect(restic).toMatchObject({ wallS: 25, wallRatio: 5, rssBytes: 1e8 + 3, storedBytes: undefined });
    expect(own).toMatchObject({ wallS: 5, walls: [5, 10, 5], wallRatio: 1, storedBytes: 2.5e9 });
  });

  it('says of each target that was measured whether it was met', () => {
    expect(targets(sample)).toMatch(/first backup of big, beside restic +\| at least 4x +\| 5\.00x +\| met/);
    const slow = sample.map((r) => (r.program === 'backpack' ? { ...r, wallS: 20 } : r));
    expect(targets(slow)).toMatch(/beside restic +\| at least 4x +\| 1\.25x +\| missed/);
    expect(targets(sample)).not.toMatch(/borg|tree|edit|floor/);
    const fat = [...sample, run('backpack', 4, 5, { rssBytes: 257 * 2 ** 20 })];
    expect(targets(fat)).toMatch(/at most 256 MiB +\| 257 MiB +\| missed/);
    expect(targets([])).toBe('');
  });

  it('prints every run in a table', () => {
    const text = report(sample);
    expect(text).toContain('**big, first**');
    expect(text).toMatch(/\| restic +\| 25\.00 +\| 5\.00x +\|.*\| 20\.00 60\.00 25\.00 +\|/);
    expect(text).toMatch(/\| backpack +\| 5\.00 +\| 1\.00x +\|.*\| 2500 +\| 5\.00 10\.00 5\.00 +\|/);
  });

  it('tells how time and memory grow, smallest first', () => {
    const grown = (measure: string, wallS: number, more = {}): Run => ({
      ...run('backpack', 1, wallS, { rssBytes: 2e8, ...more }),
      part: 'files',
      measure,
    });
    const text = report([
      grown('lists of 10000000 files alone', 20),
      grown('1000 files, first', 2, { storedBytes: 5e6, indexBytes: 1.25e6 }),
      grown('1000 files, unchanged', 0.5),
      grown('10 files, first', 1),
    ]);
    const rows = text.split('\n').filter((line) => line.includes(' files'));
    expect(rows.map((row) => row.split('|')[1]!.trim())).toEqual([
      '10 files',
      '1000 files',
      'lists of 10000000 files alone',
    ]);
    expect(rows[1]).toMatch(/\| 1000 files +\| 2\.00 +\|.*\| 200 +\| 0\.500 +\|.*\| 200 +\| 5 +\| 1\.3 +\|/);
  });

  it('draws a bar as long as its median, and a tick for each run', () => {
    const svg = plot(sample, 'a < b & c');
    expect(svg).toContain('<title>a &lt; b &amp; c</title>');
    const bars = [...svg.matchAll(/<rect x="250" .*?width="([\d.]+)"/g)].map((m) => Number(m[1]));
    expect(bars[0]! / bars[1]!).toBeCloseTo(25 / 5, 1);
    expect(svg.match(/<line /g)).toHaveLength(6);
    expect(svg.match(/<(\w+)/g)!.length).toBeGreaterThan(10);
    expect(svg.trimEnd().endsWith('</svg>')).toBe(true);
  });

  it('edits the same file the same way, and only where it says', () => {
    const folder = temporaryFolder();
    const source = noise(300_000, 5);
    const file = (name: string): string => join(folder, name);
    writeFileSync(file('a'), source);
    edit(file('a'), file('b'), 'seed', 3, 0);
    edit(file('a'), file('c'), 'seed', 3, 0);
    edit(file('a'), file('d'), 'other', 3, 7);
    const inserted = readFileSync(file('b'));
    expect(readFileSync(file('c')).equals(inserted)).toBe(true);
    expect(readFileSync(file('d')).equals(inserted)).toBe(false);
    expect(inserted.length).toBeGreaterThan(source.length);
    const first = inserted.findIndex((byte, i) => byte !== source[i]);
    expect(first).toBeGreaterThan(0);
    expect(inserted.subarray(-1000).includes(source.subarray(-100))).toBe(true);
    const next = numbers('x');
    expect(Array.from({ length: 100 }, () => next(10)).every((n) => n >= 0 && n < 10)).toBe(true);
  });
});
