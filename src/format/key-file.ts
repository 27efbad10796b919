/**
 * The key file (SPEC, "Key file"): text with `name=` lines, or exactly 32 raw bytes. It holds the root, the only
 * secret; whoever has it can read everything.
 */

import { fromHex, toHex } from '../base/bytes.ts';
import { keyFileMax } from '../base/limits.ts';
import { keyIdOf } from '../codec/kdf.ts';
import { reject } from './reject.ts';

/** What a key file holds. */
export interface KeyFile {
  /** 32 hex; undefined in a raw key file. */
  readonly repo: string | undefined;
  /** 16 hex. */
  readonly keyid: string;
  /** 32 bytes, secret. */
  readonly root: Buffer;
  /** SHA-256 of recover/SHA256SUMS as this client wrote it, hex. */
  readonly kit: readonly string[];
  /** Earlier roots, after rotation. */
  readonly old: readonly Buffer[];
  readonly dedup: Buffer | undefined;
  readonly chunk: Buffer | undefined;
}

const first = 'BACKPACK-KEY 1';

/** Text of a key file for a new repository. */
export function formatKeyFile(key: Pick<KeyFile, 'repo' | 'root' | 'kit'>): string {
  const kit = key.kit.map((sum) => `kit=${sum}\n`).join('');
  return (
    `${first}\nThis file opens the Backpack repository below. Keep copies offline.\n` +
    `repo=${key.repo}\nkeyid=${keyIdOf(key.root)}\nroot=${toHex(key.root)}\n${kit}`
  );
}

/**
 * Parses a key file in either form.
 * @throws BackpackError E_KEY when it is not one, or its key id does not fit its root (a typing error)
 */
export function parseKeyFile(bytes: Uint8Array): KeyFile {
  if (bytes.byteLength > keyFileMax) throw reject('E_KEY', 'the key file is larger than 64 KiB');
  if (bytes.byteLength === 32) {
    const root = Buffer.from(bytes);
    return {
      repo: undefined,
      keyid: keyIdOf(root),
      root,
      kit: [],
      old: [],
      dedup: undefined,
      chunk: undefined,
    };
  }
  const lines = Buffer.from(bytes).toString('latin1').split(/\r?\n/);
  if (lines[0] !== first) throw reject('E_KEY', `not a key file: the first line is not "${first}"`);
  const values = new Map<string, string[]>();
  for (const line of lines.slice(1)) {
    const match = /^([a-z]+)=([0-9a-f]+)[ \t]*$/.exec(line);
    if (match === null) continue;
    values.set(match[1]!, [...(values.get(match[1]!) ?? []), match[2]!]);
  }
  const one = (name: string, digits: number): string | undefined => {
    const found = values.get(name);
    if (found === undefined) return undefined;
    if (found.length > 1 || found[0]!.length !== digits)
      throw reject('E_KEY', `the key file has a wrong ${name}= line`);
    return found[0];
  };
  const many = (name: string): string[] => {
    const found = values.get(name) ?? [];
    if (found.some((value) => value.length !== 64))
      throw reject('E_KEY', `the key file has a wrong ${name}= line`);
    return found;
  };
  const rootHex = one('root', 64);
  if (rootHex === undefined) throw reject('E_KEY', 'the key file has no root= line of 64 hex digits');
  const root = fromHex(rootHex);
  const keyid = one('keyid', 16);
  if (keyid !== undefined && keyid !== keyIdOf(root)) {
    throw reject(
      'E_KEY',
      'the key file is damaged: its keyid= does not fit its root= (recover.js repair-key may find the error)',
    );
  }
  const optional = (name: string): Buffer | undefined => {
    const hex = one(name, 64);
    return hex === undefined ? undefined : fromHex(hex);
  };
  return {
    repo: one('repo', 32),
    keyid: keyIdOf(root),
    root,
    kit: many('kit'),
    old: many('old').map(fromHex),
    dedup: optional('dedup'),
    chunk: optional('chunk'),
  };
}
