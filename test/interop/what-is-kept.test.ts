/**
 * docs/what-is-kept.md, proved: a tree of more than 100 special cases (test/kept/tree.py has the list) goes through
 * the built command, as root and as another user, with and without koffi. Judges are rsync and tree.py, which shares
 * no code with the program. Differences are allowed only where the page has them.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { chmodSync, cpSync, existsSync, mkdtempSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const project = join(import.meta.dirname, '../..');
const treeScript = join(project, 'test/kept/tree.py');
const root = process.getuid?.() === 0;
const nobody = { uid: 65_534, gid: 65_534 };
const has = (name: string): boolean => spawnSync('sh', ['-c', `command -v ${name}`]).status === 0;
const tools = process.platform === 'linux' && has('python3') && has('rsync');
const folders: string[] = [];

/** What tree.py says of one path. */
interface Facts {
  readonly type: string;
  readonly mode?: string;
  readonly uid: number;
  readonly gid: number;
  /** Nanoseconds, as text: a number would not hold them. */
  readonly mtime: string;
  readonly flags?: number;
  readonly xattrs: Readonly<Record<string, string>>;
  readonly [other: string]: unknown;
}
type Tree = Readonly<Record<string, Facts>>;
interface Ran {
  readonly code: number;
  readonly stderr: string;
  /** Lines of `--json`. */
  readonly events: readonly { type: string; code?: string; path?: string; message?: string }[];
}
type Who = { readonly uid: number; readonly gid: number } | undefined;

function folder(): string {
  const made = mkdtempSync(join(tmpdir(), 'backpack-kept-'));
  chmodSync(made, 0o777);
  folders.push(made);
  return made;
}

/** Runs the command in a home of its own. */
function backpack(base: string, args: readonly string[], who?: Who, node: readonly string[] = []): Ran {
  const done = spawnSync(
    process.execPath,
    [
      ...node,
      join(program(), 'cli/main.js'),
      ...args,
      '--json',
      '--repo',
      join(base, 'repo'),
      '--key',
      join(base, 'key.bin'),
    ],
    {
      env: {
        HOME: join(base, who === undefined ? 'home' : 'home-of-nobody'),
        PATH: process.env['PATH'] ?? '',
      },
      encoding: 'utf8',
      maxBuffer: 1 << 28,
      cwd: base,
      ...who,
    },
  );
  const lines = done.stdout.split('\n').filter((line) => line !== '');
  return {
    code: done.status ?? -1,
    stderr: done.stderr,
    events: lines.map((line) => JSON.parse(line) as never),
  };
}

/** The built program; a copy where another user cannot reach this one. */
let copied: string | undefined;
function program(): string {
  return copied ?? join(project, 'dist');
}

function python(args: readonly string[], who?: Who): unknown {
  const text = execFileSync(
    'python3',
    [copied === undefined ? treeScript : join(copied, '../tree.py'), ...args],
    {
      encoding: 'utf8',
      maxBuffer: 1 << 28,
      ...who,
    },
  );
  return JSON.parse(text);
}
const describeTree = (path: string): Tree => python(['describe', path]) as Tree;

/** What is wrong with a path, by the name of the fact. */
function differences(source: Tree, target: Tree): Map<string, string[]> {
  const found = new Map<string, string[]>();
  for (const path of new Set([...Object.keys(source), ...Object.keys(target)])) {
    const a = source[path];
    const b = target[path];
    const names =
      a === undefined || b === undefined
        ? [a === undefined ? 'extra' : 'missing']
        : [...new Set([...Object.keys(a), ...Object.keys(b)])].filter(
            (name) => JSON.stringify(a[name]) !== JSON.stringify(b[name]),
          );
    if (names.length > 0) found.set(path, names);
  }
  return found;
}

/** Lines of rsync for what differs; the path beyond PATH_MAX is not for it. */
function rsync(source: string, target: string): string {
  return execFileSync(
    'rsync',
    [
      '-aHAXni',
      '--checksum',
      '--numeric-ids',
      '--delete',
      '--exclude=/deep',
      '--specials',
      '--devices',
      `${source}/`,
      `${target}/`,
    ],
    { encoding: 'utf8' },
  );
}

const problems = ({ events }: Ran): typeof events =>
  events.filter(({ type }) => type === 'warning' || type === 'damage' || type === 'error');
