/**
 * Small, write-once objects kept in a folder of this machine: snapshots and the like, which every command reads. Only
 * content is kept; what there is, is always asked of the storage. A copy that is not what was written is thrown away.
 */
import { createHash, randomBytes } from 'node:crypto';
import { lstat, open, readdir, rename, stat, unlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { makeFolders } from '../base/folders.ts';
import { ForwardStorage } from './forward.ts';
import { checkObjectName, type ObjectName } from './object-name.ts';
import type { CallOptions, GetOptions, Storage } from './storage.ts';
import { shortRead } from './storage-errors.ts';

/** What a cache may hold. */
export interface CacheLimits {
  /** Longer objects are not kept. */
  readonly objectMax: number;
  /** When all copies are longer than this, the oldest are removed. */
  readonly totalMax: number;
}

const defaults: CacheLimits = { objectMax: 4 * 1024 * 1024, totalMax: 256 * 1024 * 1024 };
const kept = /^(?:snapshots|drop|moved)\//;
const sumBytes = 32;

/** See the file's comment. */
export class CacheStorage extends ForwardStorage {
  readonly #folder: string;
  readonly #limits: CacheLimits;
  #ready: Promise<boolean> | undefined;

  /** @param folder a folder of this cache and location alone; it is made when missing */
  constructor(inner: Storage, folder: string, limits: Partial<CacheLimits> = {}) {
    super(inner);
    this.#folder = folder;
    this.#limits = { ...defaults, ...limits };
  }

  override async get(name: ObjectName, options: GetOptions = {}): Promise<Uint8Array> {
    checkObjectName(name);
    if (!kept.test(name)) return this.inner.get(name, options);
    this.#ready ??= this.#prepare();
    if (!(await this.#ready)) return this.inner.get(name, options);
    const bytes = (await this.#read(name)) ?? (await this.#fetch(name, options));
    if (bytes === undefined) return this.inner.get(name, options);
    const { offset, length } = options.range ?? { offset: 0, length: bytes.byteLength };
    if (offset + length > bytes.byteLength)
      throw shortRead(this.location, name, length, Math.max(0, bytes.byteLength - offset));
    const part = bytes.subarray(offset, offset + length);
    if (options.into === undefined) return part;
    options.into.set(part);
    return options.into.subarray(0, length);
  }

  override async delete(name: ObjectName, options: CallOptions = {}): Promise<void> {
    checkObjectName(name);
    await unlink(this.#path(name)).catch(() => {});
    await this.inner.delete(name, options);
  }

  /** Names have one slash at most here, so every object is a file directly in the folder. */
  #path(name: ObjectName): string {
    return join(this.#folder, name.replaceAll('/', '+'));
  }

  /** A cache that cannot be used is none. A folder that is a link to elsewhere is not used. */
  async #prepare(): Promise<boolean> {
    try {
      makeFolders(this.#folder);
      const found = await lstat(this.#folder);
      const mine = process.getuid === undefined || found.uid === process.getuid();
      return found.isDirectory() && mine;
    } catch {
      return false;
    }
  }

  /** The copy, when there is one and it is whole. */
  async #read(name: ObjectName): Promise<Buffer | undefined> {
    const path = this.#path(name);
    const file = await open(path, 'r').catch(() => undefined);
    if (file === undefined) return undefined;
    try {
      const found = await file.stat();
      if (!found.isFile() || found.size > this.#limits.objectMax + sumBytes) return undefined;
      const all = await file.readFile();
      const bytes = all.subarray(sumBytes);
      if (all.byteLength >= sumBytes && sum(bytes).equals(all.subarray(0, sumBytes))) return bytes;
    } catch {
      // Asked of the storage instead.
    } finally {
      await file.close();
    }
    await unlink(path).catch(() => {});
    return undefined;
  }

  /** Reads an object that is short enough, and keeps it. */
  async #fetch(name: ObjectName, { signal }: GetOptions): Promise<Uint8Array | undefined> {
    const info = await this.inner.stat(name, { signal });
    if (info === undefined || info.sizeBytes > this.#limits.objectMax) return undefined;
    const bytes = await this.inner.get(name, { signal });
    const temporary = join(this.#folder, `.${process.pid}-${randomBytes(8).toString('hex')}`);
    try {
      await this.#makeRoom(bytes.byteLength);
      await writeFile(temporary, [sum(bytes), bytes], { mode: 0o600, flag: 'wx' });
      await rename(temporary, this.#path(name));
    } catch {
      await unlink(temporary).catch(() => {});
    }
    return bytes;
  }

  async #makeRoom(bytes: number): Promise<void> {
    const files: { path: string; size: number; time: number }[] = [];
    for (const name of await readdir(this.#folder)) {
      const path = join(this.#folder, name);
      const found = await stat(path).catch(() => undefined);
      if (found?.isFile()) files.push({ path, size: found.size, time: found.mtimeMs });
    }
    let total = files.reduce((sum, { size }) => sum + size, bytes + sumBytes);
    for (const { path, size } of files.sort((a, b) => a.time - b.time)) {
      if (total <= this.#limits.totalMax) return;
      await unlink(path).catch(() => {});
      total -= size;
    }
  }
}

function sum(bytes: Uint8Array): Buffer {
  return createHash('sha256').update(bytes).digest();
}
