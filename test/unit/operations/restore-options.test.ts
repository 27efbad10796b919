/** What a restore does about what is in the target already, and its other options. */
import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  closeSync,
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  unlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { toBackpackError } from '../../../src/base/errors.ts';
import { parseKeyFile } from '../../../src/format/key-file.ts';
import { restore } from '../../../src/operations/restore.ts';
import { flagBits } from '../../../src/platform/flags.ts';
import { libc } from '../../../src/platform/libc.ts';
import { openRepository, type Repository } from '../../../src/repo/repository.ts';
import { FsStorage } from '../../../src/storage/index.ts';
import { overwritePolicies } from '../../../src/target/existing.ts';
import { legalName } from '../../../src/target/legal-name.ts';
import { recover, TestRepository } from '../recover/writer.ts';
import { codeOfAsync, temporaryFolder } from '../support.ts';
import { backUp, describeTree, newRepository, noise, type Restored, restoreTo } from './tree.ts';

/** Whether a filesystem can be mounted here. */
const canMount = ((): boolean => {
  const at = mkdtempSync(join(tmpdir(), 'backpack-mount-'));
  const done = spawnSync('mount', ['-t', 'tmpfs', 'none', at]).status === 0;
  if (done) spawnSync('umount', [at]);
  rmSync(at, { recursive: true });
  return done;
})();

let repository: Repository;
let source: string;

beforeAll(async () => {
  source = mkdtempSync(join(tmpdir(), 'backpack-options-'));
  mkdirSync(join(source, 'top/sub'), { recursive: true });
  writeFileSync(join(source, 'top/a'), 'content of a');
  writeFileSync(join(source, 'top/sub/b'), 'content of b');
  writeFileSync(join(source, 'top/large'), noise(9_000_000, 1));
  writeFileSync(join(source, 'top/zeros'), Buffer.concat([noise(100, 2), Buffer.alloc(2_000_000)]));
  writeFileSync(join(source, 'top/hard1'), 'two names');
  linkSync(join(source, 'top/hard1'), join(source, 'top/hard2'));
  symlinkSync('a', join(source, 'top/link'));
  for (const name of ['top/a', 'top/sub/b', 'top/large', 'top/hard1'])
    utimesSync(join(source, name), 1_600_000_000, 1_600_000_000);
  repository = await newRepository();
  await backUp(repository, source);
});

afterAll(() => rmSync(source, { recursive: true }));

/** A target in which everything is restored. */
async function restored(): Promise<string> {
  const target = temporaryFolder();
  await restoreTo(repository, { target });
  return target;
}

const codes = (done: { problems: readonly { code: string; path: string }[] }): string[] =>
  done.problems.map(({ code, path }) => `${path} ${code}`).sort();

