/**
 * Objects as files on an SFTP server (draft-ietf-secsh-filexfer-02 with the extensions of OpenSSH). Publishing: a
 * temporary file in `tmp/`, fsync on the server, then a hard link, which fails when the name exists; plain `rename`,
 * which must fail too, where the server has no hard links. Many requests are on their way at once, because one answer
 * per round trip would be slow.
 */
import { randomBytes } from 'node:crypto';
import { BackpackError, isBackpackError } from 'backpack-cli/extension';
import {
  type CallOptions,
  checkObjectName,
  type GetOptions,
  isObjectName,
  isReplaceable,
  type ListOptions,
  type ObjectInfo,
  type ObjectName,
  type ObjectWriter,
  objectExists,
  objectMissing,
  type PutOptions,
  type Storage,
  type StorageCapabilities,
  type StorageSpec,
  shortRead,
  throwIfCanceled,
  writerFinished,
} from 'backpack-cli/storage';
import type { SFTPWrapper } from 'ssh2';
import { Connection } from './connection.ts';
import { parseLocation, type SftpOptions } from './options.ts';

/** What threads call: see `StorageModule` of backpack-cli/storage. */
export function openStorage(spec: StorageSpec): Storage {
  return new SftpStorage(spec.location, spec.moduleOptions?.['sftp'] as SftpOptions);
}

const partBytes = 32 * 1024;
const partsMax = 64;
const staleMs = 24 * 3600 * 1000;
const statusNoSuchFile = 2;
const statusDenied = 3;
const statusUnsupported = 8;

interface Attributes {
  readonly size: number;
  readonly mtime: number;
  isFile(): boolean;
  isDirectory(): boolean;
}

interface FolderEntry {
  readonly filename: string;
  readonly attrs: Attributes;
}

type Done<T> = (error: Error | null | undefined, value: T) => void;

/** See the file's comment. */
export class SftpStorage implements Storage {
  readonly capabilities: StorageCapabilities = {
    exclusivePut: 'atomic',
    listing: 'strong',
    timestamps: 'storage',
    retention: false,
    parallelMax: 8,
    objectSizeMax: Number.MAX_SAFE_INTEGER,
    partSize: partBytes * partsMax,
  };
  readonly location: string;
  readonly #folder: string;
  readonly #fsync: boolean;
  readonly #timeoutMs: number;
  readonly #connection: Connection;
  readonly #known = new Set<string>();

  constructor(location: string, options: SftpOptions) {
    const place = parseLocation(location);
    const { host, port, user = options.user } = place;
    const path = place.folder.startsWith('/') ? place.folder : `/~/${place.folder}`;
    this.location = `sftp://${user}@${host.includes(':') ? `[${host}]` : host}${port === 22 ? '' : `:${port}`}${path}`;
    this.#folder = place.folder;
    this.#fsync = options.fsync;
    this.#timeoutMs = options.timeoutMs;
    this.#connection = new Connection(place, options, this.location);
  }

