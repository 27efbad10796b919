/**
 * The worked example of SPEC.md, made from fixed "random" bytes: a repository of one data pack, one meta pack and one
 * snapshot. It follows the text of SPEC.md alone and shares no code with src/.
 */
import {
  createCipheriv,
  createHash,
  createHmac,
  createPrivateKey,
  createPublicKey,
  diffieHellman,
  type KeyObject,
  scryptSync,
} from 'node:crypto';
import xxhash from 'xxhash-wasm';

const { h32Raw, h64Raw } = await xxhash();
const xxh64 = (bytes: Uint8Array) => h64Raw(bytes).toString(16).padStart(16, '0');

const ascii = (text: string) => Buffer.from(text, 'latin1');
const count = (first: number, length: number) => Buffer.from(Array.from({ length }, (_, i) => first + i));
const u32le = (value: number) => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
};

/** HKDF-Expand-SHA512, L = 64. */
function expand(prk: Uint8Array, info: Uint8Array): Buffer {
  return createHmac('sha512', prk)
    .update(Buffer.concat([info, Buffer.of(1)]))
    .digest();
}
const derive = (prk: Uint8Array, label: string) => expand(prk, ascii(`backpack/1 ${label}`));

function seal(key: Uint8Array, domain: number, counter: number, plain: Uint8Array): Buffer {
  const nonce = Buffer.alloc(12);
  nonce.writeUInt32BE(domain, 0);
  nonce.writeBigUInt64BE(BigInt(counter), 4);
  const cipher = createCipheriv('aes-256-gcm', key, nonce, { authTagLength: 16 });
  return Buffer.concat([cipher.update(plain), cipher.final(), cipher.getAuthTag()]);
}

function gmac(key: Uint8Array, chunk: Uint8Array): Buffer {
  const cipher = createCipheriv('aes-256-gcm', key, Buffer.alloc(12), { authTagLength: 16 });
  cipher.setAAD(chunk);
  cipher.final();
  return cipher.getAuthTag();
}

/** LZ4 frame of one block, stored raw. */
function rawFrame(plain: Uint8Array): Buffer {
  const size = Buffer.alloc(8);
  size.writeBigUInt64LE(BigInt(plain.length));
  const descriptor = Buffer.concat([Buffer.of(0x68, 0x50), size]);
  const check = (h32Raw(descriptor) >>> 8) & 0xff;
  const block = u32le((0x80000000 | plain.length) >>> 0);
  return Buffer.concat([u32le(0x184d2204), descriptor, Buffer.of(check), block, plain, u32le(0)]);
}

function padme(length: number): number {
  const e = Math.floor(Math.log2(length));
  const step = 2 ** (e - Math.floor(Math.log2(e)) - 1);
  return Math.ceil(length / step) * step;
}

function padding(length: number): Buffer {
  let target = Math.max(4096, padme(length));
  while (target !== length && target - length < 8) target = padme(target + 1);
  const gap = target - length;
  return gap === 0
    ? Buffer.alloc(0)
    : Buffer.concat([u32le(0x184d2a50), u32le(gap - 8), Buffer.alloc(gap - 8)]);
}

const ndjson = (lines: readonly unknown[]) =>
  Buffer.from(lines.map((line) => `${JSON.stringify(line)}\n`).join(''));

const time = Date.UTC(2026, 0, 1);
const idOf = (ms: number, first: number) =>
  ms.toString(16).padStart(12, '0') + count(first, 14).toString('hex');

/** Secrets and what follows from them, in the order of the text. */
const root = count(0, 32);
const repo = count(0x20, 16).toString('hex');
const keyid = derive(root, 'keyid').toString('hex', 0, 8);
const dedupKey = derive(root, 'dedup').subarray(0, 32);
const ddOf = (key: Uint8Array) => derive(key, 'dedup id').toString('hex', 0, 8);
const dd = ddOf(dedupKey);
const chunkerKey = derive(root, 'chunker').subarray(0, 32);

