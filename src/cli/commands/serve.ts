/** `backpack serve`: serves the repositories below a folder until it is told to stop. */

import { createSecretKey } from 'node:crypto';
import { readFileSync, realpathSync, statSync } from 'node:fs';
import { createServer, type Server as HttpServer } from 'node:http';
import { join, resolve } from 'node:path';
import { BackpackError } from '../../base/errors.ts';
import { makeFolders } from '../../base/folders.ts';
import { readPem } from '../../net/pem.ts';
import type { TlsOptions } from '../../net/transport.ts';
import { loadTransport, transportError } from '../../net/transport-module.ts';
import { type Account, Accounts } from '../../server/accounts.ts';
import type { Metrics } from '../../server/metrics.ts';
import { Server, type ServerLog } from '../../server/server.ts';
import { FsStorage } from '../../storage/index.ts';
import type { CommonOptions, Context } from '../context.ts';
import { parseSize } from '../parse.ts';
import { Voice } from '../render/output.ts';
import { safe } from '../render/text.ts';

/** Options of the command. */
export interface ServeOptions extends Omit<CommonOptions, 'tlsFingerprint'> {
  readonly root?: string;
  readonly listen?: string;
  readonly tls?: string;
  readonly tlsFingerprint?: readonly string[];
  readonly insecureNoAuth?: boolean;
  readonly quota?: string;
  readonly log?: string;
  readonly metrics?: string;
}

/** Where a server listens when nobody says otherwise. */
const defaultListen = '127.0.0.1:8417';

/** Runs the command until a signal ends it. @returns the exit code */
export async function serve(context: Context, options: ServeOptions): Promise<number> {
  const voice = new Voice(context, {
    json: options.json === true,
    quiet: options.quiet === true,
    verbose: options.verbose === true,
  });
  const root = rootOf(context, options);
  const place = placeOf(context, options);
  if (options.log !== undefined && options.log !== 'json' && options.log !== 'text')
    throw badLog(options.log);
  const accounts = new Accounts(root);
  const anonymous = await anonymousOf(accounts, place, options.insecureNoAuth === true);
  const tls = options.tls === undefined ? undefined : tlsOf(context, options);
  const quotaBytes = options.quota === undefined ? undefined : parseSize(options.quota, '--quota');
  const server = new Server({
    open: (repository) => openRepository(root, repository),
    find: async (user) => {
      if (user !== '') return accounts.find(user);
      // The first user that is added closes the door, without a restart.
      return options.insecureNoAuth === true || (await accounts.names()).length === 0 ? anonymous : undefined;
    },
    log: logger(context, voice, options.log ?? 'text'),
    ...(quotaBytes === undefined ? {} : { quotaBytes }),
  });
  let metrics: HttpServer | undefined;
  try {
    const location = await place.listen(server, tls);
    if (options.metrics !== undefined) metrics = await serveMetrics(server.metrics, options.metrics);
    voice.event({ type: 'listening', location, root, authentication: anonymous === undefined });
    const who =
      anonymous === undefined ? 'clients with an access key' : 'anybody who can connect: no access key';
    voice.result(`Serving  ${safe(root)}\nAt       ${location}/NAME\nFor      ${who}\n`);
    await untilStopped(context.signal);
  } finally {
    await server.stop();
    metrics?.close();
  }
  return 0;
}

function rootOf(context: Context, options: ServeOptions): string {
  if (options.root === undefined) {
    throw new BackpackError('BP_USAGE', 'no folder to serve was given', {
      kind: 'usage',
      hint: 'backpack serve --root DIR',
    });
  }
  const root = resolve(context.cwd, options.root);
  try {
    makeFolders(root);
    if (!statSync(root).isDirectory()) throw new Error('it is not a folder');
    return realpathSync(root);
  } catch (error) {
    throw new BackpackError('BP_LOCATION', `${root} cannot be served: ${(error as Error).message}`, {
      kind: 'conflict',
      cause: error,
      hint: 'give a folder with --root DIR',
    });
  }
}

/** The repository's folder, which is made by the first write. */
async function openRepository(root: string, repository: string): Promise<FsStorage> {
  const storage = new FsStorage(join(root, repository), { links: false });
  await storage.sweep(Date.now());
  return storage;
}

/** The account of clients without a key, if they may come in: only where none but local programs can. */
async function anonymousOf(
  accounts: Accounts,
  place: Place,
  insecure: boolean,
): Promise<Account | undefined> {
  const hasUsers = (await accounts.names()).length > 0;
  if (hasUsers && !insecure) return undefined;
  if (!insecure && !place.localOnly) {
    throw new BackpackError('BP_SERVE_OPEN', `without access keys ${place.name} would be open to anybody`, {
      kind: 'usage',
      hint: 'make a user with backpack serve user add NAME --root DIR, or give --insecure-no-auth',
    });
  }
  return {
    user: '',
    role: 'admin',
    repositories: ['*'],
    quotaBytes: undefined,
    key: createSecretKey(Buffer.alloc(32)),
  };
}

/** Where a server listens. */
interface Place {
  readonly name: string;
  /** Whether none but programs of this machine can come in. */
  readonly localOnly: boolean;
  /** @returns the location, but for the name of a repository */
  listen(server: Server, tls: TlsOptions | undefined): Promise<string>;
}

