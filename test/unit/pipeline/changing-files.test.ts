/** Files that change while they are read. */

import { spawnSync } from 'node:child_process';
import {
  appendFileSync,
  closeSync,
  openSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  unlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { backUp, newRepository, noise, restoreTo } from '../operations/tree.ts';
import { temporaryFolder } from '../support.ts';

const hook = vi.hoisted(() => ({
  opens: 0,
  /** Of the file, where it may take its time. */
  waitingOpens: 0,
  beforeOpen: undefined as ((count: number) => void) | undefined,
  reads: 0,
  afterRead: undefined as ((count: number) => void) | undefined,
  alter: undefined as ((bytes: Uint8Array) => void) | undefined,
}));
vi.mock('../../../src/source/read-file.ts', async (original) => {
  const source = await original<typeof import('../../../src/source/read-file.ts')>();
  return {
    ...source,
    openSource: (path: string): number => {
      if (path.endsWith('/file')) {
        hook.beforeOpen?.(++hook.opens);
        hook.waitingOpens += 1;
      }
      return source.openSource(path);
    },
    openQuietly: (path: string): number => {
      if (path.endsWith('/file')) hook.beforeOpen?.(++hook.opens);
      return source.openQuietly(path);
    },
    readAt: (...args: Parameters<typeof source.readAt>): number => {
      const got = source.readAt(...args);
      if (args[5].endsWith('/file')) hook.afterRead?.(++hook.reads);
      hook.alter?.(args[1].subarray(args[2], args[2] + got));
      return got;
    },
  };
});

afterEach(() => {
  Object.assign(hook, {
    opens: 0,
    waitingOpens: 0,
    reads: 0,
    beforeOpen: undefined,
    afterRead: undefined,
    alter: undefined,
  });
});

async function backedUp(
  content: Buffer,
  size = content.length,
): Promise<{
  file: string;
  run: () => Promise<{
    codes: string[];
    warnings: string[];
    content: Buffer | undefined;
    entries: number;
    counted: number;
  }>;
}> {
  const folder = temporaryFolder();
  const file = join(folder, 'file');
  writeFileSync(file, content.subarray(0, size));
  writeFileSync(join(folder, 'other'), 'other');
  // Comes first and opens a pack, so that what follows can be stored at once.
  writeFileSync(join(folder, 'a'), 'a');
  const run = async () => {
    const repository = await newRepository();
    // Until the clock of the filesystem has gone on, files are only read the long way.
    await new Promise((resolve) => setTimeout(resolve, 50));
    const done = await backUp(repository, folder);
    const back = await restoreTo(repository);
    expect(back.problems).toEqual([]);
    expect(readFileSync(join(back.target, 'other'), 'utf8')).toBe('other');
    let found: Buffer | undefined;
    try {
      found = readFileSync(join(back.target, 'file'));
    } catch {
      // it has no entry
    }
    return {
      codes: done.events.flatMap((event) => (event.type === 'source-error' ? [event.code] : [])),
      warnings: done.events.flatMap((event) => (event.type === 'warning' ? event.warnings : [])),
      content: found,
      entries: back.files,
      counted: done.files,
    };
  };
  return { file, run };
}

const sizes = [1000, 500_000, 9_000_000] as const;

describe.each(sizes)('a file of %i bytes', (size) => {
  const content = noise(size + 5000, size);
  const large = size > 8 * 1024 * 1024;

  it('that vanishes is an error of the source, and nothing else suffers', async () => {
    const { file, run } = await backedUp(content, size);
    hook.beforeOpen = (count) => count === 1 && rmSync(file);
    expect(await run()).toMatchObject({ codes: ['ENOENT'], content: undefined, entries: 2, counted: 2 });
  });

  it.each([
    ['ELOOP', (file: string) => symlinkSync('/etc/passwd', file)],
    ['ETYPE', (file: string) => expect(spawnSync('mkfifo', [file]).status).toBe(0)],
  ])('that became a link or a FIFO is not followed: %s', async (code, replace) => {
    const { file, run } = await backedUp(content, size);
    hook.beforeOpen = (count) => {
      if (count !== 1) return;
      unlinkSync(file);
      replace(file);
    };
    expect(await run()).toMatchObject({ codes: [code], content: undefined });
  });

  it('that grew before it was opened is a state of its own', async () => {
    const { file, run } = await backedUp(content, size);
    hook.beforeOpen = (count) => {
      if (count !== 1) return;
      appendFileSync(file, content.subarray(size));
      // So long ago that its state can be trusted.
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 50);
    };
    const done = await run();
    expect(done.codes).toEqual([]);
    expect(done.content?.equals(large ? content.subarray(0, size) : content)).toBe(true);
  });

  it('that shrank before it was opened', async () => {
    const { file, run } = await backedUp(content, size);
    hook.beforeOpen = (count) => count === 1 && truncateSync(file, size - 700);
    const done = await run();
    expect(done.codes).toEqual([]);
    const expected = content.subarray(0, size - 700);
    expect(done.content?.subarray(0, size - 700).equals(expected)).toBe(true);
    expect(done.content?.length).toBe(size - 700);
    expect(done.warnings).toEqual([]);
  });

  it('that changes at each read is torn, and says so', async () => {
    const { file, run } = await backedUp(content, size);
    hook.beforeOpen = () => {};
    hook.afterRead = () => appendFileSync(file, '!');
    const done = await run();
    expect(done.codes).toEqual([]);
    expect(done.warnings).toEqual(['torn']);
    expect(hook.waitingOpens).toBe(large ? 3 : 1);
    // At once, and then three times with patience.
    if (size === 1000) expect(hook.reads).toBe(4);
    expect(done.content?.subarray(0, size).equals(content.subarray(0, size))).toBe(true);
  });

  it('whose times are set back after a change is read again', async () => {
    if (large) return;
    const { file, run } = await backedUp(content, size);
    const before = `${temporaryFolder()}/times`;
    writeFileSync(before, '');
    const touch = (from: string, to: string): void =>
      void expect(spawnSync('touch', ['-r', from, to]).status).toBe(0);
    touch(file, before);
    const other = noise(size, size + 1);
    hook.afterRead = (count) => {
      if (count !== 1) return;
      writeFileSync(file, other);
      touch(before, file);
    };
    const done = await run();
    expect(done).toMatchObject({ codes: [], warnings: [] });
    expect(done.content?.equals(other)).toBe(true);
  });

  it('that grows beyond 8 MiB while it is read is read by all workers, and not left out', async () => {
    if (large) return;
    const { file, run } = await backedUp(content, size);
    const grown = noise(9_500_000, 77);
    hook.beforeOpen = (count) => count === 1 && writeFileSync(file, grown);
    const done = await run();
    expect(done.codes).toEqual([]);
    expect(done.warnings).toEqual([]);
    expect(done.content?.equals(grown)).toBe(true);
  });

  it('that is cut while it is read still has a verified content', async () => {
    const { file, run } = await backedUp(content, size);
    hook.afterRead = (count) => count === 1 && truncateSync(file, Math.floor(size / 2));
    const done = await run();
    expect(done.codes).toEqual([]);
    expect(done.content).toBeDefined();
  });
});