/** Paths named by problems, as tree.py spells them. */
const named = (run: Ran): Set<string> =>
  new Set(
    problems(run).flatMap(({ path }) => (path === undefined ? [] : [Buffer.from(path).toString('latin1')])),
  );
const lossy = (path: string): string =>
  Buffer.from(Buffer.from(path, 'latin1').toString('utf8')).toString('latin1');

/** Whether a path is named, or the first name of the same inode is. */
const isNamed = (names: ReadonlySet<string>, path: string, { same }: Facts): boolean =>
  names.has(lossy(`source/${path}`)) || (typeof same === 'string' && names.has(lossy(`source/${same}`)));

describe.skipIf(!tools)('what is kept', () => {
  const base = tools ? folder() : '';
  const source = join(base, 'source');
  let before: Tree;
  let cases: { made: string[]; refused: string[] };
  let first: Ran;

  beforeAll(() => {
    cases = python(['make', source]) as typeof cases;
    before = describeTree(source);
    backpack(base, ['init']);
    first = backpack(base, ['backup', 'source']);
  });

  afterAll(() => {
    for (const made of folders) {
      spawnSync('chattr', ['-R', '-f', '-i', '-a', made]);
      spawnSync('chmod', ['-R', 'u+rwx', made]);
      // Node's own rm fails where a path is longer than 4,096 bytes.
      spawnSync('rm', ['-rf', made]);
    }
  });

  const restored = (name: string, extra: readonly string[] = [], who?: Who, node?: readonly string[]): Ran =>
    backpack(base, ['restore', 'latest:source', '--to', join(base, name), ...extra], who, node);

  it('at least 80 special cases were made', () => {
    if (cases.refused.length > 0) console.log(`not made here: ${cases.refused.join('; ')}`);
    expect(cases.made.length).toBeGreaterThanOrEqual(80);
    expect(new Set(cases.made).size).toBe(cases.made.length);
  });

  it('everything that this user may read is stored, without a word', () => {
    expect(problems(first)).toEqual([]);
    expect(first.code).toBe(0);
  });

  it('everything comes back as it was', () => {
    const run = restored('same');
    expect(problems(run)).toEqual([]);
    expect(run.code).toBe(0);
    const target = join(base, 'same/source');
    expect(differences(before, describeTree(target))).toEqual(new Map());
    expect(rsync(source, target)).toBe('');
  });

  it('a second backup reads no content and no attribute again', () => {
    if (!has('strace')) return;
    const log = join(base, 'strace');
    const calls = 'trace=llistxattr,flistxattr,listxattr,lgetxattr,fgetxattr,ioctl';
    // What changed in the last two seconds is looked at again.
    spawnSync('sleep', ['2.1']);
    backpack(base, ['backup', 'source']);
    const main = join(project, 'dist/cli/main.js');
    const args = ['-f', '-qq', '-o', log, '-e', calls, process.execPath, main, 'backup', 'source', '--json'];
    const done = spawnSync(
      'strace',
      [...args, '--repo', join(base, 'repo'), '--key', join(base, 'key.bin')],
      {
        env: { HOME: join(base, 'home') },
        cwd: base,
        encoding: 'utf8',
      },
    );
    expect(done.status).toBe(0);
    const summary = JSON.parse(done.stdout.trim().split('\n').at(-1)!) as Record<string, number>;
    expect(summary).toMatchObject({ filesNew: 0, filesChanged: 0, bytesRead: 0 });
    expect(
      readFileSync(log, 'latin1')
        .split('\n')
        .filter((line) => /xattr|FS_IOC_GETFLAGS/.test(line)),
    ).toEqual([]);
  });

  it('an attribute that is changed, added or removed is noticed, and nothing else is read', () => {
    if (!has('setfattr')) return;
    const file = join(source, 'xattr-one');
    execFileSync('setfattr', ['-n', 'user.comment', '-v', 'changed', file]);
    execFileSync('setfattr', ['-n', 'user.new', '-v', 'x', join(source, 'empty-folder')]);
    const run = backpack(base, ['backup', 'source']);
    expect(run.code).toBe(0);
    expect(run.events.at(-1)).toMatchObject({ filesNew: 0, bytesRead: 7 });
    expect(restored('changed').code).toBe(0);
    const now = describeTree(join(base, 'changed/source'));
    expect(differences(describeTree(source), now)).toEqual(new Map());
    expect(now['xattr-one']?.xattrs['user.comment']).toBe(Buffer.from('changed').toString('hex'));
    execFileSync('setfattr', ['-x', 'user.new', join(source, 'empty-folder')]);
    execFileSync('setfattr', ['-n', 'user.comment', '-v', 'hello', file]);
    expect(backpack(base, ['backup', 'source']).code).toBe(0);
  });

  it.skipIf(!root)('--no-special and --no-owner leave out what they say, and nothing else', () => {
    const run = restored('plain', ['--no-special', '--no-owner']);
    expect(run.code).toBe(3);
    for (const [path, facts] of differences(before, describeTree(join(base, 'plain/source')))) {
      const old = before[path]!;
      if (['0o60000', '0o20000'].includes(old.type)) {
        expect(facts, path).toEqual(['missing']);
        continue;
      }
      const allowed = ['uid', 'gid'];
      if ((Number(old.mode) & 0o6000) !== 0) allowed.push('mode');
      if (old.xattrs['security.capability'] !== undefined) allowed.push('xattrs');
      expect(
        facts.filter((fact) => !allowed.includes(fact)),
        path,
      ).toEqual([]);
    }
    const setuid = describeTree(join(base, 'plain/source'))['owner-setuid'];
    expect(setuid).toMatchObject({ uid: 0, gid: 0, mode: '0o755', xattrs: {} });
    expect(restored('numbers', ['--numeric-owner']).code).toBe(0);
    expect(differences(before, describeTree(join(base, 'numbers/source')))).toEqual(new Map());
  });

  it('recover.js brings back what Node.js alone can, and names the rest', () => {
    const args = [
      join(project, 'recover/recover.js'),
      '--key',
      'key.bin',
      '--repo',
      'repo',
      'restore',
      '--to',
      'by-recover',
    ];
    const done = spawnSync(process.execPath, args, { cwd: base, encoding: 'utf8', maxBuffer: 1 << 28 });
    expect(done.status).toBe(3);
    const said = done.stderr.split('\n').length;
    let lost = 0;
    for (const [path, facts] of differences(before, describeTree(join(base, 'by-recover/source')))) {
      const old = before[path]!;
      const made = ['0o100000', '0o40000', '0o120000'].includes(old.type);
      const allowed = made
        ? ['xattrs', 'flags', ...(old.mtime.endsWith('000') ? [] : ['mtime'])]
        : ['missing'];
      expect(
        facts.filter((fact) => !allowed.includes(fact)),
        path,
      ).toEqual([]);
      if (facts.some((fact) => fact !== 'mtime') && old.same === undefined) lost += 1;
    }
    expect(lost).toBeGreaterThan(20);
    expect(said).toBeGreaterThan(lost);
  });

  it('without koffi: what cannot be set is left out and named, the rest comes back', () => {
    const run = restored('no-koffi', [], undefined, ['--no-addons']);
    expect(run.code).toBe(3);
    const names = named(run);
    const fifo = ['0o10000', '0o140000', '0o60000', '0o20000'];
    for (const [path, facts] of differences(before, describeTree(join(base, 'no-koffi/source')))) {
      const old = before[path]!;
      const allowed = fifo.includes(old.type)
        ? ['missing']
        : ['xattrs', 'flags', ...(old.mtime.endsWith('000') ? [] : ['mtime'])];
      // With the ACL goes its mask, which stands in the place of the group's mode.
      expect(
        facts.filter((fact) => !allowed.includes(fact)),
        path,
      ).toEqual([]);
      if (facts.some((fact) => fact !== 'mtime')) expect(isNamed(names, path, old), path).toBe(true);
    }
    const without = backpack(base, ['backup', 'source', '--set', 'without'], undefined, ['--no-addons']);
    const said = without.events.filter(({ code }) => code === 'BP_NO_EXTRAS');
    expect(said).toHaveLength(1);
    expect(said[0]?.message).toMatch(
      /^extended attributes, ACLs and file flags of \d+ entries are not stored/,
    );
    expect(without.code).toBe(0);
    // The next run that can, looks at all of them, though nothing has changed; and reads no content for it.
    const after = backpack(base, ['backup', 'source', '--set', 'without']);
    expect(after.events.at(-1)).toMatchObject({ filesNew: 0, filesChanged: 0, bytesRead: 0 });
    expect(restored('after').code).toBe(0);
    // Only the zeros that were read without knowing of the holes stay what they are until the file changes.
    for (const [path, facts] of differences(before, describeTree(join(base, 'after/source')))) {
      expect(path).toMatch(/hole/);
      expect(facts, path).toEqual(['data', 'sha256']);
    }
    expect(rsync(source, join(base, 'after/source'))).toBe('');
    // The latest snapshot is again one of the set that knows of the holes.
    expect(backpack(base, ['backup', 'source']).code).toBe(0);
  });

  describe.skipIf(!root)('and another user', () => {
    beforeAll(() => {
      execFileSync('chmod', ['-R', 'a+rX', join(base, 'repo')]);
      cpSync(join(base, 'key.bin'), join(base, 'key-of-nobody'));
      const place = folder();
      cpSync(join(project, 'dist'), join(place, 'dist'), { recursive: true });
      cpSync(join(project, 'package.json'), join(place, 'package.json'));
      cpSync(join(project, 'recover'), join(place, 'recover'), { recursive: true });
      cpSync(join(project, 'SPEC.md'), join(place, 'SPEC.md'));
      cpSync(treeScript, join(place, 'tree.py'));
      for (const name of [
        'commander',
        'env-paths',
        'is-safe-filename',
        'pretty-bytes',
        'pretty-ms',
        'parse-ms',
        'ignore',
        'picomatch',
        'koffi',
        '@koromix',
      ])
        if (existsSync(join(project, 'node_modules', name)))
          cpSync(join(project, 'node_modules', name), join(place, 'node_modules', name), { recursive: true });
      execFileSync('chmod', ['-R', 'a+rX', place]);
      copied = join(place, 'dist');
    });
    afterAll(() => {
      copied = undefined;
    });

    it('gets back what he may have, and is told the rest', () => {
      execFileSync('chown', ['65534:65534', join(base, 'key.bin')]);
      const run = restored('as-nobody', [], nobody);
      expect(run.code).toBe(3);
      const names = named(run);
      for (const [path, facts] of differences(before, describeTree(join(base, 'as-nobody/source')))) {
        const old = before[path]!;
        // One device anybody may make: the one that stands for nothing (0, 0).
        if (['0o60000', '0o20000'].includes(old.type) && path !== 'dev-0-0') {
          expect(facts, path).toEqual(['missing']);
          expect(isNamed(names, path, old), path).toBe(true);
          continue;
        }
        const special = (Number(old.mode) & 0o6000) !== 0 && old.type !== '0o40000';
        const hidden = Object.keys(old.xattrs).some((name) => /^(trusted|security)\./.test(name));
        const flagged = ((old.flags ?? 0) & 0x30) !== 0;
        const allowed = ['uid', 'gid'];
        if (special) allowed.push('mode');
        if (hidden) allowed.push('xattrs');
        if (flagged) allowed.push('flags');
        expect(
          facts.filter((fact) => !allowed.includes(fact)),
          path,
        ).toEqual([]);
        if (facts.some((fact) => !['uid', 'gid'].includes(fact)))
          expect(isNamed(names, path, old), `${path} ${facts.join()}`).toBe(true);
      }
      execFileSync('chown', ['0:0', join(base, 'key.bin')]);
    });

    it('his own tree comes back to him as it was', () => {
      const own = folder();
      const made = python(['make', join(own, 'source')], nobody) as typeof cases;
      expect(made.made.length).toBeGreaterThanOrEqual(80);
      const tree = describeTree(join(own, 'source'));
      expect(backpack(own, ['init'], nobody).code).toBe(0);
      const run = backpack(own, ['backup', 'source'], nobody);
      expect(problems(run)).toEqual([]);
      expect(run.code).toBe(0);
      const back = backpack(own, ['restore', 'latest:source', '--to', join(own, 'target')], nobody);
      expect(problems(back)).toEqual([]);
      expect(differences(tree, describeTree(join(own, 'target/source')))).toEqual(new Map());
      expect(rsync(join(own, 'source'), join(own, 'target/source'))).toBe('');
    });
  });
});
