#!/usr/bin/env node
// recover.js: reads a Backpack repository with nothing but this file, the key and Node.js 18 or newer.
//
//   node recover.js --key key.bin            lists the snapshots, restores the latest into ./recovered
//   node recover.js --help                   all commands
//
// It shares no code with the backup program. It was written from the specification (SPEC.md, beside this
// file) and follows its order; "section 5" in a comment is section 5 there. Every error has a code (E_...)
// from the specification. It never writes to the repository and never opens a network connection.

'use strict';
const crypto = require('node:crypto');
const fs = require('node:fs');
const path = require('node:path');

// ---------------------------------------------------------------------------------------------------------
// Limits (section 20). Every length is compared with one of these before memory is taken.
// ---------------------------------------------------------------------------------------------------------
const KiB = 1024;
const MiB = 1024 * KiB;
const MAX_CONTAINER = 4096 * MiB;
const MAX_RECORD = 16 * MiB;
const MAX_TABLE = 64 * MiB;
const MAX_PADDING = MiB;
const MAX_PAGE = 2 * MiB;
const MAX_LINE = MiB;
const MAX_DEPTH = 16;
const MAX_PATH = 65535;
const MAX_NAME = 1024;
const MAX_PACKS_PER_PAGE = 16384;
const MAX_MOVES = 8;
const MAX_MARKS = 10000;
const MAX_KEY_FILE = 64 * KiB;
const BLOCK_OVERHEAD = 8; // clen is at most length + 8 per block + 32
const maxClen = (length) => length + BLOCK_OVERHEAD * Math.ceil(length / (64 * KiB)) + 32;

/** How many files may be open (ulimit -n): containers and folders share what is left to them. */
const MAX_OPEN_FILES = (() => {
  try {
    return Number(/^Max open files +(\d+)/m.exec(fs.readFileSync('/proc/self/limits', 'latin1'))[1]);
  } catch {
    return 256;
  }
})();
const openShare = (most) => Math.max(2, Math.min(most, Math.floor((MAX_OPEN_FILES - 26) / 3)));
const MAX_OPEN_FOLDERS = openShare(100);
const MAX_OPEN_CONTAINERS = openShare(64);

const ZERO16 = '0'.repeat(16);
const ZERO64 = '0'.repeat(64);
const ZEROS = Buffer.alloc(256 * KiB);

/** Something the specification gives a code. `where` is filled in by whoever knows object and record. */
class Bad extends Error {
  constructor(code, message, where) {
    super(message);
    this.code = code;
    this.where = where;
  }
}
/** Ends the program: an exit code and the line that says what to do next. */
class Fatal extends Error {
  constructor(code, exit, message, what, next) {
    super(message);
    Object.assign(this, { code, exit, what, next });
  }
}
const check = (ok, code, message) => {
  if (!ok) throw new Bad(code, message);
};

// ---------------------------------------------------------------------------------------------------------
// Section 1: XXH64 (seed 0). 64-bit numbers are pairs of 32-bit halves; BigInt only at the end of a hash.
// ---------------------------------------------------------------------------------------------------------
const M64 = (1n << 64n) - 1n;
const P1 = 0x9e3779b185ebca87n;
const P2 = 0xc2b2ae3d27d4eb4fn;
const P3 = 0x165667b19e3779f9n;
const P4 = 0x85ebca77c2b2ae63n;
const P5 = 0x27d4eb2f165667c5n;
const rotl = (x, n) => ((x << n) | (x >> (64n - n))) & M64;
const round64 = (acc, input) => (rotl((acc + input * P2) & M64, 31n) * P1) & M64;

/**
 * Whole 32-byte stripes (eight words each): lane = rotl(lane + input * P2, 31) * P1. v = [lo, hi] of four
 * lanes, which do not depend on each other, so each goes through all the words by itself: that is fastest.
 */
function xxh64Stripes(v, words, count) {
  for (let i = 0; i < 8; i += 2) {
    let laneLo = v[i];
    let laneHi = v[i + 1];
    for (let q = i; q < count; q += 8) {
      const inLo = words[q];
      // input * P2: high half of inLo * 27d4eb4f in 16-bit steps, then the cross products
      let l0 = inLo & 0xffff;
      let l1 = inLo >>> 16;
      let m = (Math.imul(l1, 0xeb4f) >>> 0) + (Math.imul(l0, 0xeb4f) >>> 16);
      let n = (Math.imul(l0, 0x27d4) >>> 0) + (m & 0xffff);
      const cross = Math.imul(words[q + 1], 0x27d4eb4f) + Math.imul(inLo, 0xc2b2ae3d);
      const hi = (Math.imul(l1, 0x27d4) + (m >>> 16) + (n >>> 16) + cross) | 0;
      const lo = Math.imul(inLo, 0x27d4eb4f);
      // + lane, with carry
      const sumLo = (lo + laneLo) | 0;
      const sumHi = (hi + laneHi + (sumLo >>> 0 < lo >>> 0 ? 1 : 0)) | 0;
      // rotl 31, * P1
      const L = (sumLo << 31) | (sumHi >>> 1);
      const H = (sumHi << 31) | (sumLo >>> 1);
      l0 = L & 0xffff;
      l1 = L >>> 16;
      m = (Math.imul(l1, 0xca87) >>> 0) + (Math.imul(l0, 0xca87) >>> 16);
      n = (Math.imul(l0, 0x85eb) >>> 0) + (m & 0xffff);
      const cross1 = Math.imul(H, 0x85ebca87) + Math.imul(L, 0x9e3779b1);
      laneHi = (Math.imul(l1, 0x85eb) + (m >>> 16) + (n >>> 16) + cross1) | 0;
      laneLo = Math.imul(L, 0x85ebca87);
    }
    v[i] = laneLo;
    v[i + 1] = laneHi;
  }
}
const WORDS = new Int32Array(16384);
const WORD_BYTES = Buffer.from(WORDS.buffer);
const BIG_ENDIAN = new Uint8Array(Int32Array.of(1).buffer)[0] === 0;

/**
 * The same as a WebAssembly module of 224 bytes, about five times as fast; used when it gives the same result.
 *   (module (memory (export "m") 2)                   lanes at 0, 8, 16, 24; data from 64
 *     (func (export "stripes") (param $p i32) (param $end i32) (local $v0 i64) ... $v3, $P1, $P2
 *       load $v0 to $v3
 *       (loop $next
 *         for i = 0 to 3: $vi = (i64.mul (i64.rotl (i64.add $vi (i64.mul (i64.load offset=8i $p) $P2)) 31) $P1)
 *         (br_if $next (i32.lt_u (local.tee $p (i32.add $p 32)) $end)))
 *       store $v0 to $v3))
 */
const WASM = [
  'AGFzbQEAAAABBgFgAn9/AAMCAQAFAwEAAgcPAgFtAgAHc3RyaXBlcwAACrMBAbABAQZ+QoeVr6+Ytt6bnn8hBkLP1tO+0ser2UIh',
  'B0EAKQMAIQJBCCkDACEDQRApAwAhBEEYKQMAIQUDQCACIAApAwAgB358Qh+JIAZ+IQIgAyAAKQMIIAd+fEIfiSAGfiEDIAQgACkD',
  'ECAHfnxCH4kgBn4hBCAFIAApAxggB358Qh+JIAZ+IQUgAEEgaiIAIAFJDQALQQAgAjcDAEEIIAM3AwBBECAENwMAQRggBTcDAAs=',
].join('');
const fastStripes = (() => {
  try {
    const { m, stripes } = new WebAssembly.Instance(new WebAssembly.Module(Buffer.from(WASM, 'base64')))
      .exports;
    const bytes = new Uint8Array(m.buffer);
    const view = new DataView(m.buffer);
    const run = (lanes, data) => {
      for (let i = 0; i < 8; i++) view.setInt32(4 * i, lanes[i], true);
      bytes.set(data, 64);
      stripes(64, 64 + data.length);
      for (let i = 0; i < 8; i++) lanes[i] = view.getInt32(4 * i, true);
    };
    const words = Int32Array.from({ length: 64 }, (_, i) => Math.imul(i + 1, 0x9e3779b1));
    const data = Buffer.alloc(256);
    words.forEach((w, i) => {
      data.writeInt32LE(w, 4 * i);
    });
    const a = Int32Array.from(words.subarray(0, 8));
    const b = Int32Array.from(a);
    run(a, data);
    xxh64Stripes(b, words, words.length);
    return a.join() === b.join() ? run : null;
  } catch {
    return null; // no WebAssembly here
  }
})();

class XXH64 {
  constructor(fast = fastStripes) {
    this.fast = fast;
    this.total = 0;
    this.lanes = new Int32Array(8);
    [(P1 + P2) & M64, P2, 0n, -P1 & M64].forEach((x, i) => {
      this.lanes[2 * i] = Number(x & 0xffffffffn);
      this.lanes[2 * i + 1] = Number(x >> 32n);
    });
    this.rest = Buffer.alloc(32);
    this.have = 0;
  }
  /** Whole stripes, at most 64 KiB at a time. */
  stripes(d, from, end) {
    for (let p = from; p < end; p += WORD_BYTES.length) {
      const data = d.subarray(p, Math.min(end, p + WORD_BYTES.length));
      if (this.fast) {
        this.fast(this.lanes, data);
        continue;
      }
      WORD_BYTES.set(data);
      if (BIG_ENDIAN) WORD_BYTES.subarray(0, data.length).swap32();
      xxh64Stripes(this.lanes, WORDS, data.length / 4);
    }
  }
  update(d) {
    let p = 0;
    this.total += d.length;
    if (this.have) {
      p = Math.min(32 - this.have, d.length);
      this.rest.set(d.subarray(0, p), this.have);
      this.have += p;
      if (this.have < 32) return this;
      this.stripes(this.rest, 0, 32);
    }
    const end = p + ((d.length - p) & ~31);
    this.stripes(d, p, end);
    this.rest.set(d.subarray(end), 0);
    this.have = d.length - end;
    return this;
  }
  zeros(n) {
    for (; n > 0; n -= ZEROS.length) this.update(n < ZEROS.length ? ZEROS.subarray(0, n) : ZEROS);
  }
  /** 16 lower-case hex, what `xxhsum -H1` prints. */
  hex() {
    const lane = (i) => (BigInt(this.lanes[2 * i + 1] >>> 0) << 32n) | BigInt(this.lanes[2 * i] >>> 0);
    let h = P5;
    if (this.total >= 32) {
      const v = [lane(0), lane(1), lane(2), lane(3)];
      h = (rotl(v[0], 1n) + rotl(v[1], 7n) + rotl(v[2], 12n) + rotl(v[3], 18n)) & M64;
      for (const x of v) h = ((h ^ round64(0n, x)) * P1 + P4) & M64;
    }
    h = (h + BigInt(this.total)) & M64;
    const d = this.rest;
    let p = 0;
    for (; p + 8 <= this.have; p += 8) h = (rotl(h ^ round64(0n, d.readBigUInt64LE(p)), 27n) * P1 + P4) & M64;
    if (p + 4 <= this.have) {
      h = (rotl(h ^ ((BigInt(d.readUInt32LE(p)) * P1) & M64), 23n) * P2 + P3) & M64;
      p += 4;
    }
    for (; p < this.have; p++) h = (rotl(h ^ ((BigInt(d[p]) * P5) & M64), 11n) * P1) & M64;
    h = ((h ^ (h >> 33n)) * P2) & M64;
    h = ((h ^ (h >> 29n)) * P3) & M64;
    return (h ^ (h >> 32n)).toString(16).padStart(16, '0');
  }
}
const xxh64 = (bytes) => new XXH64().update(bytes).hex();

// ---------------------------------------------------------------------------------------------------------
// Section 4: names. id = 40 hex = 6 bytes Unix milliseconds + 14 random bytes.
// ---------------------------------------------------------------------------------------------------------
const FOLDER_OF = {
  data: 'packs',
  meta: 'packs',
  snap: 'snapshots',
  indx: 'index',
  move: 'moved',
  mark: 'gc',
  drop: 'drop',
};
const NAME_FORMS = {
  packs: /^packs\/([0-9a-f]{5})\/(\1[0-9a-f]{35})\.bpk$/,
  snapshots: /^snapshots\/(\d{8}T\d{6}Z)-([0-9a-f]{40})\.bpk$/,
  index: /^index\/()([0-9a-f]{40})\.bpk$/,
  moved: /^moved\/([0-9a-f]{40})-([0-9a-f]{40})\.bpk$/,
  gc: /^gc\/()([0-9a-f]{40})\.bpk$/,
  drop: /^drop\/()([0-9a-f]{40})\.bpk$/,
};
const idMillis = (id) => Number.parseInt(id.slice(0, 12), 16);
const shortId = (id) => id.slice(12, 20);
const packName = (id) => `packs/${id.slice(0, 5)}/${id}.bpk`;

/** Object name to { folder, id, first }; `first` is the time of a snapshot or the old id of a moved object. */
function parseName(name) {
  const folder = name.split('/')[0];
  const m = Object.hasOwn(NAME_FORMS, folder) ? NAME_FORMS[folder].exec(name) : null;
  check(m, 'E_NAME', 'no object may have this name');
  if (folder === 'snapshots') {
    const time = `${new Date(idMillis(m[2])).toISOString().replace(/[-:]/g, '').slice(0, 15)}Z`;
    check(time === m[1], 'E_NAME', 'the time in the name is not that of the id');
  }
  return { folder, id: m[2], first: m[1] };
}

// ---------------------------------------------------------------------------------------------------------
// Section 5: header and trailer, 512 bytes of ASCII lines each.
// ---------------------------------------------------------------------------------------------------------
const LINE_1 = 'BACKPACK-CONTAINER 1\n';
const LINE_2 = 'Encrypted backup data. How to read it: README.txt in the top folder.\n';
const LINE_3 = 'suite=1 HKDF-SHA512 AES-256-GCM LZ4-frames\n';
const FIELDS = [
  // field, value, code when the line is not of this form
  ['kind', /data|meta|snap|indx|move|mark|drop/, 4, 'E_KIND'],
  ['repo', /[0-9a-f]{32}/, 32, 'E_REPO'],
  ['keyid', /[0-9a-f]{16}/, 16, 'E_KEY'],
  ['writer', /[0-9a-f]{16}/, 16, 'E_FLAG'],
  ['id', /[0-9a-f]{40}/, 40, 'E_NAME'],
  ['kem', /[0-9a-f]{64}/, 64, 'E_FLAG'],
  ['flags', /[0-9a-f]{8}/, 8, 'E_FLAG'],
].map(([name, form, length, code]) => ({
  name,
  form: new RegExp(`^${name}=(${form.source})\n$`),
  length,
  code,
}));
const HEADER_PAD = `pad=${'-'.repeat(79)}\n`;
const TRAILER_1 = '\nBACKPACK-TRAILER 1\n';
const TRAILER_END = '-\nEND\n';

function parseHeader(bytes) {
  const text = bytes.toString('latin1');
  check(text.startsWith('BACKPACK-CONTAINER '), 'E_MAGIC', 'not a Backpack container');
  check(
    !/^BACKPACK-CONTAINER (?!1\n)\d+\n/.test(text),
    'E_MAJOR',
    'made by a newer major version of the format',
  );
  check(text.startsWith(LINE_1 + LINE_2), 'E_MAGIC', 'the first two lines are not those of a container');
  check(text.startsWith(LINE_3, 90), 'E_SUITE', 'unknown suite');
  const h = {};
  let at = 133;
  for (const f of FIELDS) {
    const end = at + f.name.length + 1 + f.length + 1;
    const m = f.form.exec(text.slice(at, end));
    check(m, f.code, `the header line ${f.name}= is not valid`);
    h[f.name] = m[1];
    at = end;
  }
  check(text.slice(at, 440) === HEADER_PAD, 'E_MAGIC', 'the header line pad= is not valid');
  const commit = /^commit=([0-9a-f]{64})\n$/.exec(text.slice(440));
  check(commit, 'E_COMMIT', 'the header line commit= is not valid');
  h.commit = commit[1];
  // the only valid combinations of writer, kem and flag bit 0; every other flag bit is unknown
  const kinds = h.kem === ZERO64 ? ['indx'] : ['data', 'meta', 'snap'];
  const root = h.writer === ZERO16 && h.kem === ZERO64 && h.flags === '00000000';
  const writer = h.writer !== ZERO16 && h.flags === '00000001' && kinds.includes(h.kind);
  check(root || writer, 'E_FLAG', 'writer, kem and flags do not go together, or a flag is unknown');
  return h;
}

/** The eight header lines that the trailer repeats, from a header (or, to rebuild a header, from a trailer). */
const fieldLines = (h) => FIELDS.map((f) => `${f.name}=${h[f.name]}\n`).join('');

