/**
 * The only caller of AES-GCM (SPEC, "Records" and "Keys"). Tags are always 16 bytes, the associated data is always
 * empty, and plaintext is handed on only after the tag has been checked.
 * It must never seal twice under one (key, nonce): callers count ordinals, and each container has its own key.
 */
import { type CipherGCM, createCipheriv, createDecipheriv, type KeyObject } from 'node:crypto';
import { BackpackError } from '../base/errors.ts';
import { tagBytes } from '../base/limits.ts';

/** Nonce domain of a record (counter = its ordinal). */
export const recordDomain = 0;
/** Nonce domain of the table (counter 0). */
export const tableDomain = 1;
/** Nonce domain of a frame on the network (docs/protocol.md): its key seals nothing else. */
const frameDomain = 2;

/** Pieces of this size keep the output of `update` off freshly mapped pages: twice the speed of 1 MiB pieces. */
const pieceBytes = 65_536;
const nonce = Buffer.alloc(12);
const gmacNonce = Buffer.alloc(12);
const options = { authTagLength: tagBytes } as const;

function setNonce(domain: number, counter: number): Buffer {
  nonce.writeUInt32BE(domain, 0);
  nonce.writeUInt32BE(Math.floor(counter / 2 ** 32), 4);
  nonce.writeUInt32BE(counter >>> 0, 8);
  return nonce;
}

/**
 * Seals `plain` and hands out the ciphertext in pieces, the tag last.
 * @param emit called with each piece in order; the piece may be kept.
 */
export function seal(
  key: KeyObject,
  domain: number,
  counter: number,
  plain: Uint8Array,
  emit: (piece: Uint8Array) => void,
): void {
  const cipher = createCipheriv('aes-256-gcm', key, setNonce(domain, counter), options);
  for (let at = 0; at < plain.byteLength; at += pieceBytes) {
    emit(cipher.update(plain.subarray(at, Math.min(at + pieceBytes, plain.byteLength))));
  }
  cipher.final();
  emit(cipher.getAuthTag());
}

/**
 * Opens `sealed` (ciphertext, then tag) into `into`, which is wiped when the tag is wrong.
 * @returns length of the plaintext, bytes.
 * @throws BackpackError E_TAG
 */
export function open(
  key: KeyObject,
  domain: number,
  counter: number,
  sealed: Uint8Array,
  into: Uint8Array,
): number {
  const length = sealed.byteLength - tagBytes;
  if (length < 0 || into.byteLength < length) throw tagError('too short');
  const decipher = createDecipheriv('aes-256-gcm', key, setNonce(domain, counter), options);
  decipher.setAuthTag(sealed.subarray(length));
  for (let at = 0; at < length; at += pieceBytes) {
    into.set(decipher.update(sealed.subarray(at, Math.min(at + pieceBytes, length))), at);
  }
  try {
    decipher.final();
  } catch {
    into.fill(0, 0, length);
    throw tagError('the bytes are not what was written');
  }
  return length;
}

/** GMAC-AES-256 of a chunk under the fixed nonce 0 (SPEC, "Dedup identity"): a secret universal hash, not a MAC. */
export function gmac(key: KeyObject, chunk: Uint8Array): Buffer {
  const cipher = createCipheriv('aes-256-gcm', key, gmacNonce, options);
  cipher.setAAD(chunk);
  cipher.final();
  return cipher.getAuthTag();
}

/**
 * GMAC-AES-256 of one frame (docs/protocol.md). Each direction has a key and counts its frames, so a nonce is never
 * used twice.
 */
export class FrameMac {
  readonly #cipher: CipherGCM;

  constructor(key: KeyObject, counter: number) {
    this.#cipher = createCipheriv('aes-256-gcm', key, setNonce(frameDomain, counter), options);
  }

  /** Adds bytes; how they are split makes no difference. */
  update(bytes: Uint8Array): void {
    if (bytes.byteLength > 0) this.#cipher.setAAD(bytes);
  }

  /** The tag, 16 bytes. Call once, last. */
  tag(): Buffer {
    this.#cipher.final();
    return this.#cipher.getAuthTag();
  }
}

function tagError(reason: string): BackpackError {
  return new BackpackError('E_TAG', `authentication failed: ${reason}`, {
    kind: 'damaged',
    context: { reason },
  });
}