describe('--overwrite', () => {
  it('never: what is the same counts as restored, what differs stays and is named', async () => {
    const target = await restored();
    writeFileSync(join(target, 'top/a'), 'mine');
    chmodSync(join(target, 'top/sub/b'), 0o777);
    utimesSync(join(target, 'top/sub/b'), 1, 1);
    const done = await restoreTo(repository, { target });
    expect(codes(done)).toEqual(['top/a BP_TARGET_EXISTS']);
    expect(readFileSync(join(target, 'top/a'), 'utf8')).toBe('mine');
    expect(statSync(join(target, 'top/sub/b')).mtimeMs).toBe(1_600_000_000_000);
    expect([done.kept, done.replaced, done.failed]).toEqual([6, 0, 1]);
  });

  it('if-changed: goes on where a restore was interrupted', async () => {
    const target = await restored();
    const inode = statSync(join(target, 'top/sub/b')).ino;
    // Half a file, with the size and times of the whole one: times and sizes prove nothing.
    writeFileSync(join(target, 'top/a'), 'content of ?');
    utimesSync(join(target, 'top/a'), 1_600_000_000, 1_600_000_000);
    truncateSync(join(target, 'top/large'), 4_000_000);
    const done = await restoreTo(repository, { target, overwrite: 'if-changed' });
    expect(codes(done)).toEqual([]);
    expect(describeTree(target)).toEqual(describeTree(source));
    expect(statSync(join(target, 'top/sub/b')).ino).toBe(inode);
    expect(readdirSync(join(target, 'top')).filter((name) => name.includes('partial'))).toEqual([]);
  });

  it('always: every file is a new one, and is there all the time', async () => {
    const target = await restored();
    const inode = statSync(join(target, 'top/a')).ino;
    const done = await restoreTo(repository, { target, overwrite: 'always' });
    expect(done.kept).toBe(1);
    expect(statSync(join(target, 'top/a')).ino).not.toBe(inode);
    expect(describeTree(target)).toEqual(describeTree(source));
  });

  it.each(['if-changed', 'always'] as const)('%s: links go, what they lead to stays', async (overwrite) => {
    const target = temporaryFolder();
    const outside = temporaryFolder();
    writeFileSync(join(outside, 'a'), 'outside');
    mkdirSync(join(target, 'top'));
    symlinkSync(outside, join(target, 'top/sub'));
    symlinkSync(join(outside, 'a'), join(target, 'top/a'));
    symlinkSync(join(outside, 'a'), join(target, 'top/large'));
    // The same content under a name outside: its metadata must not become the snapshot's.
    writeFileSync(join(outside, 'hard'), 'two names');
    chmodSync(join(outside, 'hard'), 0o600);
    linkSync(join(outside, 'hard'), join(target, 'top/hard1'));
    const done = await restoreTo(repository, { target, overwrite });
    expect(codes(done)).toEqual([]);
    expect(describeTree(target)).toEqual(describeTree(source));
    expect(readFileSync(join(outside, 'a'), 'utf8')).toBe('outside');
    expect(lstatSync(join(outside, 'hard')).mode & 0o777).toBe(0o600);
    expect(readdirSync(outside).sort()).toEqual(['a', 'hard']);
  });

  it('never: another name of a file that was not restored is not given to what is in its place', async () => {
    const target = await restored();
    for (const name of ['hard1', 'hard2']) unlinkSync(join(target, 'top', name));
    writeFileSync(join(target, 'top/hard1'), 'mine');
    const done = await restoreTo(repository, { target });
    expect(codes(done)).toEqual(['top/hard1 BP_TARGET_EXISTS', 'top/hard2 BP_NOT_RESTORED']);
    expect(existsSync(join(target, 'top/hard2'))).toBe(false);
  });

  it('never: what is the same and has a name elsewhere keeps its metadata', async () => {
    const target = await restored();
    const elsewhere = join(temporaryFolder(), 'hard');
    for (const name of ['hard1', 'hard2']) unlinkSync(join(target, 'top', name));
    writeFileSync(elsewhere, 'two names');
    chmodSync(elsewhere, 0o600);
    linkSync(elsewhere, join(target, 'top/hard1'));
    const done = await restoreTo(repository, { target });
    expect(codes(done)).toEqual([]);
    expect(statSync(elsewhere).mode & 0o777).toBe(0o600);
    expect(statSync(elsewhere).mtimeMs).not.toBe(1_600_000_000_000);
  });

  it('never: a file that has one name in the snapshot is not what has others', async () => {
    const target = await restored();
    linkSync(join(target, 'top/a'), join(temporaryFolder(), 'a'));
    const done = await restoreTo(repository, { target });
    expect(codes(done)).toEqual(['top/a BP_TARGET_EXISTS']);
  });

  it('a folder is never replaced', async () => {
    const target = temporaryFolder();
    for (const name of ['a', 'large', 'link'])
      mkdirSync(join(target, 'top', name, 'mine'), { recursive: true });
    const done = await restoreTo(repository, { target, overwrite: 'always' });
    expect(codes(done)).toEqual([
      'top/a BP_TARGET_EXISTS',
      'top/large BP_TARGET_EXISTS',
      'top/link BP_TARGET_EXISTS',
    ]);
    expect(existsSync(join(target, 'top/large/mine'))).toBe(true);
    expect(readdirSync(join(target, 'top')).filter((name) => name.includes('partial'))).toEqual([]);
  });

  it('never: what was not restored is not read back, nor given flags or other names', async () => {
    const made = new TestRepository();
    onTestFinished(() => rmSync(dirname(made.dir), { recursive: true }));
    const content = Buffer.from('content');
    made.snapshot([
      { path: 'flags', content, extra: { fl: 'A' } },
      { path: 'hard1', content, extra: { hl: '1' } },
      { path: 'hard2', content, extra: { hl: '1' } },
      { path: 'link1', t: 'l', extra: { l: 'x', hl: '2' } },
      { path: 'link2', t: 'l', extra: { l: 'x', hl: '2' } },
    ]);
    const target = temporaryFolder();
    for (const name of ['flags', 'hard2', 'link1']) writeFileSync(join(target, name), 'mine');
    const done = await restoreTo(await openTest(made), { target, verify: true });
    expect(codes(done)).toEqual([
      'flags BP_TARGET_EXISTS',
      'hard2 BP_TARGET_EXISTS',
      'link1 BP_TARGET_EXISTS',
      'link2 BP_NOT_RESTORED',
    ]);
    const fd = openSync(join(target, 'flags'), 'r');
    expect((libc()?.flags(fd) ?? 0) & flagBits('A')).toBe(0);
    closeSync(fd);
    // The names of a link that is there already stay together.
    unlinkSync(join(target, 'link1'));
    await restoreTo(await openTest(made), { target, overwrite: 'if-changed' });
    const inode = lstatSync(join(target, 'link1')).ino;
    expect(codes(await restoreTo(await openTest(made), { target }))).toEqual([]);
    for (const name of ['link1', 'link2']) expect(lstatSync(join(target, name)).ino).toBe(inode);
  });

  it('never: a folder that only leads to what is restored keeps its mode and times', async () => {
    const target = temporaryFolder();
    mkdirSync(join(target, 'top/sub'), { recursive: true, mode: 0o710 });
    for (const name of ['top', 'top/sub']) chmodSync(join(target, name), 0o710);
    await restoreTo(repository, { target, path: 'top/sub/b' });
    for (const name of ['top', 'top/sub']) expect(statSync(join(target, name)).mode & 0o777).toBe(0o710);
  });
});

