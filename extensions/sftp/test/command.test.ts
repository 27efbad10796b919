/** The command with worker threads over SFTP: init, backup, check, restore, and what is on the server. */
import { spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { hasSshd, type Sshd, startSshd } from './sshd.ts';

const project = join(import.meta.dirname, '../../..');
const main = join(project, 'dist/cli/main.js');

describe.skipIf(!hasSshd)('backpack', () => {
  let sshd: Sshd;
  const dir = mkdtempSync(join(tmpdir(), 'backpack-sftp-'));
  const run = (...words: string[]): { stdout: string; stderr: string; status: number | null } =>
    spawnSync(process.execPath, [main, ...words, '--config', join(dir, 'config.json')], {
      cwd: dir,
      env: { PATH: process.env['PATH'] ?? '', HOME: dir },
      encoding: 'utf8',
      timeout: 50_000,
    });
  beforeAll(async () => {
    sshd = await startSshd();
    const config = {
      repository: sshd.location('repository'),
      extensions: [
        {
          module: join(import.meta.dirname, '../dist/index.js'),
          options: { identityFile: join(sshd.folder, 'user'), knownHosts: sshd.knownHosts },
        },
      ],
    };
    writeFileSync(join(dir, 'config.json'), JSON.stringify(config));
    mkdirSync(join(dir, 'source'));
    for (let i = 0; i < 300; i += 1) writeFileSync(join(dir, 'source', `${i}`), `${i}\n`.repeat(i * 20));
    writeFileSync(
      join(dir, 'source/large'),
      Buffer.alloc(20_000_000, 'a piece of text that compresses badly? no.'),
    );
  });
  afterAll(async () => {
    await sshd?.stop();
    rmSync(dir, { recursive: true, force: true });
  });

  test('init, backup with threads, check, restore', () => {
    for (const words of [
      ['init'],
      ['backup', 'source', '--threads', '2'],
      ['check', '--read-data', '--threads', '2'],
      ['restore', 'latest', '--to', 'restored', '--threads', '2'],
    ]) {
      const { status, stderr } = run(...words);
      expect([words[0], status, status === 0 ? '' : stderr]).toEqual([words[0], 0, '']);
    }
    expect(spawnSync('diff', ['-r', join(dir, 'source'), join(dir, 'restored/source')]).status).toBe(0);
  });

  test('what is on the server is a repository like any other: recover.js restores it', () => {
    const repository = join(sshd.folder, 'repository');
    const key = spawnSync('sh', ['-c', 'echo "$HOME"/.config/backpack/*/key.bin'], {
      env: { HOME: dir },
      encoding: 'utf8',
    });
    const words = [
      '--key',
      key.stdout.trim(),
      '--repo',
      repository,
      'restore',
      '--to',
      join(dir, 'recovered'),
    ];
    const { status } = spawnSync(process.execPath, [join(repository, 'recover/recover.js'), ...words]);
    expect(status).toBe(0);
    expect(spawnSync('diff', ['-r', join(dir, 'source'), join(dir, 'recovered/source')]).status).toBe(0);
  });

  test('a server whose key is not known is exit 13, and says what to do', () => {
    const config = {
      repository: sshd.location('repository'),
      extensions: [{ module: join(import.meta.dirname, '../dist/index.js') }],
    };
    writeFileSync(join(dir, 'unknown.json'), JSON.stringify(config));
    const { status, stderr } = spawnSync(
      process.execPath,
      [main, 'list', '--config', join(dir, 'unknown.json')],
      {
        env: { HOME: dir, SSH_AUTH_SOCK: '/nowhere' },
        encoding: 'utf8',
      },
    );
    expect(status).toBe(13);
    expect(stderr).toMatch(/BP_SFTP_HOST_KEY\)\n.*ssh-keyscan/s);
  });

  test('a full or closed folder ends with a clear error', () => {
    mkdirSync(join(sshd.folder, 'closed'));
    writeFileSync(join(sshd.folder, 'closed/file'), '');
    chmodSync(join(sshd.folder, 'closed'), 0o700);
    const { status, stderr } = run('init', '-r', sshd.location('closed/file/repository'));
    expect(status).toBe(13);
    expect(stderr).toMatch(/BP_STORAGE_/);
  });
});
