/**
 * Objects as files below a folder. Publishing (SPEC, "Writing"): temporary file, fsync, link into place, fsync of
 * every folder made or changed, then acknowledge. A failed fsync is never retried: the file is dropped.
 */
import { randomBytes } from 'node:crypto';
import { constants, existsSync } from 'node:fs';
import { type FileHandle, link, lstat, mkdir, open, readdir, rename, stat, unlink } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { BackpackError, systemReason } from '../base/errors.ts';
import { FileWriter } from './file-writer.ts';
import { type FolderEntry, sortedNames } from './folder-names.ts';
import { checkObjectName, isObjectName, isReplaceable, type ObjectName } from './object-name.ts';
import type {
  CallOptions,
  GetOptions,
  ListOptions,
  ObjectInfo,
  ObjectWriter,
  PutOptions,
  Storage,
  StorageCapabilities,
} from './storage.ts';
import { exists, finished, fromSystemError, notFound, shortRead, throwIfCanceled } from './storage-errors.ts';

/** Left-over temporary files older than this belong to no running client. */
const staleMs = 24 * 3600 * 1000;

/** A repository's folder on a local filesystem. */
export class FsStorage implements Storage {
  readonly capabilities: StorageCapabilities = {
    exclusivePut: 'atomic',
    listing: 'strong',
    timestamps: 'client',
    retention: false,
    parallelMax: 16,
    objectSizeMax: Number.MAX_SAFE_INTEGER,
    partSize: 0,
  };
  readonly location: string;
  readonly #known = new Set<string>();
  /** Folders whose fsync has failed, and how: a second one could succeed without the data. */
  readonly #failed = new Map<string, unknown>();

  readonly #links: boolean;

  /**
   * @param location path of the folder; it is made by the first write when missing.
   * @param options `links: false`: a link in the place of an object is one without content, wherever it leads. For
   *   servers: nobody may be given a file from elsewhere. Folders may be links, to another disk for example.
   */
  constructor(location: string, options: { readonly links?: boolean } = {}) {
    this.location = location;
    this.#links = options.links ?? true;
  }

  async put(name: ObjectName, bytes: Uint8Array, options: PutOptions = {}): Promise<ObjectInfo> {
    const replace = !options.exclusive && isReplaceable(name);
    const writer = await this.#create(name, replace, options.signal);
    try {
      await writer.append([bytes]);
    } catch (error) {
      await writer.abort();
      throw error;
    }
    return writer.commit();
  }

  create(name: ObjectName, { signal }: CallOptions = {}): Promise<ObjectWriter> {
    return this.#create(name, false, signal);
  }

  async get(name: ObjectName, options: GetOptions = {}): Promise<Uint8Array> {
    checkObjectName(name);
    throwIfCanceled(options.signal);
    let file: FileHandle | undefined;
    try {
      // Does not block: a FIFO in the place of an object has no bytes, and nobody waits for a writer.
      const follow = this.#links ? 0 : constants.O_NOFOLLOW;
      file = await open(join(this.location, name), constants.O_RDONLY | constants.O_NONBLOCK | follow);
      const offset = options.range?.offset ?? 0;
      const length = options.range?.length ?? sizeOf(await file.stat());
      const into = options.into?.subarray(0, length) ?? Buffer.allocUnsafeSlow(length);
      let got = 0;
      while (got < length) {
        throwIfCanceled(options.signal);
        const { bytesRead } = await file.read(into, got, length - got, offset + got);
        if (bytesRead === 0) throw shortRead(this.location, name, length, got);
        got += bytesRead;
      }
      return into;
    } catch (error) {
      const wrapped = this.#wrap(error, name) as BackpackError;
      // What the listing shows is there: a link that leads nowhere has no bytes, like a folder.
      const isLink = (error as NodeJS.ErrnoException).code === 'ELOOP' && !this.#links;
      const linkToNowhere = wrapped.code === 'BP_OBJECT_MISSING' && (await this.stat(name)) !== undefined;
      if (!isLink && !linkToNowhere) throw wrapped;
      const length = options.range?.length ?? 0;
      if (length > 0) throw shortRead(this.location, name, length, 0);
      return Buffer.alloc(0);
    } finally {
      await file?.close();
    }
  }

