/** Opening a root that lies under a passphrase (SPEC, "Wrapped key"): scrypt, then AES key wrap (RFC 3394). */
import { createDecipheriv, scrypt } from 'node:crypto';

/** Cost of scrypt; the caller has checked it against the limits of the format. */
export interface ScryptCost {
  readonly N: number;
  readonly r: number;
  readonly p: number;
}

/** The 32 bytes under which a root is wrapped. */
export function passphraseKey(passphrase: string, salt: Uint8Array, cost: ScryptCost): Promise<Buffer> {
  const options = { ...cost, maxmem: 128 * cost.N * cost.r * (cost.p + 1) };
  return new Promise((resolve, reject) => {
    scrypt(Buffer.from(passphrase, 'utf8'), salt, 32, options, (error, key) => {
      if (error === null) resolve(key);
      else reject(error);
    });
  });
}

const defaultIv = Buffer.alloc(8, 0xa6);

/** Unwraps 32 bytes; undefined when the key is wrong or the bytes are damaged. */
export function unwrapKey(kek: Uint8Array, wrapped: Uint8Array): Buffer | undefined {
  const decipher = createDecipheriv('id-aes256-wrap', kek, defaultIv);
  try {
    return Buffer.concat([decipher.update(wrapped), decipher.final()]);
  } catch {
    return undefined;
  }
}