describe('--dry-run', () => {
  const actions = async (target: string, overwrite?: 'if-changed' | 'always'): Promise<string[]> => {
    const list: string[] = [];
    const options = { snapshot: 'latest', path: '', target, threads: 0, dryRun: true };
    await restore(repository, overwrite === undefined ? options : { ...options, overwrite }, (event) => {
      if (event.type === 'entry') list.push(`${event.action} ${event.path}`);
    });
    return list.sort();
  };

  it('writes nothing, not even the target', async () => {
    const target = join(temporaryFolder(), 'new');
    expect((await actions(target)).filter((line) => !line.startsWith('make '))).toEqual([]);
    expect(existsSync(target)).toBe(false);
  });

  it('says what would be made, replaced and kept', async () => {
    const target = await restored();
    writeFileSync(join(target, 'top/a'), 'mine');
    renameSync(join(target, 'top/sub'), join(target, 'elsewhere'));
    const before = describeTree(target);
    expect(await actions(target, 'if-changed')).toEqual([
      'keep top',
      'keep top/large',
      'keep top/link',
      'keep top/zeros',
      'make top/sub',
      'make top/sub/b',
      'replace top/a',
      // Another name of the same file may be outside the target.
      'replace top/hard1',
      'replace top/hard2',
    ]);
    expect(describeTree(target)).toEqual(before);
  });

  it.each(overwritePolicies)('counts what a restore with --overwrite %s counts', async (overwrite) => {
    const target = await restored();
    writeFileSync(join(target, 'top/a'), 'mine');
    renameSync(join(target, 'top/sub'), join(target, 'elsewhere'));
    unlinkSync(join(target, 'top/hard2'));
    linkSync(join(target, 'top/zeros'), join(target, 'top/hard2'));
    unlinkSync(join(target, 'top/link'));
    writeFileSync(join(target, 'top/link'), '');
    const countsOf = ({ elapsedMs: _, problems, ...counts }: Restored): object => ({
      ...counts,
      problems: codes({ problems }),
    });
    const dry = await restoreTo(repository, { target, overwrite, dryRun: true });
    const wet = await restoreTo(repository, { target, overwrite });
    expect(countsOf(dry)).toEqual(countsOf(wet));
    expect(dry.replaced > 0).toBe(overwrite !== 'never');
  });

  it('counts as many bytes as the backup did, hard links included', async () => {
    const backedUp = await backUp(repository, source);
    const target = join(temporaryFolder(), 'new');
    const dry = await restoreTo(repository, { target, dryRun: true });
    const wet = await restoreTo(repository, { target });
    for (const done of [dry, wet]) expect([done.files, done.bytes]).toEqual([backedUp.files, backedUp.bytes]);
  });
});