  async stat(name: ObjectName, options: CallOptions = {}): Promise<ObjectInfo | undefined> {
    checkObjectName(name);
    throwIfCanceled(options.signal);
    try {
      const path = join(this.location, name);
      const look = this.#links ? stat : lstat;
      const found = await look(path).catch((error: NodeJS.ErrnoException) => {
        // A link that leads nowhere stands in the place of an object: the object is damaged, not absent.
        if (error.code === 'ENOENT') return lstat(path);
        throw error;
      });
      return { name, sizeBytes: sizeOf(found), timeMs: found.mtimeMs };
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
      throw this.#wrap(error, name);
    }
  }

  async *list(prefix: string, { after = '', signal }: ListOptions = {}): AsyncIterable<ObjectInfo> {
    throwIfCanceled(signal);
    const folder = prefix.slice(0, prefix.lastIndexOf('/') + 1);
    for await (const info of this.#walk(folder, prefix, after)) {
      throwIfCanceled(signal);
      yield info;
    }
  }

  async delete(name: ObjectName, options: CallOptions = {}): Promise<void> {
    checkObjectName(name);
    throwIfCanceled(options.signal);
    try {
      await unlink(join(this.location, name));
      await this.#syncFolder(name.slice(0, name.lastIndexOf('/') + 1));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw this.#wrap(error, name);
    }
  }

  /** Removes temporary files that no running client can own any more. */
  async sweep(nowMs: number): Promise<void> {
    const folder = join(this.location, 'tmp');
    const names = await readdir(folder).catch(() => []);
    for (const name of names) {
      const found = await stat(join(folder, name)).catch(() => undefined);
      if (found?.isFile() && nowMs - found.mtimeMs > staleMs)
        await unlink(join(folder, name)).catch(() => {});
    }
  }

  async entries(): Promise<readonly string[]> {
    try {
      return (await readdir(resolve(this.location))).filter((name) => name !== 'tmp');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
      throw new BackpackError('BP_LOCATION', `${this.location} cannot be used: ${systemReason(error)}`, {
        kind: 'conflict',
        cause: error,
        hint: 'give an empty or new folder',
      });
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {}

  async *#walk(folder: string, prefix: string, after: string): AsyncIterable<ObjectInfo> {
    const keyOf = (entry: FolderEntry): string | undefined => {
      const name = folder + entry.name;
      const isObject = isObjectName(name);
      // A folder in the place of an object is listed as one, without content: nobody must think that nothing is there.
      if (!isObject && entry.isDirectory()) {
        // A folder is left out when all that it can hold comes before `after`.
        const wanted = name !== 'tmp' && `${name}/`.startsWith(prefix) && `${name}/\uffff` > after;
        return wanted ? `${name}/` : undefined;
      }
      return isObject && name.startsWith(prefix) && name > after ? name : undefined;
    };
    const names = sortedNames(join(this.location, folder), keyOf)[Symbol.asyncIterator]();
    for (;;) {
      const { done, value: name } = await names.next().catch(async (error: unknown) => {
        // A folder that no object was put into yet is an empty listing; anything else is an error, never an end.
        const isAbsent = (error as NodeJS.ErrnoException).code === 'ENOENT' && (await this.#rootExists());
        if (isAbsent) return { done: true as const, value: undefined };
        throw this.#wrap(error, folder);
      });
      if (done === true) return;
      const info = name.endsWith('/') ? undefined : await this.stat(name);
      if (name.endsWith('/')) yield* this.#walk(name, prefix, after);
      else if (info !== undefined) yield info;
    }
  }

  async #rootExists(): Promise<boolean> {
    return stat(this.location).then(
      (found) => found.isDirectory(),
      () => false,
    );
  }

  async #create(name: ObjectName, replace: boolean, signal: AbortSignal | undefined): Promise<ObjectWriter> {
    checkObjectName(name);
    throwIfCanceled(signal);
    const folder = name.slice(0, name.lastIndexOf('/') + 1);
    const temporary = join(this.location, 'tmp', `${process.pid}-${randomBytes(12).toString('hex')}`);
    let file: FileWriter;
    try {
      await this.#makeFolder('');
      await this.#makeFolder('tmp/');
      file = new FileWriter(temporary);
    } catch (error) {
      throw this.#wrap(error, name);
    }
    const drop = async (): Promise<void> => {
      await file.close().catch(() => {});
      await unlink(temporary).catch(() => {});
    };
    // What a file holds after a failed write is not known: it ends here, so that nobody can go on with it.
    const failed = async (error: unknown): Promise<never> => {
      await drop();
      throw this.#wrap(error, name);
    };
    return {
      append: (pieces) => {
        if (!file.open) throw finished(name);
        throwIfCanceled(signal);
        return file.append(pieces).catch(failed);
      },
      commit: async () => {
        // The number of a closed handle may belong to another file by now.
        if (!file.open) throw finished(name);
        try {
          throwIfCanceled(signal);
          await file.sync();
          await file.close();
          const { sizeBytes } = file;
          await this.#makeFolder(folder);
          await this.#publish(temporary, name, replace);
          try {
            await this.#syncFolder(folder);
          } catch (error) {
            // Not acknowledged, so it must not be there; only what replaced another object stays.
            if (!replace) await unlink(join(this.location, name)).catch(() => {});
            throw error;
          }
          return { name, sizeBytes, timeMs: Date.now() };
        } catch (error) {
          await drop();
          throw this.#wrap(error, name);
        }
      },
      abort: drop,
    };
  }

