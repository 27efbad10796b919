/** A real OpenSSH server on loopback, with keys and a folder of its own. Missing where sshd is not installed. */
import { execFileSync, spawn } from 'node:child_process';
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import type { SftpOptions } from '../src/options.ts';

const program = '/usr/sbin/sshd';
/** Whether the server is there. */
export const hasSshd: boolean = existsSync(program);

/** A running server. */
export interface Sshd {
  readonly port: number;
  readonly folder: string;
  readonly user: string;
  readonly knownHosts: string;
  readonly fingerprint: string;
  readonly options: SftpOptions;
  location(name: string): string;
  /** Breaks all connections; new ones are served. */
  dropConnections(): void;
  stop(): Promise<void>;
}

/** Starts one. @param extra lines of its configuration */
export async function startSshd(extra: readonly string[] = []): Promise<Sshd> {
  // In memory where that is possible: the server is made to fsync every object, and disks of test machines are busy.
  const folder = mkdtempSync(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'backpack-sshd-'));
  const at = (name: string): string => join(folder, name);
  // Its privilege separation wants this folder; the package makes it when its service starts.
  if (userInfo().uid === 0) mkdirSync('/run/sshd', { recursive: true });
  for (const name of ['host', 'user'])
    execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', at(name)]);
  copyFileSync(at('user.pub'), at('authorized'));
  chmodSync(at('authorized'), 0o600);
  const port = await freePort();
  const lines = [
    `Port ${port}`,
    'ListenAddress 127.0.0.1',
    `HostKey ${at('host')}`,
    'PidFile none',
    `AuthorizedKeysFile ${at('authorized')}`,
    'StrictModes no',
    'UsePAM no',
    'PasswordAuthentication no',
    'PermitRootLogin prohibit-password',
    'MaxStartups 100',
    'Subsystem sftp internal-sftp',
    ...extra,
  ];
  writeFileSync(at('sshd_config'), `${lines.join('\n')}\n`);
  const child = spawn(program, ['-D', '-e', '-f', at('sshd_config')], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let log = '';
  child.stderr.on('data', (bytes: Buffer) => {
    log += bytes.toString();
  });
  for (let i = 0; !log.includes('Server listening'); i += 1) {
    if (i > 200 || child.exitCode !== null) throw new Error(`sshd does not start: ${log}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  const [type, key] = readFileSync(at('host.pub'), 'utf8').split(' ');
  writeFileSync(at('known_hosts'), `# a comment\n[127.0.0.1]:${port} ${type} ${key}\n`);
  const { username: user } = userInfo();
  return {
    port,
    folder,
    user,
    knownHosts: at('known_hosts'),
    fingerprint: execFileSync('ssh-keygen', ['-lf', at('host.pub')], { encoding: 'utf8' }).split(' ')[1]!,
    options: {
      user,
      identityFile: at('user'),
      knownHosts: [at('known_hosts')],
      fsync: true,
      timeoutMs: 20_000,
    },
    location: (name) => `sftp://127.0.0.1:${port}${folder}/${name}`,
    dropConnections: () => {
      for (const pid of childrenOf(child.pid!)) process.kill(pid, 'SIGKILL');
    },
    stop: async () => {
      for (const pid of childrenOf(child.pid!)) process.kill(pid);
      const ended = new Promise((resolve) => child.once('exit', resolve));
      child.kill();
      await ended;
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

function childrenOf(pid: number): number[] {
  const direct = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8')
    .split(' ')
    .filter(Boolean)
    .map(Number);
  return direct.flatMap((child) => [...childrenOf(child), child]);
}

function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address() as { port: number };
      server.close(() => resolve(port));
    });
  });
}