describe('--delete', () => {
  it('removes what the snapshot does not have, after somebody has agreed', async () => {
    const target = await restored();
    const outside = temporaryFolder();
    writeFileSync(join(outside, 'kept'), '');
    mkdirSync(join(target, 'top/extra/deep'), { recursive: true });
    writeFileSync(join(target, 'top/extra/deep/file'), '');
    symlinkSync(outside, join(target, 'top/sub/way-out'));
    symlinkSync(outside, join(target, 'top/extra/way-out'));
    writeFileSync(join(target, 'beside'), 'not in a restored folder');
    let asked: readonly string[] = [];
    const confirmDelete = async (extras: readonly string[]): Promise<boolean> => {
      asked = extras;
      return true;
    };
    const done = await restoreTo(repository, { target, confirmDelete });
    expect([...asked].sort()).toEqual(['top/extra', 'top/sub/way-out']);
    expect(done.deleted).toBe(2);
    expect(readdirSync(target).sort()).toEqual(['beside', 'top']);
    expect(describeTree(join(target, 'top'))).toEqual(describeTree(join(source, 'top')));
    expect(readdirSync(outside)).toEqual(['kept']);
  });

  it('does nothing at all when nobody agrees', async () => {
    const target = temporaryFolder();
    mkdirSync(join(target, 'top'));
    writeFileSync(join(target, 'top/extra'), '');
    const run = (): Promise<unknown> => restoreTo(repository, { target, confirmDelete: async () => false });
    expect(await codeOfAsync(run)).toBe('BP_NOT_CONFIRMED');
    expect(readdirSync(join(target, 'top'))).toEqual(['extra']);
  });

  it('of one path leaves alone what is beside it', async () => {
    const target = temporaryFolder();
    mkdirSync(join(target, 'top/sub'), { recursive: true });
    writeFileSync(join(target, 'top/sub/x'), '');
    writeFileSync(join(target, 'top/beside'), 'in a folder that only leads to what is restored');
    const done = await restoreTo(repository, { target, path: 'top/sub', confirmDelete: async () => true });
    expect(done.deleted).toBe(1);
    expect(readdirSync(join(target, 'top')).sort()).toEqual(['beside', 'sub']);
    expect(readdirSync(join(target, 'top/sub'))).toEqual(['b']);
  });

  it('spares what the backup could not read, and the folders that hold it', async () => {
    const made = new TestRepository();
    onTestFinished(() => rmSync(dirname(made.dir), { recursive: true }));
    made.snapshot(
      [
        { path: 'd', t: 'd' },
        { path: 'd/closed', t: 'd' },
      ],
      {
        errors: [
          ['d/file', 'EACCES'],
          ['d/closed', 'EACCES'],
          ['d/sub/inner', 'EIO'],
        ],
      },
    );
    const target = temporaryFolder();
    mkdirSync(join(target, 'd/closed/deep'), { recursive: true });
    mkdirSync(join(target, 'd/sub'));
    for (const path of ['file', 'file2', 'closed/deep/x', 'sub/inner', 'sub/other'])
      writeFileSync(join(target, 'd', path), '');
    const done = await restoreTo(await openTest(made), { target, confirmDelete: async () => true });
    expect((readdirSync(join(target, 'd'), { recursive: true }) as string[]).sort()).toEqual([
      'closed',
      'closed/deep',
      'closed/deep/x',
      'file',
      'sub',
      'sub/inner',
    ]);
    expect([done.deleted, done.unread, done.failed]).toEqual([2, 3, 0]);
  });

  it.skipIf(!canMount)(
    'leaves alone another filesystem, which a backup may have stored as empty',
    async () => {
      const top = temporaryFolder();
      mkdirSync(join(top, 'd/mounted'), { recursive: true });
      const repo = await newRepository();
      await backUp(repo, top);
      const target = temporaryFolder();
      mkdirSync(join(target, 'd/mounted'), { recursive: true });
      mkdirSync(join(target, 'd/extra/mounted'), { recursive: true });
      for (const at of ['d/mounted', 'd/extra/mounted']) {
        expect(spawnSync('mount', ['-t', 'tmpfs', 'none', join(target, at)]).status).toBe(0);
        onTestFinished(() => void spawnSync('umount', [join(target, at)]));
        writeFileSync(join(target, at, 'of somebody'), '');
      }
      writeFileSync(join(target, 'd/file'), '');
      const done = await restoreTo(repo, { target, confirmDelete: async () => true });
      for (const at of ['d/mounted', 'd/extra/mounted'])
        expect(readdirSync(join(target, at))).toEqual(['of somebody']);
      expect(done.deleted).toBe(1);
      expect(codes(done)).toEqual(['d/extra/mounted BP_TARGET_WRITE']);
    },
  );

  it('is refused for a partial snapshot', async () => {
    const made = new TestRepository();
    onTestFinished(() => rmSync(dirname(made.dir), { recursive: true }));
    made.snapshot([{ path: 'a', content: Buffer.from('a') }], { root: { partial: true } });
    const partial = await openTest(made);
    const target = temporaryFolder();
    const run = (): Promise<unknown> => restoreTo(partial, { target, confirmDelete: async () => true });
    expect(await codeOfAsync(run)).toBe('BP_DELETE_UNSURE');
  });
});

