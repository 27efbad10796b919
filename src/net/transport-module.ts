/**
 * Transports by extension: modules that bring a stream of bytes to a server, or let a server listen, for locations
 * `SCHEME://ADDRESS/NAME`. The protocol that runs over the stream (docs/protocol.md) is the same as over TCP: it proves
 * who is who and notices every change, so a transport has to be trusted with nothing.
 */
import type { Duplex } from 'node:stream';
import { BackpackError, isBackpackError } from '../base/errors.ts';
import type { Channel } from './transport.ts';

/** What a transport makes: a stream, and what is known of it. */
export interface TransportChannel {
  /** Reliable and in order. While nothing is asked, `ref()` and `unref()` are called on it, where it has them. */
  readonly wire: Duplex;
  /** A value that both ends of this channel know and nobody else can have; at most 64 bytes. Default: none. */
  readonly binding?: Uint8Array;
  /** The other side, for logs. */
  readonly peer?: string;
}

/** What a transport is told. */
export interface TransportCall {
  /** What the location says between `SCHEME://` and the name of the repository; never with a secret. */
  readonly address: string;
  /** What the extension gave to `register`. */
  readonly options: Readonly<Record<string, unknown>>;
  /** Aborted when nobody waits any longer. */
  readonly signal: AbortSignal;
}

/** Something that listens. */
export interface TransportListener {
  /** Takes no more connections; those that are there go on. */
  close(): void | Promise<void>;
}

/** What the module of a transport exports. Each thread loads it. */
export interface TransportModule {
  /** Connects, once; the caller tries again. */
  connect(call: TransportCall): Promise<TransportChannel>;
  /** Listens, until it is closed; left out where only others can. */
  listen?(call: TransportCall, accept: (channel: TransportChannel) => void): Promise<TransportListener>;
}

const bindingMax = 64;

/** Loads one. @throws BackpackError BP_TRANSPORT */
export async function loadTransport(scheme: string, module: string): Promise<TransportModule> {
  let found: Partial<TransportModule>;
  try {
    found = (await import(module)) as Partial<TransportModule>;
  } catch (error) {
    throw transportError(scheme, `cannot be loaded: ${(error as Error).message}`, error);
  }
  if (typeof found.connect !== 'function') throw transportError(scheme, 'does not export connect', undefined);
  return found as TransportModule;
}

/** What a module made, checked. @throws BackpackError BP_TRANSPORT */
export function channelFrom(scheme: string, made: TransportChannel): Channel {
  const { wire, binding = Buffer.alloc(0), peer = scheme } = made ?? {};
  const streams = typeof wire?.write === 'function' && typeof wire.on === 'function';
  if (!streams || !(binding instanceof Uint8Array) || binding.byteLength > bindingMax)
    throw transportError(scheme, 'made no stream of bytes', undefined);
  return { wire, binding: Buffer.from(binding), peer };
}

/**
 * Connects, within the time.
 * @throws BackpackError BP_CONNECTION when it cannot, or what the module throws as one
 */
export async function dialThrough(
  scheme: string,
  module: TransportModule,
  call: Omit<TransportCall, 'signal'>,
  timeoutMs: number,
): Promise<Channel> {
  const stop = new AbortController();
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      reject(new Error('no answer'));
      stop.abort();
    }, timeoutMs);
  });
  const made = module.connect({ ...call, signal: stop.signal });
  // One that comes too late is nobody's.
  made.then(
    ({ wire }) => stop.signal.aborted && wire.destroy(),
    () => {},
  );
  try {
    return channelFrom(scheme, await Promise.race([made, late]));
  } catch (error) {
    if (isBackpackError(error)) throw error;
    throw new BackpackError(
      'BP_CONNECTION',
      `cannot connect to ${scheme}://${call.address}: ${(error as Error).message}`,
      {
        kind: 'network',
        retry: 'later',
        cause: error,
        hint: 'check the address, what lies between, and that the server runs',
      },
    );
  } finally {
    clearTimeout(timer);
  }
}

/** BP_TRANSPORT */
export function transportError(scheme: string, problem: string, cause: unknown): BackpackError {
  return new BackpackError('BP_TRANSPORT', `the transport for ${scheme}:// ${problem}`, {
    kind: 'config',
    hint: 'check the extensions of the config file; docs/extensions.md says what a transport has to export',
    cause,
  });
}
