// Key schedule, key files, wrapped keys, chunker. Every value comes out of a chain a reader repeats.
import { createCipheriv } from 'node:crypto';
import { concat, hex, Random, sha256, text } from '../lib/bytes.mjs';
import { cutPoints, gearTable } from '../lib/chunker.mjs';
import { headerText } from '../lib/container.mjs';
import { keyFile, wrapKey, writerFile } from '../lib/keyfile.mjs';
import * as keys from '../lib/keys.mjs';
import { xxh64hex } from '../lib/xxh.mjs';

const ROOT = Buffer.from(Array.from({ length: 32 }, (_, i) => i));
const REPO = '00112233445566778899aabbccddeeff';
const WRITER = '00c0ffee00c0ffee';

const derive = (what, fn, fields, payload) => ({
  what,
  type: 'kdf',
  expect: 'accept',
  function: fn,
  ...fields,
  payload,
});

const header = (name, fields) =>
  headerText({
    kind: 'data',
    repo: REPO,
    keyid: keys.keyidOf(ROOT),
    writer: keys.ZERO_WRITER,
    id: new Random(name).id(1700000000000),
    kem: '0'.repeat(64),
    flags: 0,
    ...fields,
  });

const chunk = (what, length) => (name) => {
  const bytes = new Random(name).bytes(length);
  const kDedup = keys.dedupKey(ROOT);
  return derive(
    what,
    'chunk-identity',
    { 'in-dedup-key': hex(kDedup), 'out-xxh64': xxh64hex(bytes), 'out-g': keys.gmac(kDedup, bytes) },
    bytes,
  );
};

/** Test data too large to store: the AES-256-CTR keystream of an all-zero key and counter, or zero bytes. */
const keystream = (length) =>
  createCipheriv('aes-256-ctr', Buffer.alloc(32), Buffer.alloc(16)).update(Buffer.alloc(length));

const cuts = (what, data, bytes) => {
  const kChunker = keys.chunkerKey(ROOT);
  return derive(what, 'cut-points', {
    'in-chunker-key': hex(kChunker),
    'in-data': data,
    'in-data-sha256': sha256(bytes),
    'out-cuts': cutPoints(kChunker, bytes).join(' '),
  });
};

const keyfile = (what, payload, expect, fields) => ({ what, type: 'keyfile', expect, ...fields, payload });
const opened = { 'out-root': hex(ROOT), 'out-keyid': keys.keyidOf(ROOT), 'out-repo': REPO };
const usual = { root: ROOT, repo: REPO };

const wrapped =
  (what, expect, patch, passphrase = 'correct horse') =>
  (name) => {
    const { kek, json } = wrapKey({
      root: ROOT,
      passphrase: 'correct horse',
      salt: new Random(name).bytes(16),
      N: 32768,
    });
    const good = expect === 'accept' ? { 'out-kek': hex(kek), 'out-root': hex(ROOT) } : {};
    const fields = { 'in-passphrase': passphrase, ...good };
    return {
      what,
      type: 'wrapped-key',
      expect,
      ...fields,
      payload: text(`${JSON.stringify({ ...json, ...patch?.(json) })}\n`),
    };
  };

const lacking = (name) => () => {
  const lines = keyFile(usual).toString().split('\n');
  const kept = lines.filter((line) => !line.startsWith(`${name}=`));
  return keyfile(`no ${name}= line`, text(kept.join('\n')), 'E_KEY');
};

