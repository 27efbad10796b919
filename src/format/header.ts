/**
 * The 512 bytes of text at the start and at the end of a container (SPEC, "Container").
 * The trailer is a hint and a checksum, never trusted: its numbers are checked before use, and a wrong one can only
 * make a tag fail.
 */
import { blockBytes, tagBytes } from '../base/limits.ts';
import type { Kind } from './names.ts';
import { reject } from './reject.ts';

/** 16 zeros: written by a holder of the root. */
export const rootWriter: string = '0'.repeat(16);
/** 64 zeros: no ephemeral public key. */
export const noKem: string = '0'.repeat(64);

/** The fields of a header. */
export interface Header {
  readonly kind: Kind;
  /** 32 hex. */
  readonly repo: string;
  /** 16 hex. */
  readonly keyid: string;
  /** 16 hex, zeros for a holder of the root. */
  readonly writer: string;
  /** 40 hex. */
  readonly id: string;
  /** 64 hex, zeros or an ephemeral X25519 public key. */
  readonly kem: string;
  /** 8 hex, bit 0 = write-only writer. */
  readonly flags: string;
  /** 64 hex. */
  readonly commit: string;
}

const magic = 'BACKPACK-CONTAINER 1\n';
const about = 'Encrypted backup data. How to read it: README.txt in the top folder.\n';
const suite = 'suite=1 HKDF-SHA512 AES-256-GCM LZ4-frames\n';

/** The first 440 bytes: what key and commitment are derived from. */
export function formatHeaderStart(h: Omit<Header, 'commit'>): Buffer {
  return Buffer.from(
    `${magic}${about}${suite}kind=${h.kind}\nrepo=${h.repo}\nkeyid=${h.keyid}\nwriter=${h.writer}\nid=${h.id}\n` +
      `kem=${h.kem}\nflags=${h.flags}\npad=${'-'.repeat(79)}\n`,
    'latin1',
  );
}

/** All 512 bytes of a header. */
export function formatHeader(h: Header): Buffer {
  return Buffer.concat([formatHeaderStart(h), Buffer.from(`commit=${h.commit}\n`, 'latin1')]);
}

/** The lines after the suite: their length, their grammar, and the code of each (SPEC, "Reason codes"). */
const lineShapes: readonly (readonly [bytes: number, shape: RegExp, code: string])[] = [
  [10, /^kind=(data|meta|snap|indx|move|mark|drop)\n$/, 'E_KIND'],
  [38, /^repo=([0-9a-f]{32})\n$/, 'E_REPO'],
  [23, /^keyid=([0-9a-f]{16})\n$/, 'E_KEY'],
  [24, /^writer=([0-9a-f]{16})\n$/, 'E_FLAG'],
  [44, /^id=([0-9a-f]{40})\n$/, 'E_NAME'],
  [69, /^kem=([0-9a-f]{64})\n$/, 'E_FLAG'],
  [15, /^flags=([0-9a-f]{8})\n$/, 'E_FLAG'],
  [84, /^pad=(-{79})\n$/, 'E_MAGIC'],
  [72, /^commit=([0-9a-f]{64})\n$/, 'E_COMMIT'],
];

/**
 * Parses 512 bytes byte by byte.
 * @throws BackpackError E_TRUNC, E_MAGIC, E_MAJOR, E_SUITE, E_KIND, E_REPO, E_KEY, E_FLAG, E_NAME, E_COMMIT
 */
export function parseHeader(bytes: Uint8Array): Header {
  if (bytes.byteLength < blockBytes) throw reject('E_TRUNC', 'the object is shorter than a header');
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, blockBytes).toString('latin1');
  if (!text.startsWith(magic)) {
    if (/^BACKPACK-CONTAINER [1-9]\d*\n/.test(text))
      throw reject('E_MAJOR', 'unknown major version of the format');
    throw reject('E_MAGIC', 'the object does not begin like a container');
  }
  let at = magic.length;
  if (!text.startsWith(about, at)) throw reject('E_MAGIC', 'the second line of the header was changed');
  at += about.length;
  if (!text.startsWith(suite, at)) throw reject('E_SUITE', 'unknown cipher suite');
  at += suite.length;
  const values = lineShapes.map(([length, shape, code]) => {
    const line = text.slice(at, at + length);
    at += length;
    const value = shape.exec(line)?.[1];
    if (value !== undefined) return value;
    const name = shape.source.slice(1, shape.source.indexOf('='));
    throw reject(code, `the ${name}= line of the header is not written as specified`);
  });
  const [kind, repo, keyid, writer, id, kem, flags, , commit] = values as [Kind, ...string[]];
  const header: Header = {
    kind,
    repo: repo!,
    keyid: keyid!,
    writer: writer!,
    id: id!,
    kem: kem!,
    flags: flags!,
    commit: commit!,
  };
  checkFlags(header);
  return header;
}

