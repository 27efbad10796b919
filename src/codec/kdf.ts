/**
 * Key derivation (SPEC, "Keys"): HKDF-Expand-SHA512 with L = 64, which is one HMAC, so that a shell can do it with
 * one `openssl dgst`. Every label begins with `backpack/1 `.
 */
import { createHmac, createSecretKey, type KeyObject, timingSafeEqual } from 'node:crypto';

const one = Buffer.of(1);

/** `HMAC-SHA512(prk, info || 0x01)`, 64 bytes (RFC 5869, section 2.3, first block). */
export function expand(prk: Uint8Array | KeyObject, info: Uint8Array): Buffer {
  return createHmac('sha512', prk).update(info).update(one).digest();
}

/** {@link expand} with `backpack/1 ` and a label. */
export function derive(prk: Uint8Array | KeyObject, label: string): Buffer {
  return expand(prk, Buffer.from(`backpack/1 ${label}`, 'latin1'));
}

/** Public 8-byte id of a root, as 16 hex digits. */
export function keyIdOf(root: Uint8Array | KeyObject): string {
  return derive(root, 'keyid').toString('hex', 0, 8);
}

/** K_dedup and K_chunker (SPEC, "Keys"), and the public name `dd` of K_dedup. */
export interface DedupKeys {
  readonly dedup: KeyObject;
  readonly chunker: Buffer;
  readonly dd: string;
}

/** The dedup keys of a root, or those that a rotated key file carries over. */
export function dedupKeysOf(
  root: Uint8Array | KeyObject,
  carried: { readonly dedup: Uint8Array | undefined; readonly chunk: Uint8Array | undefined },
): DedupKeys {
  const dedup = carried.dedup ?? derive(root, 'dedup').subarray(0, 32);
  return {
    dedup: createSecretKey(dedup),
    chunker: Buffer.from(carried.chunk ?? derive(root, 'chunker').subarray(0, 32)),
    dd: derive(dedup, 'dedup id').toString('hex', 0, 8),
  };
}

/** Key and commitment of one container. */
export interface ContainerKey {
  readonly key: KeyObject;
  /** 64 hex digits, the `commit=` line. */
  readonly commit: string;
}

/** Key and commitment from a base secret, the container's kind and the first 440 bytes of its header. */
export function containerKeyOf(base: Uint8Array | KeyObject, kind: string, header: Uint8Array): ContainerKey {
  const okm = expand(derive(base, kind).subarray(0, 32), header.subarray(0, 440));
  return { key: createSecretKey(okm.subarray(0, 32)), commit: okm.toString('hex', 32) };
}

/** Compares two commitments in constant time. */
export function sameCommit(a: string, b: string): boolean {
  return a.length === b.length && timingSafeEqual(Buffer.from(a, 'latin1'), Buffer.from(b, 'latin1'));
}