export default {
  keyid: () => derive('key id of a root', 'keyid', { 'in-root': hex(ROOT), 'out-keyid': keys.keyidOf(ROOT) }),
  'class-keys': () =>
    derive('the class key of every kind, B being the root', 'class-keys', {
      'in-base': hex(ROOT),
      ...Object.fromEntries(keys.KINDS.map((kind) => [`out-${kind}`, hex(keys.label(ROOT, kind))])),
    }),
  'container-key': (name) => {
    const top = header(name);
    const { key, commit } = keys.containerKeys(ROOT, 'data', top);
    const fields = {
      'in-base': hex(ROOT),
      'in-kind': 'data',
      'out-key': hex(key),
      'out-commit': hex(commit),
    };
    return derive(
      'container key and commitment from the first 440 bytes of a header',
      'container-key',
      fields,
      top,
    );
  },
  'container-key-snap': (name) => {
    const top = header(name, { kind: 'snap' });
    const { key, commit } = keys.containerKeys(ROOT, 'snap', top);
    const fields = {
      'in-base': hex(ROOT),
      'in-kind': 'snap',
      'out-key': hex(key),
      'out-commit': hex(commit),
    };
    return derive('the same for a snapshot', 'container-key', fields, top);
  },
  nonces: () =>
    derive('nonces of records 0, 1, 2^32-1 and of the table', 'nonces', {
      'out-record-0': hex(keys.nonce(0, 0)),
      'out-record-1': hex(keys.nonce(0, 1)),
      'out-record-4294967295': hex(keys.nonce(0, 4294967295)),
      'out-table': hex(keys.nonce(1, 0)),
    }),
  'dedup-and-chunker': () => {
    const kDedup = keys.dedupKey(ROOT);
    const fields = {
      'in-secret': hex(ROOT),
      'out-dedup-key': hex(kDedup),
      'out-dd': keys.dedupId(kDedup),
      'out-chunker-key': hex(keys.chunkerKey(ROOT)),
    };
    return derive('K_dedup, dd and K_chunker of a root', 'dedup-and-chunker', fields);
  },
  'dedup-and-chunker-writer': () => {
    const secret = keys.writerSecret(ROOT, WRITER);
    const kDedup = keys.dedupKey(secret);
    const fields = {
      'in-secret': hex(secret),
      'out-dedup-key': hex(kDedup),
      'out-dd': keys.dedupId(kDedup),
      'out-chunker-key': hex(keys.chunkerKey(secret)),
    };
    return derive('K_dedup, dd and K_chunker of a writer secret', 'dedup-and-chunker', fields);
  },
  'chunk-1': chunk('identity of a chunk of 1 byte', 1),
  'chunk-16': chunk('identity of a chunk of one cipher block', 16),
  'chunk-31': chunk('identity of a chunk one byte short of an XXH64 stripe', 31),
  'chunk-32': chunk('identity of a chunk of one XXH64 stripe', 32),
  'chunk-1007': chunk('identity of a chunk with 8, 4, 2 and 1 bytes behind the last stripe', 1007),
  gear: () => {
    const table = gearTable(keys.chunkerKey(ROOT));
    const value = (i) =>
      table
        .readBigUInt64LE(8 * i)
        .toString(16)
        .padStart(16, '0');
    const fields = {
      'in-chunker-key': hex(keys.chunkerKey(ROOT)),
      'out-first': value(0),
      'out-last': value(255),
      'out-sha256': sha256(table),
    };
    return derive('gear table: its SHA-256, its first and its last value', 'gear-table', fields);
  },
  'cuts-keystream': () =>
    cuts('cut points of 12 MiB of keystream', 'keystream 12582912', keystream(12582912)),
  'cuts-zeros': () =>
    cuts(
      'cut points of 9 MiB of zeros: no candidate, cuts at the maximum',
      'zeros 9437184',
      Buffer.alloc(9437184),
    ),
  'cuts-short': () =>
    cuts('a file shorter than the minimum is one chunk', 'keystream 262143', keystream(262143)),
  'x25519-chain': (name) => {
    const secret = new Random(name).bytes(32);
    const own = keys.writerSecret(ROOT, WRITER);
    const priv = keys.label(ROOT, 'x25519');
    const xPub = keys.x25519Public(priv);
    const E = keys.x25519Public(secret);
    const shared = keys.x25519(secret, xPub);
    return derive('a write-only container: from root, writer and ephemeral secret to B', 'writer-base', {
      'in-root': hex(ROOT),
      'in-writer': WRITER,
      'in-ephemeral': hex(secret),
      'out-x-priv': hex(priv),
      'out-x-pub': hex(xPub),
      'out-writer-secret': hex(own),
      'out-kem': hex(E),
      'out-shared': hex(shared),
      'out-psk': hex(keys.label(own, 'psk')),
      'out-base': hex(keys.kemBase(own, E, xPub, shared)),
    });
  },
  'writer-file': () => {
    const payload = writerFile({ ...usual, writer: WRITER });
    const values = Object.fromEntries(
      payload
        .toString()
        .trim()
        .split('\n')
        .slice(1)
        .map((line) => line.split('=')),
    );
    const fields = Object.fromEntries(Object.entries(values).map(([key, value]) => [`out-${key}`, value]));
    return {
      what: 'a write-only writer file and what it holds',
      type: 'writerfile',
      expect: 'accept',
      'in-root': hex(ROOT),
      ...fields,
      payload,
    };
  },
  'keyfile-text': () => keyfile('key file, text form', keyFile(usual), 'accept', opened),
  'keyfile-crlf': () =>
    keyfile('key file, text form with CRLF', keyFile({ ...usual, eol: '\r\n' }), 'accept', opened),
  'keyfile-raw': () =>
    keyfile('key file of exactly 32 raw bytes', ROOT, 'accept', { ...opened, 'out-repo': undefined }),
  'keyfile-unknown-line': () =>
    keyfile(
      'an unknown name= line is ignored',
      keyFile({ ...usual, extra: ['colour=green'] }),
      'accept',
      opened,
    ),
  'keyfile-kit': (name) => {
    const kit = [hex(new Random(name).bytes(32)), hex(new Random(`${name}/2`).bytes(32))];
    return keyfile('two kit= lines', keyFile({ ...usual, kit }), 'accept', {
      ...opened,
      'out-kit': kit.join(' '),
    });
  },
  'keyfile-rotated': (name) => {
    const old = [new Random(name).bytes(32), new Random(`${name}/older`).bytes(32)];
    const kDedup = keys.dedupKey(old[1]);
    const chunk = keys.chunkerKey(old[1]);
    const fields = {
      'out-old': old.map(hex).join(' '),
      'out-old-keyids': old.map(keys.keyidOf).join(' '),
      'out-dedup-key': hex(kDedup),
      'out-dd': keys.dedupId(kDedup),
      'out-chunker-key': hex(chunk),
    };
    return keyfile(
      'after two rotations: old=, dedup= and chunk=',
      keyFile({ ...usual, old, dedup: kDedup, chunk }),
      'accept',
      { ...opened, ...fields },
    );
  },
  'keyfile-typing-error': () => {
    const root = Buffer.from(ROOT);
    root[7] ^= 0x40;
    return keyfile(
      'one digit of root= is wrong: keyid does not fit',
      keyFile({ root, repo: REPO, keyid: keys.keyidOf(ROOT) }),
      'E_KEY',
      { 'repair-root': hex(ROOT) },
    );
  },
  'keyfile-no-root': lacking('root'),
  'keyfile-no-repo': lacking('repo'),
  'keyfile-no-keyid': lacking('keyid'),
  'keyfile-short-root': () =>
    keyfile(
      'root= of 62 digits',
      text(keyFile(usual).toString().replace(hex(ROOT), hex(ROOT).slice(2))),
      'E_KEY',
    ),
  'keyfile-31-bytes': () =>
    keyfile(
      '31 bytes that are no text form',
      ROOT.subarray(1).map((byte) => byte | 0x80),
      'E_KEY',
    ),
  'keyfile-version-2': () =>
    keyfile(
      'first line BACKPACK-KEY 2',
      text(keyFile(usual).toString().replace('KEY 1', 'KEY 2')),
      'E_MAJOR',
    ),
  'keyfile-too-long': () =>
    keyfile(
      '65,537 bytes',
      concat(keyFile(usual), text(`note=${'x'.repeat(65536 - 5 - keyFile(usual).length)}\n`)),
      'E_LIMIT',
    ),
  'wrapped-key': wrapped('scrypt and RFC 3394 wrap', 'accept'),
  'wrapped-key-utf8': (name) => {
    const { kek, json } = wrapKey({
      root: ROOT,
      passphrase: 'pâté 鍵',
      salt: new Random(name).bytes(16),
      N: 32768,
      p: 2,
    });
    const fields = { 'in-passphrase': 'pâté 鍵', 'out-kek': hex(kek), 'out-root': hex(ROOT) };
    return {
      what: 'a passphrase outside ASCII, p = 2',
      type: 'wrapped-key',
      expect: 'accept',
      ...fields,
      payload: text(`${JSON.stringify(json)}\n`),
    };
  },
  'wrapped-key-wrong-passphrase': wrapped('the wrong passphrase', 'E_KEY', undefined, 'incorrect horse'),
  'wrapped-key-damaged': wrapped('one bit of the wrapped key flipped', 'E_KEY', (json) => ({
    wrapped: json.wrapped.slice(0, -1) + (Number.parseInt(json.wrapped.at(-1), 16) ^ 1).toString(16),
  })),
  'wrapped-key-other-keyid': wrapped('the wrap opens but keyid is another', 'E_KEY', () => ({
    keyid: '0123456789abcdef',
  })),
  'wrapped-key-n-low': wrapped('N below 2^15', 'E_LIMIT', () => ({ N: 16384 })),
  'wrapped-key-n-high': wrapped('N above 2^20', 'E_LIMIT', () => ({ N: 2097152 })),
  'wrapped-key-n-odd': wrapped('N is no power of two', 'E_LIMIT', () => ({ N: 32769 })),
  'wrapped-key-r': wrapped('r is not 8', 'E_LIMIT', () => ({ r: 16 })),
  'wrapped-key-p': wrapped('p above 4', 'E_LIMIT', () => ({ p: 5 })),
};
