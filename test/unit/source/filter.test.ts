/** What a walk leaves out, beyond the table of docs/choosing.md: mounts, named paths, lists, names of bytes, hostile rules. */
import { spawnSync } from 'node:child_process';
import { fstatSync, mkdirSync, readdirSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { toByteString, utf8ToByteString } from '../../../src/base/bytes.ts';
import { parseSize } from '../../../src/base/sizes.ts';
import { parseTimeOption } from '../../../src/cli/when.ts';
import { gatherRoots, recordedRoots } from '../../../src/operations/roots.ts';
import { Filesystems } from '../../../src/source/filesystems.ts';
import { Filter, type FilterOptions, type FilterPorts } from '../../../src/source/filter.ts';
import { patternRule } from '../../../src/source/pattern.ts';
import { lstat } from '../../../src/source/source-stat.ts';
import {
  rootOf,
  type SourceItem,
  type SourceProblem,
  type SourceRoot,
  walk,
} from '../../../src/source/walk.ts';
import { codeOf, temporaryFolder } from '../support.ts';

const rulesOf = (...patterns: string[]): FilterOptions => ({
  rules: patterns.map((text) =>
    patternRule(text, { include: false, nocase: false, label: text }, { cwd: '/c', home: '/h' }),
  ),
});

function run(
  roots: readonly SourceRoot[],
  options: FilterOptions,
  ports: FilterPorts = {},
): Record<string, string> {
  const found: Record<string, string> = {};
  for (const item of walk(roots, new Filter(options, ports)))
    found[item.real] = (item.real in found ? `${found[item.real]}, ` : '') + wordsOf(item);
  return found;
}

function wordsOf(item: SourceItem | SourceProblem): string {
  return 'code' in item ? `${item.code}: ${item.message}` : 'stored';
}

function tree(...paths: string[]): string {
  const root = temporaryFolder();
  for (const path of paths) {
    mkdirSync(join(root, path, '..'), { recursive: true });
    writeFileSync(join(root, path), path);
  }
  return root;
}

describe('the flag d', () => {
  const left = 'excluded: --exclude-nodump';

  it('is asked of files and folders only, and never of what was named', () => {
    const top = tree('a', 'd/inner', 'e/inner');
    spawnSync('mkfifo', [join(top, 'pipe')]);
    symlinkSync('a', join(top, 'link'));
    let asked = 0;
    const flags = (fd: number): number => {
      asked += 1;
      return fstatSync(fd).ino === statSync(join(top, 'e')).ino ? 0x10 : 0x40 | 0x80000;
    };
    const all = { [top]: 'stored', [join(top, 'link')]: 'stored', [join(top, 'pipe')]: 'stored' };
    expect(run([rootOf(top, '/')], { nodump: true }, { flags: { flags } })).toMatchObject({
      ...all,
      [join(top, 'a')]: left,
      [join(top, 'd')]: left,
      [join(top, 'e')]: 'stored',
      [join(top, 'e/inner')]: left,
    });
    expect(asked).toBe(4);
    expect(run([rootOf(join(top, 'a'), '/')], { nodump: true }, { flags: { flags } })).toMatchObject({
      [join(top, 'a')]: 'stored',
    });
    expect(asked).toBe(4);
  });

  it('is not looked for without being asked for', () => {
    const top = tree('a');
    const flags = (): number => 0x40;
    expect(run([rootOf(top, '/')], {}, { flags: { flags } })).toMatchObject({ [join(top, 'a')]: 'stored' });
  });

  it('where the filesystem has none, is said once, and each is asked no longer', () => {
    const top = tree('a', 'b', 'c');
    const said: string[] = [];
    let asked = 0;
    const flags = (): undefined => {
      asked += 1;
      return undefined;
    };
    const onIgnored = (path: string, message: string): void => void said.push(`${path}: ${message}`);
    const found = run([rootOf(top, '/')], { nodump: true }, { flags: { flags }, onIgnored });
    expect(Object.values(found).filter((what) => what !== 'stored')).toEqual([]);
    expect(said).toEqual([
      `${join(top, 'a')}: its filesystem has no flags, so --exclude-nodump leaves out nothing there`,
    ]);
    expect(asked).toBe(1);
  });
});

describe('filesystems', () => {
  const lines =
    '22 1 0:21 / /proc rw,nosuid shared:5 - proc proc rw\n' +
    '23 1 0:5 / /dev rw - devtmpfs udev rw\n' +
    '24 1 0:50 / /tmp rw - tmpfs tmpfs rw\n';
  const device = (major: number, minor: number): number => major * 2 ** 32 + minor;

  it('are known by their name in the mount table', () => {
    const folder = temporaryFolder();
    const table = join(folder, 'mountinfo');
    writeFileSync(table, lines);
    const filesystems = new Filesystems(table);
    expect(filesystems.madeUp(device(0, 21), folder)).toBe('proc');
    expect(filesystems.madeUp(device(0, 5), folder)).toBe('devtmpfs');
    expect(filesystems.madeUp(device(0, 50), folder)).toBeUndefined();
  });

  it.skipIf(process.platform !== 'linux')('are known by the type of statfs without a mount table', () => {
    const filesystems = new Filesystems('/nowhere');
    const dev = (path: string): number => lstat(path).dev;
    expect(filesystems.madeUp(dev('/proc'), '/proc')).toBe('proc');
    expect(filesystems.madeUp(dev('/sys'), '/sys')).toBe('sysfs');
    expect(filesystems.madeUp(dev(temporaryFolder()), temporaryFolder())).toBeUndefined();
  });

  it.skipIf(process.platform !== 'linux')(
    'that the kernel makes up are empty folders, but for what is named',
    () => {
      const dot = (real: string): SourceRoot => ({ real, stored: real.slice(1) });
      // Everything of / but proc is left out, so that this is quick.
      const others = readdirSync('/').filter((name) => name !== 'proc');
      const rules = others.map((name) =>
        patternRule(`/${name}`, { include: false, nocase: false, label: name }, { cwd: '/', home: '/' }),
      );
      const plain = run([{ real: '/', stored: '' }], { rules });
      expect(plain['/proc']).toBe('stored, skipped: proc holds no files; name it to store it');
      expect(Object.keys(plain).filter((path) => path.startsWith('/proc/'))).toEqual([]);
      const named = run([{ real: '/', stored: '' }], { rules, named: ['/proc/sys/kernel/ostype'] });
      const stored = Object.keys(named).filter((path) => named[path]!.startsWith('stored'));
      expect(stored).toEqual(['/proc', '/proc/sys', '/proc/sys/kernel', '/proc/sys/kernel/ostype']);
      expect(run([dot('/proc/sys/kernel/ostype')], {})['/proc/sys/kernel/ostype']).toBe('stored');
    },
  );

  it('are not entered with oneFileSystem', () => {
    const root = tree('a/x', 'b/y');
    const filter = new Filter({ oneFileSystem: true });
    const stat = lstat(root);
    const state = filter.enterRoot(root, stat, ['a', 'b'], false);
    const other = { ...stat, dev: stat.dev + 1 };
    expect(filter.decide(state, `${root}/a`, 'a', other, 'a')).toMatchObject({
      why: 'mount',
      descend: false,
    });
    expect(filter.decide(state, `${root}/a`, 'a', stat, 'a')).toBeUndefined();
    const file = lstat(join(root, 'a/x'));
    const bound = { ...file, dev: stat.dev + 1 };
    expect(filter.decide(state, `${root}/x`, 'x', bound, 'x')).toBeUndefined();
  });
});

describe('what is named', () => {
  it('is stored although a folder above it is excluded, and rules begin anew below it', () => {
    const root = tree('out/in/file', 'out/in/file.o', 'out/other', 'file');
    const found = run([rootOf(root, '/')], { ...rulesOf('out', '*.o'), named: [`${root}/out/in`] });
    expect(found[`${root}/out`]).toBe('stored');
    expect(found[`${root}/out/in/file`]).toBe('stored');
    expect(found[`${root}/out/in/file.o`]).toBe('excluded: *.o');
    expect(found[`${root}/out/other`]).toBe('excluded: out');
  });

  it('is left out by rules when it comes from a list', () => {
    const root = tree('a.o', 'b');
    const roots = gatherRoots(
      ['a.o', 'b', 'gone'].map((path) => ({ path: `${root}/${path}`, listed: true })),
      '/',
    ).roots;
    const found = run(roots, rulesOf('*.o'));
    expect(found[`${root}/a.o`]).toBe('excluded: *.o');
    expect(found[`${root}/b`]).toBe('stored');
    expect(found[`${root}/gone`]).toMatch(/^ENOENT/);
  });
});

describe('names of bytes', () => {
  it('are matched by what can be read of them, and stored as they are', () => {
    const root = temporaryFolder();
    const odd = Buffer.concat([Buffer.from(`${root}/caf`), Buffer.from([0xe9]), Buffer.from('.txt')]);
    writeFileSync(odd, '');
    writeFileSync(join(root, 'café.txt'), '');
    const both = run([rootOf(root, '/')], rulesOf('caf?.txt'));
    expect(both[toByteString(odd)]).toMatch(/^excluded/);
    expect(both[utf8ToByteString(`${root}/café.txt`)]).toMatch(/^excluded/);
    const one = run([rootOf(root, '/')], rulesOf('café.txt'));
    expect(one[toByteString(odd)]).toBe('stored');
    expect(one[utf8ToByteString(`${root}/café.txt`)]).toMatch(/^excluded/);
  });
});

describe('.backpackignore of somebody else', () => {
  it('is read with limits, and says which rules are not used', () => {
    const root = tree('a', 'b');
    const said: string[] = [];
    const ports = { onIgnored: (path: string, message: string) => said.push(`${path}: ${message}`) };
    writeFileSync(join(root, '.backpackignore'), `${'*a'.repeat(50)}b\n${'x'.repeat(5000)}\nb\n`);
    const found = run([rootOf(root, '/')], {}, ports);
    expect(found[`${root}/b`]).toMatch(/^excluded/);
    expect(said).toEqual([`${root}/.backpackignore: 2 of its rules are too long or too many and not used`]);
    writeFileSync(join(root, '.backpackignore'), 'b\n'.repeat(200_000));
    expect(run([rootOf(root, '/')], {}, ports)[`${root}/b`]).toBe('stored');
    expect(said[1]).toMatch(/longer than 256 KiB/);
  });

  it('cannot make matching take for ever', () => {
    const root = temporaryFolder();
    writeFileSync(join(root, 'a'.repeat(255)), '');
    writeFileSync(join(root, '.backpackignore'), '*a*a*a*a*a*b\n'.repeat(20));
    const start = performance.now();
    run([rootOf(root, '/')], {});
    expect(performance.now() - start).toBeLessThan(10_000);
  });

  it('may be a folder, a link or a pipe without harm', () => {
    const root = tree('x/file', '.backpackignore/file');
    expect(run([rootOf(root, '/')], {})[`${root}/x/file`]).toBe('stored');
  });
});

describe('roots', () => {
  const gather = (...paths: string[]) =>
    gatherRoots(
      paths.map((path) => ({ path, listed: true })),
      '/c',
    );

  it('are sorted, and one inside another is one', () => {
    expect(gather('b', 'a/x', 'a', '/c/d', 'a').roots.map(({ stored }) => stored)).toEqual(['a', 'b', 'c/d']);
    expect(codeOf(() => gather('c/d', '/c/d'))).toBe('BP_ROOTS_COLLIDE');
    expect(codeOf(() => gather('c', '/c/d'))).toBe('BP_ROOTS_COLLIDE');
  });

  it('of a long list are gathered fast and recorded as folders', () => {
    const paths = Array.from({ length: 100_000 }, (_, i) => `/data/${i % 300}/${i % 7}/file ${i}`);
    const start = performance.now();
    const { roots } = gather(...paths);
    expect(performance.now() - start).toBeLessThan(5000);
    expect(roots.length).toBe(100_000);
    const recorded = recordedRoots(roots);
    expect(recorded).toHaveLength(300);
    expect(recorded).toContain('/data/0');
  });

  it('of a long list without common folders are recorded as absolute or relative all the same', () => {
    const named = (prefix: string) => Array.from({ length: 1001 }, (_, i) => `${prefix}${i}/file`);
    expect(recordedRoots(gather(...named('/a')).roots)).toEqual(['/']);
    expect(recordedRoots(gather(...named('a')).roots)).toEqual(['']);
  });
});

describe('values', () => {
  it('sizes', () => {
    const sizes = ['7', '1k', '1K', '1 KiB', '1kB', '1.5M', '2 GB', '1T'].map(parseSize);
    expect(sizes).toEqual([7, 1024, 1024, 1024, 1000, 1_572_864, 2e9, 2 ** 40]);
    expect(['', 'x', '-1', '1x', '1 kBB', '1e9'].map(parseSize)).toEqual(Array(6).fill(undefined));
  });

  it('times', () => {
    expect(parseTimeOption('2024-02-29T12:30:00Z')).toBe(Date.UTC(2024, 1, 29, 12, 30));
    expect(parseTimeOption('2024-02-29 12:30:00+02:00')).toBe(Date.UTC(2024, 1, 29, 10, 30));
    expect(parseTimeOption('@1700000000')).toBe(1_700_000_000_000);
    expect(parseTimeOption('2024-02-29')).toBe(new Date(2024, 1, 29).getTime());
    for (const text of ['2023-02-29', '2024-13-01', 'now', '2024-01-01T25:00', ''])
      expect(codeOf(() => parseTimeOption(text))).toBe('BP_USAGE');
  });

  it('patterns that cannot be meant', () => {
    const parse = (text: string, include = false) =>
      patternRule(text, { include, nocase: false, label: text }, { cwd: '/c', home: '/h' });
    for (const text of ['', '/', '//', 'a/../b', './../..', '{1,2,3,4,5,6,7,8,9,0}'.repeat(4)])
      expect(codeOf(() => parse(text))).toBe('BP_PATTERN');
    expect(codeOf(() => parse('!a', true))).toBe('BP_PATTERN');
    expect(parse('~/a').pattern).toBe('/h/a');
    expect(parse('./a/./b//').pattern).toBe('/c/a/b/');
    expect(parse('/a/../b').pattern).toBe('/b');
  });
});
