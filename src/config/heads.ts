/**
 * What this machine remembers of a repository, per repository id and location: the last snapshot it saw. A storage
 * that shows an older state is noticed (SPEC, "Snapshots": E_ROLLBACK).
 */
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { BackpackError } from '../base/errors.ts';
import { makeFolders } from '../base/folders.ts';

/** The last snapshot seen. */
export interface Head {
  readonly id: string;
  readonly seq: number;
}

/** What a listing of the repository shows now. */
export interface Seen {
  readonly ids: ReadonlySet<string>;
  readonly dropped: ReadonlySet<string>;
  readonly head: Head | undefined;
}

/** Heads in files of the user's state folder. */
export class HeadStore {
  readonly #folder: string;

  constructor(folder: string) {
    this.#folder = join(folder, 'heads');
  }

  /** @throws BackpackError E_ROLLBACK when the remembered snapshot is gone and nothing says that it was forgotten */
  check(repo: string, location: string, seen: Seen): void {
    const file = this.#file(repo, location);
    const known = read(file);
    if (known === undefined || seen.ids.has(known.id) || seen.dropped.has(known.id)) return;
    if (seen.head !== undefined && seen.head.seq > known.seq) return;
    throw new BackpackError(
      'E_ROLLBACK',
      `${location} shows an older state: snapshot ${known.id} (number ${known.seq}), seen before, is gone`,
      {
        kind: 'conflict',
        context: { location, id: known.id, seq: known.seq },
        hint: `if you restored an older copy of the repository yourself, delete ${file}`,
      },
    );
  }

  /** Remembers a head; failing to do so is no reason to fail. */
  remember(repo: string, location: string, head: Head): void {
    const file = this.#file(repo, location);
    try {
      makeFolders(this.#folder);
      writeFileSync(`${file}.new`, `${JSON.stringify(head)}\n`);
      renameSync(`${file}.new`, file);
    } catch {
      // Without a state folder there is no rollback check, and nothing else is lost.
    }
  }

  /** Whether this machine has seen a repository at a location. */
  knows(location: string): boolean {
    const suffix = `-${whereOf(location)}.json`;
    try {
      return readdirSync(this.#folder).some((name) => name.endsWith(suffix));
    } catch {
      return false;
    }
  }

  /** Forgets a head: a new repository begins at this location. */
  forget(repo: string, location: string): void {
    rmSync(this.#file(repo, location), { force: true });
  }

  #file(repo: string, location: string): string {
    return join(this.#folder, `${repo}-${whereOf(location)}.json`);
  }
}

function whereOf(location: string): string {
  return createHash('sha256').update(location).digest('hex').slice(0, 16);
}

function read(file: string): Head | undefined {
  try {
    const { id, seq } = JSON.parse(readFileSync(file, 'utf8')) as Head;
    return typeof id === 'string' && Number.isSafeInteger(seq) ? { id, seq } : undefined;
  } catch {
    return undefined;
  }
}
