/**
 * A small repository in memory, made by the real backup over a temporary folder, with containers of every kind, a
 * kit and a wrapped key: what the damage tests work on.
 */
import { createHash, randomBytes } from 'node:crypto';
import { linkSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ContainerWriter, WriterMemory } from '../../../src/container/container-writer.ts';
import { formatKeyFile, type KeyFile, parseKeyFile } from '../../../src/format/key-file.ts';
import { type Kind, makeId, packName } from '../../../src/format/names.ts';
import { backup } from '../../../src/operations/backup.ts';
import { kitFiles, kitSum } from '../../../src/repo/kit.ts';
import { formatHint, openRepository, type Repository } from '../../../src/repo/repository.ts';
import { MemoryStorage } from '../../../src/storage/memory.ts';

/** A seeded generator (mulberry32): numbers from 0 to 2^32 - 1. */
export function seeded(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return (t ^ (t >>> 14)) >>> 0;
  };
}

/** Bytes that do not compress. */
export function noise(length: number, seed: number): Buffer {
  const next = seeded(seed);
  return Buffer.from(Array.from({ length }, () => next() & 255));
}

const spec = { location: 'memory' };
const clock = { now: (): number => Date.now() };
const random = { bytes: (count: number): Buffer => randomBytes(count) };
const app = 'test 1';
const laterText = 'written between the two backups\n';

/** The sample and what is needed to work with it. */
export interface Sample {
  readonly storage: MemoryStorage;
  readonly key: KeyFile & { readonly repo: string };
  readonly kitSums: readonly string[];
  /** Opens it anew. */
  open(): Promise<Repository>;
}

/** A key file of a new repository. @param root the same root as of another one */
export function newKey(root: Buffer = randomBytes(32)): KeyFile & { readonly repo: string } {
  const repo = randomBytes(16).toString('hex');
  return { ...parseKeyFile(Buffer.from(formatKeyFile({ repo, root, kit: [] }))), repo };
}

/** Writes a container of any kind. */
export async function putContainer(
  repository: Repository,
  kind: Kind,
  nameOf: (id: string) => string,
  records: readonly string[],
): Promise<string> {
  const memory = new WriterMemory(1 << 20);
  const id = makeId(clock, random);
  const out = await repository.storage.create(nameOf(id));
  const { repo, keyring } = repository;
  const writer = new ContainerWriter(memory, keyring, { kind, repo, id, app }, out);
  for (const text of records) {
    const { kernel, plain } = memory.codec;
    await writer.addRecord(plain, kernel.bytes.write(text, plain, 'utf8'));
  }
  await writer.finish();
  return (await writer.commit()).name;
}

/**
 * Makes the sample: two snapshots that share packs.
 * @param snapshots one or two
 * @param kit a small one of the right shape, or what every repository gets
 */
export async function makeSample(
  snapshots: 1 | 2,
  root?: Buffer,
  kit: 'small' | 'real' = 'small',
): Promise<Sample> {
  const storage = new MemoryStorage();
  const key = newKey(root);
  const kitSums = await (kit === 'small' ? putKit(storage) : putRealKit(storage));
  const hint = formatHint({ repo: key.repo, keys: [key.keyid], made: '1767225600.000000000' });
  await storage.put('backpack.json', Buffer.from(hint));
  const open = (): Promise<Repository> => openRepository(spec, storage, key);
  const repository = await open();
  const folder = mkdtempSync(join(tmpdir(), 'backpack-check-'));
  try {
    fill(folder);
    await run(repository, folder);
    writeFileSync(join(folder, 'd', 'later.txt'), laterText);
    if (snapshots === 2) await run(repository, folder);
    const pack = [...storage.objects.keys()].find((name) => name.startsWith('packs/'))!;
    await putContainer(repository, 'drop', (id) => `drop/${id}.bpk`, [
      `{"backpack":"drop","v":1,"time":"1767225600.000000000","why":"forget"}\n["S","${makeId(clock, random)}"]\n`,
    ]);
    await putContainer(repository, 'mark', (id) => `gc/${id}.bpk`, [
      `{"backpack":"mark","v":1,"why":"unreferenced"}\n["X","${packName(makeId(clock, random))}"]\n`,
    ]);
    const old = makeId(clock, random);
    await putContainer(repository, 'move', (id) => `moved/${old}-${id}.bpk`, [
      `{"backpack":"moved","v":1,"from":"${old}","writer":"0000000000000000"}\n`,
      `["V",0,1,"${pack.slice(12, 52)}",0]\n`,
    ]);
  } finally {
    rmSync(folder, { recursive: true });
  }
  return { storage, key, kitSums, open };
}

async function run(repository: Repository, folder: string): Promise<string> {
  const roots = [{ real: folder, stored: 'home' }];
  const summary = await backup(
    repository,
    { roots, own: [], host: 'host', app, threads: 0, catalogBytes: 1 << 16 },
    () => {},
  );
  return summary.snapshotId;
}

/** What the files of the newest snapshot hold, by path in it. */
export const contents: Readonly<Record<string, Buffer>> = {
  'home/a.txt': Buffer.from('the first file\n'),
  'home/d/b.bin': noise(300, 1),
  'home/d/copy.txt': Buffer.from('the first file\n'),
  'home/d/empty': Buffer.alloc(0),
  'home/d/later.txt': Buffer.from(laterText),
  'home/e/deep/big.txt': Buffer.from('a line that compresses well\n'.repeat(10_000)),
  'home/e/hard': Buffer.from('the first file\n'),
  'home/z.bin': noise(500, 2),
};

function fill(folder: string): void {
  mkdirSync(join(folder, 'd'));
  mkdirSync(join(folder, 'e', 'deep'), { recursive: true });
  for (const [path, bytes] of Object.entries(contents)) {
    if (path !== 'home/e/hard' && path !== 'home/d/later.txt')
      writeFileSync(join(folder, path.slice(5)), bytes);
  }
  linkSync(join(folder, 'a.txt'), join(folder, 'e', 'hard'));
  symlinkSync('../a.txt', join(folder, 'e', 'soft'));
}

const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

/** The kit of this version. @returns what the key file says about it */
async function putRealKit(storage: MemoryStorage): Promise<string[]> {
  const files = kitFiles();
  for (const { name, bytes } of files) await storage.put(name, bytes);
  return [kitSum(files.at(-1)!.bytes)];
}

/** A kit of the right shape that is small. @returns what the key file says about it */
export async function putKit(storage: MemoryStorage): Promise<string[]> {
  const files: Record<string, string> = {
    'README.txt': 'How to read this without the program.\n',
    'recover/SPEC.md': '# The format\n',
    'recover/package.json': '{"type":"commonjs"}\n',
    'recover/recover.js': "'use strict';\n",
    'recover/recover.sh': '#!/bin/sh\n',
  };
  const lines: string[] = [];
  for (const [name, text] of Object.entries(files)) {
    const bytes = Buffer.from(text.repeat(4));
    await storage.put(name, bytes);
    lines.push(`${sha256(bytes)}  ${name === 'README.txt' ? '../README.txt' : name.slice(8)}\n`);
  }
  const sums = Buffer.from(lines.sort().join(''));
  await storage.put('recover/SHA256SUMS', sums);
  return [sha256(sums)];
}
