/**
 * The secrets of one repository and the keys they give (SPEC, "Keys"). Roots are held as KeyObjects, so that they
 * can be handed to worker threads without a copy in ordinary memory.
 */
import {
  createHmac,
  createPrivateKey,
  createPublicKey,
  createSecretKey,
  diffieHellman,
  type KeyObject,
} from 'node:crypto';
import { fromHex } from '../base/bytes.ts';
import {
  type ContainerKey,
  containerKeyOf,
  type DedupKeys,
  dedupKeysOf,
  derive,
  keyIdOf,
} from '../codec/kdf.ts';
import { formatHeaderStart, type Header, noKem, rootWriter } from '../format/header.ts';
import type { KeyFile } from '../format/key-file.ts';
import { reject } from '../format/reject.ts';

/** What a worker thread needs to build the same keyring. */
export interface KeyringData {
  readonly repo: string | undefined;
  readonly roots: readonly KeyObject[];
  readonly dedup: KeyObject | undefined;
  readonly chunk: KeyObject | undefined;
}

/** All roots of a key file; the first one is used for writing. */
export class Keyring {
  /** Key id of the root that new containers use, 16 hex. */
  readonly keyid: string;
  readonly data: KeyringData;
  readonly dedupKeys: DedupKeys;
  #repo: string | undefined;
  readonly #roots: ReadonlyMap<string, KeyObject>;

  constructor(data: KeyringData) {
    this.data = data;
    this.#repo = data.repo;
    this.#roots = new Map(data.roots.map((root) => [keyIdOf(root), root]));
    this.keyid = keyIdOf(data.roots[0]!);
    this.dedupKeys = dedupKeysOf(data.roots[0]!, {
      dedup: data.dedup?.export(),
      chunk: data.chunk?.export(),
    });
  }

  /** The keyring of a key file. */
  static of(file: KeyFile): Keyring {
    const secret = (bytes: Buffer | undefined): KeyObject | undefined => bytes && createSecretKey(bytes);
    return new Keyring({
      repo: file.repo,
      roots: [file.root, ...file.old].map((root) => createSecretKey(root)),
      dedup: secret(file.dedup),
      chunk: secret(file.chunk),
    });
  }

  /** Repository id, 32 hex; undefined until a raw key file has opened its first container. */
  get repo(): string | undefined {
    return this.#repo;
  }

  /** Whether a container or repository with this key id can be opened. */
  has(keyid: string): boolean {
    return this.#roots.has(keyid);
  }

  /**
   * Key and commitment for a header read from storage.
   * @throws BackpackError E_REPO, E_KEY, E_COMMIT, E_KEM
   */
  open(header: Header): KeyObject {
    if (this.#repo !== undefined && header.repo !== this.#repo) {
      throw reject('E_REPO', `the object belongs to repository ${header.repo}`);
    }
    const root = this.#roots.get(header.keyid);
    if (root === undefined)
      throw reject('E_KEY', `no key with id ${header.keyid} is at hand`, { keyid: header.keyid });
    const found = containerKeyOf(baseSecret(root, header), header.kind, formatHeaderStart(header));
    // The commitment is public, so an early exit of the comparison tells nothing.
    if (found.commit !== header.commit) throw reject('E_COMMIT', 'the header does not fit its commitment');
    this.#repo ??= header.repo;
    return found.key;
  }

  /** Key and commitment for a new container of a holder of the root. */
  forWriting(start: Omit<Header, 'commit'>): ContainerKey {
    return containerKeyOf(this.#roots.get(this.keyid)!, start.kind, formatHeaderStart(start));
  }
}

/** B of SPEC "Keys": the root, or for a write-only writer's container the secret of section "Write-only writers". */
export function baseSecret(
  root: KeyObject,
  header: Pick<Header, 'kind' | 'writer' | 'kem'>,
): KeyObject | Uint8Array {
  if (header.writer === rootWriter) return root;
  const writerSecret = derive(root, `writer ${header.writer}`).subarray(0, 32);
  if (header.kem === noKem) return writerSecret;
  const privateKey = createPrivateKey({
    key: Buffer.concat([pkcs8, derive(root, 'x25519').subarray(0, 32)]),
    format: 'der',
    type: 'pkcs8',
  });
  const own = createPublicKey(privateKey).export({ format: 'der', type: 'spki' }).subarray(-32);
  const kem = fromHex(header.kem);
  const psk = derive(writerSecret, 'psk').subarray(0, 32);
  return createHmac('sha512', Buffer.concat([psk, kem, own]))
    .update(sharedSecret(privateKey, kem))
    .digest();
}

function sharedSecret(privateKey: KeyObject, kem: Buffer): Buffer {
  try {
    const publicKey = createPublicKey({ key: Buffer.concat([spki, kem]), format: 'der', type: 'spki' });
    const shared = diffieHellman({ privateKey, publicKey });
    if (shared.some((byte) => byte !== 0)) return shared;
  } catch {
    // OpenSSL itself refuses points of low order.
  }
  throw reject('E_KEM', 'the ephemeral public key is not acceptable');
}

/** DER before the 32 bytes of an X25519 private and public key (RFC 8410). */
const pkcs8 = fromHex('302e020100300506032b656e04220420');
const spki = fromHex('302a300506032b656e032100');
