/**
 * One SSH connection with an SFTP session: made when it is needed, and again after it broke. The key of the server is
 * always checked; login is by key file or agent only.
 */
import { readFileSync, statSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { BackpackError } from 'backpack-cli/extension';
import { Client, type ConnectConfig, type SFTPWrapper } from 'ssh2';
import { fingerprintOf, type HostKeys, readKnownHosts } from './known-hosts.ts';
import type { SftpOptions, SftpPlace } from './options.ts';

/** See the file's comment. */
export class Connection {
  readonly #place: SftpPlace;
  readonly #options: SftpOptions;
  readonly #location: string;
  #session: Promise<SFTPWrapper> | undefined;
  #client: Client | undefined;
  #socket: Socket | undefined;
  #pending = 0;
  #open: SFTPWrapper | undefined;

  constructor(place: SftpPlace, options: SftpOptions, location: string) {
    this.#place = place;
    this.#options = options;
    this.#location = location;
  }

  /** The session. @throws BackpackError BP_SFTP_CONNECT, BP_SFTP_HOST_KEY, BP_SFTP_LOGIN */
  session(): Promise<SFTPWrapper> {
    if (this.#session === undefined) {
      const session = this.holding(() => this.#connect());
      this.#session = session;
      session.catch(() => {
        if (this.#session === session) this.#session = undefined;
      });
    }
    return this.#session;
  }

  /** Whether a session is the one that is in use. */
  isOpen(session: SFTPWrapper): boolean {
    return this.#open === session;
  }

  /** Gives up a session that does not answer; the next call makes another one. */
  drop(session: SFTPWrapper): void {
    if (this.#open !== session) return;
    this.#client?.destroy();
    this.#forget();
  }

  #forget(): void {
    this.#client = undefined;
    this.#session = undefined;
    this.#open = undefined;
  }

  /** While something is asked for, the process stays alive for the answer; an idle connection does not hold it. */
  async holding<T>(run: () => Promise<T>): Promise<T> {
    this.#pending += 1;
    this.#socket?.ref();
    try {
      return await run();
    } finally {
      this.#pending -= 1;
      if (this.#pending === 0) this.#socket?.unref();
    }
  }

  /** Ends it. */
  close(): void {
    this.#client?.end();
    this.#forget();
  }

  /** An error that a connection which is no more explains. */
  lost(cause: unknown): BackpackError {
    const why = cause instanceof Error ? cause.message : String(cause);
    return new BackpackError('BP_SFTP_CONNECT', `the connection to ${this.#location} failed: ${why}`, {
      kind: 'network',
      retry: 'now',
      context: { location: this.#location },
      cause,
      hint: 'check the network and the server; what is stored is kept, run the command again',
    });
  }

  #connect(): Promise<SFTPWrapper> {
    return new Promise((resolve, reject) => {
      const client = new Client();
      let refused: BackpackError | undefined;
      const gone = (error?: unknown): void => {
        if (this.#client === client) this.#forget();
        reject(refused ?? this.lost(error ?? new Error('it was closed')));
      };
      client.on('error', (error) => {
        const login = (error as { level?: string }).level === 'client-authentication';
        if (login) refused ??= this.#loginError(error);
        gone(error);
        client.end();
      });
      client.on('close', () => gone());
      client.on('ready', () => {
        client.sftp((error, sftp) => {
          if (error) return gone(error);
          sftp.on('error', gone);
          sftp.on('close', () => gone());
          if (this.#client !== client) return gone();
          this.#open = sftp;
          resolve(sftp);
        });
      });
      try {
        const config = this.#config((error) => {
          refused = error;
        });
        this.#client = client;
        const { host, port } = this.#place;
        this.#socket = connect({ host, port });
        // Small requests must not wait for the answers of those before them: 40 ms each, measured.
        this.#socket.setNoDelay(true);
        this.#socket.setKeepAlive(true, 15_000);
        client.connect({ ...config, sock: this.#socket });
      } catch (error) {
        reject(error);
      }
    });
  }

  #config(refuse: (error: BackpackError) => void): ConnectConfig {
    const { host, port, user } = this.#place;
    const { identityFile, agent, fingerprints, knownHosts, timeoutMs } = this.#options;
    const keys = fingerprints === undefined ? readKnownHosts(knownHosts, host, port) : undefined;
    if (keys !== undefined && keys.accepted.length === 0) {
      throw this.#hostKeyError(
        `no key of ${host} is in ${knownHosts.join(' or ')}`,
        `ssh-keyscan -p ${port} ${host}, compare with the server's own key, then add it; or give "fingerprint"`,
      );
    }
    if (identityFile === undefined && agent === undefined)
      throw this.#loginError(new Error('there is neither a key file nor an agent'));
    return {
      host,
      port,
      username: user ?? this.#options.user,
      readyTimeout: timeoutMs,
      // Whoever asks has a limit of time; a timer of its own would keep the process alive.
      keepaliveInterval: 0,
      ...(keys === undefined ? {} : { algorithms: { serverHostKey: algorithmsOf(keys) } }),
      ...(identityFile === undefined ? {} : { privateKey: this.#readIdentity(identityFile) }),
      ...(agent === undefined ? {} : { agent }),
      hostVerifier: (key: Buffer): boolean => {
        const print = fingerprintOf(key);
        const text = key.toString('base64');
        const ok =
          keys === undefined
            ? fingerprints!.includes(print)
            : keys.accepted.includes(text) && !keys.revoked.includes(text);
        if (!ok) {
          refuse(
            this.#hostKeyError(
              `${host} shows another key than the one that is known: ${print}`,
              'find out why before you go on: somebody may be in between, or the server was set up anew',
            ),
          );
        }
        return ok;
      },
    };
  }

  #readIdentity(path: string): Buffer {
    try {
      if ((statSync(path).mode & 0o077) !== 0) throw new Error('other users may read it');
      return readFileSync(path);
    } catch (error) {
      throw this.#loginError(new Error(`cannot use the key file ${path}: ${(error as Error).message}`));
    }
  }

  #loginError(cause: Error): BackpackError {
    return new BackpackError('BP_SFTP_LOGIN', `cannot log in at ${this.#location}: ${cause.message}`, {
      kind: 'storage',
      cause,
      hint: 'check the user, and the options identityFile or agent of backpack-sftp',
    });
  }

  #hostKeyError(message: string, hint: string): BackpackError {
    return new BackpackError('BP_SFTP_HOST_KEY', message, { kind: 'storage', hint });
  }
}

/** Signature algorithms for the types of known keys. */
function algorithmsOf({
  types,
}: HostKeys): NonNullable<NonNullable<ConnectConfig['algorithms']>['serverHostKey']> {
  const all = types.flatMap((type) => (type === 'ssh-rsa' ? ['rsa-sha2-512', 'rsa-sha2-256'] : [type]));
  return all as never;
}