interface Chunk {
  readonly bytes: Buffer;
  readonly hint: unknown;
}

/** Who writes: a holder of the root, or a write-only writer with a key agreement per container. */
interface Author {
  readonly base: Uint8Array;
  readonly dedupKey: Uint8Array;
  readonly writer: string;
  readonly kem: string;
  readonly flags: string;
}

const owner: Author = {
  base: root,
  dedupKey,
  writer: '0'.repeat(16),
  kem: '0'.repeat(64),
  flags: '00000000',
};

const privateKey = (bytes: Uint8Array): KeyObject =>
  createPrivateKey({
    key: Buffer.concat([Buffer.from('302e020100300506032b656e04220420', 'hex'), bytes]),
    format: 'der',
    type: 'pkcs8',
  });
const publicBytes = (key: KeyObject) =>
  createPublicKey(key).export({ format: 'der', type: 'spki' }).subarray(-32);

/** Section 18, for writer w and the ephemeral private key e. */
function writeOnly(w: string, e: Uint8Array): Author {
  const secret = derive(root, `writer ${w}`).subarray(0, 32);
  const reader = privateKey(derive(root, 'x25519').subarray(0, 32));
  const ephemeral = privateKey(e);
  const shared = diffieHellman({ privateKey: ephemeral, publicKey: createPublicKey(reader) });
  const kem = publicBytes(ephemeral);
  const salt = Buffer.concat([derive(secret, 'psk').subarray(0, 32), kem, publicBytes(reader)]);
  return {
    base: createHmac('sha512', salt).update(shared).digest(),
    dedupKey: derive(secret, 'dedup').subarray(0, 32),
    writer: w,
    kem: kem.toString('hex'),
    flags: '00000001',
  };
}

/** One container of plain records. */
function container(kind: string, id: string, records: readonly (readonly Chunk[])[], author = owner) {
  const header = ascii(
    [
      'BACKPACK-CONTAINER 1',
      'Encrypted backup data. How to read it: README.txt in the top folder.',
      'suite=1 HKDF-SHA512 AES-256-GCM LZ4-frames',
      `kind=${kind}`,
      `repo=${repo}`,
      `keyid=${keyid}`,
      `writer=${author.writer}`,
      `id=${id}`,
      `kem=${author.kem}`,
      `flags=${author.flags}`,
      `pad=${'-'.repeat(79)}`,
      '',
    ].join('\n'),
  );
  const classKey = derive(author.base, kind).subarray(0, 32);
  const okm = expand(classKey, header);
  const key = okm.subarray(0, 32);
  const commit = okm.toString('hex', 32);
  const lines: unknown[] = [];
  const frames: Buffer[] = [];
  const stored: Buffer[] = [];
  let end = 512;
  records.forEach((chunks, ordinal) => {
    const plain = Buffer.concat(chunks.map((chunk) => chunk.bytes));
    const frame = rawFrame(plain);
    frames.push(frame);
    stored.push(seal(key, 0, ordinal, frame));
    lines.push(['R', end, frame.length, plain.length]);
    end += frame.length + 16;
    let offset = 0;
    for (const [file, { bytes, hint }] of chunks.entries()) {
      if (hint !== undefined) {
        lines.push(hint);
        lines.push([
          'C',
          offset,
          bytes.length,
          xxh64(bytes),
          gmac(author.dedupKey, bytes).toString('hex'),
          file,
          0,
        ]);
      }
      offset += bytes.length;
    }
  });
  const head = { backpack: 'table', v: 1, records: records.length, end };
  const table = ndjson([kind === 'data' ? { ...head, dd: ddOf(author.dedupKey) } : head, ...lines]);
  const tableFrame = rawFrame(table);
  const size = end + tableFrame.length + 16 + 512;
  const pad = padding(size);
  const tableLength = tableFrame.length + pad.length;
  const above = Buffer.concat([
    header,
    ascii(`commit=${commit}\n`),
    ...stored,
    seal(key, 1, 0, Buffer.concat([tableFrame, pad])),
  ]);
  const trailer = ascii(
    [
      '',
      'BACKPACK-TRAILER 1',
      ...header.toString('latin1').split('\n').slice(3, 10),
      `commit=${commit}`,
      `table=${String(end).padStart(16, '0')} ${String(tableLength).padStart(12, '0')}`,
      `records=${String(records.length).padStart(10, '0')}`,
      `xxh64=${xxh64(above)}`,
      `pad=${'-'.repeat(110)}`,
      'END',
      '',
    ].join('\n'),
  );
  return {
    kind,
    id,
    bytes: Buffer.concat([above, trailer]),
    classKey,
    key,
    commit,
    frames,
    stored,
    table,
    end,
    tableLength,
    pad,
  };
}

