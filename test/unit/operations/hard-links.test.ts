/** Files with several names: new ones are read once, and whatever becomes of a name meanwhile, the others are stored. */
import {
  appendFileSync,
  chmodSync,
  linkSync,
  mkdirSync,
  readFileSync,
  statSync,
  truncateSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import { LinkedFiles } from '../../../src/pipeline/linked-files.ts';
import type { Repository } from '../../../src/repo/repository.ts';
import { lstat, type SourceStat } from '../../../src/source/source-stat.ts';
import { temporaryFolder } from '../support.ts';
import { backUp, describeTree, newRepository, noise, restoreTo } from './tree.ts';

let repository: Repository;
let source: string;
const at = (name: string): string => join(source, name);

beforeEach(async () => {
  repository = await newRepository();
  source = temporaryFolder();
  mkdirSync(at('b'));
});

/** Backs up, doing something when the walk meets a name. */
function backUpWith(name: string, act: () => void): ReturnType<typeof backUp> {
  let done = false;
  const decide = (stored: string): undefined => {
    if (!done && stored.endsWith(name)) {
      done = true;
      act();
    }
    return undefined;
  };
  return backUp(repository, source, { decide });
}

describe('a new file with several names', () => {
  it.each([
    ['small', () => noise(3000, 1)],
    ['of several chunks', () => noise(3_000_000, 2)],
    ['large', () => noise(20_000_000, 3)],
  ])('%s: is read and stored once', async (_, content) => {
    const bytes = content();
    writeFileSync(at('a'), bytes);
    for (const name of ['a2', 'b/a3', 'z']) linkSync(at('a'), at(name));
    writeFileSync(at('c'), 'other');
    const done = await backUp(repository, source);
    expect(done).toMatchObject({
      files: 5,
      newFiles: 5,
      bytes: 4 * bytes.length + 5,
      bytesRead: bytes.length + 5,
    });
    const { target, problems } = await restoreTo(repository);
    expect(problems).toEqual([]);
    expect(describeTree(target)).toEqual(describeTree(source));
    const again = await backUp(repository, source, { readAll: true });
    expect(again).toMatchObject({ bytesRead: bytes.length + 5, changedFiles: 0 });
    expect((await backUp(repository, source)).bytesRead).toBe(0);
  });

  it('sparse: its holes come back under each name', async () => {
    writeFileSync(at('a'), noise(5000, 4));
    truncateSync(at('a'), 30_000_000);
    linkSync(at('a'), at('b/a'));
    await backUp(repository, source);
    const { target } = await restoreTo(repository);
    expect(describeTree(target)).toEqual(describeTree(source));
    expect(statSync(join(target, 'b/a')).blocks).toBeLessThan(100);
  });

  it('loses a name while it waits: the others are stored', async () => {
    writeFileSync(at('a'), noise(3000, 5));
    linkSync(at('a'), at('b/a'));
    linkSync(at('a'), at('c'));
    writeFileSync(at('z'), 'z');
    const done = await backUpWith('z', () => unlinkSync(at('a')));
    const problems = done.events.flatMap((event) => (event.type === 'source-error' ? [event.path] : []));
    expect(problems).toEqual(['a']);
    expect(done).toMatchObject({ files: 3, sourceErrors: 1 });
    const { target } = await restoreTo(repository);
    expect(readFileSync(join(target, 'b/a')).equals(noise(3000, 5))).toBe(true);
    expect(statSync(join(target, 'b/a')).ino).toBe(statSync(join(target, 'c')).ino);
  });

  it('changes between two names: each is a state that was', async () => {
    writeFileSync(at('a'), 'old');
    linkSync(at('a'), at('z'));
    writeFileSync(at('m'), 'm');
    await backUpWith('m', () => appendFileSync(at('z'), ' and new'));
    const { target, problems } = await restoreTo(repository);
    expect(problems).toEqual([]);
    for (const name of ['a', 'z']) expect(readFileSync(join(target, name), 'utf8')).toBe('old and new');
  });

  it.skipIf(process.getuid?.() === 0)('that may not be read: each name is told', async () => {
    writeFileSync(at('a'), 'secret');
    linkSync(at('a'), at('z'));
    chmodSync(at('a'), 0);
    const done = await backUp(repository, source);
    expect(done).toMatchObject({ files: 0, sourceErrors: 2 });
  });
});

describe('what is remembered of names', () => {
  const here = lstat('/');
  const stat = (ino: number, nlink = 2, ctimeNsec = 1): SourceStat => ({ ...here, ino, nlink, ctimeNsec });

  it('ends with the last name, and with another state', () => {
    const linked = new LinkedFiles();
    expect(linked.of(stat(1, 3)).isFirst).toBe(true);
    expect(linked.of(stat(1, 3)).isFirst).toBe(false);
    expect(linked.of(stat(1, 3)).isFirst).toBe(false);
    expect(linked.of(stat(1, 3)).isFirst).toBe(true);
    expect(linked.of(stat(1, 3, 2)).isFirst).toBe(true);
  });

  it('is not more than 16,384 files and 262,144 numbers', () => {
    const linked = new LinkedFiles();
    for (let i = 0; i < 20_000; i += 1) linked.of(stat(i));
    expect(linked.of(stat(0)).isFirst).toBe(true);
    expect(linked.of(stat(19_999)).isFirst).toBe(false);
    const read = { result: { x: '' }, extents: new Float64Array(100_000) };
    for (let i = 0; i < 4; i += 1) linked.done(linked.of(stat(100_000 + i, 3)).file, read);
    expect([0, 1, 2, 3].map((i) => linked.of(stat(100_000 + i, 3)).isFirst)).toEqual([
      true,
      true,
      false,
      false,
    ]);
  });
});
