/**
 * A file with two names that changed after one of them was read stands in the snapshot with two contents. They were joined
 * to one file, so that the second name got another content than the snapshot says, and --verify called it damaged.
 */
import { readFileSync, rmSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { parseKeyFile } from '../../src/format/key-file.ts';
import { openRepository } from '../../src/repo/repository.ts';
import { FsStorage } from '../../src/storage/index.ts';
import { restoreTo } from '../unit/operations/tree.ts';
import { TestRepository } from '../unit/recover/writer.ts';
import { temporaryFolder } from '../unit/support.ts';

it('each name has the content that the snapshot says, by both programs', async () => {
  const made = new TestRepository();
  onTestFinished(() => rmSync(dirname(made.dir), { recursive: true }));
  const extra = { hl: '0:7' };
  made.snapshot([
    { path: 'a', content: Buffer.from('old'), extra },
    { path: 'b', content: Buffer.from('new'), extra },
    { path: 'c', content: Buffer.from('old'), extra },
    { path: 'd', content: Buffer.from('longer'), extra },
  ]);
  const key = parseKeyFile(readFileSync(made.keyFile));
  const from = await openRepository({ location: made.dir }, new FsStorage(made.dir), {
    ...key,
    repo: made.repo,
  });
  const target = temporaryFolder();
  const done = await restoreTo(from, { target, verify: true });
  expect(done.problems).toEqual([]);
  for (const folder of [target, made.restore().to]) {
    const contents = ['a', 'b', 'c', 'd'].map((name) => readFileSync(join(folder, name), 'utf8'));
    expect(contents).toEqual(['old', 'new', 'old', 'longer']);
    expect(statSync(join(folder, 'c')).ino).toBe(statSync(join(folder, 'a')).ino);
  }
});