/** `bytes` as lines of 44, each with its offset. */
export function hexLines(bytes: Buffer, first: number): string {
  const lines: string[] = [];
  for (let at = 0; at < bytes.length; at += 44) {
    lines.push(
      `${String(first + at).padStart(4, '0')}  ${bytes.toString('hex', at, Math.min(at + 44, bytes.length))}\n`,
    );
  }
  return lines.join('');
}

const hello = Buffer.from('Hello, world!\n');
const bonjour = Buffer.from('Bonjour.\n');
const mtime = '1700000000.000000000';
const contents = [
  { bytes: hello, hint: ['F', 0, 'greetings/en.txt', hello.length, mtime] },
  { bytes: bonjour, hint: ['F', 1, 'greetings/fr.txt', bonjour.length, mtime] },
];
const data = container('data', idOf(time, 0x30), [contents]);
const file = (p: string, bytes: Buffer, offset: number) => ({
  p,
  t: 'f',
  s: bytes.length,
  m: mtime,
  o: '0644',
  x: xxh64(bytes),
  e: [offset === 0 ? [0, 0, 1, bytes.length] : [0, 0, 1, bytes.length, offset]],
});
const page = ndjson([
  { backpack: 'page', v: 1, packs: [data.id] },
  { p: 'greetings', t: 'd', m: mtime, o: '0755' },
  file('greetings/en.txt', hello, 0),
  file('greetings/fr.txt', bonjour, hello.length),
]);
const meta = container('meta', idOf(time + 1, 0x40), [[{ bytes: page, hint: undefined }]]);
const snapId = idOf(time + 2, 0x50);
const snapRoot = ndjson([
  {
    backpack: 'snapshot',
    v: 1,
    id: snapId,
    seq: 1,
    time: '1767225600.000000000',
    end: '1767225600.002000000',
    host: 'example',
    set: 'greetings',
    tags: [],
    pinned: false,
    roots: ['greetings'],
    parents: [],
    prev: null,
    known: [],
    partial: false,
    params: { dedup: 'xxh64+gmac', chunker: 'fastcdc-1', packSize: 67108864 },
    stats: { files: 2, bytes: 23, stored: 8192 },
  },
]);
const snapLines = ndjson([
  ['K', data.id, data.bytes.length],
  ['K', meta.id, meta.bytes.length],
  ['G', 1, 0, 3, 'greetings', 'greetings/fr.txt'],
]);
const snap = container('snap', snapId, [
  [{ bytes: snapRoot, hint: undefined }],
  [{ bytes: snapLines, hint: undefined }],
]);

const hint = JSON.stringify({
  backpack: 'repository',
  v: 1,
  repo,
  features: { incompat: [], roCompat: [], compat: [] },
  keys: [keyid],
  made: '1767225600.000000000',
}).slice(0, -1);

