/** What the unit tests share: reason codes of what fails, runs of a property, keys and headers of a made-up repository. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { isBackpackError } from '../../src/base/errors.ts';
import { Keyring } from '../../src/container/keyring.ts';
import { type Header, noKem, rootWriter } from '../../src/format/header.ts';
import type { KeyFile } from '../../src/format/key-file.ts';

/** Runs of a property; ten times as many with SLOW=1. */
export function runs(count: number): { numRuns: number } {
  return { numRuns: process.env['SLOW'] === '1' ? count * 10 : count };
}

/** Code of the BackpackError that `action` throws, or `ok`. */
export function codeOf(action: () => unknown): string {
  try {
    action();
    return 'ok';
  } catch (error) {
    if (isBackpackError(error)) return error.code;
    throw error;
  }
}

/** The same for what fails later. */
export async function codeOfAsync(action: () => Promise<unknown>): Promise<string> {
  try {
    await action();
    return 'ok';
  } catch (error) {
    if (isBackpackError(error)) return error.code;
    throw error;
  }
}

/** A folder that is gone after the test. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'backpack-test-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

export const root: Buffer = Buffer.from(Array.from({ length: 32 }, (_, i) => i));
export const repo = '202122232425262728292a2b2c2d2e2f';
export const keyid = '1b6d5acd6262e111';

export const keyFile: KeyFile & { readonly repo: string } = {
  repo,
  keyid,
  root,
  kit: [],
  old: [],
  dedup: undefined,
  chunk: undefined,
};

export function keyring(): Keyring {
  return Keyring.of(keyFile);
}

/** The header of the example in the specification. */
export const header: Header = {
  kind: 'data',
  repo,
  keyid,
  writer: rootWriter,
  id: '019b76daa800303132333435363738393a3b3c3d',
  kem: noKem,
  flags: '00000000',
  commit: '691d60856c063b3632f0efa53bcadbe5731a44f2021a9942eebf15a65ef04460',
};

/** An id that differs with `n`. */
export function idOf(n: number): string {
  return `019b76daa8${n.toString(16).padStart(30, '0')}`;
}
