/**
 * Snapshots of somebody hostile who has the key: nothing outside the target is made, changed or removed, by the program
 * or by recover.js, whatever the options, and whatever links wait in the target.
 */
import { execFileSync } from 'node:child_process';
import { readFileSync, rmSync } from 'node:fs';
import { dirname } from 'node:path';
import { describe, expect, it } from 'vitest';
import { isBackpackError } from '../../src/base/errors.ts';
import { parseKeyFile } from '../../src/format/key-file.ts';
import { restore } from '../../src/operations/restore.ts';
import { openRepository, type Repository } from '../../src/repo/repository.ts';
import { listSnapshots } from '../../src/repo/snapshots.ts';
import { FsStorage } from '../../src/storage/index.ts';
import { recover, TestRepository } from '../unit/recover/writer.ts';
import { type Attack, attackOf, type Box, makeBox, outsideOf } from './manifests.ts';

const first = Number(process.env['HOSTILE_SEED'] ?? 1);
const count = Number(process.env['HOSTILE_RUNS'] ?? 40);
const seeds = Array.from({ length: count }, (_, i) => first + i);

async function open(made: TestRepository): Promise<Repository> {
  const key = parseKeyFile(readFileSync(made.keyFile));
  const storage = new FsStorage(made.dir);
  return openRepository({ location: made.dir }, storage, { ...key, repo: made.repo });
}

/** Restores with the program. @returns codes of what it refused */
async function attempt(repository: Repository, attack: Attack, box: Box): Promise<string[]> {
  const codes: string[] = [];
  const { overwrite, sparse, verify } = attack;
  const path = Buffer.from(attack.path).toString('latin1');
  const wishes = { snapshot: 'latest', path, target: box.target, threads: 0, overwrite, sparse, verify };
  const deletes = attack.deletes ? { confirmDelete: async () => true } : {};
  try {
    await restore(repository, { ...wishes, ...deletes, noSpaceCheck: true }, (event) => {
      if (event.type === 'problem') codes.push(event.code);
    });
  } catch (error) {
    if (!isBackpackError(error)) throw error;
    codes.push(error.code);
  }
  return codes;
}

describe('a hostile snapshot', () => {
  it.each(seeds)('of seed %i stays inside the target', async (seed) => {
    const made = new TestRepository();
    const box = makeBox();
    try {
      const attack = attackOf(seed, box);
      made.snapshot([...attack.files], { pages: attack.pages });
      const before = outsideOf(box);
      const repository = await open(made);
      // The snapshot as such is a good one: what is hostile is read.
      expect((await listSnapshots(repository)).snapshots.length).toBe(1);
      const codes = await attempt(repository, attack, box);
      expect(outsideOf(box), `${attack.name}: ${JSON.stringify(attack)}`).toEqual(before);
      expect(codes, attack.name).not.toContain('BP_INTERNAL');
    } finally {
      cleanUp(box.folder);
      cleanUp(dirname(made.dir));
    }
  });

  it.each(seeds)('of seed %i stays inside the target of recover.js', (seed) => {
    const made = new TestRepository();
    const box = makeBox();
    try {
      const attack = attackOf(seed, box);
      made.snapshot([...attack.files], { pages: attack.pages });
      const before = outsideOf(box);
      const io = { out: () => {}, err: () => {} };
      const wanted = attack.path === '' ? 'latest' : `latest:${attack.path}`;
      const common = ['--key', made.keyFile, '--repo', made.dir, 'restore', wanted, '--to', box.target];
      expect(typeof recover.main(common, io)).toBe('number');
      expect(outsideOf(box), `${attack.name}: ${JSON.stringify(attack)}`).toEqual(before);
    } finally {
      cleanUp(box.folder);
      cleanUp(dirname(made.dir));
    }
  });
});

/** Restored folders may refuse everything to others than root. */
function cleanUp(folder: string): void {
  execFileSync('chmod', ['-R', 'u+rwx', folder], { stdio: 'ignore' });
  rmSync(folder, { recursive: true, force: true });
}
