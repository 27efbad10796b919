/**
 * Wrapped keys, `keys/<keyid>-<8 hex>.json` (SPEC, "Wrapped key"): the root under a passphrase. The cost of scrypt is
 * bounded before any work is done, because the file comes from a storage that is not trusted.
 */
import { fromHex } from '../base/bytes.ts';
import { keyFileMax } from '../base/limits.ts';
import { keyIdOf } from '../codec/kdf.ts';
import { passphraseKey, unwrapKey } from '../codec/key-wrap.ts';
import { isWrappedKey, schemaCode, schemaError, type WrappedKey } from '../schema/index.ts';
import { decodeText, linesOf, parseHead } from './json-lines.ts';
import { reject } from './reject.ts';

/** Parses a wrapped key; nothing is derived yet. @throws BackpackError E_JSON, E_NEED, E_LIMIT */
export function parseWrappedKey(bytes: Uint8Array): WrappedKey {
  if (bytes.byteLength > keyFileMax) throw reject('E_LIMIT', 'the wrapped key is larger than 64 KiB');
  const [line, more] = [...linesOf(decodeText(bytes))];
  if (line === undefined || more !== undefined) throw reject('E_JSON', 'a wrapped key is one line of JSON');
  const value = parseHead(line, 'wrapped-key');
  if (isWrappedKey(value)) return value;
  throw reject(schemaCode('wrappedKey'), `a wrong wrapped key: ${schemaError('wrappedKey')}`);
}

/**
 * The root in a wrapped key.
 * @throws BackpackError E_KEY when the passphrase is wrong or the file is damaged, and what {@link parseWrappedKey} throws
 */
export async function openWrappedKey(bytes: Uint8Array, passphrase: string): Promise<Buffer> {
  const { keyid, N, r, p, salt, wrapped } = parseWrappedKey(bytes);
  const root = unwrapKey(await passphraseKey(passphrase, fromHex(salt), { N, r, p }), fromHex(wrapped));
  if (root !== undefined && keyIdOf(root) === keyid) return root;
  throw reject('E_KEY', 'the passphrase is wrong, or the wrapped key is damaged');
}
