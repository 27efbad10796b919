// Section 4: the key schedule. Only HMAC-SHA512 and X25519 from node:crypto.
import { createCipheriv, createHmac, createPrivateKey, createPublicKey, diffieHellman } from 'node:crypto';
import { concat, hex, text, u32be, u64be, unhex } from './bytes.mjs';

export const KINDS = ['data', 'meta', 'snap', 'indx', 'move', 'mark', 'drop'];
export const ZERO_WRITER = '0'.repeat(16);

export const hmac = (key, ...message) =>
  createHmac('sha512', key)
    .update(concat(...message))
    .digest();

/** HKDF-Expand with L = 64: one HMAC call. */
export const expand = (prk, info) => hmac(prk, info, Buffer.from([1]));
export const label = (prk, name) => expand(prk, text(`backpack/1 ${name}`)).subarray(0, 32);

export const keyidOf = (root) => hex(label(root, 'keyid').subarray(0, 8));
export const dedupKey = (secret) => label(secret, 'dedup');
export const chunkerKey = (secret) => label(secret, 'chunker');
export const dedupId = (kDedup) => hex(label(kDedup, 'dedup id').subarray(0, 8));
export const writerSecret = (root, writer) => label(root, `writer ${writer}`);

/** Container key and commitment from the class key and the first 440 bytes of the header. */
export function containerKeys(base, kind, header) {
  const both = expand(label(base, kind), header.subarray(0, 440));
  return { key: both.subarray(0, 32), commit: both.subarray(32) };
}

/** The nonce of record `counter` (domain 0) or of the table (domain 1, counter 0). */
export const nonce = (domain, counter) => concat(u32be(domain), u64be(counter));

/** C then T, the stored order. */
export function seal(key, iv, plain) {
  const cipher = createCipheriv('aes-256-gcm', key, iv, { authTagLength: 16 });
  return concat(cipher.update(plain), cipher.final(), cipher.getAuthTag());
}

/** g of a chunk. */
export function gmac(kDedup, chunk) {
  const cipher = createCipheriv('aes-256-gcm', kDedup, Buffer.alloc(12), { authTagLength: 16 });
  cipher.setAAD(chunk);
  cipher.final();
  return hex(cipher.getAuthTag());
}

const privateKey = (raw) =>
  createPrivateKey({
    key: concat(unhex('302e020100300506032b656e04220420'), raw),
    format: 'der',
    type: 'pkcs8',
  });
const publicKey = (raw) =>
  createPublicKey({ key: concat(unhex('302a300506032b656e032100'), raw), format: 'der', type: 'spki' });

export const x25519Public = (secret) =>
  createPublicKey(privateKey(secret)).export({ format: 'der', type: 'spki' }).subarray(-32);
export const x25519 = (secret, peer) =>
  diffieHellman({ privateKey: privateKey(secret), publicKey: publicKey(peer) });

/** Section 10: base secret of a data, meta or snap container of a write-only writer. */
export function kemBase(wSecret, ephemeralPublic, xPub, shared) {
  return hmac(concat(label(wSecret, 'psk'), ephemeralPublic, xPub), shared);
}

/** Who writes: a holder of the root, or a write-only writer `w` (16 hex). */
export class Author {
  constructor({ root, repo, writer = ZERO_WRITER, kDedup, kChunker }) {
    const secret = writer === ZERO_WRITER ? root : writerSecret(root, writer);
    this.root = root;
    this.repo = repo;
    this.keyid = keyidOf(root);
    this.writer = writer;
    this.secret = secret;
    this.kDedup = kDedup ?? dedupKey(secret);
    this.kChunker = kChunker ?? chunkerKey(secret);
    this.dd = dedupId(this.kDedup);
    this.xPub = x25519Public(label(root, 'x25519'));
    this.flags = writer === ZERO_WRITER ? 0 : 1;
  }

  /** kem field (hex) and base secret for a new container; `random` gives the ephemeral key. */
  base(kind, random) {
    if (this.flags === 0 || kind === 'indx') return { kem: '0'.repeat(64), base: this.secret };
    const ephemeral = random.bytes(32);
    const E = x25519Public(ephemeral);
    return { kem: hex(E), base: kemBase(this.secret, E, this.xPub, x25519(ephemeral, this.xPub)) };
  }
}