function buildTrailer(h, tblOff, tblLen, records, hash) {
  const n = (x, width) => String(x).padStart(width, '0');
  return (
    `${TRAILER_1}${fieldLines(h)}commit=${h.commit}\ntable=${n(tblOff, 16)} ${n(tblLen, 12)}\n` +
    `records=${n(records, 10)}\nxxh64=${hash}\npad=${'-'.repeat(110)}\nEND\n`
  );
}

/** A hint, never trusted: gives the place of the table, or says how the file is cut or lengthened. */
function parseTrailer(bytes, size) {
  const text = bytes.toString('latin1');
  const found = text.startsWith(TRAILER_1) || text.endsWith(TRAILER_END);
  check(found, text.includes(TRAILER_END) ? 'E_EXTRA' : 'E_TRUNC', 'no trailer at the end of the file');
  const m = /^table=(\d{16}) (\d{12})\nrecords=(\d{10})\nxxh64=([0-9a-f]{16})\n/.exec(text.slice(315));
  const t = /^table=(\d{16}) (\d{12})\n/.exec(text.slice(315));
  check(t, 'E_TRAILER', 'the trailer line table= is not valid');
  const tblOff = Number(t[1]);
  const tblLen = Number(t[2]);
  const end = tblOff + tblLen + 16 + 512;
  check(end <= size, 'E_TRUNC', `the trailer describes ${end} bytes, the file has ${size}`);
  check(end === size, 'E_EXTRA', `the trailer describes ${end} bytes, the file has ${size}`);
  check(tblOff >= 512 && tblLen > 0, 'E_TRAILER', 'the table lies inside the header');
  check(tblLen <= maxClen(MAX_TABLE) + MAX_PADDING, 'E_LIMIT', 'the table is too long');
  return { text, tblOff, tblLen, records: m ? Number(m[3]) : -1, hash: m ? m[4] : '' };
}

// ---------------------------------------------------------------------------------------------------------
// Sections 6 and 7: keys.
// ---------------------------------------------------------------------------------------------------------
/** E(prk, info) = HKDF-Expand-SHA512 with L = 64 = one HMAC. */
function E(prk, info) {
  return crypto.createHmac('sha512', prk).update(info).update(Buffer.of(1)).digest();
}
const label = (prk, text) => E(prk, `backpack/1 ${text}`);
const keyidOf = (root) => label(root, 'keyid').subarray(0, 8).toString('hex');

/** X25519 keys as the DER that node:crypto takes: fixed prefix + 32 bytes. */
const X25519_PRIVATE = Buffer.from('302e020100300506032b656e04220420', 'hex');
const X25519_PUBLIC = Buffer.from('302a300506032b656e032100', 'hex');
function x25519(privateBytes, publicBytes) {
  const key = Buffer.concat([X25519_PRIVATE, privateBytes]);
  const privateKey = crypto.createPrivateKey({ key, format: 'der', type: 'pkcs8' });
  const own = crypto.createPublicKey(privateKey).export({ format: 'der', type: 'spki' }).subarray(12);
  if (!publicBytes) return { own };
  const peer = Buffer.concat([X25519_PUBLIC, publicBytes]);
  const publicKey = crypto.createPublicKey({ key: peer, format: 'der', type: 'spki' });
  return { own, shared: crypto.diffieHellman({ privateKey, publicKey }) };
}

/** B, the base secret of a container: the root itself, or for write-only writers what section 18 says. */
function baseSecret(root, h) {
  if (h.flags === '00000000') return root;
  const W = label(root, `writer ${h.writer}`).subarray(0, 32);
  if (h.kind === 'indx') return W;
  const psk = label(W, 'psk').subarray(0, 32);
  const kem = Buffer.from(h.kem, 'hex');
  let x;
  try {
    x = x25519(label(root, 'x25519').subarray(0, 32), kem);
  } catch {
    throw new Bad('E_KEM', 'the ephemeral public key is not usable');
  }
  check(!x.shared.equals(Buffer.alloc(32)), 'E_KEM', 'the X25519 secret is all zeros');
  return crypto
    .createHmac('sha512', Buffer.concat([psk, kem, x.own]))
    .update(x.shared)
    .digest();
}

/** The container key. The commitment is checked before anything is decrypted. */
function containerKey(root, h, headerBytes) {
  const K_kind = label(baseSecret(root, h), h.kind).subarray(0, 32);
  const keyAndCommit = E(K_kind, headerBytes.subarray(0, 440));
  const right = crypto.timingSafeEqual(keyAndCommit.subarray(32), Buffer.from(h.commit, 'hex'));
  check(right, 'E_COMMIT', 'the commitment does not fit: damaged header or wrong key');
  return keyAndCommit.subarray(0, 32);
}

/** RFC 3394 key unwrap with AES-256; null when the check value is wrong. */
function unwrapKey(kek, wrapped) {
  const n = wrapped.length / 8 - 1;
  let a = Buffer.from(wrapped.subarray(0, 8));
  const r = Buffer.from(wrapped.subarray(8));
  const aes = crypto.createDecipheriv('aes-256-ecb', kek, null).setAutoPadding(false);
  for (let t = 6 * n; t > 0; t--) {
    const i = ((t - 1) % n) * 8;
    a[7] ^= t; // t is below 256 here
    const b = aes.update(Buffer.concat([a, r.subarray(i, i + 8)]));
    a = Buffer.from(b.subarray(0, 8));
    r.set(b.subarray(8), i);
  }
  return a.equals(Buffer.alloc(8, 0xa6)) ? r : null;
}

/** Looks for the one wrong byte in a typed-off key: 32 places x 255 values. */
function fixOneByte(root, keyid) {
  for (let i = 0; i < root.length; i++) {
    for (let x = 1; x < 256; x++) {
      const candidate = Buffer.from(root);
      candidate[i] ^= x;
      if (keyidOf(candidate) === keyid) return { root: candidate, at: i };
    }
  }
  return null;
}

const wrongKey = (message, what, next) => new Fatal('E_KEY', 12, message, what, next);

/** Passphrase-wrapped root, keys/<keyid>-<8 hex>.json. */
function parseWrapped(text, passphrase) {
  let w;
  try {
    w = parseJSON(text.trim());
  } catch {
    throw wrongKey('the wrapped key is not valid JSON', 'the file is damaged', 'try another copy of it');
  }
  const bad = (what) =>
    wrongKey('the wrapped key cannot be used', what, 'try another copy of it, or the key file');
  if (w.backpack !== 'wrapped-key') throw bad('it is not a wrapped-key file');
  if (w.v !== 1 || w.kdf !== 'scrypt')
    throw new Fatal(
      'E_NEED',
      15,
      'unknown version or kdf of the wrapped key',
      JSON.stringify([w.v, w.kdf]),
      'use a newer recover.js',
    );
  const power = Number.isSafeInteger(w.N) && Number.isInteger(Math.log2(w.N));
  if (
    !power ||
    w.N < 2 ** 15 ||
    w.N > 2 ** 20 ||
    w.r !== 8 ||
    !(w.p >= 1 && w.p <= 4 && Number.isInteger(w.p))
  )
    throw new Fatal(
      'E_LIMIT',
      12,
      'the scrypt parameters are outside the allowed bounds',
      JSON.stringify([w.N, w.r, w.p]),
      'try another copy of it',
    );
  const forms = [
    [w.keyid, 16],
    [w.salt, 32],
    [w.wrapped, 80],
  ];
  for (const [value, n] of forms)
    if (typeof value !== 'string' || value.length !== n || !/^[0-9a-f]*$/.test(value))
      throw bad('a value has the wrong form');
  if (passphrase === undefined)
    throw new Fatal(
      'E_USAGE',
      2,
      'this key is locked with a passphrase',
      'put the passphrase into a file',
      'add --passphrase-file FILE',
    );
  const options = { N: w.N, r: w.r, p: w.p, maxmem: 128 * w.r * (w.N + w.p + 2) + MiB };
  const kek = crypto.scryptSync(passphrase, Buffer.from(w.salt, 'hex'), 32, options);
  const root = unwrapKey(kek, Buffer.from(w.wrapped, 'hex'));
  if (!root || keyidOf(root) !== w.keyid)
    throw wrongKey(
      'wrong passphrase, or the wrapped key is damaged',
      `keyid ${w.keyid}`,
      'check the passphrase file',
    );
  return { roots: new Map([[w.keyid, root]]), kits: [], notes: [] };
}

