/** What only a filesystem can do wrong: order of fsync, short writes, full disks, left-over files. */
import { spawnSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { FsStorage } from '../../../src/storage/fs.ts';
import { listAll } from '../../../src/storage/storage.ts';
import { codeOfAsync, idOf, temporaryFolder } from '../support.ts';

type Call = (...args: unknown[]) => unknown;
const log = vi.hoisted(() => ({
  calls: [] as string[],
  fault: undefined as ((call: string) => unknown) | undefined,
}));

/** Every effect is written down and can be made to fail or (writes) to be short. */
vi.mock('node:fs', async (original) => {
  const fs = await original<Record<string, unknown>>();
  const fsync = fs['fsync'] as (fd: number, done: (error: unknown) => void) => void;
  const writeSync = fs['writeSync'] as (...args: unknown[]) => number;
  const write = fs['write'] as (...args: unknown[]) => void;
  return {
    ...fs,
    fsync: (fd: number, done: (error: unknown) => void): void => {
      log.calls.push('fsync file');
      const error = log.fault?.('fsync file');
      if (error === undefined) fsync(fd, done);
      else done(error);
    },
    writeSync: (fd: number, bytes: Uint8Array, from: number, length: number, position: number): number => {
      log.calls.push('write');
      const fault = log.fault?.('write');
      if (fault !== undefined && typeof fault !== 'number') throw fault;
      return writeSync(fd, bytes, from, Math.min(length, fault ?? length), position);
    },
    write: (
      fd: number,
      bytes: Uint8Array,
      from: number,
      length: number,
      position: number,
      done: (error: unknown, written: number) => void,
    ): void => {
      log.calls.push('direct');
      const fault = log.fault?.('direct');
      if (fault !== undefined && typeof fault !== 'number') done(fault, 0);
      else write(fd, bytes, from, Math.min(length, fault ?? length), position, done);
    },
  };
});
vi.mock('node:fs/promises', async (original) => {
  const fs = await original<Record<string, unknown>>();
  const short = (path: unknown): string =>
    String(path)
      .split('/')
      .slice(-3)
      .join('/')
      .replace(/[0-9]+-[0-9a-f]{24}/, 'T')
      .replace(/.*backpack-test-[^/]*\/?/, '');
  const watch =
    (name: string): Call =>
    async (...args) => {
      log.calls.push(`${name} ${short(args[name === 'link' || name === 'rename' ? 1 : 0])}`);
      const error = log.fault?.(name);
      if (error !== undefined) throw error;
      return (fs[name] as Call)(...args);
    };
  const open: Call = async (...args) => {
    const handle = (await (fs['open'] as Call)(...args)) as { sync: Call };
    const sync = handle.sync.bind(handle);
    handle.sync = async () => {
      log.calls.push(`fsync ${short(args[0])}`);
      const error = log.fault?.('fsync folder');
      if (error !== undefined) throw error;
      return sync();
    };
    return handle;
  };
  return {
    ...fs,
    link: watch('link'),
    rename: watch('rename'),
    unlink: watch('unlink'),
    mkdir: watch('mkdir'),
    open,
  };
});

const systemError = (code: string, errno: number): Error =>
  Object.assign(new Error(`${code}: failed`), { code, errno });
const name = `packs/019b7/${idOf(1)}.bpk`;

afterEach(() => {
  log.fault = undefined;
  log.calls.length = 0;
});

/** Files below tmp/. */
function leftOver(folder: string): string[] {
  return existsSync(join(folder, 'tmp')) ? readdirSync(join(folder, 'tmp')) : [];
}

describe('order of effects', () => {
  it('makes the file durable before its name, and every folder after what it names', async () => {
    const folder = temporaryFolder();
    const storage = new FsStorage(folder);
    const writer = await storage.create(name);
    await writer.append([Buffer.from('x')]);
    log.calls.length = 0;
    await writer.commit();
    expect(log.calls).toEqual(
      [
        'fsync file',
        'mkdir packs',
        'fsync ',
        'mkdir packs/019b7',
        'fsync packs/',
        `link ${name}`,
        'unlink tmp/T',
        'fsync packs/019b7/',
      ].map((call) =>
        expect.stringMatching(
          new RegExp(
            `^${call.replace('mkdir packs', 'mkdir .*packs').replace('fsync packs', 'fsync .*packs')}`,
          ),
        ),
      ),
    );
  });

  it('is the same for the operating system', { timeout: 60_000 }, (context) => {
    if (
      spawnSync('strace', ['-V']).status !== 0 ||
      spawnSync('strace', ['-o', '/dev/null', 'true']).status !== 0
    )
      context.skip();
    const folder = temporaryFolder();
    const trace = join(folder, 'trace');
    const module = new URL('../../../dist/storage/fs.js', import.meta.url).href;
    const script = `const { FsStorage } = await import(${JSON.stringify(module)});
      const w = await new FsStorage(${JSON.stringify(join(folder, 'repo'))}).create(${JSON.stringify(name)});
      await w.append([Buffer.from('x')]); await w.commit(); process.stdout.write('acknowledged');`;
    const strace = [
      '-f',
      '-y',
      '-o',
      trace,
      '-e',
      'trace=write,pwrite64,writev,pwritev,fsync,fdatasync,link,linkat,unlink,unlinkat,mkdir,mkdirat,rename,renameat2',
    ];
    const done = spawnSync('strace', [...strace, process.execPath, '--input-type=module', '-e', script], {
      encoding: 'utf8',
      env: { ...process.env, UV_USE_IO_URING: '0' },
    });
    expect(done.stdout).toBe('acknowledged');
    const lines = readFileSync(trace, 'utf8')
      .split('\n')
      .filter((line) => line.includes('/repo') || line.includes('acknowledged'));
    const at = (pattern: RegExp): number => {
      const found = lines.findIndex((line) => pattern.test(line));
      expect(found, `${pattern} in\n${lines.join('\n')}`).toBeGreaterThanOrEqual(0);
      return found;
    };
    const order = [
      at(/write(64|v)?\(.*\/repo\/tmp\/[^/]*>, .*x/),
      at(/fsync\([^)]*\/repo\/tmp\/[^/>]+>/),
      at(/fsync\([^)]*\/repo\/packs>/),
      at(/link(at)?\(.*\/repo\/packs\/019b7\/.*bpk/),
      at(/fsync\([^)]*\/repo\/packs\/019b7>/),
      at(/acknowledged/),
    ];
    expect(order).toEqual([...order].sort((a, b) => a - b));
    expect(at(/fsync\([^)]*\/repo>/)).toBeLessThan(at(/acknowledged/));
  });

  it('acknowledges nothing when a folder cannot be made durable', async () => {
    const storage = new FsStorage(temporaryFolder());
    await storage.put(`packs/019b7/${idOf(2)}.bpk`, Buffer.from('x'));
    log.fault = (call) => (call === 'fsync folder' ? systemError('EIO', -5) : undefined);
    expect(await codeOfAsync(() => storage.put(name, Buffer.from('x')))).toBe('BP_STORAGE_IO');
    log.fault = undefined;
    expect(await storage.stat(name)).toBeUndefined();
  });
});

describe('short writes', () => {
  it('go on with what is left', async () => {
    const storage = new FsStorage(temporaryFolder());
    const sizes: (number | undefined)[] = [1, 4, 7, 2];
    log.fault = (call) => (call === 'write' ? sizes.shift() : undefined);
    await storage.put(name, Buffer.from('0123456789abcdef'));
    expect(log.calls.filter((call) => call === 'write')).toHaveLength(5);
    expect(Buffer.from(await storage.get(name)).toString()).toBe('0123456789abcdef');
  });

  it('go on across pieces', async () => {
    for (let first = 1; first < 12; first += 1) {
      const storage = new FsStorage(temporaryFolder());
      const sizes = [first, 2];
      log.fault = (call) => (call === 'write' ? sizes.shift() : undefined);
      const writer = await storage.create(name);
      await writer.append(['012', '', '3', '456789', 'ab'].map((piece) => Buffer.from(piece)));
      expect((await writer.commit()).sizeBytes).toBe(12);
      expect(Buffer.from(await storage.get(name)).toString()).toBe('0123456789ab');
    }
  });
});

describe('whole pages of memory', () => {
  const pages = new Uint8Array(new WebAssembly.Memory({ initial: 40 }).buffer);
  pages.forEach((_, i) => {
    pages[i] = (i * 31 + (i >> 8)) & 255;
  });
  const mib = 1 << 20;
  const pieces = [pages.subarray(0, mib), pages.subarray(4096, 4096 + mib), pages.subarray(7, 4000)];
  const all = Buffer.concat(pieces);

  it.each([
    ['as they come', undefined, ['direct', 'direct', 'write']],
    ['after a short write', 8192, ['direct', 'write', 'direct', 'write']],
    ['where the filesystem refuses', systemError('EINVAL', -22), ['direct', 'write', 'write', 'write']],
  ])('go to the disk directly, %s', async (_, fault, calls) => {
    const storage = new FsStorage(temporaryFolder());
    const writer = await storage.create(name);
    const faults = [fault];
    log.fault = (call) => (call === 'direct' ? faults.shift() : undefined);
    log.calls.length = 0;
    await writer.append(pieces);
    expect(log.calls).toEqual(calls);
    expect((await writer.commit()).sizeBytes).toBe(all.byteLength);
    expect(all.equals(await storage.get(name))).toBe(true);
  });

  it('are written as usual from a position that is none', async () => {
    const storage = new FsStorage(temporaryFolder());
    const writer = await storage.create(name);
    await writer.append([pages.subarray(0, 512), pages.subarray(0, mib), pages.subarray(1, 1 + mib)]);
    await writer.commit();
    expect(log.calls).not.toContain('direct');
    expect((await storage.get(name)).byteLength).toBe(512 + 2 * mib);
  });

  it('of a disk that breaks are an error, and nothing remains', async () => {
    const folder = temporaryFolder();
    const storage = new FsStorage(folder);
    const writer = await storage.create(name);
    log.fault = (call) => (call === 'direct' ? systemError('EIO', -5) : undefined);
    expect(await codeOfAsync(async () => writer.append(pieces))).toBe('BP_STORAGE_IO');
    expect(leftOver(folder)).toEqual([]);
    await expect(writer.commit()).rejects.toThrow();
  });
});

describe('a disk that is full or broken', () => {
  it.each([
    ['ENOSPC', -28, 'BP_NO_SPACE'],
    ['Unknown system error -122', -122, 'BP_NO_SPACE'],
    ['EFBIG', -27, 'BP_NO_SPACE'],
    ['EIO', -5, 'BP_STORAGE_IO'],
    ['EACCES', -13, 'BP_STORAGE_DENIED'],
    ['EROFS', -30, 'BP_STORAGE_DENIED'],
  ])('%s is told apart, whichever effect fails, and leaves nothing', async (code, errno, expected) => {
    for (const effect of ['write', 'fsync file', 'link', 'mkdir', 'fsync folder']) {
      const folder = temporaryFolder();
      const storage = new FsStorage(folder);
      const writer = await storage.create(`packs/00000/${'0'.repeat(40)}.bpk`);
      log.fault = (call) => (call === effect ? systemError(code, errno) : undefined);
      const result = await codeOfAsync(async () => {
        try {
          await writer.append([Buffer.from('x')]);
        } catch (error) {
          await writer.abort();
          throw error;
        }
        await writer.commit();
      });
      log.fault = undefined;
      expect(result, effect).toBe(effect === 'link' && code === 'EPERM' ? 'ok' : expected);
      expect(leftOver(folder), effect).toEqual([]);
      expect(await listAll(storage, ''), effect).toEqual([]);
    }
  });

  it('is an error of kind space, with the number of the system', async () => {
    const storage = new FsStorage(temporaryFolder());
    log.fault = (call) => (call === 'write' ? systemError('ENOSPC', -28) : undefined);
    await expect(storage.put(name, Buffer.from('x'))).rejects.toMatchObject({
      kind: 'space',
      retry: 'later',
      context: { errno: -28 },
    });
  });

  it('does not try a failed fsync again', async () => {
    const folder = temporaryFolder();
    const storage = new FsStorage(folder);
    let failures = 0;
    log.fault = (call) => (call === 'fsync file' && failures++ === 0 ? systemError('EIO', -5) : undefined);
    expect(await codeOfAsync(() => storage.put(name, Buffer.from('x')))).toBe('BP_STORAGE_IO');
    expect(log.calls.filter((call) => call === 'fsync file')).toHaveLength(1);
    expect(leftOver(folder)).toEqual([]);
  });

  it('without hard links publishes by rename, still never over an existing name', async () => {
    for (const [code, errno] of [
      ['EPERM', -1],
      ['ENOTSUP', -95],
      ['ENOSYS', -38],
    ] as const) {
      const folder = temporaryFolder();
      const storage = new FsStorage(folder);
      log.fault = (call) => (call === 'link' ? systemError(code, errno) : undefined);
      await storage.put(name, Buffer.from('one'));
      expect(await codeOfAsync(() => storage.put(name, Buffer.from('two')))).toBe('BP_OBJECT_EXISTS');
      log.fault = undefined;
      expect(Buffer.from(await storage.get(name)).toString()).toBe('one');
      expect(leftOver(folder)).toEqual([]);
    }
  });
});

describe('the folder', () => {
  it('is open to nobody else', async () => {
    const folder = join(temporaryFolder(), 'repo');
    await new FsStorage(folder).put(name, Buffer.from('x'));
    expect(statSync(join(folder, name)).mode & 0o777).toBe(0o600);
    expect(statSync(join(folder, 'packs/019b7')).mode & 0o777).toBe(0o700);
  });

  it('may hold other files: they are not listed', async () => {
    const folder = temporaryFolder();
    const storage = new FsStorage(folder);
    await storage.put(name, Buffer.from('x'));
    writeFileSync(join(folder, 'packs/019b7/note.txt'), 'x');
    writeFileSync(join(folder, 'stray'), 'x');
    mkdirSync(join(folder, 'lost+found'));
    writeFileSync(join(folder, `tmp/${idOf(1)}.bpk`), 'x');
    expect((await listAll(storage, '')).map((info) => info.name)).toEqual([name]);
  });

  it('that is missing is an error of a listing, not an empty one', async () => {
    const storage = new FsStorage(join(temporaryFolder(), 'missing'));
    expect(await codeOfAsync(() => listAll(storage, 'packs/'))).toBe('BP_OBJECT_MISSING');
    expect(await codeOfAsync(() => listAll(storage, ''))).toBe('BP_OBJECT_MISSING');
  });

  it('that cannot be read is an error of a listing', async () => {
    const folder = temporaryFolder();
    const storage = new FsStorage(folder);
    await storage.put(name, Buffer.from('x'));
    symlinkSync('loop', join(folder, 'gc'));
    symlinkSync('gc', join(folder, 'loop'));
    expect(await codeOfAsync(() => listAll(storage, 'gc/'))).toBe('BP_STORAGE_IO');
  });

  it('keeps temporary files that may be in use, and loses old ones', async () => {
    const folder = temporaryFolder();
    const storage = new FsStorage(folder);
    await storage.put(name, Buffer.from('x'));
    writeFileSync(join(folder, 'tmp/old'), 'x');
    writeFileSync(join(folder, 'tmp/new'), 'x');
    const now = Date.now();
    utimesSync(join(folder, 'tmp/old'), now / 1000 - 90_000, now / 1000 - 90_000);
    await storage.sweep(now);
    expect(leftOver(folder)).toEqual(['new']);
  });
});
