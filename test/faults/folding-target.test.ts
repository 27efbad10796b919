/**
 * A target that takes names for the same which differ only in case or in their Unicode form: nothing of a snapshot with
 * such twins is lost, whatever they are. Each has its own name or the one that docs/restore.md says, and is named.
 */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  linkSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import * as rig from './rig.ts';

/** A kind of thing, and another one that differs. */
const kinds: Record<string, (path: string, other: boolean) => void> = {
  file: (path, other) => writeFileSync(path, other ? 'two' : 'one'),
  large: (path, other) => writeFileSync(path, new rig.Dice(other ? 2 : 3).bytes(9_000_000)),
  link: (path, other) => symlinkSync(other ? 'there' : 'nowhere', path),
  fifo: (path) => {
    spawnSync('mkfifo', [path]);
  },
  folder: (path, other) => {
    mkdirSync(join(path, 'Sub'), { recursive: true });
    mkdirSync(join(path, 'sub'), { recursive: true });
    writeFileSync(join(path, 'a'), other ? 'inner' : 'other inner');
    writeFileSync(join(path, 'Sub/x'), other ? 'x' : 'other x');
    writeFileSync(join(path, 'sub/X'), other ? 'y' : 'other y');
    writeFileSync(join(path, 'sub/x'), other ? 'z' : 'other z');
  },
};

/** The rule of docs/restore.md, for the names that are used here. */
function changed(name: string): string {
  return `${name}~${hashOf(name)}`;
}

function hashOf(name: string | Buffer): string {
  return createHash('sha256').update(name).digest('hex').slice(0, 8);
}

function what(path: string): string {
  const stat = lstatSync(path);
  if (stat.isSymbolicLink()) return `link to ${readlinkSync(path)}`;
  if (stat.isFile()) return createHash('sha256').update(readFileSync(path)).digest('hex');
  return stat.isFIFO() ? 'fifo' : 'folder';
}

/** Compares all below a folder with what was restored. @returns names that were changed, and what is wrong */
function compare(source: string, target: string): { changed: string[]; wrong: string[] } {
  const found: { changed: string[]; wrong: string[] } = { changed: [], wrong: [] };
  const there = new Set(readdirSync(target));
  for (const name of readdirSync(source)) {
    const as = there.has(name) ? name : changed(name);
    if (as !== name) found.changed.push(join(target, name));
    if (!there.delete(as)) {
      found.wrong.push(`${join(target, name)} is lost`);
      continue;
    }
    const [from, to] = [join(source, name), join(target, as)];
    if (what(from) !== what(to)) found.wrong.push(`${to} is ${what(to)} and not ${what(from)}`);
    else if (lstatSync(from).isDirectory()) {
      const inside = compare(from, to);
      found.changed.push(...inside.changed);
      found.wrong.push(...inside.wrong);
    }
  }
  found.wrong.push(...[...there].map((name) => `${join(target, name)} was not in the source`));
  return found;
}