  async put(name: ObjectName, bytes: Uint8Array, options: PutOptions = {}): Promise<ObjectInfo> {
    const replace = options.exclusive !== true && isReplaceable(name);
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
    const { range, signal } = options;
    const sftp = await this.#begin(name, signal);
    const handle = await this.#call<Buffer>(sftp, name, (done) => sftp.open(this.#path(name), 'r', done));
    try {
      const size = (await this.#call<Attributes>(sftp, name, (done) => sftp.fstat(handle, done as never)))
        .size;
      const offset = range?.offset ?? 0;
      const length = range?.length ?? size;
      if (offset + length > size) throw shortRead(this.location, name, length, Math.max(0, size - offset));
      const into = options.into?.subarray(0, length) ?? Buffer.allocUnsafeSlow(length);
      const buffer = Buffer.from(into.buffer, into.byteOffset, length);
      await this.#readAll(sftp, handle, name, buffer, offset, signal);
      return into;
    } finally {
      sftp.close(handle, () => {});
    }
  }

  async stat(name: ObjectName, { signal }: CallOptions = {}): Promise<ObjectInfo | undefined> {
    const sftp = await this.#begin(name, signal);
    try {
      const found = await this.#call<Attributes>(sftp, name, (done) =>
        sftp.stat(this.#path(name), done as never),
      );
      return { name, sizeBytes: found.size, timeMs: found.mtime * 1000 };
    } catch (error) {
      if ((error as BackpackError).code === 'BP_OBJECT_MISSING') return undefined;
      throw error;
    }
  }

  async *list(prefix: string, { after = '', signal }: ListOptions = {}): AsyncIterable<ObjectInfo> {
    throwIfCanceled(signal);
    yield* this.#walk(prefix.slice(0, prefix.lastIndexOf('/') + 1), prefix, after, signal);
  }

  async delete(name: ObjectName, { signal }: CallOptions = {}): Promise<void> {
    const sftp = await this.#begin(name, signal);
    try {
      await this.#call<void>(sftp, name, (done) => sftp.unlink(this.#path(name), done as never));
    } catch (error) {
      if ((error as BackpackError).code !== 'BP_OBJECT_MISSING') throw error;
    }
  }

  async sweep(nowMs: number): Promise<void> {
    try {
      const sftp = await this.#connection.session();
      for (const { filename, attrs } of await this.#readFolder(sftp, 'tmp')) {
        if (nowMs - attrs.mtime * 1000 <= staleMs) continue;
        await this.#call<void>(sftp, 'tmp', (done) =>
          sftp.unlink(this.#path(`tmp/${filename}`), done as never),
        );
      }
    } catch {
      // House-keeping: the next run tries again.
    }
  }

  async entries(): Promise<readonly string[]> {
    const sftp = await this.#connection.session();
    try {
      return (await this.#readFolder(sftp, ''))
        .map(({ filename }) => filename)
        .filter((name) => name !== 'tmp');
    } catch (error) {
      if ((error as BackpackError).code === 'BP_OBJECT_MISSING') return [];
      throw error;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#connection.close();
  }

  #path(name: string): string {
    return name === '' ? this.#folder : `${this.#folder}/${name}`;
  }

  async #begin(name: ObjectName, signal: AbortSignal | undefined): Promise<SFTPWrapper> {
    checkObjectName(name);
    throwIfCanceled(signal);
    return this.#connection.session();
  }

  /** One request. A server that does not answer in time is gone. */
  async #call<T>(sftp: SFTPWrapper, name: string, start: (done: Done<T>) => unknown): Promise<T> {
    let timer: NodeJS.Timeout | undefined;
    try {
      const asked = new Promise<T>((resolve, reject) => {
        // Nobody answers what is asked over a connection that is no more.
        if (!this.#connection.isOpen(sftp)) return reject(new Error('it was closed'));
        timer = setTimeout(() => {
          reject(new Error(`no answer for ${this.#timeoutMs / 1000} s`));
          this.#connection.drop(sftp);
        }, this.#timeoutMs);
        start((error, value) => (error ? reject(error) : resolve(value)));
      });
      return await this.#connection.holding(() => asked);
    } catch (error) {
      throw this.#wrap(error, name);
    } finally {
      clearTimeout(timer);
    }
  }

  async #readAll(
    sftp: SFTPWrapper,
    handle: Buffer,
    name: string,
    into: Buffer,
    offset: number,
    signal: AbortSignal | undefined,
  ): Promise<void> {
    let next = 0;
    const reader = async (): Promise<void> => {
      while (next < into.length) {
        throwIfCanceled(signal);
        const start = next;
        const end = Math.min(into.length, start + partBytes);
        next = end;
        for (let at = start; at < end; ) {
          const got = await this.#call<number>(sftp, name, (done) =>
            sftp.read(handle, into, at, end - at, offset + at, (error, count) => done(error, count)),
          );
          if (got === 0) throw shortRead(this.location, name, into.length, at);
          at += got;
        }
      }
    };
    await all(Array.from({ length: Math.min(partsMax, Math.ceil(into.length / partBytes)) }, reader));
  }

