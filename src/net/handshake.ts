/**
 * The handshake (docs/protocol.md, "Handshake"): version, fresh nonces of both sides, and proof by both that they have
 * the client's access key; then one key per direction for the tags of frames. Nothing is encrypted here: content is
 * sealed before it gets to a storage. An unknown user looks exactly like a wrong key.
 */
import { createHash, createSecretKey, type KeyObject, timingSafeEqual } from 'node:crypto';
import type { Duplex } from 'node:stream';
import { BackpackError } from '../base/errors.ts';
import { KiB } from '../base/limits.ts';
import type { Random } from '../base/ports.ts';
import { derive, expand } from '../codec/kdf.ts';
import { protocolError } from './frame.ts';

/** First bytes of both hellos. */
const magic = Buffer.from('BACKPACK-WIRE\n', 'latin1');
/** The only version so far. */
const version = 1;
/** Bytes of a hello of either side, without the server's proof. */
const helloBytes = 128;
const proofBytes = 32;
const nonceBytes = 32;
const userMax = 64;
/** What stands for the key where none is used: the proofs then prove nothing, and the tags only find damage. */
const noKey: KeyObject = createSecretKey(Buffer.alloc(32));

const userShape = /^[a-z0-9][a-z0-9._-]{0,63}$/;

/** Whether a text can be the name of a user. */
export function isUserName(text: string): boolean {
  return userShape.test(text);
}

/** A server grants at least this window, bytes. */
const windowMin: number = 256 * KiB;

/** What a client shows: who it is, and its key. */
export interface AccessKey {
  readonly user: string;
  /** 32 random bytes. */
  readonly key: KeyObject;
}

/** What the server lets its clients use, told in its hello. */
export interface Terms {
  /** Requests that may be open at once. */
  readonly streamsMax: number;
  /** Bytes of one object that may be on their way without an acknowledgement. */
  readonly windowBytes: number;
  /** How long a connection without a request stays open, ms. */
  readonly idleMs: number;
}

/** Keys of the two directions. */
export interface SessionKeys {
  readonly clientFrames: KeyObject;
  readonly serverFrames: KeyObject;
}

/** Answers of a server that go on, or do not. */
const helloStatus = { ok: 0, version: 1, busy: 2, accessKey: 3 } as const;

/** All values of a handshake. Exported for the vectors. */
export function schedule(
  key: KeyObject | undefined,
  clientHello: Uint8Array,
  serverHello: Uint8Array,
  binding: Uint8Array,
): SessionKeys & { readonly clientProof: Buffer; readonly serverProof: Buffer } {
  const hash = createHash('sha512').update(clientHello).update(serverHello).update(binding).digest();
  const info = Buffer.concat([Buffer.from('backpack/1 net session', 'latin1'), hash]);
  const session = expand(key ?? noKey, info);
  const part = (label: string): Buffer => derive(session, `net ${label}`).subarray(0, 32);
  return {
    clientProof: part('client proof'),
    serverProof: part('server proof'),
    clientFrames: createSecretKey(part('client frames')),
    serverFrames: createSecretKey(part('server frames')),
  };
}

/** The first message of a client. */
export function formatClientHello(user: string, nonce: Uint8Array): Buffer {
  const bytes = Buffer.alloc(helloBytes);
  magic.copy(bytes);
  bytes.writeUInt8(version, 14);
  bytes.writeUInt8(version, 15);
  bytes.set(nonce, 16);
  bytes.write(user, 48, userMax, 'latin1');
  return bytes;
}

/** The answer of a server, without its proof. */
function formatServerHello(status: number, nonce: Uint8Array, terms: Terms): Buffer {
  const bytes = Buffer.alloc(helloBytes);
  magic.copy(bytes);
  bytes.writeUInt8(version, 14);
  bytes.writeUInt8(status, 15);
  bytes.set(nonce, 16);
  bytes.writeUInt32BE(terms.streamsMax, 48);
  bytes.writeUInt32BE(terms.windowBytes, 52);
  bytes.writeUInt32BE(terms.idleMs, 56);
  return bytes;
}

/** Versions and user of a client's hello. @throws BackpackError BP_PROTOCOL */
export function parseClientHello(bytes: Buffer): { lowest: number; highest: number; user: string } {
  if (!bytes.subarray(0, magic.length).equals(magic)) throw protocolError('no hello');
  const user = bytes.toString('latin1', 48, 48 + userMax).replace(/\0+$/, '');
  if (user !== '' && !isUserName(user)) throw protocolError('a user name that cannot be one');
  return { lowest: bytes.readUInt8(14), highest: bytes.readUInt8(15), user };
}

/** What comes out of a handshake. */
export interface Greeted {
  readonly keys: SessionKeys;
  readonly terms: Terms;
}

/**
 * The client's side. `binding` ties the session to a TLS channel, or is empty.
 * @throws BackpackError BP_PROTOCOL, BP_ACCESS_DENIED, BP_SERVER_BUSY
 */
