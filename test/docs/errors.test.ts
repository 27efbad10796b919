/** docs/errors.md names every error code of the program, no other, and tells the truth about exit codes. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { BackpackError, type ErrorKind } from '../../src/base/errors.ts';
import { exitCodeOf } from '../../src/cli/context.ts';
import { reasons, reject } from '../../src/format/reject.ts';

const root = join(import.meta.dirname, '../..');
const sources = (readdirSync(join(root, 'src'), { recursive: true }) as string[])
  .filter((name) => name.endsWith('.ts') && !/kernel\/assembly|schema\/generated/.test(name))
  .map((name) => readFileSync(join(root, 'src', name), 'utf8'))
  .join('\n');
const inSource = new Set(sources.match(/\b(?:BP|E)_[A-Z][A-Z0-9_]*\b/g));
const text = readFileSync(join(root, 'docs/errors.md'), 'utf8');
const rows = [...text.matchAll(/^\| `((?:BP|E)_[A-Z0-9_]+)` \| (.+) \|$/gm)].map(([, code, rest]) => ({
  code: code!,
  cells: rest!.split(' | '),
}));
const exitOf = new Map(rows.map(({ code, cells }) => [code, cells.at(-1)!]));

describe('docs/errors.md', () => {
  test('has a row for every code in the program', () => {
    expect([...inSource].filter((code) => !exitOf.has(code))).toEqual([]);
  });

  test('names no code that the program does not have', () => {
    expect(rows.map(({ code }) => code).filter((code) => !inSource.has(code))).toEqual([]);
  });

  test('has one row per code, with what, why, next step and exit code', () => {
    expect(exitOf.size).toBe(rows.length);
    expect(
      rows.filter(({ cells }) => cells.length !== 4 || cells.some((cell) => cell.trim() === '')),
    ).toEqual([]);
  });

  test('reason codes: exit code as in the program and in the specification', () => {
    const spec = readFileSync(join(root, 'SPEC.md'), 'utf8');
    const inSpec = [...spec.matchAll(/^\| `(E_[A-Z0-9]+)` \|.+\| (\d+) \|$/gm)].map(([, code, exit]) => [
      code,
      exit,
    ]);
    expect(inSpec.length).toBe(Object.keys(reasons).length);
    for (const [code, exit] of inSpec) {
      expect([code, String(exitCodeOf(reject(code!, 'x')))]).toEqual([code, exit]);
      expect([code, exitOf.get(code!)]).toEqual([code, exit]);
    }
  });

  test('codes of the program: exit code as their kind gives it', () => {
    const thrown = [...sources.matchAll(/\(\s*'(BP_[A-Z_]+)',(?:(?!BP_)[\s\S]){1,500}?kind: '([a-z-]+)'/g)];
    expect(thrown.length).toBeGreaterThan(30);
    for (const [, code, kind] of thrown) {
      // These have two kinds, or name a repository in their context.
      if (['BP_LOCATION', 'BP_NO_REPOSITORY', 'BP_REPOSITORY_GONE', 'BP_CANCELED'].includes(code!)) continue;
      const exit = exitCodeOf(new BackpackError(code!, 'x', { kind: kind as ErrorKind }));
      const goesOn = kind === 'source' || kind === 'target' || code === 'BP_RECORD_SIZE';
      if (!goesOn || exitOf.get(code!) !== 'goes on')
        expect([code, exitOf.get(code!)]).toEqual([code, String(exit)]);
    }
  });
});