/** Only (0,0,0), (w,E,1) for data, meta, snap and (w,0,1) for indx are valid. */
function checkFlags(h: Header): void {
  const hasWriter = h.writer !== rootWriter;
  const hasKem = h.kem !== noKem;
  if (h.flags === '00000000' && !hasWriter && !hasKem) return;
  const kemKinds = h.kind === 'data' || h.kind === 'meta' || h.kind === 'snap';
  const fits = hasWriter && ((kemKinds && hasKem) || (h.kind === 'indx' && !hasKem));
  if (h.flags === '00000001' && fits) return;
  throw reject('E_FLAG', 'flags, writer and kem of the header do not fit together');
}

/** What a trailer says beyond the header. */
export interface TrailerHint {
  /** Offset of the table's ciphertext, bytes. */
  readonly tableOffset: number;
  /** Length of the table's ciphertext without tag, bytes. */
  readonly tableLength: number;
  readonly records: number;
  /** XXH64 of all bytes before the trailer, 16 hex. */
  readonly xxh64: string;
}

/** All 512 bytes of a trailer. */
export function formatTrailer(h: Header, t: TrailerHint): Buffer {
  const decimal = (value: number, width: number): string => String(value).padStart(width, '0');
  return Buffer.from(
    `\nBACKPACK-TRAILER 1\nkind=${h.kind}\nrepo=${h.repo}\nkeyid=${h.keyid}\nwriter=${h.writer}\nid=${h.id}\n` +
      `kem=${h.kem}\nflags=${h.flags}\ncommit=${h.commit}\n` +
      `table=${decimal(t.tableOffset, 16)} ${decimal(t.tableLength, 12)}\nrecords=${decimal(t.records, 10)}\n` +
      `xxh64=${t.xxh64}\npad=${'-'.repeat(110)}\nEND\n`,
    'latin1',
  );
}

const trailerEnd = '-\nEND\n';
const hintShape = /\ntable=(\d{16}) (\d{12})\nrecords=(\d{10})\nxxh64=([0-9a-f]{16})\npad=-{110}\nEND\n$/;

/**
 * Reads the numbers of a trailer and checks them against the object's size.
 * @throws BackpackError E_TRUNC, E_EXTRA, E_TRAILER
 */
export function parseTrailer(bytes: Uint8Array, objectSize: number): TrailerHint {
  if (bytes.byteLength !== blockBytes || objectSize < 2 * blockBytes + tagBytes) {
    throw reject('E_TRUNC', 'the object is shorter than header, table and trailer');
  }
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, blockBytes).toString('latin1');
  const match = hintShape.exec(text);
  if (match === null) {
    const found = text.startsWith('\nBACKPACK-TRAILER 1\n') || text.endsWith(trailerEnd);
    if (found) throw reject('E_TRAILER', 'the trailer is not written as specified');
    if (text.includes(trailerEnd)) throw reject('E_EXTRA', 'the object goes on behind its trailer');
    throw reject('E_TRUNC', 'the object does not end with a trailer');
  }
  const hint: TrailerHint = {
    tableOffset: Number(match[1]),
    tableLength: Number(match[2]),
    records: Number(match[3]),
    xxh64: match[4]!,
  };
  const expected = hint.tableOffset + hint.tableLength + tagBytes + blockBytes;
  if (hint.tableOffset < blockBytes || expected > objectSize) {
    throw reject('E_TRUNC', `the trailer asks for ${expected} bytes, the object has ${objectSize}`);
  }
  if (expected < objectSize)
    throw reject('E_EXTRA', `the object has ${objectSize - expected} bytes too many`);
  return hint;
}
