/** What a dry run says is what the backup then does. */
import { appendFileSync, chmodSync, linkSync, mkdirSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { BackupOptions } from '../../../src/operations/backup-options.ts';
import { type PreviewEvent, preview } from '../../../src/operations/preview.ts';
import type { Repository } from '../../../src/repo/repository.ts';
import { rootOf } from '../../../src/source/walk.ts';
import { temporaryFolder } from '../support.ts';
import { backUp, newRepository, noise, TestClock } from './tree.ts';

function folderOfFiles(): string {
  const folder = temporaryFolder();
  mkdirSync(join(folder, 'sub'));
  for (const name of ['a', 'b', 'sub/c']) writeFileSync(join(folder, name), `content of ${name}`);
  writeFileSync(join(folder, 'empty'), '');
  writeFileSync(join(folder, 'large'), noise(9_000_000, 1));
  writeFileSync(join(folder, 'linked'), 'two names');
  linkSync(join(folder, 'linked'), join(folder, 'sub/linked'));
  return folder;
}

/** Both, and what they say alike. */
async function both(repository: Repository, folder: string, options: Partial<BackupOptions> = {}) {
  const events: PreviewEvent[] = [];
  const roots = [rootOf('.', folder)];
  const dry = await preview(repository, { roots, host: 'host', ...options }, (event) => events.push(event));
  const wet = await backUp(repository, folder, options);
  const { files, bytes, newFiles, changedFiles, unchangedFiles, rereadFiles, sourceErrors, excluded } = wet;
  const counts = {
    files,
    bytes,
    newFiles,
    changedFiles,
    unchangedFiles,
    rereadFiles,
    sourceErrors,
    excluded,
  };
  expect(dry).toMatchObject({ ...counts, bytesToRead: wet.bytesRead });
  return { dry, wet, events };
}

/** Not ahead of the machine's: what was just written is too young to be trusted. */
const now = (): TestClock => Object.assign(new TestClock(), { aheadMs: 0 });

describe('a dry run counts what the backup then does', () => {
  it('of files that are new, changed, unchanged, and gone', async () => {
    const folder = folderOfFiles();
    const repository = await newRepository();
    expect((await both(repository, folder)).dry).toMatchObject({ newFiles: 7, rereadFiles: 0 });
    expect((await both(repository, folder)).dry).toMatchObject({ unchangedFiles: 7, bytesToRead: 0 });
    appendFileSync(join(folder, 'a'), 'more');
    utimesSync(join(folder, 'sub/c'), 1_600_000_000, 1_600_000_000);
    const { dry } = await both(repository, folder);
    expect(dry).toMatchObject({ changedFiles: 2, unchangedFiles: 5, rereadFiles: 0 });
  });

  it('of files that are too young to be sure', async () => {
    const folder = folderOfFiles();
    const repository = await newRepository();
    await both(repository, folder, { clock: now() });
    const { dry, events } = await both(repository, folder);
    expect(dry).toMatchObject({ rereadFiles: 6, unchangedFiles: 1, newBytes: 0 });
    expect(dry.bytesToRead).toBeGreaterThan(9_000_000);
    expect(events).toEqual([]);
  });

  it('with readAll, and with access times', async () => {
    const folder = folderOfFiles();
    const repository = await newRepository();
    await both(repository, folder, { withAtime: true });
    expect((await both(repository, folder, { readAll: true })).dry).toMatchObject({ rereadFiles: 6 });
    await both(repository, folder, { withAtime: true });
  });

  it('when an extension leaves something out', async () => {
    const folder = folderOfFiles();
    const decide = (stored: string): string | undefined => (stored === 'large' ? 'an extension' : undefined);
    const { dry } = await both(await newRepository(), folder, { decide });
    expect(dry).toMatchObject({ excluded: 1, newFiles: 6 });
  });

  it.skipIf(process.getuid?.() === 0)('of a file that may not be read', async () => {
    const folder = folderOfFiles();
    chmodSync(join(folder, 'b'), 0);
    const { dry } = await both(await newRepository(), folder);
    expect(dry).toMatchObject({ sourceErrors: 1, newFiles: 6 });
  });
});
