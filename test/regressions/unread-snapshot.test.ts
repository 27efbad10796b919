/**
 * A disk that does not give the bytes of one snapshot made `list` and `restore` fail, although a copy was there; a
 * backup said nothing of snapshots that it could not read.
 */
import fs, { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { expect, it, onTestFinished, vi } from 'vitest';
import { shortId } from '../../src/format/names.ts';
import { type RestoreEvent, restore } from '../../src/operations/restore.ts';
import { listSnapshots } from '../../src/repo/snapshots.ts';
import { fromSystemError } from '../../src/storage/storage-errors.ts';
import { makeSample, type Sample } from '../unit/operations/sample.ts';
import { recover, TestRepository } from '../unit/recover/writer.ts';

const broken = Object.assign(new Error('EIO: i/o error, read'), { errno: -5, code: 'EIO' });

/** Objects that the disk does not give any more. */
function breakDisk(sample: Sample, names: readonly string[]): void {
  const get = sample.storage.get.bind(sample.storage);
  sample.storage.get = async (name, options) => {
    if (names.includes(name)) throw fromSystemError(broken, '/mnt/disk', name);
    return get(name, options);
  };
}

const snapshotsOf = ({ storage }: Sample): string[] =>
  [...storage.objects.keys()].filter((name) => name.startsWith('snapshots/')).sort();

function folder(): string {
  const made = mkdtempSync(join(tmpdir(), 'backpack-unread-'));
  onTestFinished(() => rmSync(made, { recursive: true, force: true }));
  return made;
}

it('reads the copy of a snapshot that the storage does not give, and says so', async () => {
  const sample = await makeSample(2);
  const newest = snapshotsOf(sample).at(-1)!;
  breakDisk(sample, [newest]);
  const list = await listSnapshots(await sample.open());
  expect(list.snapshots).toHaveLength(2);
  expect(list.unreadable).toMatchObject([{ name: newest, error: { code: 'BP_STORAGE_IO' } }]);
  const events: RestoreEvent[] = [];
  const options = { snapshot: 'latest', path: '', target: folder(), threads: 0 };
  const summary = await restore(await sample.open(), options, (event) => events.push(event));
  expect(summary).toMatchObject({ damaged: 0, fromCopy: true });
  expect(newest).toContain(summary.snapshotId);
  expect(events).toContainEqual(
    expect.objectContaining({ type: 'copy', code: 'BP_STORAGE_IO', object: newest }),
  );
});

it('without a copy refuses the latest, and names the one before', async () => {
  const sample = await makeSample(2);
  const [older, newest] = snapshotsOf(sample) as [string, string];
  const { snapshots } = await listSnapshots(await sample.open());
  breakDisk(sample, [newest, ...[...sample.storage.objects.keys()].filter((name) => /^packs/.test(name))]);
  const options = { snapshot: 'latest', path: '', target: folder(), threads: 0 };
  await expect(restore(await sample.open(), options, () => {})).rejects.toMatchObject({
    code: 'BP_STORAGE_IO',
    kind: 'storage',
    hint: expect.stringContaining(shortId(snapshots[0]!.id)),
  });
  expect(older).toContain(snapshots[0]!.id);
  expect(readdirSync(options.target)).toEqual([]);
});

it('a storage that gives nothing at all is an error, not an empty list', async () => {
  const sample = await makeSample(1);
  const repository = await sample.open();
  breakDisk(sample, [...sample.storage.objects.keys()]);
  await expect(listSnapshots(repository)).rejects.toMatchObject({ code: 'BP_STORAGE_IO' });
});

it('recover.js does the same', () => {
  const made = new TestRepository();
  onTestFinished(() => rmSync(dirname(made.dir), { recursive: true, force: true }));
  made.snapshot([{ path: 'a', content: Buffer.from('one') }]);
  const id = made.snapshot([{ path: 'a', content: Buffer.from('two') }]).id;
  const read = fs.readSync;
  const failing = ((fd: number, ...rest: never[]) => {
    const path = fs.readlinkSync(`/proc/self/fd/${fd}`);
    if (path.includes('/snapshots/') && path.includes(id)) throw broken;
    return (read as (...args: unknown[]) => number)(fd, ...rest);
  }) as typeof fs.readSync;
  const spy = vi.spyOn(fs, 'readSync').mockImplementation(failing);
  onTestFinished(() => spy.mockRestore());
  const lines: string[] = [];
  const io = { out: (text: string) => lines.push(text), err: (text: string) => lines.push(text) };
  const to = join(folder(), 'out');
  const code = recover.main(['--key', made.keyFile, '--repo', made.dir, 'restore', '--to', to], io);
  expect([code, lines.join('')]).toEqual([4, expect.stringContaining('EIO')]);
  expect(fs.readFileSync(join(to, 'a'), 'utf8')).toBe('two');
});
