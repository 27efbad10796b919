/** Trees for the tests of backup and restore: made, described in full, backed up and restored inline. */
import { createCipheriv, createHash } from 'node:crypto';
import {
  chmodSync,
  closeSync,
  ftruncateSync,
  linkSync,
  lstatSync,
  lutimesSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import type { Clock } from '../../../src/base/ports.ts';
import { backup } from '../../../src/operations/backup.ts';
import type { BackupEvent, BackupOptions, BackupSummary } from '../../../src/operations/backup-options.ts';
import {
  type RestoreEvent,
  type RestoreOptions,
  type RestoreSummary,
  restore,
} from '../../../src/operations/restore.ts';
import { createRepository } from '../../../src/repo/create.ts';
import { openRepository, type Repository } from '../../../src/repo/repository.ts';
import { rootOf } from '../../../src/source/walk.ts';
import { MemoryStorage, type Storage } from '../../../src/storage/index.ts';
import { keyFile, temporaryFolder } from '../support.ts';

/** Bytes that do not compress and are always the same. */
export function noise(length: number, seed: number): Buffer {
  const key = Buffer.alloc(16);
  key.writeUInt32LE(seed);
  return createCipheriv('aes-128-ctr', key, Buffer.alloc(16)).update(Buffer.alloc(length));
}

/** A path below a folder, of bytes. */
export function at(folder: string, name: string | Buffer): Buffer {
  return Buffer.concat([Buffer.from(`${folder}/`), Buffer.from(name)]);
}

/** Everything that a backup must keep, one line per entry, in byte order. */
export function describeTree(folder: string): string[] {
  const lines: string[] = [];
  const inodes = new Map<bigint, string>();
  const visit = (path: Buffer, name: Buffer): void => {
    const stat = lstatSync(path, { bigint: true });
    const label = name.toString('latin1');
    const kind = stat.isDirectory() ? 'd' : stat.isSymbolicLink() ? 'l' : stat.isFile() ? 'f' : '?';
    const micro = stat.mtimeNs / 1000n - (stat.mtimeNs % 1000n < 0n ? 1n : 0n);
    const parts = [
      kind,
      JSON.stringify(label),
      kind === 'l' ? '' : (stat.mode & 0o7777n).toString(8),
      `${stat.uid}:${stat.gid}`,
      micro,
    ];
    if (kind === 'l') parts.push(JSON.stringify(readlinkSync(path, 'latin1')));
    if (kind === 'f') {
      parts.push(stat.size, createHash('sha256').update(readFileSync(path)).digest('hex').slice(0, 16));
      const first = inodes.get(stat.ino);
      if (stat.nlink > 1n) parts.push(`same as ${first ?? label}`);
      inodes.set(stat.ino, first ?? label);
    }
    lines.push(parts.join(' '));
    if (kind !== 'd') return;
    for (const child of readdirSync(path, { encoding: 'buffer' }).sort(Buffer.compare))
      visit(Buffer.concat([path, Buffer.from('/'), child]), Buffer.concat([name, Buffer.from('/'), child]));
  };
  for (const child of readdirSync(folder, { encoding: 'buffer' }).sort(Buffer.compare))
    visit(at(folder, child), child);
  return lines;
}

/** A tree of everything that is awkward. */
export function hostileTree(): string {
  const folder = temporaryFolder();
  const names: (string | Buffer)[] = [
    '--help',
    '-rf',
    ' leading space',
    'trailing space ',
    'new\nline',
    'tab\tand\x01control\x7f',
    'quote"back\\slash',
    '$(touch x) `y` ;&|',
    'ünï©ødé \u{1f600}',
    'nfc-\u00e9',
    'nfd-e\u0301',
    '__proto__',
    'constructor',
    'toString',
    'x'.repeat(255),
    'é'.repeat(127),
    Buffer.from('636166e9', 'hex'),
    Buffer.from('fffe80', 'hex'),
    Buffer.from('eda080', 'hex'),
    '...',
    '.hidden',
    '%41',
    'CON',
    '\u2028',
    '*',
  ];
  for (const [i, name] of names.entries()) writeFileSync(at(folder, name), `content of ${i}`);
  mkdirSync(at(folder, 'dir'));
  mkdirSync(at(folder, 'dir/empty'));
  mkdirSync(at(folder, Buffer.from('dir/\xff\x01', 'latin1')));
  writeFileSync(at(folder, Buffer.from('dir/\xff\x01/inner', 'latin1')), 'inner');
  for (const name of ['dir-a', 'dir.a', 'dir a', 'dirz']) writeFileSync(at(folder, name), name);
  let deep = folder;
  for (let i = 0; i < 40; i += 1) {
    deep = join(deep, `d${i}`);
    mkdirSync(deep);
  }
  writeFileSync(join(deep, 'bottom'), 'bottom');
  for (let i = 0; i < 5; i += 1) writeFileSync(at(folder, `empty${i}`), '');
  symlinkSync('dir/empty', at(folder, 'link'));
  symlinkSync(Buffer.from('n\xffowhere\n', 'latin1'), at(folder, 'dangling'));
  symlinkSync('/etc/passwd', at(folder, 'absolute'));
  symlinkSync('../../..', at(folder, 'up'));
  writeFileSync(at(folder, 'hard1'), 'hard content');
  linkSync(at(folder, 'hard1'), at(folder, 'dir/hard2'));
  linkSync(at(folder, 'hard1'), at(folder, 'zz-hard3'));
  for (const [i, mode] of [0o400, 0o600, 0o644, 0o755, 0o4755, 0o1777, 0o000, 0o7777].entries()) {
    writeFileSync(at(folder, `mode${i}`), `mode ${i}`);
    chmodSync(at(folder, `mode${i}`), mode);
  }
  for (const [i, time] of [
    0,
    1,
    1_700_000_000.123456,
    4_102_444_800.999999,
    '-1',
    '-0.5',
    '-86400.25',
    '-2147483648',
  ].entries()) {
    writeFileSync(at(folder, `time${i}`), `time ${i}`);
    utimesSync(at(folder, `time${i}`), time, time);
  }
  lutimesSync(at(folder, 'link'), 1_600_000_000.5, 1_600_000_000.5);
  writeFileSync(at(folder, 'zeros-small'), Buffer.alloc(1000));
  writeFileSync(at(folder, 'zeros-1m'), Buffer.alloc(1_000_000));
  writeFileSync(at(folder, 'zeros-9m'), Buffer.alloc(9_000_000));
  writeFileSync(at(folder, 'same-a'), noise(300_000, 1));
  writeFileSync(at(folder, 'same-b'), noise(300_000, 1));
  writeFileSync(at(folder, 'large'), noise(10_000_000, 2));
  writeFileSync(at(folder, 'text'), 'all work and no play '.repeat(50_000));
  for (const size of [1, 262_143, 262_144, 262_145, 1_048_576])
    writeFileSync(at(folder, `size${size}`), noise(size, size));
  const sparse = openSync(at(folder, 'sparse'), 'w');
  writeSync(sparse, noise(5000, 3), 0, 5000, 20_000_000);
  ftruncateSync(sparse, 30_000_000);
  closeSync(sparse);
  utimesSync(at(folder, 'dir/empty'), 1_500_000_000, 1_500_000_000);
  utimesSync(at(folder, 'dir'), 1_400_000_000.25, 1_400_000_000.25);
  return folder;
}

/** A clock that can be ahead of the machine's: files written before the run are then old enough to be trusted. */
export class TestClock implements Clock {
  aheadMs = 10_000;
  now(): number {
    return Date.now() + this.aheadMs;
  }
}

/** A repository in memory (or in a given storage). */
export async function newRepository(storage: Storage = new MemoryStorage()): Promise<Repository> {
  await createRepository(storage, keyFile, Date.now());
  return openRepository({ location: storage.location }, storage, keyFile);
}

/** What a backup did. */
export interface Done extends BackupSummary {
  readonly events: readonly BackupEvent[];
}

/** Backs a folder up inline; its content is at the top. */
export async function backUp(
  repository: Repository,
  folder: string,
  options: Partial<BackupOptions> = {},
): Promise<Done> {
  const events: BackupEvent[] = [];
  const all: BackupOptions = {
    roots: [rootOf('.', folder)],
    host: 'host',
    app: 'test',
    threads: 0,
    clock: new TestClock(),
    ...options,
  };
  const summary = await backup(repository, all, (event) => events.push(event));
  return { ...summary, events };
}

/** What a restore did. */
export interface Restored extends RestoreSummary {
  readonly problems: readonly (RestoreEvent & { type: 'problem' })[];
}

/** Restores inline to a new folder. */
export async function restoreTo(
  repository: Repository,
  options: Partial<RestoreOptions> = {},
): Promise<Restored> {
  const problems: (RestoreEvent & { type: 'problem' })[] = [];
  const target = options.target ?? temporaryFolder();
  const summary = await restore(
    repository,
    { snapshot: 'latest', path: '', threads: 0, ...options, target },
    (event) => {
      if (event.type === 'problem') problems.push(event);
    },
  );
  return { ...summary, problems };
}
