/** The vector files of /test-vectors, and what the tests of all readers share. */
import { createHash } from 'node:crypto';
import { lstatSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseObjects, parseVector } from '../../test-vectors/parse.mjs';

export { parseObjects, parseParts } from '../../test-vectors/parse.mjs';

/** The repository's top folder. */
export const top = fileURLToPath(new URL('../..', import.meta.url));
const folder = join(top, 'test-vectors');

/** A vector file. */
export class Vector {
  readonly name: string;
  readonly #fields: ReadonlyMap<string, string>;
  readonly #payload: Buffer | undefined;

  constructor(name: string) {
    this.name = name;
    const { fields, payload } = parseVector(readFileSync(join(folder, `${name}.vec`)));
    this.#fields = fields;
    this.#payload = payload;
  }

  /** A field that must be there. */
  get(key: string): string {
    const value = this.#fields.get(key);
    if (value === undefined) throw new Error(`${this.name} has no ${key}`);
    return value;
  }

  /** A field that may be there. */
  maybe(key: string): string | undefined {
    return this.#fields.get(key);
  }

  /** Names of the fields that begin so. */
  keys(prefix: string): string[] {
    return [...this.#fields.keys()].filter((key) => key.startsWith(prefix));
  }

  get type(): string {
    return this.get('type');
  }

  get expect(): string {
    return this.get('expect');
  }

  get payload(): Buffer {
    return this.#payload ?? Buffer.alloc(0);
  }

  /** Of a repository. */
  get objects(): Map<string, Buffer> {
    return parseObjects(this.payload);
  }

  /** Of a repository: its key file. */
  get key(): Buffer {
    return Buffer.from(this.get('key'), 'base64');
  }
}

/** All vectors, or those of one type. */
export function vectors(type?: string): Vector[] {
  const folders = ['kdf', 'container', 'manifest', 'repository', 'dedup'];
  const names = folders.flatMap((dir) =>
    readdirSync(join(folder, dir))
      .filter((name) => name.endsWith('.vec'))
      .map((name) => `${dir}/${name.slice(0, -4)}`),
  );
  const all = names.sort().map((name) => new Vector(name));
  return type === undefined ? all : all.filter((vector) => vector.type === type);
}

/** One of `n` vectors, all with SLOW=1: readers that start a process for each. */
export function sample(all: readonly Vector[], n: number): readonly Vector[] {
  return process.env['SLOW'] === '1' ? all : all.filter((_, i) => i % n === 0);
}

/** SHA-256, hex. */
export function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

/** An entry of a repository vector's listing. */
export interface Listed {
  readonly path: string | readonly [string];
  readonly type: string;
  readonly size?: number;
  readonly sha256?: string;
  readonly mode?: string;
  readonly mtime?: string;
  readonly link?: string | readonly [string];
  readonly hl?: string;
  readonly an?: number;
  readonly error?: string;
}

/** Bytes of a name in JSON. */
export function nameBytes(name: string | readonly [string]): Buffer {
  return typeof name === 'string' ? Buffer.from(name, 'utf8') : Buffer.from(name[0], 'base64');
}

/**
 * Differences between a restored folder and a listing, as text.
 * @param whole also what is there without being listed is a difference
 */
export function compareTree(dir: string, listing: readonly Listed[], whole: boolean): string[] {
  const wrong: string[] = [];
  const inodes = new Map<string, bigint>();
  const seen = new Set<string>();
  for (const entry of listing) {
    const path = nameBytes(entry.path);
    const name = path.toString('latin1');
    seen.add(name);
    const at = Buffer.concat([Buffer.from(`${dir}/`), path]);
    const found = lstatSync(at, { throwIfNoEntry: false, bigint: true });
    if (entry.error !== undefined) {
      if (found !== undefined) wrong.push(`${name}: is there, must fail with ${entry.error}`);
      continue;
    }
    const special = ['p', 's', 'b', 'c'].includes(entry.type) || !['f', 'd', 'l'].includes(entry.type);
    if (special) continue;
    if (found === undefined) {
      wrong.push(`${name}: is not there`);
      continue;
    }
    const type = found.isDirectory() ? 'd' : found.isSymbolicLink() ? 'l' : found.isFile() ? 'f' : '?';
    if (type !== entry.type) wrong.push(`${name}: is ${type}, not ${entry.type}`);
    if (type === 'f') {
      const bytes = readFileSync(at);
      if (bytes.length !== entry.size) wrong.push(`${name}: has ${bytes.length} bytes, not ${entry.size}`);
      if (sha256(bytes) !== entry.sha256) wrong.push(`${name}: has other content`);
    }
    if (type === 'l') {
      const link = readlinkSync(at, { encoding: 'buffer' });
      if (!link.equals(nameBytes(entry.link!))) wrong.push(`${name}: leads to ${link.toString('latin1')}`);
    }
    // Ancestors keep what they have when they exist, so a fresh target may give them any mode.
    if (entry.an !== 1) {
      const mode = (Number(found.mode) & 0o7777).toString(8).padStart(4, '0');
      if (type !== 'l' && entry.mode !== undefined && mode !== entry.mode)
        wrong.push(`${name}: mode ${mode}, not ${entry.mode}`);
      const [seconds, digits] = (entry.mtime ?? '0.0').split('.');
      const ns = BigInt(seconds!) * 1_000_000_000n + BigInt(digits!);
      const off = ns > found.mtimeNs ? ns - found.mtimeNs : found.mtimeNs - ns;
      if (off > 2_000n) wrong.push(`${name}: time ${found.mtimeNs}, not ${ns}`);
    }
    if (entry.hl !== undefined) {
      const inode = inodes.get(entry.hl);
      if (inode !== undefined && inode !== found.ino) wrong.push(`${name}: is not linked`);
      inodes.set(entry.hl, found.ino);
    }
  }
  if (!whole) return wrong;
  const walk = (below: Buffer): void => {
    for (const child of readdirSync(below, { encoding: 'buffer' })) {
      const at = Buffer.concat([below, Buffer.from('/'), child]);
      const name = at.subarray(Buffer.byteLength(dir) + 1).toString('latin1');
      if (!seen.has(name)) wrong.push(`${name}: is not listed`);
      if (lstatSync(at).isDirectory()) walk(at);
    }
  };
  walk(Buffer.from(dir));
  return wrong;
}