/** HOST:PORT, or SCHEME://ADDRESS of an extension's transport. @throws BackpackError BP_USAGE */
function placeOf(context: Context, options: ServeOptions): Place {
  const text = options.listen ?? defaultListen;
  const through = /^([a-z][a-z0-9+.-]*):\/\/(.+)$/.exec(text);
  const transports = context.extensions?.transports ?? {};
  if (through !== null && Object.hasOwn(transports, through[1]!))
    return transportPlace(context, options, through[1]!, through[2]!);
  const { host, port } = parseAddress(text, '--listen');
  return {
    name: host,
    localOnly: isLoopback(host),
    listen: async (server, tls) => {
      const found = await listening(() => server.listen({ host, port, tls }), text);
      const scheme = tls === undefined ? 'tcp' : 'tls';
      return `${scheme}://${host.includes(':') ? `[${host}]` : host}:${found}`;
    },
  };
}

/** Who can come in that way is not known here, so it takes access keys like a network. */
function transportPlace(context: Context, options: ServeOptions, scheme: string, address: string): Place {
  const { transports = {}, moduleOptions = {} } = context.extensions ?? {};
  const name = `${scheme}://${address}`;
  if (options.tls !== undefined) {
    throw new BackpackError('BP_USAGE', `--tls is for addresses HOST:PORT, not for ${name}`, {
      kind: 'usage',
      hint: 'leave --tls out',
    });
  }
  return {
    name,
    localOnly: false,
    listen: async (server) => {
      const module = await loadTransport(scheme, transports[scheme]!);
      if (module.listen === undefined) throw transportError(scheme, 'does not export listen', undefined);
      const given = (moduleOptions[scheme] ?? {}) as Readonly<Record<string, unknown>>;
      const call = { address, options: given, signal: context.signal };
      await listening(() => server.listenThrough(scheme, (accept) => module.listen!(call, accept)), name);
      return name;
    },
  };
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127(?:\.\d{1,3}){3}$/.test(host);
}

/** HOST:PORT or [HOST]:PORT. @throws BackpackError BP_USAGE */
function parseAddress(text: string, option: string): { host: string; port: number } {
  const match = /^(?:\[([^\]]+)\]|([^:[\]]+)):(\d{1,5})$/.exec(text);
  const port = Number(match?.[3]);
  if (match !== null && port <= 65_535) return { host: match[1] ?? match[2]!, port };
  throw new BackpackError('BP_USAGE', `not an address: ${text}`, {
    kind: 'usage',
    hint: `${option} HOST:PORT, for example ${option} ${defaultListen}`,
  });
}

function tlsOf(context: Context, options: ServeOptions): TlsOptions {
  const path = resolve(context.cwd, options.tls!);
  let text: string;
  try {
    text = readFileSync(path, 'latin1');
  } catch (error) {
    throw new BackpackError('BP_TLS', `cannot read ${path}: ${(error as Error).message}`, {
      kind: 'key',
      cause: error,
      hint: 'backpack serve tls init makes the files',
    });
  }
  const fingerprints = options.tlsFingerprint?.map((one) => one.replaceAll(':', '').toLowerCase()) ?? [];
  const pem = readPem(text);
  if (pem.key === undefined || (pem.ca === undefined && fingerprints.length === 0)) {
    throw new BackpackError('BP_TLS', `${path} lacks a private key, or a certificate to check clients with`, {
      kind: 'key',
      hint: 'backpack serve tls init makes the files; or name the clients with --tls-fingerprint',
    });
  }
  return { ...pem, fingerprints };
}

async function listening<T>(listen: () => Promise<T>, place: string): Promise<T> {
  try {
    return await listen();
  } catch (error) {
    throw new BackpackError('BP_SERVE_LISTEN', `cannot listen at ${place}: ${(error as Error).message}`, {
      kind: 'network',
      cause: error,
      hint: 'give another address with --listen HOST:PORT',
    });
  }
}

/** Prometheus' text at /metrics. Nothing else is answered, and nothing is read. */
async function serveMetrics(metrics: Metrics, address: string): Promise<HttpServer> {
  const { host, port } = parseAddress(address, '--metrics');
  const server = createServer({ requestTimeout: 5000, headersTimeout: 5000 }, (request, response) => {
    request.resume();
    if (request.url !== '/metrics' || request.method !== 'GET') {
      response.writeHead(404).end();
      return;
    }
    response.writeHead(200, { 'content-type': 'text/plain; version=0.0.4' });
    response.end(metrics.format(process.memoryUsage.rss()));
  });
  server.maxConnections = 16;
  await listening(
    () =>
      new Promise((done, failed) => {
        server.once('error', failed).listen(port, host, () => done(port));
      }),
    address,
  );
  return server;
}

/** What happens, line by line, to standard error. What clients say is escaped. */
function logger(context: Context, voice: Voice, form: string): ServerLog {
  return (event, fields) => {
    if (form === 'json') {
      context.stderr.write(`${JSON.stringify({ time: new Date().toISOString(), event, ...fields })}\n`);
      return;
    }
    if (voice.quiet || (!voice.verbose && quietEvents.has(event))) return;
    const parts = Object.entries(fields).flatMap(([name, value]) =>
      value === undefined || value === '' ? [] : [`${name}=${safe(String(value))}`],
    );
    context.stderr.write(`${new Date().toISOString()} ${event} ${parts.join(' ')}\n`);
  };
}

/** Too many of these for people. */
const quietEvents: ReadonlySet<string> = new Set(['stored', 'connected', 'closed', 'refused']);

function untilStopped(signal: AbortSignal): Promise<void> {
  return new Promise((done) => {
    if (signal.aborted) done();
    else signal.addEventListener('abort', () => done(), { once: true });
  });
}

function badLog(form: string): BackpackError {
  return new BackpackError('BP_USAGE', `not a form of log: ${form}`, {
    kind: 'usage',
    hint: '--log json or --log text',
  });
}