describe('a restore that comes to nothing', () => {
  it.each([
    ['a path that is not there', { path: 'top/nope' }, 'BP_NO_PATH'],
    ['no room', { noRoom: true }, 'BP_NO_SPACE'],
  ] as const)(
    'leaves no folder behind: %s',
    async (_, { noRoom, ...options }: { noRoom?: true; path?: string }, code) => {
      const above = temporaryFolder();
      const from = noRoom === undefined ? repository : await huge(-2, 2 ** 43);
      expect(await codeOfAsync(() => restoreTo(from, { target: join(above, 'a/b/c'), ...options }))).toBe(
        code,
      );
      expect(readdirSync(above)).toEqual([]);
      // What was there stays, empty as it may be.
      mkdirSync(join(above, 'a'));
      expect(await codeOfAsync(() => restoreTo(from, { target: join(above, 'a/b'), ...options }))).toBe(code);
      expect(readdirSync(above)).toEqual(['a']);
      expect(readdirSync(join(above, 'a'))).toEqual([]);
    },
  );
});

it('--verify finds what is no longer on the disk as it was restored', async () => {
  const target = temporaryFolder();
  let touched = false;
  const options = { snapshot: 'latest', path: '', target, threads: 0, verify: true };
  const found: string[] = [];
  await restore(repository, options, (event) => {
    if (event.type === 'problem') found.push(`${event.path} ${event.code}`);
    // The first report comes when files are there, before they are read back.
    if (event.type !== 'progress' || touched || !existsSync(join(target, 'top/sub/b'))) return;
    touched = true;
    writeFileSync(join(target, 'top/sub/b'), 'content of B');
  });
  expect(found).toEqual(touched ? ['top/sub/b BP_VERIFY'] : []);
  expect(await restoreTo(repository, { target, overwrite: 'if-changed', verify: true })).toMatchObject({
    failed: 0,
  });
});

it('--sparse makes holes of zeros', async () => {
  const target = temporaryFolder();
  await restoreTo(repository, { target, sparse: true });
  expect(statSync(join(target, 'top/zeros')).blocks * 512).toBeLessThan(200_000);
  for (const name of ['top/zeros', 'top/large'])
    expect(readFileSync(join(target, name)).equals(readFileSync(join(source, name)))).toBe(true);
});

it('zeros that took room take it again without --sparse', async () => {
  const folder = temporaryFolder();
  for (const size of [100_000, 1_000_000, 9_000_000])
    writeFileSync(join(folder, `${size}`), Buffer.alloc(size));
  const from = await newRepository();
  await backUp(from, folder);
  const { target } = await restoreTo(from);
  for (const name of readdirSync(target)) {
    const { blocks, size } = statSync(join(target, name));
    expect(blocks * 512).toBeGreaterThanOrEqual(size);
  }
});

it.skipIf(!canMount)('what did not fit is not there, not even a part of it', async () => {
  const target = temporaryFolder();
  expect(spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'none', target]).status).toBe(0);
  onTestFinished(() => void spawnSync('umount', [target]));
  const folder = temporaryFolder();
  writeFileSync(join(folder, 'a'), noise(1_500_000, 9));
  const from = await newRepository();
  await backUp(from, folder);
  expect(await codeOfAsync(() => restoreTo(from, { target, noSpaceCheck: true }))).toBe('BP_NO_SPACE');
  expect(readdirSync(target)).toEqual([]);
});

/** A snapshot of one file. */
async function huge(extent: number, length: number): Promise<Repository> {
  const made = new TestRepository();
  onTestFinished(() => rmSync(dirname(made.dir), { recursive: true }));
  const extra = { s: length, e: [[extent, 0, 0, length]], x: '0'.repeat(16) };
  const stats = { files: 1, bytes: 2 ** 43, stored: 0 };
  made.snapshot([{ path: 'huge', content: Buffer.from('x'), extra }], { root: { stats } });
  return openTest(made);
}