  /** Moves a durable temporary file to its name; link fails when the name exists, rename would replace silently. */
  async #publish(temporary: string, name: ObjectName, replace: boolean): Promise<void> {
    const target = join(this.location, name);
    if (replace) return rename(temporary, target);
    try {
      await link(temporary, target);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code !== 'EPERM' && code !== 'ENOTSUP' && code !== 'EOPNOTSUPP' && code !== 'ENOSYS') throw error;
      if ((await this.stat(name)) !== undefined) throw exists(this.location, name);
      return rename(temporary, target);
    }
    // The object is there already: a temporary name that stays is swept later.
    await unlink(temporary).catch(() => {});
  }

  /** Makes a folder and its parents one by one (recursive mkdir hides errors), each made durable in its parent. */
  async #makeFolder(folder: string): Promise<void> {
    if (this.#known.has(folder)) return;
    if (folder === '') {
      await makeDurably(resolve(this.location));
    } else {
      const parent = folder.slice(0, folder.lastIndexOf('/', folder.length - 2) + 1);
      await this.#makeFolder(parent);
      try {
        await mkdir(join(this.location, folder), 0o700);
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
      }
      // Also when it existed: another client may have made it and not have synced it yet.
      await this.#syncFolder(parent);
    }
    this.#known.add(folder);
  }

  async #syncFolder(folder: string): Promise<void> {
    if (this.#failed.has(folder)) throw this.#failed.get(folder);
    const handle = await open(join(this.location, folder), 'r');
    try {
      await handle.sync();
    } catch (error) {
      this.#failed.set(folder, error);
      throw error;
    } finally {
      await handle.close();
    }
  }

  #wrap(error: unknown, name: string): Error {
    if (error instanceof Error && 'errno' in error) {
      const wrapped = fromSystemError(error, this.location, name);
      return wrapped.code === 'BP_OBJECT_MISSING' ? notFound(this.location, name) : wrapped;
    }
    return error as Error;
  }
}

/** Length of an object; what is no file has no bytes. */
function sizeOf(found: { isFile(): boolean; readonly size: number }): number {
  return found.isFile() ? found.size : 0;
}

/** Makes a folder and all missing ones above it, each made durable in its parent. */
async function makeDurably(path: string): Promise<void> {
  try {
    await mkdir(path, 0o700);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'EEXIST') return;
    // Where the parent is there, ENOENT means that nothing can be made here (/proc).
    if (code !== 'ENOENT' || existsSync(dirname(path))) throw error;
    await makeDurably(dirname(path));
    await mkdir(path, 0o700);
  }
  const parent = await open(dirname(path), 'r');
  try {
    await parent.sync();
  } finally {
    await parent.close();
  }
}
