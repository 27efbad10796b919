/**
 * What patterns choose of a restore, judged as in choosing.test.ts: what comes back, what --delete removes, and what a
 * dry run says of both.
 */
import { mkdirSync, mkdtempSync, readdirSync, realpathSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { restore } from '../../src/operations/restore.ts';
import type { Repository } from '../../src/repo/repository.ts';
import { type PatternRule, patternRule } from '../../src/source/pattern.ts';
import { backUp, newRepository, restoreTo } from '../unit/operations/tree.ts';
import { codeOfAsync, runs } from '../unit/support.ts';
import { anyRule, type GivenRule, judge, withFolders } from './patterns.ts';

const names = ['a', 'b', 'ab', '.a', 'B', 'a.b'];
let base: string;
let repository: Repository;
let all: { path: string; folder: boolean }[];

/** Folders and files of the same names at each of three levels. */
function fill(folder: string, depth: number): void {
  mkdirSync(folder, { recursive: true });
  for (const [i, name] of names.entries()) {
    if (depth > 0 && i % 2 === depth % 2) fill(join(folder, name), depth - 1);
    else writeFileSync(join(folder, name), '');
  }
}

function below(folder: string): { path: string; folder: boolean }[] {
  return (readdirSync(folder, { recursive: true }) as string[])
    .sort()
    .map((path) => ({ path, folder: statSync(join(folder, path)).isDirectory() }));
}

beforeAll(async () => {
  base = realpathSync(mkdtempSync(join(tmpdir(), 'backpack-chosen-')));
  fill(join(base, 'source'), 3);
  all = below(join(base, 'source'));
  repository = await newRepository();
  await backUp(repository, join(base, 'source'));
});

afterAll(() => rmSync(base, { recursive: true, force: true }));

function rulesOf(given: readonly GivenRule[], top: string): PatternRule[] {
  const place = { cwd: `/${top}`, home: '/nowhere' };
  return given.map(({ pattern, include, nocase }) =>
    patternRule(pattern, { include, nocase, label: pattern }, place),
  );
}

/** What comes back: the chosen, what leads there, and the path that was named. */
function expectedOf(wants: (path: string, folder: boolean) => boolean, top: string): string[] {
  const chosen = all.filter(
    ({ path, folder }) => (top === '' || path.startsWith(`${top}/`)) && wants(path, folder),
  );
  return withFolders([...chosen.map(({ path }) => path), ...(top === '' ? [] : [top])]);
}

/** The judge, with patterns that begin with `./` at the named path and others at the top. */
function judgeBelow(given: readonly GivenRule[], top: string): (path: string, folder: boolean) => boolean {
  const lead = top === '' ? '' : `${top}/`;
  const moved = given.map((rule) =>
    rule.pattern.startsWith('./') ? { ...rule, pattern: `/${lead}${rule.pattern.slice(2)}` } : rule,
  );
  // Nothing at or above the named path decides about what is below it.
  const depth = top === '' ? 0 : top.split('/').length;
  return judge(moved, '', depth);
}

const given = fc.array(anyRule, { minLength: 1, maxLength: 5 });
const tops = fc.constantFrom('', '', 'b', '.a', 'b/a', 'b/a/b');

describe('restore with patterns', () => {
  test('brings back what is chosen and the folders that lead there, nothing else', async () => {
    let empty = 0;
    await fc.assert(
      fc.asyncProperty(given, tops, async (patterns, top) => {
        const rules = rulesOf(patterns, top);
        const expected = expectedOf(judgeBelow(patterns, top), top);
        const found: string[] = [];
        const options = { snapshot: 'latest', path: top, threads: 0, rules, dryRun: true };
        const run = (): Promise<unknown> =>
          restore(repository, { ...options, target: join(base, 'absent') }, (event) => {
            if (event.type === 'entry') found.push(event.path);
          });
        const code = await codeOfAsync(run);
        const chosen = expected.filter((path) => path.startsWith(top === '' ? '' : `${top}/`));
        if (chosen.length === 0) empty += 1;
        const isNothing = chosen.length === 0 && !all.some(({ path, folder }) => path === top && !folder);
        expect(code).toBe(isNothing ? 'BP_NO_MATCH' : 'ok');
        expect(found.sort()).toEqual(isNothing ? [] : expected);
      }),
      runs(300),
    );
    expect(empty).toBeGreaterThan(0);
  });

  test('with --delete makes the chosen part equal to the snapshot, and leaves alone everything else', async () => {
    let count = 0;
    const some = fc.array(fc.nat(), { minLength: 1, maxLength: 8 });
    await fc.assert(
      fc.asyncProperty(given, tops, some, async (patterns, top, extra) => {
        const target = join(base, `target${count++}`);
        fill(target, 3);
        // Things that the snapshot does not have, in folders of all kinds.
        const folders = all.filter(({ folder }) => folder);
        for (const [i, n] of extra.entries()) {
          const at = join(target, folders[n % folders.length]!.path);
          if (i % 2 === 0) writeFileSync(join(at, 'aa'), '');
          else fill(join(at, 'bb'), 1);
        }
        const before = below(target);
        const wants = judgeBelow(patterns, top);
        const isExtra = (path: string): boolean => !all.some((one) => one.path === path);
        const isCompared = (path: string): boolean => path.includes('/') && path.startsWith(`${top}/`);
        const kept = before.filter(
          ({ path, folder }) =>
            !isExtra(path) || !(top === '' ? path.includes('/') : isCompared(path)) || !wants(path, folder),
        );
        const expected = withFolders(kept.map(({ path }) => path));
        let asked: readonly string[] = [];
        const confirmDelete = async (extras: readonly string[]): Promise<boolean> => {
          asked = extras;
          return true;
        };
        const rules = rulesOf(patterns, top);
        const run = (): Promise<unknown> =>
          restoreTo(repository, { target, path: top, rules, confirmDelete });
        await codeOfAsync(run);
        expect(below(target).map(({ path }) => path)).toEqual(expected);
        const gone = before.map(({ path }) => path).filter((path) => !expected.includes(path));
        expect(gone.filter((path) => !asked.some((one) => `${path}/`.startsWith(`${one}/`)))).toEqual([]);
        rmSync(target, { recursive: true });
      }),
      runs(15),
    );
  });
});