/** key.bin as text or 32 raw bytes, or a wrapped key: { repo, roots: keyid -> root, kits, notes, doubtful }. */
function parseKey(bytes, passphrase) {
  const next = 'use another copy of the key: paper, another disk, or a wrapped key with its passphrase';
  if (bytes.length > MAX_KEY_FILE)
    throw new Fatal('E_LIMIT', 12, 'the key file is larger than 64 KiB', 'this is not a key file', next);
  if (bytes.length === 32)
    return { roots: new Map([[keyidOf(bytes), bytes]]), kits: [], notes: [], raw: bytes };
  const text = bytes.toString('latin1');
  if (/^\s*\{/.test(text)) return parseWrapped(bytes.toString('utf8'), passphrase);
  const lines = text.split(/\r?\n/);
  if (/^BACKPACK-WRITER /.test(lines[0]))
    throw wrongKey(
      'this is a writer file',
      'it can add backups but not read them',
      'use the key file of the repository',
    );
  if (/^BACKPACK-KEY (?!1$)\d+$/.test(lines[0]))
    throw new Fatal('E_MAJOR', 15, 'the key file is of a newer version', lines[0], 'use a newer recover.js');
  if (lines[0] !== 'BACKPACK-KEY 1')
    throw wrongKey('this is not a Backpack key file', 'the first line is not BACKPACK-KEY 1', next);
  const values = (name, n) =>
    lines
      .filter((l) => new RegExp(`^${name}=[0-9a-f]{${n}}\\s*$`).test(l))
      .map((l) => l.slice(name.length + 1).trim());
  const [rootHex] = values('root', 64);
  const [keyid] = values('keyid', 16);
  if (!rootHex) throw wrongKey('the key file has no valid root= line', 'expected 64 hex digits', next);
  const key = { repo: values('repo', 32)[0], roots: new Map(), kits: values('kit', 64), notes: [] };
  let root = Buffer.from(rootHex, 'hex');
  if (keyid && keyidOf(root) !== keyid) {
    const fixed = fixOneByte(root, keyid);
    if (fixed) {
      root = fixed.root;
      key.notes.push(
        `the key file has a wrong byte: root= digits ${2 * fixed.at + 1} and ${2 * fixed.at + 2} must be ${root.toString('hex', fixed.at, fixed.at + 1)}`,
      );
    } else key.doubtful = keyid; // perhaps the keyid= line is the damaged one: the repository will tell
  }
  key.roots.set(keyidOf(root), root);
  for (const old of values('old', 64))
    key.roots.set(keyidOf(Buffer.from(old, 'hex')), Buffer.from(old, 'hex'));
  return key;
}

// ---------------------------------------------------------------------------------------------------------
// Section 8: records. One LZ4 frame each (frame format 1.6.4), of the profile below.
// ---------------------------------------------------------------------------------------------------------
function xxh32(d, from = 0, end = d.length) {
  const [Q1, Q2, Q3, Q4, Q5] = [0x9e3779b1, 0x85ebca77, 0xc2b2ae3d, 0x27d4eb2f, 0x165667b1];
  const rot = (x, n) => (x << n) | (x >>> (32 - n));
  const word = (p) => d[p] | (d[p + 1] << 8) | (d[p + 2] << 16) | (d[p + 3] << 24);
  let p = from;
  let h = Q5;
  if (end - from >= 16) {
    let [a, b, c, e] = [(Q1 + Q2) | 0, Q2, 0, -Q1 | 0];
    for (; p + 16 <= end; p += 16) {
      a = Math.imul(rot((a + Math.imul(word(p), Q2)) | 0, 13), Q1);
      b = Math.imul(rot((b + Math.imul(word(p + 4), Q2)) | 0, 13), Q1);
      c = Math.imul(rot((c + Math.imul(word(p + 8), Q2)) | 0, 13), Q1);
      e = Math.imul(rot((e + Math.imul(word(p + 12), Q2)) | 0, 13), Q1);
    }
    h = rot(a, 1) + rot(b, 7) + rot(c, 12) + rot(e, 18);
  }
  h = (h + (end - from)) | 0;
  for (; p + 4 <= end; p += 4) h = Math.imul(rot((h + Math.imul(word(p), Q3)) | 0, 17), Q4);
  for (; p < end; p++) h = Math.imul(rot((h + Math.imul(d[p], Q5)) | 0, 11), Q1);
  h = Math.imul(h ^ (h >>> 15), Q2);
  h = Math.imul(h ^ (h >>> 13), Q3);
  return (h ^ (h >>> 16)) >>> 0;
}

/** One LZ4 block: src[sp, send) to dst from dp, never before dp nor beyond limit. Returns the end in dst. */
function lz4Block(src, from, send, dst, base, limit) {
  let sp = from;
  let dp = base;
  for (;;) {
    check(sp < send, 'E_LZ4', 'a block ends inside a sequence');
    const token = src[sp++];
    let n = token >>> 4;
    if (n === 15) {
      let more = 255;
      while (more === 255) {
        check(sp < send, 'E_LZ4', 'a block ends inside a length');
        more = src[sp++];
        n += more;
      }
    }
    check(n <= send - sp && n <= limit - dp, 'E_LZ4', 'literals reach beyond the block');
    if (n > 32) {
      dst.set(src.subarray(sp, sp + n), dp);
      sp += n;
      dp += n;
    } else for (const end = sp + n; sp < end; ) dst[dp++] = src[sp++];
    if (sp === send) return dp; // the last sequence has literals only
    check(sp + 2 <= send, 'E_LZ4', 'a block ends inside an offset');
    const offset = src[sp] | (src[sp + 1] << 8);
    sp += 2;
    check(offset > 0 && offset <= dp - base, 'E_LZ4', 'a match reaches before the block');
    n = (token & 15) + 4;
    if (n === 19) {
      let more = 255;
      while (more === 255) {
        check(sp < send, 'E_LZ4', 'a block ends inside a length');
        more = src[sp++];
        n += more;
      }
    }
    check(n <= limit - dp, 'E_LZ4', 'a match reaches beyond the block');
    let m = dp - offset;
    if (n <= 48 || offset < 8) {
      if (offset === 1 && n > 48) {
        dst.fill(dst[m], dp, dp + n);
        dp += n;
      } else for (const end = dp + n; dp < end; ) dst[dp++] = dst[m++];
    } else {
      // the copied part repeats itself, so each step may copy all that is there already
      for (const end = dp + n; dp < end; ) {
        const step = Math.min(dp - m, end - dp);
        dst.copyWithin(dp, m, m + step);
        dp += step;
      }
    }
  }
}

/**
 * One LZ4 frame of the profile: version 01, independent blocks, content size, no dictionary; header checksum
 * checked, block and content checksums checked when present. `room(length)` is asked for the output buffer
 * after the length has been accepted. Returns { out, length, end }.
 */
function lz4Frame(src, from, end, room) {
  check(end - from >= 19, 'E_LZ4', 'shorter than a frame');
  check(src.readUInt32LE(from) === 0x184d2204, 'E_LZ4', 'no LZ4 frame magic');
  const flg = src[from + 4];
  const bd = src[from + 5];
  check((flg & 0b11101011) === 0b01101000, 'E_LZ4', 'frame flags outside the profile');
  check((bd & 0b10001111) === 0 && bd >= 0x40, 'E_LZ4', 'block size outside the profile');
  const blockMax = 1 << (8 + 2 * (bd >> 4));
  const length = src.readUInt32LE(from + 6);
  check(src.readUInt32LE(from + 10) === 0, 'E_LZ4', 'content size above 4 GiB');
  check(src[from + 14] === ((xxh32(src, from + 4, from + 14) >>> 8) & 255), 'E_LZ4', 'frame header checksum');
  const out = room(length);
  let sp = from + 15;
  let dp = 0;
  for (;;) {
    check(sp + 4 <= end, 'E_LZ4', 'the frame has no end mark');
    const word = src.readUInt32LE(sp);
    sp += 4;
    if (word === 0) break;
    const size = word & 0x7fffffff;
    check(size > 0 && size <= blockMax && size <= end - sp, 'E_LZ4', 'block length out of range');
    if (word >>> 31) {
      check(size <= length - dp, 'E_LZ4', 'more content than the frame header says');
      out.set(src.subarray(sp, sp + size), dp);
      dp += size;
    } else dp = lz4Block(src, sp, sp + size, out, dp, Math.min(length, dp + blockMax));
    sp += size;
    if (flg & 0x10) {
      check(sp + 4 <= end, 'E_LZ4', 'the frame ends inside a block checksum');
      check(src.readUInt32LE(sp) === xxh32(src, sp - size, sp), 'E_LZ4', 'block checksum');
      sp += 4;
    }
  }
  check(dp === length, 'E_LZ4', 'less content than the frame header says');
  if (flg & 0x04) {
    check(sp + 4 <= end, 'E_LZ4', 'the frame ends inside the content checksum');
    check(src.readUInt32LE(sp) === xxh32(out, 0, length), 'E_LZ4', 'content checksum');
    sp += 4;
  }
  return { out, length, end: sp };
}

// ---------------------------------------------------------------------------------------------------------
// Section 11: types used in all JSON. An own parser, because JSON.parse lets duplicate keys pass.
// ---------------------------------------------------------------------------------------------------------
/** Objects come without prototype; numbers that are no exact integers come as NaN. */
function parseJSON(text) {
  let i = 0;
  const fail = (what) => {
    throw new Bad('E_JSON', `${what} at character ${i + 1} of the line`);
  };
  const space = () => {
    while (i < text.length && ' \t\r\n'.includes(text[i])) i++;
  };
  const string = () => {
    const start = ++i;
    for (; ; i++) {
      const c = text.charCodeAt(i);
      if (c === 0x22) break;
      if (c === 0x5c) return escaped(start);
      if (!(c >= 0x20)) fail('string without end, or control character');
    }
    return text.slice(start, i++);
  };
  const escaped = (start) => {
    for (; text[i] !== '"'; i++) {
      if (!(text.charCodeAt(i) >= 0x20)) fail('string without end, or control character');
      if (text[i] === '\\') i++;
    }
    let s;
    try {
      s = JSON.parse(text.slice(start - 1, ++i));
    } catch {
      fail('bad escape');
    }
    if (/\p{Surrogate}/u.test(s)) fail('half a surrogate pair');
    return s;
  };
  const number = /-?(?:0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?/y;
  const value = (depth) => {
    if (depth > MAX_DEPTH) throw new Bad('E_LIMIT', 'JSON nested too deeply');
    const c = text[i];
    if (c === '"') return string();
    if (c === '[') {
      const list = [];
      i++;
      space();
      if (text[i] === ']') i++;
      else
        for (;;) {
          space();
          list.push(value(depth + 1));
          space();
          const end = text[i++];
          if (end === ']') return list;
          if (end !== ',') fail('expected , or ]');
        }
      return list;
    }
    if (c === '{') {
      const object = Object.create(null);
      i++;
      space();
      if (text[i] === '}') i++;
      else
        for (;;) {
          space();
          if (text[i] !== '"') fail('expected a key');
          const key = string();
          if (key in object) fail(`duplicate key ${JSON.stringify(key)}`);
          space();
          if (text[i++] !== ':') fail('expected :');
          space();
          object[key] = value(depth + 1);
          space();
          const end = text[i++];
          if (end === '}') return object;
          if (end !== ',') fail('expected , or }');
        }
      return object;
    }
    const word = ['true', 'false', 'null'].find((w) => text.startsWith(w, i));
    if (word) {
      i += word.length;
      return JSON.parse(word);
    }
    number.lastIndex = i;
    const m = number.exec(text);
    if (!m) fail('expected a value');
    i += m[0].length;
    return m[1] || m[2] || m[0] === '-0' ? Number.NaN : Number(m[0]);
  };
  space();
  const result = value(1);
  space();
  if (i < text.length) fail('more than one value');
  return result;
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
function parseLine(bytes) {
  let text;
  try {
    text = utf8.decode(bytes);
  } catch {
    throw new Bad('E_JSON', 'a line is not UTF-8');
  }
  return parseJSON(text);
}

/** Lines (without LF) of byte pieces that follow each other. */
function* linesOf(pieces) {
  let rest = Buffer.alloc(0);
  for (const piece of pieces) {
    const data = rest.length ? Buffer.concat([rest, piece]) : piece;
    let start = 0;
    for (let lf = data.indexOf(10); lf >= 0; lf = data.indexOf(10, start)) {
      check(lf - start < MAX_LINE, 'E_LIMIT', 'a line is longer than 1 MiB');
      yield data.subarray(start, lf);
      start = lf + 1;
    }
    rest = Buffer.from(data.subarray(start));
    check(rest.length < MAX_LINE, 'E_LIMIT', 'a line is longer than 1 MiB');
  }
  check(rest.length === 0, 'E_JSON', 'the last line has no end');
}

const isInt = (v) => Number.isSafeInteger(v) && v >= 0;
const isHash = (v) => typeof v === 'string' && /^[0-9a-f]{16}$/.test(v);
const isId = (v) => typeof v === 'string' && /^[0-9a-f]{40}$/.test(v);
const isTime = (v) => typeof v === 'string' && /^(0|-?[1-9]\d{0,15})\.\d{9}$/.test(v);
const isObject = (v) => v !== null && typeof v === 'object' && !Array.isArray(v);
const isIdList = (v) => Array.isArray(v) && v.every(isId);

/** name: exact bytes; a string, or [base64] when the bytes are not UTF-8 or have control characters. */
function nameBytes(v) {
  if (typeof v === 'string') {
    // biome-ignore lint/suspicious/noControlCharactersInRegex: exactly these are forbidden
    check(!/[\0-\x1f\x7f]/.test(v), 'E_JSON', 'control characters in a name must be written as base64');
    return Buffer.from(v, 'utf8');
  }
  const list = Array.isArray(v) && v.length === 1 && typeof v[0] === 'string';
  const bytes = list ? Buffer.from(v[0], 'base64') : null;
  check(bytes && bytes.toString('base64') === v[0], 'E_JSON', 'not a name');
  return bytes;
}

/** A line that begins a stream: its first key says what it is; unknown `need` or a newer v is refused. */
function checkRoot(o, what, known = []) {
  check(
    isObject(o) && Object.keys(o)[0] === 'backpack' && o.backpack === what,
    'E_JSON',
    `not a "${what}" line`,
  );
  check(isInt(o.v), 'E_JSON', 'no version v');
  check(o.v === 1, 'E_NEED', `version ${o.v} of "${what}" is not known here`);
  checkNeed(o, known);
}
function checkNeed(o, known = []) {
  if (o.need === undefined) return;
  check(Array.isArray(o.need) && o.need.every((x) => typeof x === 'string'), 'E_JSON', 'need is not a list');
  for (const x of o.need) check(known.includes(x), 'E_NEED', `needs "${x}", which is not known here`);
}
/** Arrays begin with a letter: true = one of `letters`, false = lower case, to be skipped. */
function knownLetter(a, letters) {
  check(
    Array.isArray(a) && typeof a[0] === 'string' && /^[A-Za-z]/.test(a[0]),
    'E_JSON',
    'not a known kind of line',
  );
  if (letters.includes(a[0])) return true;
  check(/^[a-z]/.test(a[0]), 'E_NEED', `lines ["${a[0]}",...] are not known here`);
  return false;
}

/**
 * The table. `each` gets every C, F and O line as ('C', record, offset, length, xxh64, file, fileOffset),
 * ('F', ordinal, path bytes, size, time), ('O', old pack, first, count). Returns the records.
 */
function parseTable(plain, kind, tblOff, each = () => {}) {
  const table = (ok, what) => check(ok, 'E_TABLE', what);
  const off = [];
  const clen = [];
  const len = [];
  let root = null;
  let next = 512;
  let chunkEnd = 0;
  let chunks = 0;
  let files = 0;
  const line = (bytes) => {
    const o = parseLine(bytes);
    if (!root) {
      table(
        isObject(o) && Object.keys(o)[0] === 'backpack' && o.backpack === 'table' && isInt(o.v),
        'not a table',
      );
      check(o.v === 1, 'E_NEED', `version ${o.v} of the table is not known here`);
      checkNeed(o);
      table(isInt(o.records) && isInt(o.end), 'the first line lacks records or end');
      table(o.dd === undefined || isHash(o.dd), 'dd has the wrong form');
      root = o;
      return;
    }
    if (!knownLetter(o, 'RCFO')) return;
    const last = len.length - 1;
    if (o[0] === 'R') {
      table(o.length === 4 && o.slice(1).every(isInt), 'R line of the wrong form');
      table(o[1] === next, 'records do not follow each other without gap');
      check(o[3] <= MAX_RECORD && o[2] <= maxClen(o[3]), 'E_LIMIT', 'a record is too long');
      table(
        o[3] > 0 && o[2] > 0 && o[1] + o[2] + 16 <= tblOff,
        'a record is empty or reaches into the table',
      );
      table(kind !== 'data' || last < 0 || chunks > 0, 'a record of a data pack without C line');
      off.push(o[1]);
      clen.push(o[2]);
      len.push(o[3]);
      next = o[1] + o[2] + 16;
      chunkEnd = 0;
      chunks = 0;
    } else if (o[0] === 'C') {
      table(
        (o.length === 5 || o.length === 7) && isInt(o[1]) && isInt(o[2]) && isHash(o[3]),
        'C line of the wrong form',
      );
      table(typeof o[4] === 'string' && /^[0-9a-f]{32}$/.test(o[4]), 'C line without g');
      table(o.length === 5 || (isInt(o[5]) && o[5] < files && isInt(o[6])), 'C line without its F line');
      table(
        last >= 0 && o[2] > 0 && o[1] >= chunkEnd && o[1] + o[2] <= len[last],
        'a chunk is not inside its record',
      );
      chunkEnd = o[1] + o[2];
      chunks++;
      each('C', last, o[1], o[2], o[3], o[5], o[6]);
    } else if (o[0] === 'F') {
      table(o.length === 5 && o[1] === files && isInt(o[3]) && isTime(o[4]), 'F line of the wrong form');
      files++;
      each('F', o[1], nameBytes(o[2]), o[3], o[4]);
    } else {
      table(
        o.length === 4 && isId(o[1]) && isInt(o[2]) && isInt(o[3]) && o[3] > 0,
        'O line of the wrong form',
      );
      each('O', o[1], o[2], o[3]);
    }
  };
  try {
    for (const bytes of linesOf([plain])) line(bytes);
  } catch (e) {
    if (e.code === 'E_JSON') e.code = 'E_TABLE';
    throw e;
  }
  table(root, 'the table is empty');
  table(kind !== 'data' || !len.length || chunks > 0, 'a record of a data pack without C line');
  table(root.records === len.length, 'the number of records is wrong');
  table(root.end === next && next === tblOff, 'the records do not end where the table begins');
  return { off: Float64Array.from(off), clen: Uint32Array.from(clen), len: Uint32Array.from(len) };
}

// ---------------------------------------------------------------------------------------------------------
// Sections 5, 6, 8 and 10 together: one container file.
// ---------------------------------------------------------------------------------------------------------
/** Buffers that are used again and again; what is in them is valid until the next record is opened. */
const scratch = { piece: Buffer.allocUnsafeSlow(256 * KiB), sealed: Buffer.alloc(0), plain: Buffer.alloc(0) };
function scratchRoom(which, length) {
  if (scratch[which].length < length) scratch[which] = Buffer.allocUnsafeSlow(Math.max(length, 2 * MiB));
  return scratch[which];
}
/** A disk that does not give some bytes costs what needs them, like bytes that are damaged. */
function readSome(fd, buffer, offset, length, position) {
  try {
    return fs.readSync(fd, buffer, offset, length, position);
  } catch (e) {
    throw new Bad('E_MISSING', `the storage does not give its bytes: ${e.message}`);
  }
}
function readExactly(fd, buffer, length, position) {
  for (let n = 0; n < length; ) {
    const got = readSome(fd, buffer, n, length - n, position + n);
    check(got > 0, 'E_TRUNC', 'the file ends early');
    n += got;
  }
  return buffer.subarray(0, length);
}

class Container {
  /** Header, commitment, trailer bounds, table: everything up to the first record. */
  constructor(repo, name) {
    this.name = name;
    const parsed = parseName(name);
    this.id = parsed.id;
    this.warn = repo.note;
    this.fd = repo.openFile(name);
    try {
      this.size = fs.fstatSync(this.fd).size;
      check(this.size <= MAX_CONTAINER, 'E_LIMIT', 'larger than 4 GiB');
      check(this.size >= 512 + 19 + 16 + 512, 'E_TRUNC', 'shorter than the smallest container');
      this.headerBytes = readExactly(this.fd, Buffer.alloc(512), 512, 0);
      const tail = readExactly(this.fd, Buffer.alloc(512), 512, this.size - 512);
      const h = this.openHeader(repo, parsed, tail);
      const t = parseTrailer(tail, this.size);
      Object.assign(this, { kind: h.kind, writer: h.writer, header: h, trailer: t });
    } catch (e) {
      this.close();
      throw e;
    }
  }
  openHeader(repo, parsed, tail) {
    const accept = (bytes) => {
      const h = parseHeader(bytes);
      check(h.id === parsed.id, 'E_NAME', 'the header has another id than the name');
      check(
        FOLDER_OF[h.kind] === parsed.folder,
        'E_NAME',
        `a ${h.kind} container does not belong into ${parsed.folder}/`,
      );
      check(!repo.repoId || h.repo === repo.repoId, 'E_REPO', `belongs to repository ${h.repo}`);
      const root = repo.rootFor(h);
      check(root, 'E_KEY', `no key with keyid ${h.keyid}`);
      this.key = containerKey(root, h, bytes);
      repo.repoId ??= h.repo;
      return h;
    };
    try {
      return accept(this.headerBytes);
    } catch (e) {
      // A damaged header is rebuilt from the trailer; the commitment says whether that is right (section 5).
      const lines = tail.toString('latin1', 20, 315);
      const rebuilt = Buffer.from(
        LINE_1 + LINE_2 + LINE_3 + lines.slice(0, 223) + HEADER_PAD + lines.slice(223),
        'latin1',
      );
      if (!e.code?.startsWith('E_') || rebuilt.length !== 512) throw e;
      let h;
      try {
        h = accept(rebuilt);
      } catch {
        throw e;
      }
      e.repaired = true;
      repo.warn(this.name, e, 'the header was rebuilt from the trailer');
      return h;
    }
  }
  close() {
    if (this.fd !== null) fs.closeSync(this.fd);
    this.fd = null;
  }
  /**
   * One GCM message: nonce = u32 domain, u64 counter; no AAD; 16-byte tag. Nothing is used before final().
   * `hash` (verify) sees the bytes as they are in the file.
   */
  unseal(domain, counter, position, length, hash) {
    const nonce = Buffer.alloc(12);
    nonce.writeUInt32BE(domain, 0);
    nonce.writeBigUInt64BE(BigInt(counter), 4);
    const gcm = crypto.createDecipheriv('aes-256-gcm', this.key, nonce, { authTagLength: 16 });
    const out = scratchRoom('sealed', length);
    for (let n = 0; n < length; ) {
      const piece = readExactly(
        this.fd,
        scratch.piece,
        Math.min(scratch.piece.length, length - n),
        position + n,
      );
      hash?.update(piece);
      out.set(gcm.update(piece), n);
      n += piece.length;
    }
    const tag = readExactly(this.fd, Buffer.alloc(16), 16, position + length);
    hash?.update(tag);
    gcm.setAuthTag(tag);
    try {
      gcm.final();
    } catch {
      throw new Bad('E_TAG', 'the authentication tag does not fit: damaged or forged');
    }
    return out.subarray(0, length);
  }
  /** The plaintext of the table: one frame, then skippable frames as padding. */
  tablePlain(hash) {
    const { tblOff, tblLen } = this.trailer;
    const sealed = this.unseal(1, 0, tblOff, tblLen, hash);
    const { out, length, end } = lz4Frame(sealed, 0, sealed.length, (n) => {
      check(n <= MAX_TABLE, 'E_LIMIT', 'the table is larger than 64 MiB');
      return Buffer.allocUnsafeSlow(n);
    });
    check(sealed.length - end <= MAX_PADDING, 'E_LIMIT', 'more padding than 1 MiB');
    for (let p = end; p < sealed.length; ) {
      check(
        sealed.length - p >= 8 && (sealed.readUInt32LE(p) & ~15) === 0x184d2a50,
        'E_LZ4',
        'something else than padding after the table',
      );
      p += 8 + sealed.readUInt32LE(p + 4);
      check(p <= sealed.length, 'E_LZ4', 'the padding reaches beyond the table');
    }
    return out.subarray(0, length);
  }
  get records() {
    this.table ??= this.readTable();
    return this.table.len.length;
  }
  readTable(each, hash) {
    try {
      const table = parseTable(this.tablePlain(hash), this.kind, this.trailer.tblOff, each);
      const { tblOff, tblLen, text, hash: sum } = this.trailer;
      if (text !== buildTrailer(this.header, tblOff, tblLen, table.len.length, sum))
        this.warn(this.name, 'the trailer is damaged; the content is not affected');
      return table;
    } catch (e) {
      e.where ??= `${this.name} table`;
      throw e;
    }
  }
  /** Record i, in a buffer that is overwritten by the next call (unless `room` gives another). */
  record(i, { hash, room = (n) => scratchRoom('plain', n) } = {}) {
    check(i < this.records, 'E_EXTENT', `has no record ${i}`);
    const length = this.table.len[i];
    try {
      const sealed = this.unseal(0, i, this.table.off[i], this.table.clen[i], hash);
      const frame = lz4Frame(sealed, 0, sealed.length, (n) => {
        check(n === length, 'E_LZ4', 'the frame has another length than the table says');
        return room(n);
      });
      check(frame.end === sealed.length, 'E_LZ4', 'bytes after the frame');
      return frame.out.subarray(0, length);
    } catch (e) {
      e.where ??= `${this.name} record ${i}`;
      throw e;
    }
  }
  *allRecords() {
    for (let i = 0; i < this.records; i++) yield this.record(i);
  }
}

// ---------------------------------------------------------------------------------------------------------
// Section 4: a repository in a folder.
// ---------------------------------------------------------------------------------------------------------
const looksLikeRepository = (dir) =>
  ['packs', 'snapshots', 'backpack.json'].some((n) => fs.existsSync(path.join(dir, n)));

class Repository {
  constructor(dir, key, warn, note = () => {}) {
    this.dir = dir;
    this.roots = key.roots;
    this.repoId = key.repo;
    this.warn = warn;
    this.note = note;
    this.open = new Map(); // containers in use, oldest first
    this.grouped = new Map(); // plaintext of records that hold more than one file
    this.groupedBytes = 0;
    this.moves = new Map();
  }
  rootFor(header) {
    return this.roots.get(header.keyid);
  }
  openFile(name) {
    let fd;
    try {
      fd = fs.openSync(path.join(this.dir, name), fs.constants.O_RDONLY | (fs.constants.O_NONBLOCK ?? 0));
    } catch (e) {
      if (e.code === 'ENOENT' || e.code === 'ENOTDIR') throw new Bad('E_MISSING', 'is not there', name);
      throw new Bad('E_READ', e.message, name);
    }
    if (fs.fstatSync(fd).isFile()) return fd;
    fs.closeSync(fd);
    throw new Bad('E_READ', 'is not a file', name);
  }
  /** Object names of a folder, sorted. Only a folder that is really absent counts as empty. */
  list(folder) {
    const read = (dir) => {
      try {
        return fs.readdirSync(path.join(this.dir, dir)).sort();
      } catch (e) {
        if (e.code === 'ENOENT') return [];
        throw new Fatal(
          'E_READ',
          1,
          `cannot list ${dir}`,
          e.message,
          'make the folder readable and try again',
        );
      }
    };
    if (folder !== 'packs') return read(folder).map((n) => `${folder}/${n}`);
    return read('packs').flatMap((d) =>
      fs.statSync(path.join(this.dir, 'packs', d), { throwIfNoEntry: false })?.isDirectory()
        ? read(`packs/${d}`).map((n) => `packs/${d}/${n}`)
        : [`packs/${d}`],
    );
  }
  /** An open container; those used last stay open. */
  container(name) {
    let c = this.open.get(name);
    if (c) this.open.delete(name);
    else {
      try {
        c = new Container(this, name);
      } catch (e) {
        e.where ??= name;
        throw e;
      }
    }
    this.open.set(name, c);
    if (this.open.size > MAX_OPEN_CONTAINERS) {
      const [oldest] = this.open.values();
      this.open.delete(oldest.name);
      oldest.close();
    }
    return c;
  }
  close() {
    for (const c of this.open.values()) c.close();
  }
  /** Section 14, move: what the moved objects say about a pack that is gone. Their union counts. */
  movesOf(id) {
    if (this.moves.has(id)) return this.moves.get(id);
    this.movedNames ??= this.list('moved');
    const found = [];
    for (const name of this.movedNames.filter((n) => n.startsWith(`moved/${id}-`))) {
      try {
        found.push(...readMoved(this.container(name)));
      } catch (e) {
        if (!e.code) throw e;
        this.warn(e.where ?? name, e);
      }
    }
    this.moves.set(id, found);
    return found;
  }
  /**
   * Section 19, duty 7: the container that has record `r` of a pack now. `writer` is the writer of the snapshot
   * (section 18: it must be that of the pack, or of the old pack according to the moved object).
   */
  locate(pack, r, writer) {
    let id = pack;
    let record = r;
    let expected = writer;
    for (let hops = 0; ; hops++) {
      const name = packName(id);
      let missing;
      try {
        const c = this.container(name);
        check(
          expected === null || c.writer === expected,
          'E_WRITER',
          'belongs to another writer than the snapshot',
        );
        return { c, record };
      } catch (e) {
        if (e.code !== 'E_MISSING') throw Object.assign(e, { where: e.where ?? name });
        missing = e;
      }
      const all = this.movesOf(id).filter((v) => v.first <= record && record < v.first + v.count);
      const v = all.find((x) => fs.existsSync(path.join(this.dir, packName(x.to)))) ?? all[0];
      if (!v) throw missing;
      if (hops === MAX_MOVES)
        throw new Bad('E_MOVED', 'a loop, or a chain of more than 8 moved objects', packName(pack));
      if (expected !== null && v.writer !== expected)
        throw new Bad('E_WRITER', 'moved from a pack of another writer', name);
      expected = null; // only holders of the root write moved objects
      record = v.toFirst + (record - v.first);
      id = v.to;
    }
  }
  /** Plaintext of a record that holds several files: kept for the next one, 48 MiB in all. */
  groupedRecord(c, record) {
    const at = `${c.id} ${record}`;
    let plain = this.grouped.get(at);
    if (plain) return plain;
    plain = c.record(record, { room: (n) => Buffer.allocUnsafeSlow(n) });
    this.grouped.set(at, plain);
    this.groupedBytes += plain.length;
    for (const [old, bytes] of this.grouped) {
      if (this.groupedBytes <= 48 * MiB || old === at) break;
      this.grouped.delete(old);
      this.groupedBytes -= bytes.length;
    }
    return plain;
  }
}

// ---------------------------------------------------------------------------------------------------------
// Section 12: pages.
// ---------------------------------------------------------------------------------------------------------
const SLASH = 0x2f;
/** Order of paths: as bytes, `/` below every other byte. */
function comparePaths(a, b) {
  const n = Math.min(a.length, b.length);
  for (let i = 0; i < n; i++) {
    if (a[i] !== b[i]) return (a[i] === SLASH ? -1 : a[i]) - (b[i] === SLASH ? -1 : b[i]);
  }
  return a.length - b.length;
}
const isBelow = (p, dir) =>
  p.length > dir.length && p[dir.length] === SLASH && p.subarray(0, dir.length).equals(dir);
const lastName = (p) => p.subarray(p.lastIndexOf(SLASH) + 1);
function splitPath(p) {
  const parts = [];
  for (let start = 0; start <= p.length; ) {
    const slash = p.indexOf(SLASH, start);
    const end = slash < 0 ? p.length : slash;
    parts.push(p.subarray(start, end));
    start = end + 1;
  }
  return parts;
}
/** No empty, `.` or `..` component (so no leading or trailing `/`), no NUL, not too long. */
function checkPath(p) {
  check(p.length <= MAX_PATH, 'E_LIMIT', 'a path is longer than 65,535 bytes');
  check(!p.includes(0), 'E_PATH', 'a path contains NUL');
  let from = 0;
  for (let i = 0; i <= p.length; i++) {
    if (i < p.length && p[i] !== SLASH) continue;
    const length = i - from;
    const dots = (length === 1 || (length === 2 && p[from + 1] === 0x2e)) && p[from] === 0x2e;
    check(length > 0 && !dots, 'E_PATH', 'a path has an empty, "." or ".." component');
    check(length <= MAX_NAME, 'E_LIMIT', 'a path component is longer than 1,024 bytes');
    from = i + 1;
  }
  return p;
}

const is = {
  int: isInt,
  time: isTime,
  hash: isHash,
  mode: (v) => typeof v === 'string' && /^[0-7]{4}$/.test(v),
  text: (v) => typeof v === 'string',
  decimal: (v) => typeof v === 'string' && /^\d+$/.test(v),
  device: (v) => Array.isArray(v) && v.length === 2 && v.every(isInt),
  list: Array.isArray,
  one: (v) => v === 1,
};
// key:form:types for which it is required
const ENTRY_KEYS = (
  's:int:f m:time:fdlpsbc c:time: o:mode:fdlpsbc u:int: g:int: in:decimal: hl:text: un:text: gn:text: bt:time: ' +
  'a:time: rd:device:bc xa:list: fl:text: an:one: w:list: x:hash: n:int: e:list:'
)
  .split(' ')
  .map((k) => k.split(':'));
/** One line of a page after the first: { path, type, o } with every known key of the right form. */
function checkEntry(o) {
  check(isObject(o) && Object.keys(o)[0] === 'p', 'E_JSON', 'an entry does not begin with p');
  checkNeed(o);
  const entryPath = checkPath(nameBytes(o.p));
  check(typeof o.t === 'string', 'E_JSON', 'an entry without type t');
  for (const [key, form, required] of ENTRY_KEYS) {
    if (o[key] === undefined)
      check(!(o.t.length === 1 && required.includes(o.t)), 'E_JSON', `an entry "${o.t}" without ${key}`);
    else check(is[form](o[key]), 'E_JSON', `${key} has the wrong form`);
  }
  const content = o.t === 'f' && o.s > 0;
  check(o.t !== 'f' || o.s > 0 || (!o.e && !o.n), 'E_EXTENT', 'an empty file with extents');
  check(o.t !== '+' || o.e !== undefined, 'E_JSON', 'a + line without e');
  check(!content || (o.x !== undefined && o.e !== undefined), 'E_JSON', 'a file without x or e');
  check(
    content || o.t === '+' || (o.x === undefined && o.e === undefined),
    'E_JSON',
    'x or e without content',
  );
  const entry = { path: entryPath, type: o.t, o };
  if (o.t === 'l') {
    entry.target = nameBytes(o.l);
    check(entry.target.length <= MAX_PATH, 'E_LIMIT', 'a symlink target longer than 65,535 bytes');
    check(entry.target.length > 0 && !entry.target.includes(0), 'E_PATH', 'a symlink target that cannot be');
  }
  return entry;
}

/** [k, record, count, length, offset] with k replaced by the pack id; hole and zeros have no pack. */
function checkExtent(x, packs) {
  const e = (ok, what) => check(ok, 'E_EXTENT', what);
  e(
    Array.isArray(x) && x.length >= 4 && x.length <= 5 && x.slice(1).every(isInt) && x[3] > 0,
    'extent of the wrong form',
  );
  const [k, record, count, length, offset] = x;
  if (k === -1 || k === -2) {
    e(record === 0 && count === 0 && offset === undefined, 'hole of the wrong form');
    return { pack: null, hole: k === -1, length };
  }
  e(isInt(k) && k < packs.length, 'extent with an unknown pack');
  e(
    count > 0 && count < 2 ** 32 && record < 2 ** 32 && (offset === undefined || count === 1),
    'extent of the wrong form',
  );
  return { pack: packs[k], record, count, length, offset: offset ?? 0 };
}

/** The lines of all pages of a snapshot in order: { o, packs, where } or { gap } where a page is lost or left out. */
function* pageLines(repo, snapshot, stream, wanted, report) {
  let before = null;
  for (const g of stream.pages) {
    const where = `${packName(g.pack)} record ${g.record}`;
    if (!wanted(g)) {
      before = g.last;
      yield { gap: 'skipped' };
      continue;
    }
    try {
      const { c, record } = repo.locate(g.pack, g.record, snapshot.writer);
      check(c.kind === 'meta', 'E_KIND', 'pages are only in meta packs');
      check(
        record < c.records && c.table.len[record] <= MAX_PAGE,
        record < c.records ? 'E_LIMIT' : 'E_EXTENT',
        'no such record, or larger than 2 MiB',
      );
      const plain = c.record(record, { room: (n) => Buffer.allocUnsafe(n) });
      let packs = null;
      let first = null;
      let last = null;
      let whole = true;
      let count = 0;
      for (const bytes of linesOf([plain])) {
        try {
          const o = parseLine(bytes);
          if (packs) {
            if (Array.isArray(o) && !knownLetter(o, '')) continue;
            count++;
            const entry = checkEntry(o);
            first ??= entry;
            last = entry;
            yield { entry, packs, where };
            continue;
          }
          checkRoot(o, 'page');
          check(isIdList(o.packs), 'E_JSON', 'a page without its list of packs');
          check(o.packs.length <= MAX_PACKS_PER_PAGE, 'E_LIMIT', 'a page names more than 16,384 packs');
          packs = o.packs;
        } catch (e) {
          e.where ??= where;
          if (!packs || !e.code) throw e;
          report(e); // one bad line: the others go on
          whole = false;
        }
      }
      check(packs, 'E_JSON', 'the page is empty');
      const order = count === g.entries && first?.path.equals(g.first) && last.path.equals(g.last);
      const after = before === null || comparePaths(before, g.first) < (first?.type === '+' ? 1 : 0);
      if (whole && !order) report(new Bad('E_ORDER', 'the page is not as its G line says', where));
      else if (whole && !after) report(new Bad('E_ORDER', 'the pages are not in order', where));
    } catch (e) {
      if (!e.code?.startsWith('E_')) throw e;
      e.where ??= where;
      e.message += ` (page from ${printable(g.first)} to ${printable(g.last)})`;
      report(e);
      yield { gap: 'lost' };
    }
    before = g.last;
  }
}

/** Entries of a snapshot in order. Each must be used up before the next: its extents() reads on. */
function* entriesOf(repo, snapshot, stream, wanted, report) {
  const lines = pageLines(repo, snapshot, stream, wanted, report);
  let ahead = lines.next();
  let before = null; // path of the last entry
  const parents = []; // the directories that lead to it, each below the one before
  let complete = true; // false after a gap: then parents may be unknown
  while (!ahead.done) {
    const { entry, packs, where, gap } = ahead.value;
    ahead = lines.next();
    if (gap) {
      complete = false;
      continue;
    }
    if (entry.type === '+') {
      if (complete) report(new Bad('E_ORDER', `a + line without its file ${printable(entry.path)}`, where));
      continue;
    }
    while (parents.length && !isBelow(entry.path, parents.at(-1))) parents.pop();
    const slash = entry.path.lastIndexOf(SLASH);
    const inOrder = before === null || comparePaths(before, entry.path) < 0;
    const hasParent = slash < 0 || !complete || parents.at(-1)?.length === slash;
    if (!inOrder || !hasParent) {
      report(
        new Bad(
          'E_ORDER',
          `${printable(entry.path)} ${inOrder ? 'has no parent before it' : 'is not after the entry before it'}`,
          where,
        ),
      );
      continue;
    }
    before = entry.path;
    if (entry.type === 'd') parents.push(entry.path);
    let plus = 0;
    const nextPlus = () => {
      if (ahead.done || ahead.value.entry?.type !== '+' || !ahead.value.entry.path.equals(entry.path))
        return null;
      const line = ahead.value;
      ahead = lines.next();
      plus++;
      return line;
    };
    entry.where = where;
    entry.extents = function* () {
      for (const x of entry.o.e ?? []) yield checkExtent(x, packs);
      for (let line = nextPlus(); line; line = nextPlus())
        for (const x of line.entry.o.e) yield checkExtent(x, line.packs);
      const stray = !ahead.done && ahead.value.entry?.type === '+' && plus < (entry.o.n ?? 0);
      check(!stray, 'E_ORDER', `the + lines of ${printable(entry.path)} are not behind it`);
      check(
        plus === (entry.o.n ?? 0),
        'E_EXTENT',
        `${entry.o.n ?? 0} lines of extents should follow, there are ${plus}`,
      );
    };
    yield entry;
    while (nextPlus());
    if (plus && entry.type !== 'f')
      report(new Bad('E_ORDER', `a + line behind ${printable(entry.path)}, which is no file`, where));
  }
}

/**
 * The content of a file in pieces { length, bytes | hole | zero | error }. A record that cannot be read is a
 * piece with `error`; the next ones go on. The bytes are valid until the next piece is asked for.
 */
function* piecesOf(repo, snapshot, entry, extents = entry.extents()) {
  for (const x of extents) {
    if (!x.pack) {
      yield { length: x.length, hole: x.hole, zero: !x.hole };
      continue;
    }
    let done = 0;
    for (let i = 0; i < x.count; i++) {
      let length = x.length - done;
      let bytes;
      try {
        const { c, record } = repo.locate(x.pack, x.record + i, snapshot.writer);
        check(c.kind === 'data', 'E_KIND', 'file content is only in data packs');
        check(record < c.records, 'E_EXTENT', `has no record ${record}`);
        const whole = c.table.len[record];
        if (x.count > 1) {
          length = whole;
          check(
            done + whole <= x.length && (i + 1 < x.count || done + whole === x.length),
            'E_EXTENT',
            'the records of an extent have another length in all',
          );
        } else check(x.offset + x.length <= whole, 'E_EXTENT', 'an extent reaches beyond its record');
        if (length === whole) bytes = c.record(record);
        else bytes = repo.groupedRecord(c, record).subarray(x.offset, x.offset + length);
      } catch (e) {
        if (!e.code?.startsWith('E_')) throw e;
        e.where ??= `${packName(x.pack)} record ${x.record + i}`;
        length = Math.min(length, x.length - done);
        yield { length, error: e };
        done += length;
        if (done === x.length) break;
        continue;
      }
      yield { length, bytes };
      done += length;
    }
  }
}

// ---------------------------------------------------------------------------------------------------------
// Section 13: snapshots. Section 14: drop and moved objects.
// ---------------------------------------------------------------------------------------------------------
const isDate = (v) =>
  typeof v === 'string' &&
  /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/.test(v) &&
  !Number.isNaN(Date.parse(v));
/** Seconds since 1970 of a time of an entry or of the date in a snapshot. */
const secondsOf = (time) => {
  if (isDate(time)) return Date.parse(time) / 1000;
  const dot = time.indexOf('.');
  return Number(time.slice(0, dot)) + Number(time.slice(dot + 1)) / 1e9; // "-1.500000000" is half a second before 1970
};
const ROOT_FORMS = {
  seq: isInt,
  time: (v) => isTime(v) || isDate(v),
  host: is.text,
  roots: is.list,
  parents: isIdList,
  prev: (v) => v === null || isId(v),
  known: isIdList,
  partial: (v) => typeof v === 'boolean',
  params: isObject,
  stats: isObject,
};
function checkSnapshotRoot(o, id) {
  checkRoot(o, 'snapshot');
  for (const key of Object.keys(ROOT_FORMS))
    check(ROOT_FORMS[key](o[key]), 'E_JSON', `the snapshot has no valid ${key}`);
  check(isId(o.id), 'E_JSON', 'the snapshot has no valid id');
  check(id === null || o.id === id, 'E_NAME', 'the snapshot has another id inside');
  check(o.replaces === undefined || isIdList(o.replaces), 'E_JSON', 'the snapshot has no valid replaces');
  const incompat = isObject(o.features) ? o.features.incompat : undefined;
  check(
    !Array.isArray(incompat) || incompat.length === 0,
    'E_NEED',
    `needs features not known here: ${JSON.stringify(incompat)}`,
  );
  return o;
}

/** The whole stream of a snapshot: packs of the K lines, pages of the G lines, errors of the E lines. */
function readSnapshot(snapshot, lenient = false) {
  const stream = { root: null, packs: [], pages: [], errors: [], copy: snapshot.copy };
  for (const bytes of linesOf(snapshot.pieces())) {
    const o = parseLine(bytes);
    if (!stream.root) {
      stream.root = checkSnapshotRoot(o, snapshot.id);
      continue;
    }
    if (!knownLetter(o, 'KGE')) continue;
    if (o[0] === 'K') {
      check(o.length === 3 && isId(o[1]) && isInt(o[2]), 'E_JSON', 'K line of the wrong form');
      check(!stream.packs.length || stream.packs.at(-1).id < o[1], 'E_ORDER', 'K lines are not in order');
      stream.packs.push({ id: o[1], size: o[2] });
    } else if (o[0] === 'G') {
      check(
        o.length === 6 && o.slice(1, 4).every(isInt) && o[1] < stream.packs.length,
        'E_JSON',
        'G line of the wrong form',
      );
      const [, k, record, entries] = o;
      const [first, last] = o.slice(4).map(nameBytes);
      // a restore takes what it can: the entries themselves are checked one by one
      const before = stream.pages.at(-1)?.last ?? first;
      const ascend =
        lenient || (comparePaths(checkPath(first), checkPath(last)) <= 0 && comparePaths(before, first) <= 0);
      check(ascend, 'E_ORDER', 'G lines are not in order');
      stream.pages.push({ pack: stream.packs[k].id, record, entries, first, last });
    } else {
      check(o.length === 3 && typeof o[2] === 'string', 'E_JSON', 'E line of the wrong form');
      stream.errors.push({ path: nameBytes(o[1]), code: o[2] });
    }
  }
  check(stream.root, 'E_JSON', 'the snapshot is empty');
  return stream;
}

/** A stream of one kind: first line checked, then the lines that begin with `letter`. */
function readLines(c, what, letter, eachRoot = () => {}) {
  const lines = [];
  let root = null;
  for (const bytes of linesOf(c.allRecords())) {
    const o = parseLine(bytes);
    if (!root) {
      checkRoot(o, what);
      eachRoot(o);
      root = o;
    } else if (knownLetter(o, letter)) lines.push(o);
  }
  check(root, 'E_JSON', `the ${what} object is empty`);
  return lines;
}
function readMoved(c) {
  let writer;
  const lines = readLines(c, 'moved', 'V', (o) => {
    check(isId(o.from), 'E_JSON', 'moved without from');
    check(o.from === parseName(c.name).first, 'E_NAME', 'moved from another pack than the name says');
    check(isHash(o.writer), 'E_JSON', 'moved without writer');
    writer = o.writer;
  });
  return lines.map(([, first, count, to, toFirst, ...more]) => {
    check(
      isInt(first) && isInt(count) && count > 0 && isId(to) && isInt(toFirst) && !more.length,
      'E_JSON',
      'V line of the wrong form',
    );
    return { first, count, to, toFirst, writer };
  });
}
function readDrop(c) {
  return readLines(c, 'drop', 'S').map(([, id, ...more]) => {
    check(isId(id) && !more.length, 'E_JSON', 'S line of the wrong form');
    return id;
  });
}

function readMark(c) {
  const names = readLines(c, 'mark', 'X', (o) =>
    check(['unreferenced', 'compacted'].includes(o.why), 'E_JSON', 'mark without a known why'),
  );
  check(names.length <= MAX_MARKS, 'E_LIMIT', 'a mark with more than 10,000 names');
  for (const [, name, ...more] of names) {
    let known = typeof name === 'string' && !more.length;
    try {
      if (known) parseName(name);
    } catch {
      known = false;
    }
    check(known, 'E_JSON', 'X line of the wrong form');
  }
}
function readIndex(c) {
  let before = '';
  for (const [letter, a, b, d, e, ...more] of readLines(c, 'index', 'PRC')) {
    const forms = {
      P: () => isId(a) && isInt(b) && isHash(d) && e === undefined,
      R: () => isInt(a) && isInt(b) && isInt(d) && d > 0 && e === undefined && before,
      C: () =>
        isInt(a) &&
        isInt(b) &&
        b > 0 &&
        isHash(d) &&
        /^[0-9a-f]{32}$/.test(e) &&
        !more.length &&
        /[RC]/.test(before),
    };
    check(forms[letter](), 'E_JSON', `${letter} line of the wrong form`);
    before = letter;
  }
}

/** The copy of a snapshot stream at the end of a meta pack: the last records, back to one that begins with the root line. */
function findCopy(repo, name) {
  const c = repo.container(name);
  if (c.kind !== 'meta') return null;
  for (let i = c.records - 1; i >= 0; i--) {
    const start = c.record(i).toString('latin1', 0, 22);
    if (start.startsWith('{"backpack":"snapshot"')) {
      const pieces = function* () {
        const again = repo.container(name);
        for (let j = i; j < again.records; j++) yield again.record(j);
      };
      const snapshot = { id: null, name: `${name} record ${i}`, writer: c.writer, copy: true, pieces };
      snapshot.root = readSnapshot(snapshot, true).root;
      snapshot.id = snapshot.root.id;
      return snapshot;
    }
    if (start.startsWith('{"backpack":"page"')) return null;
  }
  return null;
}

/** Runs `work`; reports an error with a code, and gives undefined then. */
function attempt(report, name, work) {
  try {
    return work();
  } catch (e) {
    if (!e.code?.startsWith('E_')) throw e;
    e.where ??= name;
    report(e);
    return undefined;
  }
}

/**
 * Copies of snapshots: of all (wanted null), or of those in `wanted`, id -> writer, null when that is not known. Whoever
 * stole the file of a write-only writer can write any id: without a known writer, all copies must be of one.
 */
function findCopies(repo, wanted, report) {
  const found = new Map();
  const [near = ''] = wanted?.keys() ?? [];
  const away = (name) => (near ? Math.abs(idMillis(name.slice(-44)) - idMillis(near)) : 0);
  for (const name of repo.list('packs').sort((a, b) => away(a) - away(b))) {
    const s = attempt(report, name, () => findCopy(repo, name));
    const writer = wanted?.get(s?.id) ?? s?.writer;
    if (!s || (wanted && !wanted.has(s.id)) || s.writer !== writer) continue;
    found.set(s.id, found.has(s.id) && found.get(s.id)?.writer !== s.writer ? null : s);
    if (wanted && [...wanted].every(([id, w]) => w && found.get(id))) break;
  }
  for (const [id, s] of found) if (!s) found.delete(id);
  return found;
}

/** All snapshots that can be read, oldest first: { list, hidden: id -> reason, unread: [ids], all }. */
function loadSnapshots(repo, report) {
  const found = new Map();
  const hidden = new Map();
  const dropped = new Set();
  const unread = new Map(); // id -> writer (null when that cannot be read either) and what is wrong
  const names = repo.list('snapshots');
  for (const name of names) {
    let writer = null;
    let error = null;
    const tell = (e) => {
      error = e;
      report(e);
    };
    const root = attempt(tell, name, () => {
      const c = repo.container(name);
      writer = c.writer;
      check(c.records > 0, 'E_JSON', 'the snapshot is empty');
      const [line, ...more] = linesOf([c.record(0)]);
      check(line && !more.length, 'E_JSON', 'record 0 is not exactly the first line');
      return checkSnapshotRoot(parseLine(line), c.id);
    });
    const id = name.slice(-44, -4);
    const pieces = () => repo.container(name).allRecords();
    if (root) found.set(id, { id, name, root, writer, copy: false, pieces });
    else if (isId(id)) unread.set(id, { writer, error });
  }
  for (const name of repo.list('drop'))
    for (const id of attempt(report, name, () => readDrop(repo.container(name))) ?? []) dropped.add(id);
  const absent = new Set();
  for (const s of found.values()) {
    for (const id of [s.root.prev, ...s.root.known])
      if (id && !found.has(id) && !dropped.has(id) && !unread.has(id)) absent.add(id);
  }
  for (const id of absent)
    report(
      new Bad(
        'E_ROLLBACK',
        'another snapshot knows it, no drop object names it: the storage lost or hides it',
        `snapshot ${id}`,
      ),
    );
  // Copies are candidates: uncommitted and forgotten snapshots look alike (section 13). Where the object itself is
  // still there, only damaged, it was committed.
  const wanted = new Map([...absent].map((id) => [id, null]));
  for (const [id, { writer }] of unread) wanted.set(id, writer);
  if (names.length === 0 || wanted.size > 0) {
    for (const [id, s] of findCopies(repo, names.length === 0 ? null : wanted, report)) {
      const { error } = unread.get(id) ?? {};
      if (error) error.repaired = true; // not of a newer version, whatever it looks like
      found.set(id, { ...s, damaged: unread.delete(id) });
    }
  }
  for (const id of dropped) hidden.set(id, 'forgotten: a drop object names it');
  for (const s of found.values()) {
    for (const id of s.root.replaces ?? []) {
      const old = found.get(id);
      if (
        old &&
        id !== s.id &&
        old.writer === s.writer &&
        old.root.host === s.root.host &&
        old.root.set === s.root.set
      )
        hidden.set(id, `replaced by ${shortId(s.id)}`);
    }
  }
  const order = (a, b) =>
    secondsOf(a.root.time) - secondsOf(b.root.time) || a.root.seq - b.root.seq || (a.id < b.id ? -1 : 1);
  return {
    list: [...found.values()].filter((s) => !hidden.has(s.id)).sort(order),
    hidden,
    unread: [...unread.keys()].filter((id) => !dropped.has(id)),
    all: [...found.values()],
  };
}

/** `latest` = last complete one in the order (seq, id) of its writer; of several writers, the one with the latest time. */
function latestOf(list) {
  const best = new Map();
  for (const s of list) {
    const b = best.get(s.writer);
    if (!s.root.partial && (!b || s.root.seq > b.root.seq || (s.root.seq === b.root.seq && s.id > b.id)))
      best.set(s.writer, s);
  }
  return [...best.values()]
    .sort((a, b) => secondsOf(a.root.time) - secondsOf(b.root.time) || (a.id < b.id ? -1 : 1))
    .pop();
}

/** Seconds of the end of a time in UTC, such as 2026-11-01 or 2026-11-01T18:30: the beginning of the next one. */
function endOfTime(text) {
  const m = /^(\d{4})(?:-(\d\d)(?:-(\d\d)(?:[T ](\d\d)(?::(\d\d)(?::(\d\d))?)?)?)?)?Z?$/.exec(text);
  const given = m ? m.slice(1).filter((x) => x !== undefined) : [];
  const [Y = 0, M = 1, D = 1, h = 0, min = 0, s = 0] = given.map(Number);
  const start = new Date(Date.UTC(Y, M - 1, D, h, min, s));
  if (!m || start.getUTCDate() !== D || start.getUTCHours() !== h || start.getUTCMinutes() !== min)
    throw new Fatal(
      'E_USAGE',
      2,
      `not a time: @${text}`,
      'times are UTC',
      'write @2026-11-01 or @2026-11-01T18:30',
    );
  const plus = given.map((_, i) => (i === given.length - 1 ? 1 : 0));
  const [a, b = 0, c = 0, d = 0, e = 0, f = 0] = plus;
  return Date.UTC(Y + a, M - 1 + b, D + c, h + d, min + e, s + f) / 1000;
}

function selectSnapshot({ list, hidden, unread }, wanted) {
  const next = 'node recover.js ... list';
  if (wanted === 'latest' || wanted[0] === '@') {
    const end = wanted[0] === '@' ? endOfTime(wanted.slice(1)) : Number.POSITIVE_INFINITY;
    const s = latestOf(list.filter(({ root }) => secondsOf(root.time) < end));
    if (!s)
      throw new Fatal(
        'E_MISSING',
        1,
        `there is no complete snapshot${wanted === 'latest' ? '' : ` up to ${wanted.slice(1)}`}`,
        list.length ? 'only partial ones are there; name one by its id' : 'no snapshot could be read',
        list.length ? next : 'node recover.js ... scan --to DIR rebuilds files from packs alone',
      );
    // an older one never takes the place of one that cannot be read
    const later = unread.find((id) => id > s.id && idMillis(id) < end * 1000);
    if (later)
      throw new Fatal(
        'E_MISSING',
        1,
        `snapshot ${shortId(later)}, which may be ${wanted}, cannot be read`,
        'see above; no copy of it was found; if no backup made that object, delete it',
        `an older one can: node recover.js ... restore ${shortId(s.id)} --to DIR`,
      );
    return s;
  }
  const fits = (id) => id.startsWith(wanted) || shortId(id).startsWith(wanted);
  const matches = /^[0-9a-f]+$/.test(wanted) ? list.filter((s) => fits(s.id)) : [];
  if (matches.length === 1) return matches[0];
  const why = [...hidden].find(([id]) => fits(id));
  throw new Fatal(
    'E_MISSING',
    1,
    `${matches.length ? 'several snapshots' : 'no snapshot'} named ${wanted}`,
    matches.length ? matches.map((s) => s.id).join(' ') : (why?.[1] ?? 'ids are hex digits, or "latest"'),
    next,
  );
}

// ---------------------------------------------------------------------------------------------------------
// Section 19, duties 8 and 9: writing below the target only, never through a link, never over something.
// ---------------------------------------------------------------------------------------------------------
const { O_RDONLY, O_WRONLY, O_CREAT, O_EXCL, O_NOFOLLOW = 0, O_DIRECTORY = 0 } = fs.constants;
const WINDOWS = process.platform === 'win32';
const JOIN = Buffer.from('/');
const withSuffix = (name, suffix) =>
  name.length + suffix.length <= 255
    ? Buffer.concat([name, Buffer.from(suffix)])
    : Buffer.from(`${xxh64(name)}${suffix}`);

const attributes = (count) => `${count} extended ${count === 1 ? 'attribute' : 'attributes'}`;

/**
 * A name made safe for a terminal: control characters and bytes that are no UTF-8 as \xNN. Such text can be typed as
 * the path of `ls` and `restore`; where a name really has it, its backslash is \x5c.
 */
function printable(bytes) {
  try {
    const text = utf8.decode(bytes).replace(/\\(?=x[0-9a-f]{2})/gi, '\\x5c');
    return text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, (c) =>
      c.charCodeAt(0) < 256
        ? `\\x${c.charCodeAt(0).toString(16).padStart(2, '0')}`
        : `\\u{${c.codePointAt(0).toString(16)}}`,
    );
  } catch {
    return Buffer.from(bytes)
      .toString('latin1')
      .replace(/\\(?=x[0-9a-f]{2})/gi, '\\x5c')
      .replace(/[^ -~]/g, (c) => `\\x${c.charCodeAt(0).toString(16).padStart(2, '0')}`);
  }
}

/** With those above it that are missing. The recursive mkdir of Node never ends below /proc. */
function makeFolder(dir) {
  try {
    fs.mkdirSync(dir);
  } catch (error) {
    if (error.code === 'EEXIST') return;
    if (error.code !== 'ENOENT' || fs.existsSync(path.dirname(dir))) throw error;
    makeFolder(path.dirname(dir));
    fs.mkdirSync(dir);
  }
}

/**
 * The target folder as a stack of open folders, the last one being worked in. On Linux every name is used as
 * /proc/self/fd/N/name, so no other process can put a link into the way; elsewhere each parent is looked at first.
 */
class Target {
  constructor(dir, applyMeta) {
    makeFolder(path.resolve(dir));
    this.applyMeta = applyMeta;
    const full = Buffer.from(path.resolve(dir));
    const fd = WINDOWS ? null : fs.openSync(full, O_RDONLY | O_DIRECTORY);
    this.full = full;
    this.stack = [{ path: Buffer.alloc(0), fd }]; // of each folder its path in the target, handle, and what it is
    this.handles = fd !== null && process.platform === 'linux' && fs.existsSync(`/proc/self/fd/${fd}/.`);
  }
  /** The path to use for `name` in the folder at `level` of the stack. */
  at(name, level = this.stack.length - 1) {
    if (WINDOWS && /[<>:"|?*\\]|[. ]$|^(con|prn|aux|nul|com\d|lpt\d)(\.|$)/i.test(name.toString('latin1')))
      throw new Error('Windows does not allow this name');
    this.reopen(level);
    const folder = this.stack[level];
    if (this.handles) return Buffer.concat([Buffer.from(`/proc/self/fd/${folder.fd}/`), name]);
    for (const f of this.stack.slice(1, level + 1))
      if (!fs.lstatSync(this.fullPath(f)).isDirectory())
        throw new Error('a folder in the target was replaced');
    return Buffer.concat([this.fullPath(folder), JOIN, name]);
  }
  fullPath(folder) {
    return folder.path.length ? Buffer.concat([this.full, JOIN, folder.path]) : this.full;
  }
  openFolder(where) {
    return WINDOWS ? null : fs.openSync(where, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  }
  /** Few folders stay open at once; one that was closed is walked to again from the nearest open one. */
  reopen(level) {
    if (!this.handles || this.stack[level].fd !== null) return;
    let from = level - 1;
    while (this.stack[from].fd === null) from--;
    for (let i = from + 1; i <= level; i++) {
      this.stack[i].fd = this.openFolder(
        Buffer.concat([Buffer.from(`/proc/self/fd/${this.stack[i - 1].fd}/`), lastName(this.stack[i].path)]),
      );
      this.limitOpen(i);
    }
  }
  limitOpen(level) {
    const old = this.stack[level - MAX_OPEN_FOLDERS];
    if (!old || old === this.stack[0] || old.fd === null) return;
    fs.closeSync(old.fd);
    old.fd = null;
  }
  /** Goes into a folder, making it when it is not there. A link in its place is refused by the open. */
  enter(folderPath, entry) {
    const where = this.at(lastName(folderPath));
    let created = true;
    try {
      fs.mkdirSync(where, 0o700);
    } catch (e) {
      if (e.code !== 'EEXIST') throw e;
      created = false;
      if (!fs.lstatSync(where).isDirectory()) throw new Error('something else than a folder has this name');
    }
    const fd = this.openFolder(where);
    const { dev, ino } = this.handles ? fs.fstatSync(fd, { bigint: true }) : {};
    this.stack.push({ path: folderPath, fd, dev, ino, entry: created ? entry : null });
    this.limitOpen(this.stack.length - 1);
    return created;
  }
  /** Leaves a folder: now nothing changes in it any more, so it gets its mode and times. */
  leave() {
    const top = this.stack.length - 1;
    try {
      if (this.stack[top].entry) {
        this.reopen(top);
        this.applyMeta(this.stack[top].entry, this.stack[top].fd, this.fullPath(this.stack[top]));
      }
    } finally {
      const { fd } = this.stack.pop();
      if (fd !== null) this.stepUp(fd);
      if (fd !== null) fs.closeSync(fd);
    }
  }
  /** Opens the folder above from within, when it was closed: going down to each of 10,000 folders takes for ever. */
  stepUp(fd) {
    const above = this.stack.at(-1);
    if (!this.handles || above.fd !== null) return;
    const up = this.openFolder(`/proc/self/fd/${fd}/..`);
    const { dev, ino } = fs.fstatSync(up, { bigint: true });
    if (dev === above.dev && ino === above.ino) above.fd = up;
    else fs.closeSync(up); // it was moved away meanwhile
  }
  /** Makes the folder of this path the current one and returns the last component. */
  goTo(entryPath) {
    checkPath(entryPath); // checked again on purpose: nothing gets here unchecked
    const folder = entryPath.subarray(0, Math.max(0, entryPath.lastIndexOf(SLASH)));
    const holds = (dir) => dir.length === 0 || dir.equals(folder) || isBelow(folder, dir);
    while (!holds(this.stack.at(-1).path)) this.leave();
    for (let at = this.stack.at(-1).path.length; at < folder.length; ) {
      const slash = folder.indexOf(SLASH, at + 1);
      at = slash < 0 ? folder.length : slash;
      this.enter(folder.subarray(0, at), null);
    }
    return lastName(entryPath);
  }
  finish() {
    while (this.stack.length > 1) this.leave();
    if (this.stack[0].fd !== null) fs.closeSync(this.stack[0].fd);
  }
  exists(name) {
    try {
      fs.lstatSync(this.at(name));
      return true;
    } catch (e) {
      if (e.code === 'ENOENT') return false;
      throw e;
    }
  }
  create(name) {
    return fs.openSync(this.at(name), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0o600);
  }
  /** A new file beside `name`; the first free of NAME.suffix, NAME.suffix-2, ... */
  createBeside(name, suffix) {
    for (let i = 1; ; i++) {
      const beside = withSuffix(name, i === 1 ? suffix : `${suffix}-${i}`);
      try {
        return { beside, fd: this.create(beside) };
      } catch (e) {
        if (e.code !== 'EEXIST' || i > 100) throw e;
      }
    }
  }
  /** Gives a file its final name without replacing anything: link + unlink (rename where links are unknown). */
  publish(from, name) {
    try {
      fs.linkSync(this.at(from), this.at(name));
    } catch (e) {
      if (e.code === 'EEXIST' || this.exists(name)) throw e;
      fs.renameSync(this.at(from), this.at(name));
      return;
    }
    fs.unlinkSync(this.at(from));
  }
  /** Another name for a file restored before, reached from the target without following a link. */
  linkFrom(oldPath, name) {
    const here = this.at(name);
    if (!this.handles) {
      let folder = this.full;
      const parts = splitPath(oldPath);
      for (const part of parts.slice(0, -1)) {
        folder = Buffer.concat([folder, JOIN, part]);
        if (!fs.lstatSync(folder).isDirectory()) throw new Error('a folder in the target was replaced');
      }
      fs.linkSync(Buffer.concat([folder, JOIN, parts.at(-1)]), here);
      return;
    }
    const parts = splitPath(oldPath);
    const name0 = parts.pop();
    let fd = this.stack[0].fd;
    try {
      for (const part of parts) {
        const next = this.openFolder(Buffer.concat([Buffer.from(`/proc/self/fd/${fd}/`), part]));
        if (fd !== this.stack[0].fd) fs.closeSync(fd);
        fd = next;
      }
      fs.linkSync(Buffer.concat([Buffer.from(`/proc/self/fd/${fd}/`), name0]), here);
    } finally {
      if (fd !== this.stack[0].fd) fs.closeSync(fd);
    }
  }
}

/**
 * A time for fs.utimes: text, because a negative number would become "now". Node passes a double and keeps
 * microseconds; the small step keeps the conversion from landing one microsecond too low.
 */
function timeForNode(time) {
  const dot = time.indexOf('.');
  const micros = Math.floor(Number(time.slice(dot + 1)) / 1000);
  const wanted = Number(time.slice(0, dot)) * 1e6 + micros;
  const seconds = wanted / 1e6;
  return String(Math.trunc(seconds * 1e6) === wanted ? seconds : seconds + Math.sign(wanted) * 3e-7);
}

const SMALL_FILE = 4 * MiB;
const DISK_FULL = ['ENOSPC', 'EDQUOT', 'EROFS', 'EMFILE', 'ENFILE'];

class Restorer {
  constructor(repo, dir, log) {
    this.repo = repo;
    this.log = log;
    this.root = !WINDOWS && process.getuid() === 0;
    this.count = { files: 0, bytes: 0, folders: 0, links: 0 };
    this.firstOf = new Map(); // hl -> the name that was restored first
    this.buffer = null;
    this.target = new Target(dir, (entry, fd, full) => this.meta(entry, fd, full));
  }
  /** Owner, mode, times, through the open file; then what cannot be restored is said. */
  meta(entry, fd, full) {
    const { o } = entry;
    const time = timeForNode(o.m);
    const atime = o.a === undefined ? time : timeForNode(o.a);
    try {
      let mode = Number.parseInt(o.o, 8);
      if (fd === null) {
        fs.chmodSync(full, mode & 0o777);
        fs.utimesSync(full, atime, time);
        return;
      }
      let owned = true;
      if (this.root && o.u !== undefined && o.g !== undefined) {
        try {
          fs.fchownSync(fd, o.u, o.g);
        } catch (e) {
          owned = false;
          this.log.left(entry.path, `its owner ${o.u}:${o.g} could not be set (${e.code})`);
        }
      } else if (!WINDOWS && o.u !== undefined) owned = o.u === process.getuid();
      if (mode & 0o6000 && !owned && o.t !== 'd') {
        mode &= 0o1777; // set-uid for someone else than the owner would be a gift
        this.log.left(entry.path, 'its set-uid and set-gid bits, because the owner is not restored');
      }
      fs.fchmodSync(fd, mode);
      fs.futimesSync(fd, atime, time);
    } catch (e) {
      this.log.left(entry.path, `its mode or times could not be set (${e.code ?? e.message})`);
    }
    if (o.xa?.length)
      this.log.left(entry.path, `its ${attributes(o.xa.length)}: this program cannot write them`);
    if (o.fl) this.log.left(entry.path, `its flags ${printable(Buffer.from(o.fl))}: chattr sets them`);
  }
  entry(entry, snapshot) {
    const { type, o, path: p } = entry;
    try {
      if (type === 'd') {
        this.target.goTo(p);
        const created = this.target.enter(p, entry);
        if (created) this.count.folders++;
        return;
      }
      if (type !== 'f' && type !== 'l') {
        const what =
          { p: 'a FIFO', s: 'a socket', b: 'a block device', c: 'a character device' }[type] ??
          `of unknown type "${type}"`;
        this.log.left(p, `is ${what}, which this program cannot make`);
        return;
      }
      const name = this.target.goTo(p);
      if (this.target.exists(name)) {
        this.log.left(p, 'is there already; existing files are never overwritten');
        return;
      }
      const same = o.hl === undefined ? undefined : this.firstOf.get(o.hl);
      if (same && same.type === type && same.s === o.s && same.x === o.x) {
        try {
          this.target.linkFrom(same.path, name);
          // Another name counts like a file of its own, as it does for Backpack.
          if (type === 'f') {
            this.count.files++;
            this.count.bytes += o.s;
          } else this.count.links++;
          return;
        } catch (e) {
          if (e.code === 'EEXIST') throw e;
          this.log.left(
            p,
            `could not be joined with ${printable(same.path)} as a hard link (${e.code ?? e.message}); restored as a file of its own`,
          );
        }
      }
      const done = type === 'l' ? this.symlink(entry, name) : this.file(entry, name, snapshot);
      if (done && o.hl !== undefined && !same) this.firstOf.set(o.hl, { path: p, type, s: o.s, x: o.x });
    } catch (e) {
      if (e.code?.startsWith('E_'))
        this.log.damage(Object.assign(e, { message: `${printable(p)}: ${e.message}` }));
      else if (DISK_FULL.includes(e.code))
        throw new Fatal(
          'E_WRITE',
          1,
          'cannot write into the target',
          `${printable(p)}: ${e.message}`,
          'make room there, or choose another --to DIR',
        );
      else if (e instanceof Fatal || (!e.code && e.constructor !== Error)) throw e;
      else this.log.left(p, `could not be made (${e.code ?? e.message})`);
    }
  }
  symlink(entry, name) {
    const where = this.target.at(name);
    fs.symlinkSync(entry.target, where);
    this.count.links++;
    try {
      if (this.root && entry.o.u !== undefined && entry.o.g !== undefined)
        fs.lchownSync(where, entry.o.u, entry.o.g);
      const time = timeForNode(entry.o.m);
      fs.lutimesSync(where, time, time);
    } catch (e) {
      this.log.left(entry.path, `owner or times of the link could not be set (${e.code})`);
    }
    if (entry.o.xa?.length)
      this.log.left(entry.path, `its ${attributes(entry.o.xa.length)}: this program cannot write them`);
    return true;
  }
  /** Content first, name last: small files are verified in memory, large ones beside their final name. */
  file(entry, name, snapshot) {
    const { o } = entry;
    const small = o.s <= SMALL_FILE && !(o.e ?? []).some((x) => x[0] === -1);
    this.buffer ??= Buffer.allocUnsafeSlow(SMALL_FILE);
    const hash = new XXH64();
    const errors = [];
    let at = 0;
    let good = 0;
    let out = null;
    try {
      if (!small) out = this.target.createBeside(name, '.backpack-partial');
      try {
        for (const piece of piecesOf(this.repo, snapshot, entry)) {
          check(piece.length <= o.s - at, 'E_EXTENT', `more content than the ${o.s} bytes of the file`);
          if (piece.error) errors.push(piece.error);
          else if (piece.bytes) {
            if (errors.length === 0) hash.update(piece.bytes);
            if (small) this.buffer.set(piece.bytes, at);
            else
              for (let n = 0; n < piece.length; )
                n += fs.writeSync(out.fd, piece.bytes, n, piece.length - n, at + n);
            good += piece.length;
          } else if (errors.length === 0) hash.zeros(piece.length);
          if (small && !piece.bytes) this.buffer.fill(0, at, at + piece.length);
          if (!small && piece.zero) {
            for (let n = 0; n < piece.length; )
              n += fs.writeSync(out.fd, ZEROS, 0, Math.min(ZEROS.length, piece.length - n), at + n);
          }
          at += piece.length;
        }
        check(at === o.s, 'E_EXTENT', `content of ${at} bytes for a file of ${o.s}`);
        if (!errors.length && o.s > 0)
          check(hash.hex() === o.x, 'E_HASH', 'the content does not have the XXH64 of the file');
      } catch (e) {
        if (!e.code?.startsWith('E_')) throw e;
        e.where ??= entry.where;
        errors.push(e);
      }
      for (const e of errors) this.log.damage(e, entry.path);
      if (errors.length && good === 0) {
        this.log.lost(entry.path, 'is absent: nothing of it could be read');
        return false;
      }
      if (small) {
        out = errors.length
          ? this.target.createBeside(name, '.damaged')
          : { beside: name, fd: this.target.create(name) };
        for (let n = 0; n < at; ) n += fs.writeSync(out.fd, this.buffer, n, at - n, n);
      } else fs.ftruncateSync(out.fd, errors.length ? Math.min(at, o.s) : o.s);
      this.meta(entry, out.fd, null);
      fs.closeSync(out.fd);
      out.fd = null;
      if (errors.length) {
        if (!small) this.rename(out.beside, name, '.damaged');
        this.log.lost(
          entry.path,
          `is damaged and kept as ${small ? printable(out.beside) : `${printable(name)}.damaged`}; what is missing in it is zeros`,
        );
        out = null;
        return false;
      }
      if (!small) this.target.publish(out.beside, name);
      out = null;
      this.count.files++;
      this.count.bytes += o.s;
      return true;
    } finally {
      if (out) {
        if (out.fd !== null) fs.closeSync(out.fd);
        fs.unlinkSync(this.target.at(out.beside));
      }
    }
  }
  rename(from, name, suffix) {
    const { beside, fd } = this.target.createBeside(name, suffix);
    fs.closeSync(fd);
    fs.renameSync(this.target.at(from), this.target.at(beside)); // onto the empty file just made here
  }
}

/** Everything, or the part below one path with the folders that lead to it. */
function selection(wanted) {
  if (!wanted) return { page: () => true, entry: () => true };
  const within = (p) => p.equals(wanted) || isBelow(p, wanted) || isBelow(wanted, p);
  const ancestors = [wanted];
  for (let i = wanted.indexOf(SLASH); i >= 0; i = wanted.indexOf(SLASH, i + 1))
    ancestors.push(wanted.subarray(0, i));
  const holds = (g, p) => comparePaths(g.first, p) <= 0 && comparePaths(p, g.last) <= 0;
  return {
    page: (g) => ancestors.some((p) => holds(g, p)) || isBelow(g.first, wanted) || isBelow(g.last, wanted),
    entry: within,
  };
}

/** The stream of a snapshot, or of its copy when it is damaged behind the root line; null: neither can be read. */
function openStream(repo, snapshot, log, lenient) {
  const read = (s) => attempt(log.damage, s.name, () => readSnapshot(s, lenient));
  const stream = read(snapshot);
  if (stream || snapshot.copy) return stream ?? null;
  const copy = findCopies(repo, new Map([[snapshot.id, snapshot.writer]]), log.damage).get(snapshot.id);
  if (copy) log.note(`note: instead of the damaged snapshot its copy is used, ${copy.name}`);
  return (copy && read(copy)) ?? null;
}
function mustOpen(repo, snapshot, log) {
  const stream = openStream(repo, snapshot, log, true);
  if (stream) return stream;
  throw new Fatal(
    'E_READ',
    4,
    `the snapshot ${shortId(snapshot.id)} cannot be read`,
    snapshot.name,
    'choose another snapshot, or: scan --to DIR',
  );
}

/** Section 18: all packs that a write-only writer's snapshot names are its own; one that is gone was perhaps moved. */
function checkPackWriters(repo, snapshot, stream) {
  if (snapshot.writer === ZERO16) return;
  for (const { id } of stream.packs) {
    const name = packName(id);
    let c;
    try {
      c = repo.container(name);
    } catch (e) {
      if (!e.code?.startsWith('E_')) throw e;
      continue; // reported by those who need it
    }
    const same = c.writer === snapshot.writer;
    if (!same) throw new Bad('E_WRITER', 'belongs to another writer than the snapshot that names it', name);
  }
}

function restore(repo, snapshot, wanted, dir, log) {
  const stream = mustOpen(repo, snapshot, log);
  checkPackWriters(repo, snapshot, stream);
  const select = selection(wanted);
  const restorer = new Restorer(repo, dir, log);
  let matched = !wanted;
  for (const entry of entriesOf(repo, snapshot, stream, select.page, log.damage)) {
    if (!select.entry(entry.path)) continue;
    matched ||= !isBelow(wanted, entry.path);
    restorer.entry(entry, snapshot);
  }
  restorer.target.finish();
  for (const { path: p, code } of stream.errors)
    log.note(`${printable(p)}: was not readable at the time of the backup (${printable(Buffer.from(code))})`);
  if (!matched && !log.damaged)
    throw new Fatal(
      'E_MISSING',
      1,
      `${printable(wanted)} is not in this snapshot`,
      'paths are written as at the backup, without the leading slash',
      `node recover.js ... ls ${shortId(snapshot.id)}`,
    );
  return restorer.count;
}

// ---------------------------------------------------------------------------------------------------------
// Section 21, levels L0 to L6: verify.
// ---------------------------------------------------------------------------------------------------------
/** The C lines of a pack: per record the list of [offset, length, xxh64]. */
function chunksOf(c) {
  const chunks = [];
  c.table = c.readTable((letter, record, offset, length, hash) => {
    if (letter !== 'C') return;
    chunks[record] ??= [];
    chunks[record].push([offset, length, hash]);
  });
  return chunks;
}

/** Every byte of one container. `bad` collects "id record" of what cannot be read. */
function verifyContainer(repo, name, log, bad, containerOnly = false) {
  const before = log.damaged;
  let c;
  const found = (e, record) => {
    if (!e.code?.startsWith('E_')) throw e;
    e.where ??= name;
    log.damage(e);
    if (c) bad.add(record === undefined ? c.id : `${c.id} ${record}`);
  };
  try {
    c = repo.container(name);
    const chunks = chunksOf(c);
    const hash = new XXH64().update(c.headerBytes);
    for (let i = 0; i < c.records; i++) {
      try {
        const plain = c.record(i, { hash });
        if (c.kind !== 'data' && c.kind !== 'meta') continue;
        for (const [offset, length, sum] of chunks[i] ?? []) {
          check(
            xxh64(plain.subarray(offset, offset + length)) === sum,
            'E_HASH',
            `the chunk at ${offset} does not have its XXH64`,
          );
        }
      } catch (e) {
        if (e.code === 'E_TRUNC') throw e;
        e.where ??= `${name} record ${i}`;
        found(e, i);
      }
    }
    c.unseal(1, 0, c.trailer.tblOff, c.trailer.tblLen, hash);
    const sum = hash.hex();
    const { tblOff, tblLen, text } = c.trailer;
    const right = buildTrailer(c.header, tblOff, tblLen, c.records, sum);
    if (text !== right) {
      // a damaged record changes the hash too; then it has been named already
      const onlyHash = text === buildTrailer(c.header, tblOff, tblLen, c.records, c.trailer.hash);
      if (!onlyHash || log.damaged === before)
        found(
          new Bad(
            'E_TRAILER',
            onlyHash ? 'the trailer hash is wrong' : 'the trailer is not that of this container',
            name,
          ),
          'trailer',
        );
    }
    if (containerOnly) return;
    if (c.kind === 'move') readMoved(c);
    else if (c.kind === 'drop') readDrop(c);
    else if (c.kind === 'mark') readMark(c);
    else if (c.kind === 'indx') readIndex(c);
  } catch (e) {
    found(e);
  }
}

/** Does [offset, offset + length) consist of whole chunks? */
function onWholeChunks(chunks, offset, length) {
  let at = offset;
  for (const [o, n] of chunks ?? []) if (o === at && at < offset + length) at = o + n;
  return at === offset + length;
}

/** The XXH64 of a whole file; what cannot be read of it has been reported with its record. */
function checkFileHash(repo, snapshot, entry, extents) {
  const hash = new XXH64();
  for (const piece of piecesOf(repo, snapshot, entry, extents)) {
    if (piece.error) return;
    if (piece.bytes) hash.update(piece.bytes);
    else hash.zeros(piece.length);
  }
  check(hash.hex() === entry.o.x, 'E_HASH', 'the content does not have the XXH64 of the file');
}

function verifySnapshot(repo, snapshot, log, bad, seen, chunkCache) {
  const stream = openStream(repo, snapshot, log, false);
  if (!stream) return;
  attempt(log.damage, snapshot.name, () => checkPackWriters(repo, snapshot, stream));
  const packs = new Set();
  for (const { id, size } of stream.packs) {
    packs.add(id);
    const name = packName(id);
    attempt(log.damage, name, () => {
      const stat = fs.statSync(path.join(repo.dir, name), { throwIfNoEntry: false });
      if (!stat)
        check(
          repo.movesOf(id).length > 0,
          'E_MISSING',
          `needed by snapshot ${shortId(snapshot.id)}, is not there`,
        );
      else if (!(stream.copy && size === 0))
        check(
          stat.size === size,
          stat.size < size ? 'E_TRUNC' : 'E_EXTRA',
          `has ${stat.size} bytes, snapshot ${shortId(snapshot.id)} says ${size}`,
        );
    });
  }
  const chunksFor = (c) => {
    if (!chunkCache.has(c.id)) {
      if (chunkCache.size >= 32) chunkCache.delete(chunkCache.keys().next().value);
      chunkCache.set(c.id, chunksOf(c));
    }
    return chunkCache.get(c.id);
  };
  const pageKey = (g) => `${g.pack} ${g.record} ${snapshot.writer}`;
  for (const entry of entriesOf(repo, snapshot, stream, (g) => !seen.has(pageKey(g)), log.damage)) {
    let sum = 0;
    try {
      if (entry.type !== 'f') continue;
      const extents = [...entry.extents()];
      for (const x of extents) {
        sum += x.length;
        if (!x.pack) continue;
        check(packs.has(x.pack), 'E_EXTENT', `the pack ${x.pack} is not among the K lines`);
        for (let i = 0, left = x.length; i < x.count; i++) {
          const { c, record } = repo.locate(x.pack, x.record + i, snapshot.writer);
          check(c.kind === 'data', 'E_KIND', 'file content is only in data packs');
          check(record < c.records, 'E_EXTENT', `${c.name} has no record ${record}`);
          if (bad.has(c.id) || bad.has(`${c.id} ${record}`))
            log.note(
              `  affects ${shortId(snapshot.id)}:${printable(entry.path)}  (${c.name} record ${record})`,
            );
          const length = x.count > 1 ? c.table.len[record] : x.length;
          left -= length;
          const fits = left >= 0 && (i + 1 < x.count || left === 0);
          check(
            fits && onWholeChunks(chunksFor(c)[record], x.offset, length),
            'E_EXTENT',
            `not on whole chunks of ${c.name} record ${record}`,
          );
        }
      }
      check(sum === entry.o.s, 'E_EXTENT', `extents of ${sum} bytes for a file of ${entry.o.s}`);
      if (sum > 0) checkFileHash(repo, snapshot, entry, extents);
    } catch (e) {
      if (!e.code?.startsWith('E_')) throw e;
      e.where ??= entry.where;
      log.damage(e, entry.path);
    }
  }
  for (const g of stream.pages) seen.add(pageKey(g));
}
const sha256 = (bytes) => crypto.createHash('sha256').update(bytes).digest('hex');
function readSmall(repo, name, max) {
  const fd = repo.openFile(name);
  try {
    const { size } = fs.fstatSync(fd);
    check(size <= max, 'E_LIMIT', `larger than ${max} bytes`);
    return Buffer.from(readExactly(fd, Buffer.alloc(size), size, 0));
  } finally {
    fs.closeSync(fd);
  }
}
/** backpack.json is a hint. Its last key "xxh64" covers all bytes before `,"xxh64"`. */
function readConfig(repo) {
  const bytes = readSmall(repo, 'backpack.json', MiB);
  const at = bytes.lastIndexOf(',"xxh64"');
  const m = at < 0 ? null : /^,"xxh64":"([0-9a-f]{16})"\}\r?\n?$/.exec(bytes.toString('latin1', at));
  check(m, 'E_JSON', 'does not end with its xxh64');
  check(xxh64(bytes.subarray(0, at)) === m[1], 'E_HASH', 'does not have its XXH64');
  const o = parseLine(bytes);
  check(
    isObject(o) && Object.keys(o)[0] === 'backpack' && o.backpack === 'repository' && isInt(o.v),
    'E_JSON',
    'is not a description of a repository',
  );
  check(o.v === 1, 'E_NEED', `the repository has version ${o.v}`);
  const incompat = isObject(o.features) ? o.features.incompat : [];
  check(
    Array.isArray(incompat) && incompat.length === 0,
    'E_NEED',
    `the repository needs features not known here: ${JSON.stringify(incompat)}`,
  );
  check(!repo.repoId || o.repo === repo.repoId, 'E_REPO', `describes repository ${JSON.stringify(o.repo)}`);
  return o;
}
/** The recovery kit against SHA256SUMS, and that against the kit= lines of the key (section 4.3). */
function verifyKit(repo, key, log) {
  attempt(log.damage, 'backpack.json', () => readConfig(repo));
  if (!fs.existsSync(path.join(repo.dir, 'recover')) && key.kits.length === 0) {
    log.note('recover/: there is no recovery kit in this repository');
    return;
  }
  attempt(log.damage, 'recover/SHA256SUMS', () => {
    const sums = readSmall(repo, 'recover/SHA256SUMS', MiB);
    if (!key.kits.length)
      log.note('recover/: the key has no kit= line, so the kit is compared with its own SHA256SUMS only');
    else
      check(
        key.kits.includes(sha256(sums)),
        'E_KIT',
        'is not the one that the key file names: do not trust this kit',
      );
    const covered = new Set(['SHA256SUMS']);
    for (const line of sums.toString('latin1').split(/\r?\n/).filter(Boolean)) {
      const m = /^([0-9a-f]{64}) [ *](\.\.\/README\.txt|[A-Za-z0-9._-]+)$/.exec(line);
      check(m && m[2] !== '..', 'E_KIT', 'has a line that is not of sha256sum');
      covered.add(m[2]);
      const name = m[2] === '../README.txt' ? 'README.txt' : `recover/${m[2]}`;
      attempt(log.damage, name, () =>
        check(
          sha256(readSmall(repo, name, 64 * MiB)) === m[1],
          'E_KIT',
          'does not have the SHA-256 of SHA256SUMS',
        ),
      );
    }
    for (const name of repo.list('recover'))
      check(covered.has(name.slice(8)), 'E_KIT', `does not cover ${name}`);
    check(covered.has('../README.txt'), 'E_KIT', 'does not cover README.txt');
  });
}

function verify(repo, key, log) {
  const bad = new Set();
  let objects = 0;
  for (const folder of Object.keys(NAME_FORMS)) {
    for (const name of repo.list(folder)) {
      verifyContainer(repo, name, log, bad);
      objects++;
    }
  }
  const snapshots = loadSnapshots(repo, log.damage);
  const seen = new Set();
  const chunkCache = new Map();
  for (const s of snapshots.list) verifySnapshot(repo, s, log, bad, seen, chunkCache);
  verifyKit(repo, key, log);
  return { objects, snapshots: snapshots.list.length };
}

// ---------------------------------------------------------------------------------------------------------
// Files from packs alone, by the F and C lines of the tables (section 10). Newest packs first, so the newest
// version of a file gets the plain name and older ones get NAME~2, NAME~3, ...
// ---------------------------------------------------------------------------------------------------------
function scan(repo, dir, log) {
  const target = new Target(dir, () => {});
  const partial = new Map(); // files that are not complete in one pack
  const count = { files: 0, bytes: 0, incomplete: 0 };
  const sizeAndTime = (name) => {
    const s = fs.lstatSync(target.at(name));
    return s.isFile() ? `${s.size} ${Math.floor(s.mtimeMs / 1000)}` : '';
  };
  const finish = (fd, beside, name, f) => {
    fs.ftruncateSync(fd, f.size);
    fs.futimesSync(fd, timeForNode(f.time), timeForNode(f.time));
    fs.closeSync(fd);
    for (let i = 1; ; i++) {
      const wanted = i === 1 ? name : withSuffix(name, `~${i}`);
      if (!target.exists(wanted)) {
        target.publish(beside, wanted);
        count.files++;
        count.bytes += f.size;
        return;
      }
      if (sizeAndTime(wanted) === `${f.size} ${Math.floor(secondsOf(f.time))}`) break; // the same version again
    }
    fs.unlinkSync(target.at(beside));
  };
  /** Sorted, disjoint [start, end) of what has been written; true when that is everything. */
  const cover = (f, start, end) => {
    f.have.push([start, end]);
    f.have.sort((a, b) => a[0] - b[0]);
    const merged = [];
    for (const [s, e] of f.have) {
      if (merged.length && s <= merged.at(-1)[1]) merged.at(-1)[1] = Math.max(merged.at(-1)[1], e);
      else merged.push([s, e]);
    }
    f.have = merged;
    return merged.length === 1 && merged[0][0] === 0 && merged[0][1] >= f.size;
  };
  const writeChunks = (c, f, fd) => {
    for (const [record, offset, length, hash, at] of f.chunks) {
      try {
        check(at + length <= f.size, 'E_TABLE', 'a chunk reaches beyond its file');
        const bytes = repo.groupedRecord(c, record).subarray(offset, offset + length);
        check(xxh64(bytes) === hash, 'E_HASH', `the chunk at ${offset} does not have its XXH64`);
        for (let n = 0; n < length; ) n += fs.writeSync(fd, bytes, n, length - n, at + n);
        f.complete = cover(f, at, at + length);
      } catch (e) {
        if (!e.code?.startsWith('E_')) throw e;
        e.where ??= `${c.name} record ${record}`;
        log.damage(e, f.path);
      }
    }
  };
  for (const name of repo.list('packs').sort().reverse()) {
    try {
      const c = repo.container(name);
      if (c.kind !== 'data') continue;
      const files = new Map();
      const chunks = [];
      c.table = c.readTable((letter, ...v) => {
        if (letter === 'F')
          files.set(v[0], { path: v[1], size: v[2], time: v[3], chunks: [], have: [], complete: v[2] === 0 });
        else if (letter === 'C' && v[4] !== undefined) chunks.push(v);
      });
      for (const [record, offset, length, hash, file, at] of chunks)
        files.get(file)?.chunks.push([record, offset, length, hash, at]);
      for (const [ordinal, f] of files) {
        const key = `${f.size} ${f.time} ${f.path.toString('latin1')}`;
        try {
          const earlier = partial.get(key);
          const base = target.goTo(f.path);
          const beside = earlier?.beside ?? withSuffix(base, `.backpack-partial-${shortId(c.id)}-${ordinal}`);
          const fd = earlier ? fs.openSync(target.at(beside), O_WRONLY | O_NOFOLLOW) : target.create(beside);
          if (earlier) f.have = earlier.have;
          writeChunks(c, f, fd);
          if (f.complete) {
            finish(fd, beside, base, f);
            partial.delete(key);
          } else {
            fs.closeSync(fd);
            partial.set(key, { beside, have: f.have, path: f.path, size: f.size, time: f.time });
          }
        } catch (e) {
          if (e instanceof Fatal || (!e.code && e.constructor !== Error)) throw e;
          if (DISK_FULL.includes(e.code))
            throw new Fatal(
              'E_WRITE',
              1,
              'cannot write into the target',
              e.message,
              'make room there, or choose another --to DIR',
            );
          log.left(f.path, `could not be made (${e.code?.startsWith('E_') ? `${e.code} ` : ''}${e.message})`);
        }
      }
    } catch (e) {
      if (!e.code?.startsWith('E_') || e instanceof Fatal) throw e;
      log.damage(Object.assign(e, { where: e.where ?? name }));
    }
  }
  // Parts that were stored earlier under another name (dedup), holes, and what is damaged are missing here.
  for (const f of partial.values()) {
    const base = target.goTo(f.path);
    const have = f.have.reduce((n, [s, e]) => n + e - s, 0);
    const { beside, fd } = target.createBeside(base, '.incomplete');
    fs.closeSync(fd);
    fs.renameSync(target.at(f.beside), target.at(beside));
    fs.truncateSync(target.at(beside), f.size);
    log.left(
      f.path,
      `is not complete: ${have} of ${f.size} bytes, kept as ${printable(beside)}; what is missing is zeros`,
    );
    count.incomplete++;
  }
  target.finish();
  return count;
}

// ---------------------------------------------------------------------------------------------------------
// The command line.
// ---------------------------------------------------------------------------------------------------------
const HELP = `recover.js: reads a Backpack repository without the Backpack program.

  node recover.js --key key.bin [--repo DIR] [command]

  (no command)                        list the snapshots and restore the latest into ./recovered
  list                                the snapshots
  ls [SNAPSHOT[:PATH]]                what is in a snapshot
  restore [SNAPSHOT[:PATH]] --to DIR  restore it below DIR; nothing that exists is overwritten
  verify                              read and check every byte of the repository
  scan --to DIR                       rebuild files from the packs alone, when snapshots are lost

  --key FILE               key.bin, or a wrapped key (keys/....json) with --passphrase-file
  --passphrase-file FILE   the passphrase of a wrapped key
  --repo DIR               the repository; without it the folder above this script
  --json                   list and verify: one JSON object per line
  SNAPSHOT                 latest (default), @2026-11-01 (what was latest then; times are UTC),
                           or the beginning of an id as list shows it

Exit: 0 done, 1 failed, 2 wrong usage, 3 something could not be restored, 4 damage found,
      10 no repository, 12 wrong key or passphrase, 15 made by a newer version.
`;

const UNSUPPORTED = ['E_MAJOR', 'E_SUITE', 'E_NEED', 'E_FLAG'];
class Log {
  constructor(json, result, io) {
    this.json = json;
    this.io = io;
    this.result = result; // verify: findings are the result and go to stdout
    this.damaged = 0;
    this.newer = [];
    this.leftOut = 0;
    this.said = new Set();
    this.damage = this.damage.bind(this);
  }
  out(text) {
    this.io.out(`${text}\n`);
  }
  note(text) {
    this.io.err(`${text}\n`);
  }
  damage(e, p) {
    const once = `${e.code} ${e.where} ${e.message} ${p ? p.toString('latin1') : ''}`;
    if (this.said.has(once)) return;
    if (this.said.size < 10000) this.said.add(once);
    this.damaged++;
    if (UNSUPPORTED.includes(e.code)) this.newer.push(e);
    const [, object, record] = /^(.*?)(?: (record \d+|table))?$/.exec(e.where ?? '') ?? [];
    const line = this.json
      ? JSON.stringify({
          type: 'finding',
          code: e.code,
          object,
          record: record?.replace('record ', ''),
          path: p && printable(p),
          message: e.message,
        })
      : `${e.code} ${e.where ?? ''}: ${e.message}${p ? `  (${printable(p)})` : ''}`;
    if (this.result) this.out(line);
    else this.note(line);
  }
  lost(p, what) {
    this.note(`damaged: ${printable(p)} ${what}`);
  }
  left(p, what) {
    this.leftOut++;
    this.note(`not restored: ${printable(p)}: ${what}`);
  }
  get exit() {
    if (this.damaged) return this.newer.filter((e) => !e.repaired).length === this.damaged ? 15 : 4;
    return this.leftOut ? 3 : 0;
  }
}

function parseArguments(argv) {
  const options = { words: [] };
  const usage = (what) =>
    new Fatal('E_USAGE', 2, what, 'the command line was not understood', 'node recover.js --help');
  for (let i = 0; i < argv.length; i++) {
    const m = /^--(key|repo|to|passphrase-file)(?:=(.*))?$/s.exec(argv[i]);
    if (argv[i] === '--help' || argv[i] === '-h') options.help = true;
    else if (argv[i] === '--json') options.json = true;
    else if (m) {
      options[m[1]] = m[2] ?? argv[++i];
      if (!options[m[1]]) throw usage(`--${m[1]} needs a value`);
    } else if (argv[i].startsWith('-')) throw usage(`unknown option ${argv[i]}`);
    else options.words.push(argv[i]);
  }
  if (options.help) return options;
  const [verb = null, what, ...more] = options.words;
  if (![null, 'list', 'ls', 'restore', 'verify', 'scan'].includes(verb))
    throw usage(`unknown command ${verb}`);
  if (more.length || (what !== undefined && verb !== 'ls' && verb !== 'restore'))
    throw usage('too many words');
  if ((verb === 'restore' || verb === 'scan') && !options.to) throw usage(`${verb} needs --to DIR`);
  if (!options.key) throw usage('--key FILE is needed');
  const [, snapshot, rest] = /^(@[\d-]*(?:[T ]\d\d(?::\d\d){0,2})?Z?(?=:|$)|[^:]*):?(.*)$/s.exec(
    what ?? 'latest',
  );
  const inside = Buffer.from(rest.replace(/^\/+|\/+$/g, ''))
    .toString('latin1')
    .replace(/\\x([0-9a-f]{2})/gi, (_, hex) => String.fromCharCode(Number.parseInt(hex, 16)));
  const inSnapshot = inside ? Buffer.from(inside, 'latin1') : null;
  return { ...options, verb, snapshot: snapshot || 'latest', path: inSnapshot };
}

/** Reads a key or passphrase file of at most 64 KiB. */
function readKeyFile(file, log) {
  let bytes;
  try {
    const stat = fs.statSync(file);
    if (!stat.isFile() || stat.size > MAX_KEY_FILE) throw new Error('not a file of at most 64 KiB');
    if (!WINDOWS && stat.mode & 0o077) log.note(`warning: other users of this computer can read ${file}`);
    bytes = fs.readFileSync(file);
  } catch (e) {
    throw wrongKey(`cannot read ${file}`, e.message, 'name the key file with --key FILE');
  }
  return bytes;
}

/** Do the key and the repository belong together? Corrects one wrong byte of a key without a keyid of its own. */
function fitKey(repo, key, log) {
  const headers = [];
  for (const name of [...repo.list('snapshots').slice(-100), ...repo.list('packs').slice(0, 20)]) {
    try {
      const fd = repo.openFile(name);
      try {
        headers.push(parseHeader(readExactly(fd, Buffer.alloc(512), 512, 0)));
      } finally {
        fs.closeSync(fd);
      }
    } catch (e) {
      if (!e.code) throw e; // damage is reported by those who need the object
    }
  }
  if (headers.length === 0) {
    if (key.doubtful)
      throw wrongKey(
        'the key file is damaged',
        'root= and keyid= do not fit, and no single wrong byte explains it',
        'use another copy of the key',
      );
    return;
  }
  const keyids = [...new Set(headers.map((h) => h.keyid))];
  if (!keyids.some((id) => key.roots.has(id))) {
    const [first] = key.roots.values();
    for (const id of key.raw || key.doubtful ? keyids : []) {
      const fixed = fixOneByte(first, id);
      if (!fixed) continue;
      key.roots.set(id, fixed.root);
      log.note(
        `note: the key has a wrong byte: byte ${fixed.at + 1} must be ${fixed.root.toString('hex', fixed.at, fixed.at + 1)}`,
      );
      return;
    }
    const what = key.doubtful
      ? 'its root= and keyid= do not fit, and no single wrong byte explains it'
      : `it has keyid ${[...key.roots.keys()].join(', ')}, the repository ${keyids.join(', ')}`;
    throw wrongKey(
      'wrong key for this repository',
      what,
      'use another copy of the key, or another --repo DIR',
    );
  }
  if (key.doubtful) log.note('note: the line keyid= of the key file is wrong; root= fits the repository');
  const ours = headers.filter((h) => key.roots.has(h.keyid));
  if (key.repo && ours.every((h) => h.repo !== key.repo)) {
    throw new Fatal(
      'E_REPO',
      12,
      'the key file names another repository',
      `repo=${key.repo}, the repository is ${ours[0].repo}`,
      'if it was typed from paper: use a copy of the key file without the line repo=',
    );
  }
}

function openRepository(options, log) {
  const above = path.join(__dirname, '..');
  const dir = options.repo ?? (looksLikeRepository(above) ? above : null);
  if (!dir || !looksLikeRepository(dir)) {
    throw new Fatal(
      'E_MISSING',
      10,
      'no repository there',
      dir ? `${dir} has no packs/, snapshots/ or backpack.json` : 'the folder above this script is not one',
      'name it with --repo DIR',
    );
  }
  const secret =
    options['passphrase-file'] &&
    readKeyFile(options['passphrase-file'], log)
      .toString('utf8')
      .replace(/\r?\n$/, '');
  const key = parseKey(readKeyFile(options.key, log), secret);
  for (const note of key.notes) log.note(`note: ${note}`);
  const repo = new Repository(
    dir,
    key,
    (where, e, more) =>
      log.damage(
        Object.assign(e, { where: e.where ?? where, message: `${e.message}${more ? `; ${more}` : ''}` }),
      ),
    (where, what) => log.result || log.note(`warning: ${where}: ${what}`),
  );
  fitKey(repo, key, log);
  try {
    readConfig(repo);
  } catch (e) {
    if (e.code === 'E_NEED')
      throw new Fatal(
        'E_NEED',
        15,
        'this repository needs a newer reader',
        e.message,
        'use the recover.js of a newer release',
      );
    if (!e.code?.startsWith('E_')) throw e; // verify reports it
  }
  return { repo, key };
}

const sizeText = (n) =>
  n < 1000
    ? `${n} B`
    : n < 1e6
      ? `${(n / 1e3).toFixed(1)} kB`
      : n < 1e9
        ? `${(n / 1e6).toFixed(1)} MB`
        : `${(n / 1e9).toFixed(2)} GB`;
const dateText = (time) => {
  const d = new Date(secondsOf(time) * 1000);
  return Number.isNaN(d.getTime()) ? time : d.toISOString().slice(0, 19).replace('T', ' ');
};
function list(snapshots, log) {
  for (const s of snapshots.list) {
    const { root } = s;
    const state = [
      root.partial ? 'partial' : '',
      s.damaged ? 'damaged, read from its copy' : s.copy ? 'copy: perhaps never finished, or forgotten' : '',
    ].filter(Boolean);
    if (log.json) {
      const { seq, time, host, set, roots, partial, stats } = root;
      log.out(
        JSON.stringify({
          type: 'snapshot',
          id: s.id,
          short: shortId(s.id),
          writer: s.writer,
          seq,
          time,
          host,
          set,
          roots,
          partial,
          stats,
          copy: s.copy,
        }),
      );
    } else {
      const text = (v = '-') => printable(Buffer.from(typeof v === 'string' ? v : JSON.stringify(v)));
      log.out(
        `${shortId(s.id)}  ${dateText(root.time)}  ${text(root.host)}  ${text(root.set)}  ${text(root.stats.files)} files  ${sizeText(isInt(root.stats.bytes) ? root.stats.bytes : 0)}${state.length ? `  (${state.join('; ')})` : ''}`,
      );
    }
  }
  if (!log.json)
    log.out(
      `${snapshots.list.length} snapshots${snapshots.hidden.size ? `, ${snapshots.hidden.size} hidden (forgotten or replaced)` : ''}`,
    );
}

function ls(repo, snapshot, wanted, log) {
  const stream = mustOpen(repo, snapshot, log);
  const select = selection(wanted);
  for (const entry of entriesOf(repo, snapshot, stream, select.page, log.damage)) {
    if (!select.entry(entry.path) || (wanted && isBelow(wanted, entry.path))) continue;
    const { o } = entry;
    const arrow = entry.target ? ` -> ${printable(entry.target)}` : '';
    log.out(
      `${printable(Buffer.from(o.t))} ${o.o ?? '----'} ${String(o.s ?? '').padStart(14)}  ${o.m ? dateText(o.m) : ''}  ${printable(entry.path)}${arrow}`,
    );
  }
}

const isEmpty = (dir) =>
  !fs.existsSync(dir) || (fs.statSync(dir).isDirectory() && fs.readdirSync(dir).length === 0);
const TERMINAL = { out: (text) => process.stdout.write(text), err: (text) => process.stderr.write(text) };

/** Returns the exit code. */
function main(argv, io = TERMINAL) {
  let log = new Log(argv.includes('--json'), false, io);
  let repo = null;
  try {
    const options = parseArguments(argv);
    if (options.help) {
      io.out(HELP);
      return 0;
    }
    log = new Log(options.json, options.verb === 'verify', io);
    const to = options.to ?? 'recovered';
    if ((options.verb === null || options.verb === 'scan') && !isEmpty(to)) {
      throw new Fatal(
        'E_WRITE',
        1,
        `${to} exists and is not empty`,
        'nothing was changed',
        options.verb ? 'choose another --to DIR' : 'node recover.js ... restore --to DIR',
      );
    }
    const opened = openRepository(options, log);
    const { key } = opened;
    repo = opened.repo;
    if (options.verb === 'verify') {
      const { objects, snapshots } = verify(repo, key, log);
      if (log.json) log.out(JSON.stringify({ type: 'summary', objects, snapshots, findings: log.damaged }));
      else
        log.out(
          `${objects} objects and ${snapshots} snapshots checked: ${log.damaged ? `${log.damaged} findings` : 'no damage'}`,
        );
    } else if (options.verb === 'scan') {
      const n = scan(repo, to, log);
      log.out(`rebuilt ${n.files} files, ${sizeText(n.bytes)}, in ${to}; ${n.incomplete} incomplete`);
    } else {
      const snapshots = loadSnapshots(repo, log.damage);
      if (options.verb === null || options.verb === 'list') list(snapshots, log);
      if (options.verb !== 'list') {
        const snapshot = selectSnapshot(snapshots, options.snapshot);
        if (options.verb === 'ls') ls(repo, snapshot, options.path, log);
        else {
          const n = restore(repo, snapshot, options.path, to, log);
          log.out(
            `restored snapshot ${shortId(snapshot.id)} into ${to}: ${n.files} files, ${sizeText(n.bytes)}, ${n.folders} folders, ${n.links} links`,
          );
          if (log.damaged || log.leftOut)
            log.out(
              `${log.damaged} findings of damage, ${log.leftOut} things not restored: see the lines above`,
            );
        }
      }
    }
    return log.exit;
  } catch (e) {
    if (!(e instanceof Fatal) && !e.code) throw e;
    const fatal =
      e instanceof Fatal
        ? e
        : new Fatal(
            e.code,
            e.code.startsWith('E_') ? 4 : 1,
            e.message,
            e.where ?? 'while working',
            'see --help; verify names all damage',
          );
    io.err(`error: ${fatal.message} (${fatal.code})\n  ${fatal.what}\n  next: ${fatal.next}\n`);
    return fatal.exit === 1 && log.damaged ? log.exit : fatal.exit;
  } finally {
    repo?.close();
  }
}

// the pure parts, for tests
Object.assign(module.exports, {
  main,
  Bad,
  Repository,
  Target,
  XXH64,
  xxh64,
  xxh32,
  fastStripes,
  lz4Block,
  lz4Frame,
});
Object.assign(module.exports, {
  parseKey,
  keyidOf,
  unwrapKey,
  x25519,
  parseJSON,
  linesOf,
  nameBytes,
  checkPath,
});
Object.assign(module.exports, {
  entriesOf,
  readSnapshot,
  readMoved,
  readDrop,
  readMark,
  readIndex,
  parseName,
});
Object.assign(module.exports, {
  verifyContainer,
  baseSecret,
  label,
  checkExtent,
  comparePaths,
  printable,
  timeForNode,
  secondsOf,
});
if (require.main === module) {
  process.stdout.on('error', () => {}); // `| head` may close the pipe
  process.exitCode = main(process.argv.slice(2));
}