it('a file whose content changed without a trace is told when everything is read', async () => {
  const folder = temporaryFolder();
  for (const name of ['good', 'rotten']) writeFileSync(join(folder, name), noise(3000, name.length));
  const repository = await newRepository();
  await backUp(repository, folder);
  hook.alter = (bytes) => {
    if (bytes.length === 3000 && bytes[0] === noise(3000, 6)[0]) bytes[17]! ^= 1;
  };
  const silent = (events: readonly { type: string; path?: string }[]): unknown[] =>
    events.flatMap((event) => (event.type === 'silent-change' ? [event.path] : []));
  expect(silent((await backUp(repository, folder)).events)).toEqual([]);
  const done = await backUp(repository, folder, { readAll: true });
  expect(silent(done.events)).toEqual(['rotten']);
  expect(done).toMatchObject({ changedFiles: 1, rereadFiles: 1 });
});

it('a hole that got data after the holes were listed is read', async () => {
  const { file, run } = await backedUp(noise(5000, 1));
  truncateSync(file, 30_000_000);
  const data = noise(100_000, 2);
  // The first open is for the list of holes, the second one for reading.
  hook.beforeOpen = (count) => {
    if (count !== 2) return;
    const fd = openSync(file, 'r+');
    writeSync(fd, data, 0, data.length, 20_000_000);
    closeSync(fd);
  };
  const done = await run();
  expect(done).toMatchObject({ codes: [], warnings: [] });
  expect(done.content?.subarray(20_000_000, 20_100_000).equals(data)).toBe(true);
});

it.each([
  [5, 1],
  [60, 0],
])('a file that changed %i ms ago is read with patience: %i', async (age, waits) => {
  const { file, run } = await backedUp(noise(1000, 3));
  // What changes again in the same tick of the filesystem's clock would look the same.
  vi.spyOn(Date, 'now').mockReturnValue(Math.ceil(statSync(file).ctimeMs) + age);
  let opened = 0;
  let waited = 0;
  hook.beforeOpen = () => {
    opened = performance.now();
  };
  hook.afterRead = () => {
    waited = performance.now() - opened;
  };
  const done = await run();
  vi.restoreAllMocks();
  expect(done.content?.equals(noise(1000, 3))).toBe(true);
  expect(hook.waitingOpens).toBe(waits);
  if (waits > 0) expect(waited).toBeGreaterThan(15);
});
