/**
 * Byte streams to and from other machines: TCP, and TLS 1.3 with certificates of both sides or pinned fingerprints.
 * A TLS channel also gives a value that ties the handshake to it, so that nobody can stand between two channels.
 */
import { connect as connectTcp, createServer, type Server, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import {
  connect as connectTls,
  createServer as createTlsServer,
  type PeerCertificate,
  type TLSSocket,
} from 'node:tls';
import { BackpackError } from '../base/errors.ts';
import { Tap, tapAccepted } from './tap.ts';

/** What TLS needs. Certificates and keys are PEM. */
export interface TlsOptions {
  readonly cert?: string;
  readonly key?: string;
  /** Who may have signed the other side's certificate. */
  readonly ca?: string;
  /** SHA-256 fingerprints (64 hex) of the certificates that are accepted, whoever signed them. */
  readonly fingerprints?: readonly string[];
}

/** A stream, and the value that binds a session to its channel (empty for plain TCP). */
export interface Channel {
  readonly wire: Duplex;
  readonly binding: Buffer;
  /** Address of the other side, for logs. */
  readonly peer: string;
}

/** Where to connect to. */
export interface Address {
  readonly host: string;
  readonly port: number;
  readonly tls: TlsOptions | undefined;
}

const noBinding = Buffer.alloc(0);

/** Connects. @throws BackpackError BP_CONNECTION, BP_TLS, BP_TIMEOUT */
export function dial(address: Address, timeoutMs: number): Promise<Channel> {
  const { host, port, tls } = address;
  return new Promise((resolve, reject) => {
    const socket = tls === undefined ? plain(host, port) : secure(host, port, tls);
    const timer = setTimeout(() => {
      socket.destroy();
      reject(unreachable(address, 'no answer', 'later'));
    }, timeoutMs);
    socket.once('error', (error: NodeJS.ErrnoException) => {
      clearTimeout(timer);
      reject(isTlsError(error) ? tlsError(error.message) : unreachable(address, error.message, 'later'));
    });
    socket.once(tls === undefined ? 'connect' : 'secureConnect', () => {
      clearTimeout(timer);
      try {
        resolve(channelOf(socket, tls));
      } catch (error) {
        socket.destroy();
        reject(error);
      }
    });
  });
}

function plain(host: string, port: number): Socket {
  const tap = new Tap();
  return tap.attach(connectTcp({ host, port, onread: tap.onread }));
}

function secure(host: string, port: number, tls: TlsOptions): TLSSocket {
  const pinned = (tls.fingerprints ?? []).length > 0;
  return connectTls({
    host,
    port,
    minVersion: 'TLSv1.3',
    rejectUnauthorized: !pinned,
    ...(tls.ca === undefined ? {} : { ca: tls.ca }),
    ...(tls.cert === undefined ? {} : { cert: tls.cert }),
    ...(tls.key === undefined ? {} : { key: tls.key }),
  });
}

/** Listens. The caller limits and times connections from the moment it gets one. */
export function listen(
  address: Address,
  accept: (socket: Socket) => void,
  secured: (channel: Channel) => void,
): Promise<Server> {
  const { host, port, tls } = address;
  let server: Server;
  if (tls === undefined) {
    server = createServer({ noDelay: true, keepAlive: true, pauseOnConnect: true }, (accepted) => {
      const socket = tapAccepted(accepted);
      accept(socket);
      if (!socket.destroyed) secured(channelOf(socket, undefined));
    });
  } else {
    const pinned = (tls.fingerprints ?? []).length > 0;
    const made = createTlsServer({
      minVersion: 'TLSv1.3',
      requestCert: true,
      rejectUnauthorized: !pinned,
      handshakeTimeout: 5000,
      ...(tls.ca === undefined ? {} : { ca: tls.ca }),
      ...(tls.cert === undefined ? {} : { cert: tls.cert }),
      ...(tls.key === undefined ? {} : { key: tls.key }),
    });
    made.on('connection', accept);
    made.on('tlsClientError', (_error, socket) => socket.destroy());
    made.on('secureConnection', (socket) => {
      try {
        secured(channelOf(socket, tls));
      } catch {
        socket.destroy();
      }
    });
    server = made;
  }
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen({ host, port, backlog: 511 }, () => {
      server.off('error', reject);
      resolve(server);
    });
  });
}

function channelOf(socket: Socket | TLSSocket, tls: TlsOptions | undefined): Channel {
  socket.setNoDelay(true);
  const peer = `${socket.remoteAddress ?? ''}:${socket.remotePort ?? ''}`;
  if (tls === undefined) return { wire: socket, binding: noBinding, peer };
  const secured = socket as TLSSocket;
  const { fingerprints = [] } = tls;
  if (fingerprints.length > 0) {
    const found = fingerprintOf(secured.getPeerCertificate());
    if (!fingerprints.includes(found)) {
      throw tlsError(found === '' ? 'the other side shows no certificate' : `unknown certificate ${found}`);
    }
  }
  const binding = secured.exportKeyingMaterial(32, 'EXPORTER-backpack-wire-1', noBinding);
  return { wire: socket, binding, peer };
}

/** SHA-256 of a certificate, 64 hex digits; empty when there is none. */
function fingerprintOf(certificate: PeerCertificate | undefined): string {
  return (certificate?.fingerprint256 ?? '').replaceAll(':', '').toLowerCase();
}

function isTlsError(error: NodeJS.ErrnoException): boolean {
  const code = error.code ?? '';
  return code.startsWith('ERR_SSL') || code.startsWith('ERR_TLS') || /CERT|SIGNED|ISSUER|CRL/.test(code);
}

function tlsError(why: string): BackpackError {
  return new BackpackError('BP_TLS', `no secure connection: ${why}`, {
    kind: 'key',
    hint: 'check the files given with --tls and the fingerprint; docs/server.md says how they are made',
  });
}

function unreachable(address: Address, why: string, retry: 'later'): BackpackError {
  const { host, port } = address;
  return new BackpackError('BP_CONNECTION', `cannot connect to ${host}:${port}: ${why}`, {
    kind: 'network',
    retry,
    hint: 'check the address, the network, and that the server runs',
  });
}
