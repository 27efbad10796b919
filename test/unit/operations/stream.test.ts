/** Backups of a stream: any length comes back, is cut like a file, and a program that fails makes no snapshot. */
import { closeSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { toBackpackError } from '../../../src/base/errors.ts';
import type { BackupOptions } from '../../../src/operations/backup-options.ts';
import { listSnapshots } from '../../../src/repo/snapshots.ts';
import type { StreamSource } from '../../../src/source/byte-stream.ts';
import { temporaryFolder } from '../support.ts';
import { backUp, newRepository, noise, restoreTo } from './tree.ts';

const streamOf = (source: StreamSource, stored = 'dumps/data'): Partial<BackupOptions> => ({
  roots: [{ real: stored, stored }],
  stream: { source, stored, uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 },
});
const run = (...command: [string, ...string[]]): StreamSource => ({
  command,
  cwd: '/',
  env: { PATH: process.env['PATH']! },
});
const MiB = 1024 * 1024;

describe('a stream', () => {
  const contents: [string, () => Buffer][] = [
    ['one byte', () => Buffer.from('x')],
    ['a small one', () => noise(100_000, 1)],
    ['exactly one window', () => noise(12 * MiB, 2)],
    ['more than two windows', () => noise(26 * MiB + 17, 3)],
    ['zeros, then data', () => Buffer.concat([Buffer.alloc(9 * MiB), noise(5 * MiB, 4), Buffer.alloc(3)])],
  ];

  it.each(contents)('%s comes back, and the same bytes in a file are not stored again', async (_, make) => {
    const folder = temporaryFolder();
    const bytes = make();
    writeFileSync(join(folder, 'file'), bytes);
    const repository = await newRepository();
    const fd = openSync(join(folder, 'file'), 'r');
    const done = await backUp(repository, folder, streamOf({ fd }));
    closeSync(fd);
    expect(done).toMatchObject({ files: 1, newFiles: 1, bytes: bytes.length, bytesRead: bytes.length });
    const { target, problems } = await restoreTo(repository);
    expect(problems).toEqual([]);
    expect(readFileSync(join(target, 'dumps/data')).equals(bytes)).toBe(true);
    const again = await backUp(repository, folder);
    expect(again.bytesStored).toBeLessThan(40_000);
  });

  it('without a byte makes no snapshot, unless it is of a program that ended well', async () => {
    const folder = temporaryFolder();
    writeFileSync(join(folder, 'empty'), '');
    const repository = await newRepository();
    const fd = openSync(join(folder, 'empty'), 'r');
    const error = await backUp(repository, folder, streamOf({ fd })).catch(toBackpackError);
    closeSync(fd);
    expect(error).toMatchObject({ code: 'BP_STREAM_EMPTY' });
    expect((await listSnapshots(repository)).snapshots).toEqual([]);
    const done = await backUp(repository, '/', streamOf(run('true'), 'out'));
    expect(done).toMatchObject({ files: 1, bytes: 0 });
    expect(done.events).toContainEqual({ type: 'empty-stream', path: 'out' });
    const { target } = await restoreTo(repository);
    expect(readFileSync(join(target, 'out'), 'utf8')).toBe('');
  });

  it('of a program', async () => {
    const repository = await newRepository();
    await backUp(repository, '/', streamOf(run('sh', '-c', 'printf a; sleep 0.1; printf b'), 'out'));
    const { target } = await restoreTo(repository);
    expect(readFileSync(join(target, 'out'), 'utf8')).toBe('ab');
  });

  it.each([
    ['ends with an exit code', run('sh', '-c', 'head -c 3000000 /dev/zero; exit 7'), 'exit code 7'],
    ['is killed', run('sh', '-c', 'echo x; kill -9 $$'), 'SIGKILL'],
    ['cannot be started', run('/no/such/program'), 'cannot run'],
  ])('of a program that %s makes no snapshot', async (_, source, said) => {
    const repository = await newRepository();
    const error = await backUp(repository, '/', streamOf(source)).then(
      () => undefined,
      (found: unknown) => toBackpackError(found),
    );
    expect(error?.code).toBe('BP_COMMAND_FAILED');
    expect(error?.message).toContain(said);
    expect((await listSnapshots(repository)).snapshots).toEqual([]);
  });

  it('that does not end is stopped', async () => {
    const repository = await newRepository();
    const abort = new AbortController();
    setTimeout(() => abort.abort(new Error('enough')), 300);
    const start = performance.now();
    const options = { ...streamOf(run('sh', '-c', 'echo x; exec sleep 60')), signal: abort.signal };
    await expect(backUp(repository, '/', options)).rejects.toThrow('enough');
    expect(performance.now() - start).toBeLessThan(10_000);
    expect((await listSnapshots(repository)).snapshots).toEqual([]);
  });
});

describe('a snapshot that would hold the same', () => {
  it('is not made, unless something differs', async () => {
    const folder = temporaryFolder();
    writeFileSync(join(folder, 'a'), 'a');
    const repository = await newRepository();
    const first = await backUp(repository, folder, { skipIfUnchanged: true });
    expect(first.unchanged).toBe(false);
    const second = await backUp(repository, folder, { skipIfUnchanged: true });
    expect(second).toMatchObject({ unchanged: true, snapshotId: first.snapshotId });
    expect((await listSnapshots(repository)).snapshots).toHaveLength(1);
    writeFileSync(join(folder, 'b'), '');
    expect((await backUp(repository, folder, { skipIfUnchanged: true })).unchanged).toBe(false);
    expect((await backUp(repository, folder)).unchanged).toBe(false);
    const filter = { own: [], markers: [{ name: 'b', label: 'b' }] };
    expect((await backUp(repository, folder, { skipIfUnchanged: true, filter })).unchanged).toBe(false);
  });
});
