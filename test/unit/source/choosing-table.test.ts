/** Every row of the table in docs/choosing.md, run on the tree that the document shows. */
import { spawnSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { Command } from 'commander';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { filterOptions, type RuleArgument } from '../../../src/cli/choosing.ts';
import { choosing } from '../../../src/cli/program.ts';
import { libc } from '../../../src/platform/libc.ts';
import { Filter } from '../../../src/source/filter.ts';
import { rootOf, walk } from '../../../src/source/walk.ts';

const text = readFileSync(join(import.meta.dirname, '../../../docs/choosing.md'), 'utf8');
const tree = /```tree\n([\s\S]*?)```/.exec(text)![1]!.trimEnd().split('\n');
const rows = text
  .split('\n')
  .filter((line) => /^\| (?:`--|\(none\))/.test(line))
  .map((line) => {
    const [options, , leftOut, stored] = line
      .slice(1, -1)
      .split('|')
      .map((cell) => cell.trim());
    return { options: options!.replaceAll('`', ''), leftOut: leftOut!, stored: namesIn(stored!) };
  });

function namesIn(cell: string): string[] {
  return [...cell.matchAll(/`([^`]+)`/g)].map(([, name]) => name!);
}

/** Splits as a shell does: quotes only. */
function words(line: string): string[] {
  return [...line.matchAll(/'([^']*)'|[^ ]+/g)].map(([word, quoted]) => quoted ?? word);
}

let top: string;
let me: string;
let hasFlags = false;
beforeAll(() => {
  top = realpathSync(mkdtempSync(join(tmpdir(), 'backpack-choosing-')));
  me = join(top, 'home/me');
  for (const line of tree) {
    const [, path, content = ''] = /^(\S+)\s*(.*)$/.exec(line)!;
    const file = join(top, path!);
    mkdirSync(dirname(file), { recursive: true });
    if (content === 'chattr +d') {
      if (!existsSync(file)) writeFileSync(file, '');
      hasFlags = spawnSync('chattr', ['+d', file]).status === 0 && libc() !== undefined;
      continue;
    }
    writeFileSync(file, content === '2 MiB' ? '' : content.replaceAll('|', '\n'));
    if (content === '2 MiB') truncateSync(file, 2 * 1024 * 1024);
  }
});

afterAll(() => rmSync(top, { recursive: true, force: true }));

function run(options: string): { stored: string[]; leftOut: string[] } {
  const rules: RuleArgument[] = [];
  const command = choosing(new Command(), rules).exitOverride();
  const args = options === '(none)' ? [] : words(options);
  command.parse(
    args.map((word) => word.replace(/^\/home\//, `${top}/home/`).replace(/^~\//, `${me}/`)),
    { from: 'user' },
  );
  const filter = new Filter(filterOptions({ ...command.opts(), rules }, undefined, join(me, 'code')));
  const stored: string[] = [];
  const leftOut: string[] = [];
  for (const item of walk([rootOf(me, '/')], filter)) {
    if (item.real === me || !item.real.startsWith(me)) continue;
    const path = item.real.slice(me.length + 1);
    if (!('code' in item)) stored.push(path);
    else {
      expect(item.code).toBe('excluded');
      expect(item.message).not.toBe('');
      leftOut.push(path);
    }
  }
  return { stored, leftOut };
}

describe('docs/choosing.md', () => {
  test('has a table and a tree', () => {
    expect(rows.length).toBeGreaterThan(40);
    expect(tree.length).toBeGreaterThan(15);
  });

  test.for(rows)('$options', ({ options, leftOut, stored }, { skip }) => {
    skip(options.includes('nodump') && !hasFlags, 'no flags on this filesystem, no chattr, or no koffi');
    const found = run(options);
    const usual = ['code/photos/raw/img_3.cr2', 'code/photos/raw/old'];
    if (leftOut === 'everything else') {
      expect(found.stored).toEqual(stored);
      return;
    }
    const expected = namesIn(leftOut);
    const own = options === '(none)' || options.includes('ignore-files');
    expect(found.leftOut.filter((path) => own || !usual.includes(path))).toEqual(expected);
    expect(stored.length).toBeGreaterThan(0);
    for (const path of stored) expect(found.stored).toContain(path);
    const gone = (path: string): boolean =>
      found.leftOut.some((one) => path === one || path.startsWith(`${one}/`));
    const all = tree.map((line) => /^\/home\/me\/(\S+)/.exec(line)![1]!);
    expect(all.filter((path) => !found.stored.includes(path) && !gone(path))).toEqual([]);
  });

  test('each form is in the table', () => {
    const options = rows.map((row) => row.options).join(' ');
    const command = choosing(new Command(), []);
    const flags = command.options.map(({ long }) => long!);
    const elsewhere = [
      '--one-file-system',
      '--files-from',
      '--files-from-nul',
      '--stdin',
      '--command',
      '--stdin-name',
    ];
    expect(
      flags.filter(
        (flag) => !options.includes(`${flag} `) && !options.endsWith(flag) && !elsewhere.includes(flag),
      ),
    ).toEqual([]);
    for (const flag of flags) expect(text).toContain(flag);
  });
});
