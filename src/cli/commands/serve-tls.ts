/**
 * `backpack serve tls init`: a small certificate authority, made by the `openssl` program, and one file each for the
 * server and for its clients.
 */
import { execFileSync } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { isIP } from 'node:net';
import { join, resolve } from 'node:path';
import { BackpackError } from '../../base/errors.ts';
import { makeFolders } from '../../base/folders.ts';
import { writeNewKey } from '../../config/key-store.ts';
import type { CommonOptions, Context } from '../context.ts';
import { Voice } from '../render/output.ts';
import { safe } from '../render/text.ts';

/** Options of the command. */
export interface ServeTlsOptions extends CommonOptions {
  readonly dir?: string;
  readonly host?: readonly string[];
  readonly days?: string;
}

/** Runs the command. @returns the exit code */
export function initTls(context: Context, options: ServeTlsOptions): number {
  const voice = new Voice(context, options);
  const dir = resolve(context.cwd, options.dir ?? 'tls');
  const hosts = options.host ?? ['localhost', '127.0.0.1'];
  const days = options.days ?? '3650';
  const wrong = hosts.find((host) => !/^[A-Za-z0-9._:-]{1,253}$/.test(host));
  if (wrong !== undefined || !/^[1-9]\d{0,4}$/.test(days)) {
    throw new BackpackError(
      'BP_USAGE',
      `not a ${wrong === undefined ? `number of days: ${days}` : `host: ${wrong}`}`,
      {
        kind: 'usage',
        hint: 'backpack serve tls init --host NAME --days 3650',
      },
    );
  }
  const [server, client] = [join(dir, 'server.pem'), join(dir, 'client.pem')];
  for (const path of [server, client]) if (existsSync(path)) throw taken(path);
  makeFolders(dir);
  const work = mkdtempSync(join(dir, '.work-'));
  try {
    makeAuthority(work, days);
    const names = hosts.map((host) => `${isIP(host) === 0 ? 'DNS' : 'IP'}:${host}`).join(',');
    writeNewKey(
      server,
      makePair(work, 'server', days, `subjectAltName=${names}\nextendedKeyUsage=serverAuth\n`),
    );
    writeNewKey(client, makePair(work, 'client', days, 'extendedKeyUsage=clientAuth\n'));
  } finally {
    // The authority's key is gone with it: nobody can sign another certificate.
    rmSync(work, { recursive: true, force: true });
  }
  const fingerprint = new X509Certificate(readFileSync(server)).fingerprint256
    .replaceAll(':', '')
    .toLowerCase();
  voice.event({ type: 'summary', command: 'serve tls init', server, client, fingerprint });
  voice.result(
    `Server        ${safe(server)}   backpack serve --tls FILE\n` +
      `Clients       ${safe(client)}   backpack backup --tls FILE; one for all clients, keep it as safe as an access key\n` +
      `Fingerprint   ${fingerprint}\n`,
  );
  return 0;
}

function makeAuthority(work: string, days: string): void {
  openssl(work, ['ecparam', '-name', 'prime256v1', '-genkey', '-noout', '-out', 'ca.key']);
  const subject = ['-subj', '/CN=Backpack server authority', '-out', 'ca.pem'];
  const usage = ['-addext', 'basicConstraints=critical,CA:TRUE', '-addext', 'keyUsage=critical,keyCertSign'];
  openssl(work, ['req', '-new', '-x509', '-key', 'ca.key', '-days', days, '-sha256', ...subject, ...usage]);
}

/** Key, certificate and authority of one side, in one text. */
function makePair(work: string, name: string, days: string, extensions: string): string {
  openssl(work, ['ecparam', '-name', 'prime256v1', '-genkey', '-noout', '-out', `${name}.key`]);
  openssl(work, [
    'req',
    '-new',
    '-key',
    `${name}.key`,
    '-subj',
    `/CN=Backpack ${name}`,
    '-out',
    `${name}.csr`,
  ]);
  writeFileSync(join(work, `${name}.ext`), `basicConstraints=critical,CA:FALSE\n${extensions}`);
  const signing = ['-CA', 'ca.pem', '-CAkey', 'ca.key', '-CAcreateserial', '-extfile', `${name}.ext`];
  const what = ['x509', '-req', '-in', `${name}.csr`, '-days', days, '-sha256', '-out', `${name}.crt`];
  openssl(work, [...what, ...signing]);
  return [`${name}.key`, `${name}.crt`, 'ca.pem']
    .map((file) => readFileSync(join(work, file), 'latin1'))
    .join('');
}

function openssl(work: string, args: readonly string[]): void {
  try {
    execFileSync('openssl', args, { cwd: work, stdio: ['ignore', 'ignore', 'pipe'], timeout: 60_000 });
  } catch (error) {
    const { code, stderr } = error as { code?: string; stderr?: Buffer };
    const why =
      code === 'ENOENT'
        ? 'it is not installed'
        : String(stderr ?? '')
            .trim()
            .split('\n')
            .at(-1);
    throw new BackpackError('BP_TLS', `the openssl program could not make the certificates: ${why}`, {
      kind: 'key',
      cause: error,
      hint: 'install openssl (apt-get install openssl), or bring certificates of your own: see docs/server.md',
    });
  }
}

function taken(path: string): BackpackError {
  return new BackpackError(
    'BP_KEY_EXISTS',
    `there is a file at ${path} already; key files are never overwritten`,
    {
      kind: 'conflict',
      hint: 'give another folder with --dir DIR',
    },
  );
}
