/** Every row of the table in docs/restore.md, run on the snapshot that the document shows; hard links; parent folders. */
import { linkSync, mkdirSync, readdirSync, readFileSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { Command } from 'commander';
import { describe, expect, it, test, vi } from 'vitest';
import { type RuleArgument, restoreRules } from '../../../src/cli/choosing.ts';
import { splitWanted } from '../../../src/cli/commands/ls.ts';
import { patterns } from '../../../src/cli/program.ts';
import { type PatternRule, patternRule } from '../../../src/source/pattern.ts';
import { codeOfAsync, temporaryFolder } from '../support.ts';
import { backUp, describeTree, newRepository, restoreTo } from './tree.ts';

const text = readFileSync(join(import.meta.dirname, '../../../docs/restore.md'), 'utf8');
const tree = /```tree\n([\s\S]*?)```/.exec(text)![1]!.trimEnd().split('\n');
const rows = text
  .split('\n')
  .filter((line) => line.startsWith('| `restore '))
  .map((line) => {
    const [command, , restored] = line
      .slice(1, -1)
      .split('|')
      .map((cell) => cell.trim());
    return {
      command: command!.replaceAll('`', ''),
      restored: [...restored!.matchAll(/`([^`]+)`/g)].map(([, name]) => `home/me/${name}`),
    };
  });

/** Makes the tree of the document. */
function makeTree(): string {
  const top = temporaryFolder();
  for (const line of tree) {
    const [, path, content = ''] = /^(\S+)\s*(.*)$/.exec(line)!;
    mkdirSync(dirname(join(top, path!)), { recursive: true });
    writeFileSync(join(top, path!), content.replaceAll('|', '\n'));
  }
  return top;
}

/** Splits as a shell does: quotes only. */
function words(line: string): string[] {
  return [...line.matchAll(/'([^']*)'|[^ ]+/g)].map(([word, quoted]) => quoted ?? word);
}

function filesBelow(folder: string): string[] {
  return (readdirSync(folder, { recursive: true }) as string[])
    .filter((path) => !statSync(join(folder, path)).isDirectory())
    .sort();
}

function rule(pattern: string, include = false): PatternRule {
  return patternRule(pattern, { include, nocase: false, label: pattern }, { cwd: '/', home: '/' });
}

describe('docs/restore.md', () => {
  test.each(rows)('$command', async ({ command: line, restored }) => {
    const top = makeTree();
    const repository = await newRepository();
    // As if it had been /home/me: the folder above it only leads there.
    await backUp(repository, top, { roots: [{ real: join(top, 'home/me'), stored: 'home/me' }] });
    const given: RuleArgument[] = [];
    const command = patterns(new Command().argument('<snapshot>'), given, { exclude: '', include: '' });
    command.exitOverride().parse(words(line).slice(1), { from: 'user' });
    const { snapshot, path } = splitWanted(command.args[0]!);
    vi.stubEnv('HOME', '/home/me');
    const rules = restoreRules(given, path, join(top, 'home/me/code'));
    vi.unstubAllEnvs();
    expect(rules.length).toBeGreaterThan(0);
    const target = join(temporaryFolder(), 'new');
    const code = await codeOfAsync(() => restoreTo(repository, { snapshot, path, rules, target }));
    expect(code).toBe(restored.length === 0 ? 'BP_NO_MATCH' : 'ok');
    if (restored.length > 0) expect(filesBelow(target)).toEqual(restored);
    // No folder but those that lead to something.
    else expect(readdirSync(dirname(target))).toEqual([]);
  });

  test('each option is in the table', () => {
    const command = patterns(new Command(), [], { exclude: '', include: '' });
    const flags = command.options.map(({ long }) => `${long!} `);
    expect(flags.filter((flag) => !rows.some((row) => row.command.includes(flag)))).toEqual([]);
    expect(rows.length).toBeGreaterThan(10);
  });
});

describe('with patterns', () => {
  it('parent folders come back with their metadata, unless they are there', async () => {
    const top = makeTree();
    for (const [i, path] of ['home/me/code/app', 'home/me/code', 'home/me', 'home'].entries())
      utimesSync(join(top, path), 1_500_000_000 + i, 1_500_000_000 + i);
    const repository = await newRepository();
    await backUp(repository, top);
    const target = temporaryFolder();
    mkdirSync(join(target, 'home'), { mode: 0o711 });
    const done = await restoreTo(repository, { target, rules: [rule('*'), rule('main.c', true)] });
    expect(filesBelow(target)).toEqual(['home/me/code/app/main.c']);
    expect([done.files, done.folders, done.failed]).toEqual([1, 4, 0]);
    for (const path of ['home/me', 'home/me/code', 'home/me/code/app'])
      expect(statSync(join(target, path)).mtimeMs).toBe(statSync(join(top, path)).mtimeMs);
    expect(statSync(join(target, 'home')).mode & 0o777).toBe(0o711);
  });

  it('a hard link whose first name is left out has its content; the others are links of it', async () => {
    const top = temporaryFolder();
    mkdirSync(join(top, 'a'));
    writeFileSync(join(top, 'a/first'), 'one inode');
    for (const name of ['b', 'c', 'd']) linkSync(join(top, 'a/first'), join(top, name));
    const repository = await newRepository();
    await backUp(repository, top);
    const target = temporaryFolder();
    const done = await restoreTo(repository, { target, rules: [rule('a'), rule('c')], verify: true });
    expect([done.files, done.bytes, done.failed]).toEqual([2, 18, 0]);
    expect(filesBelow(target)).toEqual(['b', 'd']);
    expect(readFileSync(join(target, 'b'), 'utf8')).toBe('one inode');
    expect(statSync(join(target, 'b')).ino).toBe(statSync(join(target, 'd')).ino);
    expect(statSync(join(target, 'b')).nlink).toBe(2);
  });

  it('what is left out stays as it is in the target, also with --delete', async () => {
    const top = makeTree();
    const repository = await newRepository();
    await backUp(repository, top);
    const target = temporaryFolder();
    await restoreTo(repository, { target });
    writeFileSync(join(target, 'home/me/code/app/main.o'), 'mine');
    mkdirSync(join(target, 'home/me/extra/deep'), { recursive: true });
    for (const path of ['code/app/other.o', 'code/app/gone.c', 'extra/deep/kept.o', 'extra/gone'])
      writeFileSync(join(target, 'home/me', path), '');
    let asked: readonly string[] = [];
    const done = await restoreTo(repository, {
      target,
      rules: [rule('*.o')],
      overwrite: 'always',
      confirmDelete: async (extras) => {
        asked = extras;
        return true;
      },
    });
    expect([...asked].sort()).toEqual(['home/me/code/app/gone.c', 'home/me/extra/gone']);
    expect([done.deleted, done.failed, done.files]).toEqual([2, 0, 7]);
    expect(readFileSync(join(target, 'home/me/code/app/main.o'), 'utf8')).toBe('mine');
    expect(filesBelow(join(target, 'home/me/extra'))).toEqual(['deep/kept.o']);
    expect(filesBelow(join(target, 'home/me/code/app'))).toEqual([
      'main.c',
      'main.o',
      'other.o',
      'tmp/out.bin',
    ]);
  });

  it('none, and an empty list of them, choose everything', async () => {
    const top = makeTree();
    const repository = await newRepository();
    await backUp(repository, top);
    const back = await restoreTo(repository, { rules: [] });
    expect(describeTree(back.target)).toEqual(describeTree(top));
  });
});
