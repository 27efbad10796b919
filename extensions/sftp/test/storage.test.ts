/** The storage keeps the promises of the contract, against a real OpenSSH server. */
import { createHash, randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { listAll } from 'backpack-cli/storage';
import { storageConformance } from 'backpack-cli/storage/conformance';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { SftpOptions } from '../src/options.ts';
import { SftpStorage } from '../src/storage.ts';
import { hasSshd, type Sshd, startSshd } from './sshd.ts';

const packName = (n: number): string => `packs/019b7/019b76daa8${n.toString(16).padStart(30, '0')}.bpk`;

describe.skipIf(!hasSshd)('with OpenSSH', () => {
  let sshd: Sshd;
  let number = 0;
  beforeAll(async () => {
    sshd = await startSshd();
  });
  afterAll(() => sshd?.stop());
  const open = (name: string, more: Partial<SftpOptions> = {}): SftpStorage =>
    new SftpStorage(sshd.location(name), { ...sshd.options, ...more });
  const fresh = (more: Partial<SftpOptions> = {}): SftpStorage => open(`new/${number++}`, more);

  describe('conformance', () => {
    const factory = {
      create: async () => {
        const name = `conformance/${number++}`;
        mkdirSync(join(sshd.folder, name), { recursive: true });
        const made: SftpStorage[] = [];
        const reopen = async (): Promise<SftpStorage> => {
          made.push(open(name));
          return made.at(-1)!;
        };
        return { storage: await reopen(), reopen };
      },
    };
    storageConformance({ test, factory });
  });

  test('a large object comes back whole, in parts too, from a folder that is made with all above it', async () => {
    const storage = open('deep/er/repo');
    const bytes = randomBytes(9 * 1024 * 1024 + 17);
    const writer = await storage.create(packName(1));
    const scratch = Buffer.alloc(700_001);
    for (let at = 0; at < bytes.length; at += scratch.length) {
      const length = bytes.copy(scratch, 0, at, at + scratch.length);
      await writer.append([scratch.subarray(0, length)]);
      // The pieces belong to their owner again.
      scratch.fill(0xff);
    }
    expect(existsSync(join(sshd.folder, 'deep/er/repo', packName(1)))).toBe(false);
    await writer.commit();
    const hash = (data: Uint8Array): string => createHash('sha256').update(data).digest('hex');
    expect(hash(readFileSync(join(sshd.folder, 'deep/er/repo', packName(1))))).toBe(hash(bytes));
    expect(hash(await storage.get(packName(1)))).toBe(hash(bytes));
    const range = { offset: 1_234_567, length: 3_000_001 };
    expect(hash(await storage.get(packName(1), { range }))).toBe(hash(bytes.subarray(1_234_567, 4_234_568)));
    expect(readdirSync(join(sshd.folder, 'deep/er/repo/tmp'))).toEqual([]);
    await storage[Symbol.asyncDispose]();
  });

  test('of several clients that create one name at once exactly one succeeds', async () => {
    const clients = Array.from({ length: 6 }, () => open('race'));
    await clients[0]!.put('README.txt', Buffer.from('made'));
    const results = await Promise.allSettled(
      clients.map((client, i) => client.put(packName(2), Buffer.from(`client ${i}`))),
    );
    expect(results.filter(({ status }) => status === 'fulfilled').length).toBe(1);
    const codes = results.flatMap((result) => (result.status === 'rejected' ? [result.reason.code] : []));
    expect(new Set(codes)).toEqual(new Set(['BP_OBJECT_EXISTS']));
    for (const client of clients) await client[Symbol.asyncDispose]();
  });

  test('a broken connection is a network error that may be tried again, and the next call connects again', async () => {
    const storage = fresh();
    await storage.put(packName(3), Buffer.from('kept'));
    const writer = await storage.create(packName(4));
    await writer.append([Buffer.alloc(100_000)]);
    sshd.dropConnections();
    await expect(writer.commit()).rejects.toMatchObject({
      kind: 'network',
      retry: 'now',
      code: 'BP_SFTP_CONNECT',
    });
    expect((await storage.get(packName(3))).toString()).toBe('kept');
    expect(await storage.stat(packName(4))).toBeUndefined();
    await storage[Symbol.asyncDispose]();
  });

  test('a folder in the place of an object is listed as one, without content', async () => {
    const [first, second] = ['a', 'b'].map((digit) => `index/${digit.repeat(40)}.bpk`) as [string, string];
    const storage = open('in-place');
    await storage.put(second, Buffer.from('x'));
    mkdirSync(join(sshd.folder, 'in-place', first));
    const found = (await listAll(storage, '')).map(({ name, sizeBytes }) => [name, sizeBytes]);
    expect(found).toEqual([
      [first, 0],
      [second, 1],
    ]);
    await storage[Symbol.asyncDispose]();
  });

  test('temporary files are swept after a day', async () => {
    const storage = open('sweep');
    await storage.put('README.txt', Buffer.from('x'));
    const temporary = (name: string): string => join(sshd.folder, 'sweep/tmp', name);
    for (const name of ['old', 'young']) writeFileSync(temporary(name), 'x');
    utimesSync(temporary('old'), new Date(0), new Date(0));
    await storage.sweep(Date.now());
    expect([existsSync(temporary('old')), existsSync(temporary('young'))]).toEqual([false, true]);
    expect(await storage.entries()).toEqual(['README.txt']);
    await storage[Symbol.asyncDispose]();
  });

  describe('the key of the host', () => {
    const file = (name: string, text: string): SftpOptions['knownHosts'] => {
      const path = join(sshd.folder, name);
      writeFileSync(path, text);
      return [path];
    };
    const attempt = async (more: Partial<SftpOptions>): Promise<string> => {
      const storage = fresh(more);
      try {
        await storage.put('README.txt', Buffer.from('x'));
        return 'ok';
      } catch (error) {
        return (error as { code: string }).code;
      } finally {
        await storage[Symbol.asyncDispose]();
      }
    };
    const other = `SHA256:${'A'.repeat(43)}`;

    test('known by file or by fingerprint', async () => {
      expect(await attempt({})).toBe('ok');
      expect(await attempt({ knownHosts: [], fingerprints: [other, sshd.fingerprint] })).toBe('ok');
    });

    test('hashed names are found', async () => {
      const { execFileSync } = await import('node:child_process');
      const hashed = file('hashed', readFileSync(sshd.knownHosts, 'utf8'));
      execFileSync('ssh-keygen', ['-H', '-f', hashed[0]!], { stdio: 'ignore' });
      expect(readFileSync(hashed[0]!, 'utf8')).toMatch(/^\|1\|/m);
      expect(await attempt({ knownHosts: hashed })).toBe('ok');
    });

    test('unknown, another one, or revoked: nothing is sent', async () => {
      const line = readFileSync(sshd.knownHosts, 'utf8').split('\n')[1]!;
      const wrong = line.replace(/A([A-Za-z0-9+/])$/, 'B$1').replace(/.{6}$/, 'AAAAAA');
      expect(await attempt({ knownHosts: file('none', '') })).toBe('BP_SFTP_HOST_KEY');
      expect(await attempt({ knownHosts: ['/no/such/file'] })).toBe('BP_SFTP_HOST_KEY');
      expect(await attempt({ knownHosts: file('wrong', `${wrong}\n`) })).toBe('BP_SFTP_HOST_KEY');
      expect(await attempt({ knownHosts: file('revoked', `${line}\n@revoked ${line}\n`) })).toBe(
        'BP_SFTP_HOST_KEY',
      );
      expect(await attempt({ fingerprints: [other] })).toBe('BP_SFTP_HOST_KEY');
      expect(existsSync(join(sshd.folder, `new/${number - 1}`))).toBe(false);
    });
  });

  test('who may not log in is told so', async () => {
    const { identityFile: _, ...rest } = sshd.options;
    const without = new SftpStorage(sshd.location('x'), rest);
    await expect(without.stat('README.txt')).rejects.toMatchObject({ code: 'BP_SFTP_LOGIN' });
    const host = new SftpStorage(sshd.location('x'), { ...rest, identityFile: join(sshd.folder, 'host') });
    await expect(host.stat('README.txt')).rejects.toMatchObject({ code: 'BP_SFTP_LOGIN', kind: 'storage' });
  });

  test('nobody listens: a network error', async () => {
    const nobody = new SftpStorage('sftp://127.0.0.1:1/x', {
      ...sshd.options,
      fingerprints: [sshd.fingerprint],
    });
    await expect(nobody.stat('README.txt')).rejects.toMatchObject({
      code: 'BP_SFTP_CONNECT',
      kind: 'network',
    });
  });
});
