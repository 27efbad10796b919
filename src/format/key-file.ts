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

const firsts = [Buffer.from('BACKPACK-KEY '), Buffer.from('BACKPACK-WRITER ')] as const;

/** Whether a file of `length` bytes at `at` begins like a key file, also one of a later version, or a writer file. */
export function isKeyFile(bytes: Uint8Array, at: number, length: number): boolean {
  // Nearly every file is told by its first byte.
  if (bytes[at] !== 0x42 || length > keyFileMax) return false;
  return firsts.some((start) => length > start.length && start.equals(bytes.subarray(at, at + start.length)));
}

/** Text of a key file for a new repository. */
export function formatKeyFile(key: Pick<KeyFile, 'repo' | 'root' | 'kit'>): string {
  const kit = key.kit.map((sum) => `kit=${sum}\n`).join('');
  return (
    `${first}\nThis file opens the Backpack repository below. Keep copies offline.\n` +
    `repo=${key.repo}\nkeyid=${keyIdOf(key.root)}\nroot=${toHex(key.root)}\n${kit}`
  );
}

/** Values of the `name=` lines behind a first line; lines of another form are ignored. */
class NamedLines {
  readonly #values = new Map<string, string[]>();

  /** @throws BackpackError E_LIMIT, E_MAJOR, E_KEY */
  constructor(bytes: Uint8Array, begin: string) {
    if (bytes.byteLength > keyFileMax) throw reject('E_LIMIT', 'the key file is larger than 64 KiB');
    const lines = Buffer.from(bytes).toString('latin1').split(/\r?\n/);
    if (lines[0] !== `${begin} 1`) {
      const major = lines[0]!.startsWith(`${begin} `) && /^[1-9]\d*$/.test(lines[0]!.slice(begin.length + 1));
      if (major) throw reject('E_MAJOR', 'the key file is of another version');
      throw reject('E_KEY', `not a key file: the first line is not "${begin} 1"`);
    }
    for (const line of lines.slice(1)) {
      const match = /^([a-z]+)=(.*)$/.exec(line);
      if (match !== null) this.#values.set(match[1]!, [...(this.#values.get(match[1]!) ?? []), match[2]!]);
    }
  }

  /** All values of a name. @throws BackpackError E_KEY */
  many(name: string, digits: number): string[] {
    const found = this.#values.get(name) ?? [];
    if (found.some((value) => value.length !== digits || !/^[0-9a-f]*$/.test(value)))
      throw reject('E_KEY', `the key file has a wrong ${name}= line`);
    return found;
  }

  /** The value of a name that may be there once. @throws BackpackError E_KEY */
  optional(name: string, digits: number): string | undefined {
    const [value, more] = this.many(name, digits);
    if (more !== undefined) throw reject('E_KEY', `the key file has two ${name}= lines`);
    return value;
  }

  /** The value of a name that must be there once. @throws BackpackError E_KEY */
  one(name: string, digits: number): string {
    const value = this.optional(name, digits);
    if (value === undefined) throw reject('E_KEY', `the key file has no ${name}= line`);
    return value;
  }
}

/**
 * Parses a key file in either form.
 * @throws BackpackError E_KEY when it is not one, or its key id does not fit its root (a typing error); E_LIMIT, E_MAJOR
 */
export function parseKeyFile(bytes: Uint8Array): KeyFile {
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
  const lines = new NamedLines(bytes, first.slice(0, -2));
  const root = fromHex(lines.one('root', 64));
  const keyid = lines.one('keyid', 16);
  if (keyid !== keyIdOf(root)) {
    throw reject(
      'E_KEY',
      'the key file is damaged: its keyid= does not fit its root= (recover/recover.js finds a single wrong character)',
    );
  }
  const secret = (name: string): Buffer | undefined => {
    const hex = lines.optional(name, 64);
    return hex === undefined ? undefined : fromHex(hex);
  };
  return {
    repo: lines.one('repo', 32),
    keyid,
    root,
    kit: lines.many('kit', 64),
    old: lines.many('old', 64).map(fromHex),
    dedup: secret('dedup'),
    chunk: secret('chunk'),
  };
}

/** What a write-only writer is given, hex (SPEC, "Write-only writers"). */
export interface WriterFile {
  readonly repo: string;
  readonly keyid: string;
  readonly writer: string;
  /** X25519 public key of the owner. */
  readonly xpub: string;
  /** Secret of this writer. */
  readonly secret: string;
  /** Class key of marks, which it may read. */
  readonly mark: string;
}

/** Parses a writer file. @throws BackpackError E_KEY, E_LIMIT, E_MAJOR */
export function parseWriterFile(bytes: Uint8Array): WriterFile {
  const lines = new NamedLines(bytes, 'BACKPACK-WRITER');
  return {
    repo: lines.one('repo', 32),
    keyid: lines.one('keyid', 16),
    writer: lines.one('writer', 16),
    xpub: lines.one('xpub', 64),
    secret: lines.one('secret', 64),
    mark: lines.one('mark', 64),
  };
}