/** root under the passphrase of section 7.2. */
function wrappedKey(): Record<string, unknown> {
  const salt = count(0, 16);
  const cost = { N: 131072, r: 8, p: 1 };
  const kek = scryptSync('correct horse battery staple', salt, 32, { ...cost, maxmem: 256 * 1024 * 1024 });
  const wrap = createCipheriv('id-aes256-wrap', kek, Buffer.alloc(8, 0xa6));
  const wrapped = Buffer.concat([wrap.update(root), wrap.final()]).toString('hex');
  return {
    backpack: 'wrapped-key',
    v: 1,
    keyid,
    kdf: 'scrypt',
    ...cost,
    salt: salt.toString('hex'),
    wrapped,
  };
}

const keyFile = `BACKPACK-KEY 1
This file opens the Backpack repository below. Keep copies offline.
repo=${repo}
keyid=${keyid}
root=${root.toString('hex')}
`;

const packName = (id: string) => `packs/${id.slice(0, 5)}/${id}.bpk`;

/** Names and hex values, 32 bytes to a line. */
function named(values: readonly (readonly [string, string | undefined])[]): string {
  return values.map(([name, hex]) => `${name}\n  ${hex?.replace(/.{64}(?=.)/g, '$&\n  ')}\n`).join('');
}

/** JSON lines with a break before each of `keys`, as SPEC.md wraps them. */
function wrapped(lines: Buffer, keys: string): string {
  return lines.toString().replace(new RegExp(`,(?="(?:${keys})":)`, 'g'), ',\n ');
}

/** Everything that SPEC.md prints or that its recipe reads. */
export const example = {
  data,
  meta,
  snap,
  /** The same contents, written by a write-only writer; not printed. */
  writeOnly: container('data', idOf(time, 0x70), [contents], writeOnly('0102030405060708', count(0x80, 32))),
  keyFile,
  plain: Buffer.concat([hello, bonjour]),
  files: new Map([
    [packName(data.id), data.bytes],
    [packName(meta.id), meta.bytes],
    [`snapshots/20260101T000000Z-${snapId}.bpk`, snap.bytes],
  ]),
  /** Blocks of the worked example by the name behind the fence. */
  blocks: {
    'example-hint': `${hint},"xxh64":"${xxh64(Buffer.from(hint))}"}\n`.replace(
      /,(?="(?:features|made)")/g,
      ',\n ',
    ),
    'example-wrapped': wrapped(ndjson([wrappedKey()]), 'salt|wrapped'),
    'example-keyfile': keyFile,
    'example-keys': named([
      ['root', root.toString('hex')],
      ['E(root, keyid)', derive(root, 'keyid').toString('hex')],
      ['keyid', keyid],
      ['K_dedup', dedupKey.toString('hex')],
      ['dd', dd],
      ['K_chunker', chunkerKey.toString('hex')],
      ['K_data', data.classKey.toString('hex')],
      ['container key', data.key.toString('hex')],
      ['commit', data.commit],
    ]),
    'example-header': data.bytes.toString('latin1', 0, 512),
    'example-record': named([
      ['nonce', '00'.repeat(12)],
      ['frame', data.frames[0]?.toString('hex')],
      ['ciphertext', data.stored[0]?.toString('hex', 0, data.stored[0].length - 16)],
      ['tag', data.stored[0]?.toString('hex', data.stored[0].length - 16)],
    ]),
    'example-table': data.table.toString(),
    'example-body': hexLines(data.bytes.subarray(512, data.bytes.length - 512), 512),
    'example-trailer': data.bytes.toString('latin1', data.bytes.length - 512),
    'example-page': wrapped(page, 'x'),
    'example-root': wrapped(snapRoot, 'time|tags|parents|params|stats'),
    'example-snapshot': snapLines.toString(),
    'example-sha256': [data, meta, snap]
      .map(({ bytes, kind }) => `${kind}  ${createHash('sha256').update(bytes).digest('hex')}\n`)
      .join(''),
  } as Readonly<Record<string, string>>,
};