describe.skipIf(!rig.built || !rig.hasGcc)('a target that folds names', () => {
  const place = new rig.Place();
  const target = join(realpathSync(place.dir), 'target');
  let env: Record<string, string>;

  const restore = (...args: string[]): Promise<rig.Ended> =>
    place.backpack(['restore', 'latest', '--to', target, '--verbose', ...args], { env });
  const reported = ({ stdout, stderr }: rig.Ended): number =>
    `${stdout}${stderr}`.match(/is restored as/g)?.length ?? 0;

  /** Restores and sees that all is there. @returns how many names were changed */
  async function good(...args: string[]): Promise<number> {
    const ended = await restore(...args);
    const found = compare(place.at('source'), join(target, 'source'));
    expect(found.wrong, rig.describe(ended)).toEqual([]);
    expect(ended.code, rig.describe(ended)).toBe(3);
    expect(reported(ended), rig.describe(ended)).toBe(found.changed.length);
    return found.changed.length;
  }

  beforeAll(async () => {
    env = { LD_PRELOAD: rig.compile(place, 'fold'), FOLD_ROOT: target };
    const source = place.at('source');
    mkdirSync(source);
    for (const [a, first] of Object.entries(kinds))
      for (const [b, second] of Object.entries(kinds)) {
        first(join(source, `${a}-${b}`.toUpperCase()), false);
        second(join(source, `${a}-${b}`), true);
      }
    writeFileSync(join(source, 'caf\u00e9'), 'one character');
    writeFileSync(join(source, 'cafe\u0301'), 'two characters');
    // One file with two such names; and a link with a second name, where the first is a twin of something else.
    writeFileSync(join(source, 'TWICE'), 'the same');
    linkSync(join(source, 'TWICE'), join(source, 'twice'));
    for (const [name, make] of [
      ['l', kinds['link']],
      ['p', kinds['fifo']],
      ['f', kinds['file']],
    ] as const) {
      kinds['file']!(join(source, `${name}-OF-TWO`), false);
      make!(join(source, `${name}-of-two`), true);
      linkSync(join(source, `${name}-of-two`), join(source, `${name}-second`));
    }
    await place.init();
    await place.backup('source');
  }, 60_000);
  afterAll(() => place.remove());

  it('is one: two names lead to the same file', () => {
    mkdirSync(target);
    const script =
      "require('fs').writeFileSync('target/A','x');console.log(require('fs').readdirSync('target'), require('fs').lstatSync('target/a').size)";
    const ended = spawnSync(process.execPath, ['-e', script], {
      cwd: place.dir,
      encoding: 'utf8',
      env: { ...process.env, ...env },
    });
    expect(ended.stdout).toBe("[ 'A' ] 1\n");
    rmSync(target, { recursive: true });
  });

  it.each([
    ['--threads', '1'],
    ['--threads', '3', '--verify'],
  ])('each twin has a name of its own', async (...args) => {
    rmSync(target, { recursive: true, force: true });
    expect(await good(...args)).toBeGreaterThan(25);
    const of = (name: string): string => join(target, 'source', name);
    const inode = (name: string): number => lstatSync(of(name)).ino;
    for (const name of ['l', 'p', 'f']) {
      const first = readdirSync(of('.')).find((found) => found.startsWith(`${name}-of-two`))!;
      expect(inode(first)).toBe(inode(`${name}-second`));
    }
  });

  it.each(['never', 'if-changed', 'always'])(
    'restored over itself with %s, nothing changes',
    async (policy) => {
      rmSync(target, { recursive: true, force: true });
      const first = await good();
      expect(await good('--overwrite', policy)).toBe(first);
      expect(await good('--overwrite', policy, '--delete', '--yes')).toBe(first);
    },
  );

  it('what is there under another form of a name stays', async () => {
    rmSync(target, { recursive: true, force: true });
    mkdirSync(join(target, 'source'), { recursive: true });
    writeFileSync(join(target, 'source', 'Caf\u00e9'), 'mine');
    const ended = await restore('--overwrite', 'always');
    expect(readFileSync(join(target, 'source', 'Caf\u00e9'), 'utf8')).toBe('mine');
    expect(compare(place.at('source'), join(target, 'source')).wrong, rig.describe(ended)).toEqual([
      `${join(target, 'source', 'Caf\u00e9')} was not in the source`,
    ]);
  });

  it('names that the target does not take are changed by the rule', async () => {
    const source = place.at('strict');
    mkdirSync(join(source, 'x*/y?'), { recursive: true });
    writeFileSync(join(source, 'x*/y?/a:b'), 'file');
    writeFileSync(join(source, 'x*/<big>'), new rig.Dice(4).bytes(9_000_000));
    symlinkSync('there', join(source, 'x*/|'));
    linkSync(join(source, 'x*/|'), join(source, 'x*/"'));
    writeFileSync(Buffer.from(`${source}/caf\xe9`, 'latin1'), 'latin-1');
    writeFileSync(join(source, 'plain'), 'plain');
    await place.backup('strict');
    rmSync(target, { recursive: true, force: true });
    const strict = { env: { ...env, FOLD_STRICT: '1' } };
    const ended = await place.backpack(['restore', 'latest', '--to', target, '--verify'], strict);
    expect([ended.code, reported(ended)], rig.describe(ended)).toEqual([3, 7]);
    const top = join(target, 'strict');
    const star = join(top, `x_~${hashOf('x*')}`);
    expect(readFileSync(join(star, `y_~${hashOf('y?')}`, `a_b~${hashOf('a:b')}`), 'utf8')).toBe('file');
    expect(what(join(star, `_big_~${hashOf('<big>')}`))).toBe(what(join(source, 'x*/<big>')));
    expect(what(join(star, `_~${hashOf('|')}`))).toBe('link to there');
    expect(lstatSync(join(star, `_~${hashOf('"')}`)).ino).toBe(lstatSync(join(star, `_~${hashOf('|')}`)).ino);
    expect(readFileSync(join(top, `caf_~${hashOf(Buffer.from('caf\xe9', 'latin1'))}`), 'utf8')).toBe(
      'latin-1',
    );
    expect(readFileSync(join(top, 'plain'), 'utf8')).toBe('plain');
  });
});