export async function greetServer(
  wire: Duplex,
  access: AccessKey | undefined,
  binding: Uint8Array,
  random: Random,
): Promise<Greeted> {
  const clientHello = formatClientHello(access?.user ?? '', random.bytes(nonceBytes));
  wire.write(clientHello);
  const serverHello = await readExactly(wire, helloBytes);
  if (!serverHello.subarray(0, magic.length).equals(magic)) throw protocolError('no hello');
  const status = serverHello.readUInt8(15);
  if (status !== helloStatus.ok || serverHello.readUInt8(14) !== version) throw refused(status);
  const terms: Terms = {
    streamsMax: serverHello.readUInt32BE(48),
    windowBytes: serverHello.readUInt32BE(52),
    idleMs: serverHello.readUInt32BE(56),
  };
  if (terms.streamsMax < 1 || terms.windowBytes < windowMin) throw protocolError('impossible terms');
  const values = schedule(access?.key, clientHello, serverHello, binding);
  const proof = await readExactly(wire, proofBytes);
  if (!timingSafeEqual(proof, values.serverProof)) throw accessDenied(access?.user);
  wire.write(values.clientProof);
  return { keys: values, terms };
}

/** What a server knows before it answers. */
export interface Gate {
  readonly terms: Terms;
  /** Key of a user; undefined for one that is not known. The empty name has one where clients without may come in. */
  keyOf(user: string): Promise<KeyObject | undefined>;
  /** A key that nobody has, to answer unknown users with. */
  readonly decoy: KeyObject;
}

/**
 * The server's side.
 * @returns the user, empty without a key
 * @throws BackpackError BP_PROTOCOL, BP_ACCESS_DENIED
 */
export async function greetClient(
  wire: Duplex,
  gate: Gate,
  binding: Uint8Array,
  random: Random,
): Promise<Greeted & { readonly user: string }> {
  const clientHello = await readExactly(wire, helloBytes);
  const { lowest, highest, user } = parseClientHello(clientHello);
  const nonce = random.bytes(nonceBytes);
  if (lowest > version || highest < version) {
    wire.end(formatServerHello(helloStatus.version, nonce, gate.terms));
    throw protocolError(`versions ${lowest} to ${highest}`);
  }
  const known = await gate.keyOf(user);
  if (user === '' && known === undefined) {
    wire.end(formatServerHello(helloStatus.accessKey, nonce, gate.terms));
    throw accessDenied(undefined);
  }
  const serverHello = formatServerHello(helloStatus.ok, nonce, gate.terms);
  const key = user === '' ? undefined : (known ?? gate.decoy);
  const values = schedule(key, clientHello, serverHello, binding);
  wire.write(Buffer.concat([serverHello, values.serverProof]));
  const proof = await readExactly(wire, proofBytes);
  if (!timingSafeEqual(proof, values.clientProof) || known === undefined) {
    throw accessDenied(user);
  }
  return { keys: values, terms: gate.terms, user };
}

/** Tells a client that there is no room now. */
export function refuseBusy(wire: Duplex, random: Random, terms: Terms): void {
  wire.end(formatServerHello(helloStatus.busy, random.bytes(nonceBytes), terms));
}

/** Exactly `count` bytes, no more are taken. Rejects when the stream ends or fails first. */
function readExactly(wire: Duplex, count: number): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const finish = (): void => {
      wire.off('readable', look).off('end', ended).off('error', failed).off('close', ended);
    };
    const look = (): void => {
      const bytes = wire.read(count) as Buffer | null;
      if (bytes === null) return;
      finish();
      // At the end of a stream fewer bytes are handed out.
      if (bytes.length === count) resolve(bytes);
      else reject(cutShort());
    };
    const ended = (): void => {
      finish();
      reject(cutShort());
    };
    const failed = (error: Error): void => {
      finish();
      reject(cutShort(error));
    };
    wire.on('readable', look).on('end', ended).on('error', failed).on('close', ended);
    if (wire.destroyed) ended();
    else look();
  });
}

function cutShort(cause?: Error): BackpackError {
  return new BackpackError('BP_CONNECTION', 'the other side closed the connection during the handshake', {
    kind: 'network',
    retry: 'now',
    cause,
    hint: 'check that a Backpack server listens there, then run the command again',
  });
}

function refused(status: number): BackpackError {
  if (status === helloStatus.busy) {
    return new BackpackError('BP_SERVER_BUSY', 'the server has no room for another connection now', {
      kind: 'network',
      retry: 'later',
      hint: 'run the command again later',
    });
  }
  if (status === helloStatus.accessKey) return accessDenied(undefined);
  return protocolError('it has no version of the protocol that this program knows');
}

function accessDenied(user: string | undefined): BackpackError {
  return new BackpackError(
    'BP_ACCESS_DENIED',
    user === undefined || user === ''
      ? 'the server wants an access key'
      : `the server does not know the access key of ${user}, or it is another server`,
    {
      kind: 'key',
      hint: 'give the access key file that backpack serve user add wrote, with --access-key FILE',
    },
  );
}
