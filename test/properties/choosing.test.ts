/**
 * What the filter chooses is what slow and independent judges say: for patterns a translation to regular expressions
 * over whole paths, for .backpackignore the program git.
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, realpathSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Filter } from '../../src/source/filter.ts';
import { type PatternRule, patternRule } from '../../src/source/pattern.ts';
import { rootOf, walk } from '../../src/source/walk.ts';
import { anyRule, judge, withFolders } from './patterns.ts';

const runs = process.env['SLOW'] === '1' ? 10 : 1;
let base: string;
beforeAll(() => {
  base = realpathSync(mkdtempSync(join(tmpdir(), 'backpack-choosing-')));
});
afterAll(() => rmSync(base, { recursive: true, force: true }));

function storedBelow(folder: string, filter: Filter): string[] {
  const stored: string[] = [];
  for (const item of walk([rootOf(folder, '/')], filter)) {
    if ('code' in item) expect(item.code).toBe('excluded');
    else if (!item.ancestor && item.real !== folder) stored.push(relative(folder, item.real));
  }
  return stored.sort();
}

function everythingBelow(folder: string): string[] {
  return (readdirSync(folder, { recursive: true }) as string[]).sort();
}

describe('patterns', () => {
  const names = ['a', 'b', 'ab', '.a', 'B', 'a.b'];
  let root: string;
  let all: { path: string; folder: boolean }[];
  beforeAll(() => {
    root = join(base, 'r');
    // Three levels of folders in which every name is there, as a folder or a file.
    const fill = (folder: string, depth: number): void => {
      mkdirSync(folder, { recursive: true });
      for (const [i, name] of names.entries()) {
        if (depth > 0 && i % 2 === depth % 2) fill(join(folder, name), depth - 1);
        else writeFileSync(join(folder, name), '');
      }
    };
    fill(root, 3);
    all = everythingBelow(root).map((path) => ({ path, folder: statSync(join(root, path)).isDirectory() }));
    expect(all.length).toBeGreaterThan(100);
  });

  test('the last one that matches a path or a folder above it decides', () => {
    fc.assert(
      fc.property(fc.array(anyRule, { minLength: 1, maxLength: 6 }), (given) => {
        const place = { cwd: root, home: '/nowhere' };
        const rules: PatternRule[] = given.map(({ pattern: text, include, nocase }) =>
          patternRule(text.startsWith('/') ? root + text : text, { include, nocase, label: text }, place),
        );
        const wants = judge(given, root);
        const chosen = all.filter(({ path, folder }) => wants(path, folder));
        expect(storedBelow(root, new Filter({ rules }))).toEqual(withFolders(chosen.map(({ path }) => path)));
      }),
      { numRuns: 300 * runs },
    );
  });
});

describe('.backpackignore', () => {
  const names = ['a', 'b', 'ab', 'c.o', '.x', 'A', 'a b', '[a]', 'éé'];
  const piece = fc.constantFrom(
    'a',
    'b',
    'ab',
    '*',
    '?',
    'a*',
    '*.o',
    '[ab]',
    '[!a]',
    '**',
    '.x',
    'a b',
    '\\[a\\]',
    'éé',
    'A',
  );
  const line = fc
    .tuple(
      fc.constantFrom('', '', '!', '#', '\\'),
      fc.constantFrom('', '/', '**/'),
      fc.array(piece, { minLength: 1, maxLength: 3 }),
      fc.constantFrom('', '', '/', '/**', ' ', '/*'),
    )
    .map(([sign, start, parts, end]) => sign + start + parts.join('/') + end);
  const folderNames = fc.uniqueArray(fc.constantFrom(...names), { minLength: 2, maxLength: 5 });

  const hasGit = spawnSync('git', ['--version']).status === 0;
  test.skipIf(!hasGit)('leaves out what git ignores', () => {
    let count = 0;
    mkdirSync(join(base, 'g'));
    // A repository of git knows bytes only: ? and [...] match one byte, here one character.
    expect(spawnSync('git', ['init', '-q', join(base, 'g')]).status).toBe(0);
    fc.assert(
      fc.property(
        fc.array(fc.tuple(folderNames, fc.array(line, { maxLength: 4 })), { minLength: 1, maxLength: 12 }),
        (folders) => {
          const root = join(base, 'g', String(count++));
          mkdirSync(root);
          const open = [root];
          for (const [inside, lines] of folders) {
            const folder = open.shift();
            if (folder === undefined) break;
            if (lines.length > 0) writeFileSync(join(folder, '.backpackignore'), `${lines.join('\n')}\n`);
            for (const [i, one] of inside.entries()) {
              writeFileSync(join(folder, `${one}.o`), '');
              if (i % 2 === 0) writeFileSync(join(folder, one), '');
              else {
                mkdirSync(join(folder, one));
                open.push(join(folder, one));
              }
            }
          }
          const git = spawnSync(
            'git',
            ['-C', root, 'ls-files', '--others', '--exclude-per-directory=.backpackignore', '-z'],
            { encoding: 'utf8', env: { PATH: process.env['PATH'], GIT_CONFIG_GLOBAL: '/dev/null' } },
          );
          expect(git.stderr).toBe('');
          const files = storedBelow(root, new Filter())
            .map((path) => Buffer.from(path, 'latin1').toString('utf8'))
            .filter((path) => statSync(join(root, path)).isFile())
            .sort();
          expect(files).toEqual(git.stdout.split('\0').slice(0, -1).sort());
        },
      ),
      { numRuns: 120 * runs },
    );
  });
});