  async *#walk(
    folder: string,
    prefix: string,
    after: string,
    signal: AbortSignal | undefined,
  ): AsyncIterable<ObjectInfo> {
    const sftp = await this.#connection.session();
    let found: FolderEntry[];
    try {
      found = await this.#readFolder(sftp, folder.slice(0, -1));
    } catch (error) {
      // A folder that no object was put into yet is an empty listing; anything else is an error, never an end.
      const missing = (error as BackpackError).code === 'BP_OBJECT_MISSING';
      if (missing && folder !== '' && (await this.#rootExists(sftp))) return;
      throw error;
    }
    // A folder in the place of an object is listed as one, without content: nobody must think that nothing is there.
    const items = found.map(({ filename, attrs }) => {
      const isFolder = attrs.isDirectory() && !isObjectName(folder + filename);
      return { key: filename + (isFolder ? '/' : ''), name: folder + filename, attrs, isFolder };
    });
    items.sort((a, b) => (a.key < b.key ? -1 : 1));
    for (const { name, attrs, isFolder } of items) {
      throwIfCanceled(signal);
      if (isFolder) {
        const wanted = name !== 'tmp' && `${name}/`.startsWith(prefix) && `${name}/\uffff` > after;
        const above = prefix.startsWith(`${name}/`);
        if (wanted || (above && name !== 'tmp')) yield* this.#walk(`${name}/`, prefix, after, signal);
      } else if (name.startsWith(prefix) && name > after && isObjectName(name)) {
        yield { name, sizeBytes: attrs.isDirectory() ? 0 : attrs.size, timeMs: attrs.mtime * 1000 };
      }
    }
  }

  /** ssh2 reads to the end of the folder, or fails. */
  #readFolder(sftp: SFTPWrapper, name: string): Promise<FolderEntry[]> {
    return this.#call(sftp, name, (done) => sftp.readdir(this.#path(name), done as never));
  }

  async #rootExists(sftp: SFTPWrapper): Promise<boolean> {
    const found = await this.#call<Attributes>(sftp, '', (done) => sftp.stat(this.#path(''), done as never));
    return found.isDirectory();
  }

  async #create(name: ObjectName, replace: boolean, signal: AbortSignal | undefined): Promise<ObjectWriter> {
    const sftp = await this.#begin(name, signal);
    await this.#makeFolder(sftp, 'tmp');
    const temporary = this.#path(`tmp/${process.pid}-${randomBytes(12).toString('hex')}`);
    const handle = await this.#call<Buffer>(sftp, name, (done) =>
      sftp.open(temporary, 'wx', { mode: 0o600 }, done),
    );
    let sizeBytes = 0;
    let open = true;
    let failure: unknown;
    const sending = new Set<Promise<void>>();
    const send = (piece: Buffer, position: number): void => {
      // ssh2 copies the piece before it returns, so that its owner may use it again.
      const sent: Promise<void> = this.#call<void>(sftp, name, (done) =>
        sftp.write(handle, piece, 0, piece.length, position, done as never),
      )
        .catch((error: unknown) => {
          failure ??= error;
        })
        .finally(() => sending.delete(sent));
      sending.add(sent);
    };
    const drop = async (): Promise<void> => {
      if (!open) return;
      open = false;
      await Promise.all(sending);
      const nothing = (): void => {};
      sftp.close(handle, nothing);
      await this.#call<void>(sftp, name, (done) => sftp.unlink(temporary, done as never)).catch(nothing);
    };
    return {
      append: async (pieces) => {
        if (!open) throw writerFinished(name);
        for (const piece of pieces) {
          for (let at = 0; at < piece.byteLength; at += partBytes) {
            while (sending.size >= partsMax && failure === undefined) await Promise.race(sending);
            throwIfCanceled(signal);
            if (failure !== undefined) throw failure;
            const length = Math.min(partBytes, piece.byteLength - at);
            send(Buffer.from(piece.buffer, piece.byteOffset + at, length), sizeBytes);
            sizeBytes += length;
          }
        }
      },
      commit: async () => {
        if (!open) throw writerFinished(name);
        try {
          await Promise.all(sending);
          throwIfCanceled(signal);
          if (failure !== undefined) throw failure;
          await this.#sync(sftp, handle, name);
          const { size, mtime } = await this.#call<Attributes>(sftp, name, (done) =>
            sftp.fstat(handle, done as never),
          );
          if (size !== sizeBytes) throw shortRead(this.location, name, sizeBytes, size);
          await this.#makeFolder(sftp, name.slice(0, Math.max(0, name.lastIndexOf('/'))));
          await this.#publish(sftp, temporary, name, replace);
          open = false;
          sftp.close(handle, () => {});
          return { name, sizeBytes, timeMs: mtime * 1000 };
        } catch (error) {
          await drop();
          throw error;
        }
      },
      abort: drop,
    };
  }

  async #sync(sftp: SFTPWrapper, handle: Buffer, name: string): Promise<void> {
    if (!this.#fsync) return;
    try {
      await this.#call<void>(sftp, name, (done) => sftp.ext_openssh_fsync(handle, done as never));
    } catch (error) {
      if (!isUnsupported(error)) throw error;
      throw new BackpackError(
        'BP_SFTP_NO_FSYNC',
        `the server of ${this.location} cannot make files durable`,
        {
          kind: 'unsupported',
          cause: error,
          hint: 'if you accept that a power cut can cost acknowledged data, set "fsync": false for backpack-sftp',
        },
      );
    }
  }

  /** Gives the file its name: never over another one, unless it may be replaced. */
  async #publish(sftp: SFTPWrapper, temporary: string, name: string, replace: boolean): Promise<void> {
    const target = this.#path(name);
    if (replace)
      return this.#call<void>(sftp, name, (done) =>
        sftp.ext_openssh_rename(temporary, target, done as never),
      );
    try {
      await this.#call<void>(sftp, name, (done) =>
        sftp.ext_openssh_hardlink(temporary, target, done as never),
      );
    } catch (error) {
      // Servers answer a name that exists with a bare "Failure".
      if ((await this.stat(name)) !== undefined) throw objectExists(this.location, name);
      if (!isUnsupported(error)) throw error;
      return this.#call<void>(sftp, name, (done) => sftp.rename(temporary, target, done as never));
    }
    // The object is there already: a temporary name that stays is swept later.
    await this.#call<void>(sftp, name, (done) => sftp.unlink(temporary, done as never)).catch(() => {});
  }

  /** Makes a folder of the repository, and the repository's own with all above it. */
  async #makeFolder(sftp: SFTPWrapper, name: string): Promise<void> {
    if (this.#known.has(name)) return;
    if (name !== '')
      await this.#makeFolder(sftp, name.includes('/') ? name.slice(0, name.lastIndexOf('/')) : '');
    await this.#makePath(sftp, this.#path(name));
    this.#known.add(name);
  }

  async #makePath(sftp: SFTPWrapper, path: string): Promise<void> {
    const make = (): Promise<void> =>
      this.#call<void>(sftp, path, (done) => sftp.mkdir(path, { mode: 0o700 }, done as never));
    try {
      await make();
    } catch (error) {
      const found = await this.#call<Attributes>(sftp, path, (done) => sftp.stat(path, done as never)).catch(
        () => undefined,
      );
      if (found?.isDirectory()) return;
      const parent = path.slice(0, path.lastIndexOf('/'));
      if ((error as BackpackError).code !== 'BP_OBJECT_MISSING' || parent === '') throw error;
      await this.#makePath(sftp, parent);
      await make();
    }
  }

  #wrap(error: unknown, name: string): unknown {
    if (isBackpackError(error)) return error;
    const { code, message } = error as { code?: unknown; message: string };
    const { location } = this;
    const context = { location, object: name };
    if (code === statusNoSuchFile) return objectMissing(location, name || 'the folder');
    if (typeof code !== 'number' && !/not supported|unsupported/i.test(message))
      return this.#connection.lost(error);
    const denied = code === statusDenied;
    return new BackpackError(
      denied ? 'BP_STORAGE_DENIED' : 'BP_STORAGE_IO',
      `${name}: the server says: ${message}`,
      {
        kind: 'storage',
        retry: 'later',
        context,
        cause: error,
        hint: denied
          ? `check the permissions of ${location}`
          : `check the free space and the disk at ${location}`,
      },
    );
  }
}

function isUnsupported(error: unknown): boolean {
  const cause = (error as { cause?: { code?: unknown; message?: string } }).cause;
  return cause?.code === statusUnsupported || /not supported|unsupported/i.test(cause?.message ?? '');
}

/** Waits for all, then throws the first failure: nothing may write into a buffer that was given back. */
async function all(running: readonly Promise<void>[]): Promise<void> {
  const results = await Promise.allSettled(running);
  for (const result of results) if (result.status === 'rejected') throw result.reason;
}