describe('where there is no room', () => {
  it('refuses to begin', async () => {
    const target = temporaryFolder();
    const full = await huge(-2, 2 ** 43);
    const error = await restoreTo(full, { target }).catch(toBackpackError);
    expect(error).toMatchObject({
      code: 'BP_NO_SPACE',
      message: expect.stringMatching(/: it needs 8\.8 TB, [0-9.]+ [kMGT]B are free, [0-9.]+ TB are missing$/),
    });
    expect(readdirSync(target)).toEqual([]);
  });

  it('a hole takes none', async () => {
    const done = await restoreTo(await huge(-1, 2 ** 30), {});
    expect(done.problems.map(({ code }) => code)).toEqual(['E_HASH']);
  });
});

describe('a name that the target refuses', () => {
  it('gets one by the written rule', () => {
    expect(legalName('a:b?')).toMatch(/^a_b_~[0-9a-f]{8}$/);
    expect(legalName('end. ')).toMatch(/^end__~[0-9a-f]{8}$/);
    expect(legalName('\xff\xfe')).toMatch(/^__~[0-9a-f]{8}$/);
    expect(legalName('n'.repeat(1024))).toMatch(/^n{200}~[0-9a-f]{8}$/);
    expect(legalName('a')).not.toBe(legalName('A'));
  });

  it('is restored under it: files of any size, folders and what is in them, links, and reported', async () => {
    const made = new TestRepository();
    onTestFinished(() => rmSync(dirname(made.dir), { recursive: true }));
    const long = (letter: string): string => letter.repeat(300);
    const large = Buffer.concat([noise(3_000_000, 5)]);
    const big = {
      s: 9_000_000,
      x: recover.xxh64(Buffer.concat([large, large, large])),
      e: [0, 1, 2].map(() => [0, 2, 1, 3_000_000]),
    };
    made.snapshot([
      { path: long('d'), t: 'd' },
      { path: `${long('d')}/inner`, content: Buffer.from('inner') },
      { path: long('f'), content: Buffer.from('file'), extra: { hl: 'one' } },
      { path: long('g'), content: large, extra: big },
      { path: 'large', content: large },
      { path: long('l'), t: 'l', extra: { l: 'large' } },
      { path: 'z-second', content: Buffer.from('file'), extra: { hl: 'one' } },
    ]);
    const target = temporaryFolder();
    const done = await restoreTo(await openTest(made), { target, verify: true });
    const [d, f, g, l] = ['d', 'f', 'g', 'l'].map((letter) => legalName(long(letter)));
    expect(codes(done)).toEqual(['d', 'f', 'g', 'l'].map((letter) => `${long(letter)} BP_NAME_CHANGED`));
    expect(readFileSync(join(target, d!, 'inner'), 'utf8')).toBe('inner');
    expect(statSync(join(target, f!)).ino).toBe(statSync(join(target, 'z-second')).ino);
    expect(statSync(join(target, g!)).size).toBe(9_000_000);
    expect(readlinkSync(join(target, l!))).toBe('large');
    expect([done.renamed, done.failed, done.damaged]).toEqual([4, 0, 0]);
  });

  it('what has such a name is no extra', async () => {
    const made = new TestRepository();
    onTestFinished(() => rmSync(dirname(made.dir), { recursive: true }));
    const long = 'f'.repeat(300);
    made.snapshot([
      { path: 'd', t: 'd' },
      { path: `d/${long}`, content: Buffer.from('file') },
    ]);
    const from = await openTest(made);
    const target = temporaryFolder();
    await restoreTo(from, { target });
    writeFileSync(join(target, 'd', 'other~01234567'), '');
    const done = await restoreTo(from, { target, confirmDelete: async () => true });
    expect([done.deleted, done.kept]).toEqual([1, 1]);
    expect(readdirSync(join(target, 'd'))).toEqual([legalName(long)]);
  });
});

it('a link in the snapshot keeps its target', async () => {
  const target = await restored();
  expect(readlinkSync(join(target, 'top/link'))).toBe('a');
});

async function openTest(made: TestRepository): Promise<Repository> {
  const key = parseKeyFile(readFileSync(made.keyFile));
  return openRepository({ location: made.dir }, new FsStorage(made.dir), { ...key, repo: made.repo });
}
