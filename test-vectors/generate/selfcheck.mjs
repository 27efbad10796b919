// node selfcheck.mjs: tests the generator with outside programs. Everything a vector says is accepted is opened
// again with openssl (HMAC, X25519, scrypt, key wrap, AES-CTR, GMAC), lz4 and xxhsum; nothing of lib/ is used.
import { spawnSync } from 'node:child_process';
import { createDecipheriv, createHash } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseObjects, parseParts, parseVector } from '../parse.mjs';

const top = join(dirname(fileURLToPath(import.meta.url)), '..');
const scratch = mkdtempSync(join(tmpdir(), 'vectors-'));
let checks = 0;
let failures = 0;

function run(program, args, input) {
  const { status, stdout, stderr } = spawnSync(program, args, { input, maxBuffer: 1 << 28 });
  if (status !== 0) throw new Error(`${program} ${args[0]}: ${stderr}`);
  return stdout;
}

function same(name, what, got, wanted) {
  checks++;
  if (String(got) === String(wanted)) return;
  failures++;
  console.log(`${name}: ${what} is ${got}, the vector says ${wanted}`);
}

const sha256 = (bytes) => createHash('sha256').update(bytes).digest('hex');
const unhex = (text) => Buffer.from(text, 'hex');
const hex = (bytes) => Buffer.from(bytes).toString('hex');
const xxhsum = (bytes) => run('xxhsum', ['-H1'], bytes).toString().slice(0, 16);

function temporary(bytes) {
  const file = join(scratch, 'file');
  writeFileSync(file, bytes);
  return file;
}

/** E(prk, info): 64 bytes in hex. */
function expand(prk, info) {
  const args = ['dgst', '-sha512', '-mac', 'HMAC', '-macopt', `hexkey:${prk}`, '-r'];
  return run('openssl', args, Buffer.concat([Buffer.from(info), Buffer.from([1])]))
    .toString()
    .slice(0, 128);
}
const label = (prk, name) => expand(prk, `backpack/1 ${name}`).slice(0, 64);

function gmac(key, chunk) {
  const options = ['-macopt', `hexkey:${key}`, '-macopt', `hexiv:${'0'.repeat(24)}`, '-in', temporary(chunk)];
  return run('openssl', ['mac', '-cipher', 'AES-256-GCM', ...options, 'GMAC'])
    .toString()
    .trim()
    .toLowerCase();
}

function x25519Public(secret) {
  const der = temporary(Buffer.concat([unhex('302e020100300506032b656e04220420'), unhex(secret)]));
  return hex(
    run('openssl', ['pkey', '-inform', 'DER', '-in', der, '-pubout', '-outform', 'DER']).subarray(-32),
  );
}

function x25519(secret, peer) {
  const own = join(scratch, 'own');
  writeFileSync(own, Buffer.concat([unhex('302e020100300506032b656e04220420'), unhex(secret)]));
  const other = temporary(Buffer.concat([unhex('302a300506032b656e032100'), unhex(peer)]));
  return hex(
    run('openssl', [
      'pkeyutl',
      '-derive',
      '-keyform',
      'DER',
      '-inkey',
      own,
      '-peerform',
      'DER',
      '-peerkey',
      other,
    ]),
  );
}

/** The base secret B of a container, from its header lines. */
function baseOf(root, header) {
  if (header.flags === '00000000') return root;
  const secret = label(root, `writer ${header.writer}`);
  if (header.kind === 'indx') return secret;
  const priv = label(root, 'x25519');
  const salt = label(secret, 'psk') + header.kem + x25519Public(priv);
  const args = ['dgst', '-sha512', '-mac', 'HMAC', '-macopt', `hexkey:${salt}`, '-r'];
  return run('openssl', args, unhex(x25519(priv, header.kem)))
    .toString()
    .slice(0, 128);
}

/** Decrypts with openssl's CTR mode and unpacks with lz4; the tag is checked by Node. */
function message(name, key, nonce, sealed) {
  const [text, tag] = [sealed.subarray(0, -16), sealed.subarray(-16)];
  const decipher = createDecipheriv('aes-256-gcm', unhex(key), unhex(nonce), { authTagLength: 16 });
  decipher.setAuthTag(tag);
  const plain = Buffer.concat([decipher.update(text), decipher.final()]);
  const counter = run('openssl', ['enc', '-d', '-aes-256-ctr', '-K', key, '-iv', `${nonce}00000002`], text);
  same(name, 'CTR plaintext', sha256(counter), sha256(plain));
  return run('lz4', ['-dc'], plain);
}

/** Opens a container: { table, records }. Long ones are read without the outside programs for each record. */
function open(name, root, bytes) {
  const head = bytes.subarray(0, 512).toString('latin1').split('\n');
  const header = Object.fromEntries(
    head.filter((line) => line.includes('=')).map((line) => line.split('=').slice(0, 2)),
  );
  const tail = bytes.subarray(-512).toString('latin1');
  const [, tblOff, tblLen] = /^table=(\d+) (\d+)$/m.exec(tail);
  same(name, 'trailer xxh64', /^xxh64=(.*)$/m.exec(tail)[1], xxhsum(bytes.subarray(0, -512)));
  same(name, 'size', Number(tblOff) + Number(tblLen) + 528, bytes.length);
  const both = expand(label(baseOf(root, header), header.kind), bytes.subarray(0, 440));
  same(name, 'commitment', both.slice(64), header.commit);
  const key = both.slice(0, 64);
  const table = message(name, key, '000000010000000000000000', bytes.subarray(Number(tblOff), -512));
  const lines = table
    .toString()
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
  const rows = lines.filter((line) => line[0] === 'R');
  const records = rows.slice(0, 20).map(([, offset, clen, length], i) => {
    const nonce = `00000000${i.toString(16).padStart(16, '0')}`;
    const plain = message(name, key, nonce, bytes.subarray(offset, offset + clen + 16));
    same(name, `length of record ${i}`, plain.length, length);
    return plain;
  });
  return { header, key, table, lines, rows, records };
}

/** XXH64 and g of the C lines. */
function chunks(name, kDedup, { lines, records }) {
  let record = -1;
  for (const [letter, offset, length, xxh64, g] of lines.slice(1)) {
    if (letter === 'R') record++;
    if (letter !== 'C' || !records[record]) continue;
    const chunk = records[record].subarray(offset, offset + length);
    same(name, 'chunk XXH64', xxh64, xxhsum(chunk));
    same(name, 'chunk g', g, gmac(kDedup, chunk));
  }
}

/** Cut points by definition: the hash of the 64 bytes before each position, in BigInt. */
function cutPoints(kChunker, data) {
  const table = run(
    'openssl',
    ['enc', '-aes-256-ctr', '-K', kChunker, '-iv', '0'.repeat(32)],
    Buffer.alloc(2048),
  );
  const gear = Array.from({ length: 256 }, (_, i) => table.readBigUInt64LE(8 * i));
  const cuts = [];
  let h = 0n;
  let start = 0;
  for (let at = 1; at <= data.length; at++) {
    h = BigInt.asUintN(64, (h << 1n) + gear[data[at - 1]]);
    const length = at - start;
    const strict = length >= 262144 && length < 1048576 && h >> 42n === 0n;
    const loose = length >= 1048576 && h >> 46n === 0n;
    if (strict || loose || length === 4194304) {
      cuts.push(at);
      start = at;
    }
  }
  if (start < data.length) cuts.push(data.length);
  return cuts;
}

const FUNCTIONS = {
  keyid: (get) => ({ keyid: label(get('in-root'), 'keyid').slice(0, 16) }),
  'class-keys': (get) =>
    Object.fromEntries(
      'data meta snap indx move mark drop'.split(' ').map((kind) => [kind, label(get('in-base'), kind)]),
    ),
  'container-key': (get, payload) => {
    const both = expand(label(get('in-base'), get('in-kind')), payload);
    return { key: both.slice(0, 64), commit: both.slice(64) };
  },
  'dedup-and-chunker': (get) => {
    const key = label(get('in-secret'), 'dedup');
    return {
      'dedup-key': key,
      dd: label(key, 'dedup id').slice(0, 16),
      'chunker-key': label(get('in-secret'), 'chunker'),
    };
  },
  'chunk-identity': (get, payload) => ({ xxh64: xxhsum(payload), g: gmac(get('in-dedup-key'), payload) }),
  'cut-points': (get) => {
    const [form, length] = get('in-data').split(' ');
    const zeros = Buffer.alloc(Number(length));
    const args = ['enc', '-aes-256-ctr', '-K', '0'.repeat(64), '-iv', '0'.repeat(32)];
    const data = form === 'zeros' ? zeros : run('openssl', args, zeros);
    return { cuts: cutPoints(get('in-chunker-key'), data).join(' ') };
  },
  'writer-base': (get) => {
    const root = get('in-root');
    const priv = label(root, 'x25519');
    const kem = x25519Public(get('in-ephemeral'));
    const base = baseOf(root, { flags: '00000001', writer: get('in-writer'), kind: 'data', kem });
    return { 'x-priv': priv, 'x-pub': x25519Public(priv), kem, shared: x25519(priv, kem), base };
  },
};

function scrypt(passphrase, { salt, N, r, p }) {
  const options = { hexpass: hex(Buffer.from(passphrase)), hexsalt: salt, n: N, r, p, maxmem_bytes: 1 << 28 };
  const args = Object.entries(options).flatMap(([key, value]) => ['-kdfopt', `${key}:${value}`]);
  return run('openssl', ['kdf', '-keylen', '32', ...args, 'SCRYPT'])
    .toString()
    .trim()
    .replaceAll(':', '')
    .toLowerCase();
}

const TYPES = {
  kdf(name, get, payload) {
    const results = FUNCTIONS[get('function')]?.(get, payload) ?? {};
    for (const [key, value] of Object.entries(results)) same(name, key, value, get(`out-${key}`));
  },
  keyfile(name, get) {
    same(name, 'key id', label(get('out-root'), 'keyid').slice(0, 16), get('out-keyid'));
  },
  'wrapped-key'(name, get, payload) {
    const json = JSON.parse(payload);
    const kek = scrypt(get('in-passphrase'), json);
    same(name, 'KEK', kek, get('out-kek'));
    const args = ['enc', '-d', '-id-aes256-wrap', '-K', kek, '-iv', 'A6A6A6A6A6A6A6A6'];
    same(name, 'root', hex(run('openssl', args, unhex(json.wrapped))), get('out-root'));
  },
  container(name, get, payload) {
    const root = get('key');
    const opened = open(name, root, payload);
    same(name, 'records', opened.rows.length, get('records'));
    same(name, 'table', sha256(opened.table), get('table'));
    if (opened.records.length === opened.rows.length) {
      same(name, 'released', sha256(Buffer.concat(opened.records)), get('released'));
    }
    const { writer } = opened.header;
    const secret = /^0+$/.test(writer) ? root : label(root, `writer ${writer}`);
    chunks(name, label(secret, 'dedup'), opened);
  },
  pages(name, get, payload) {
    const seen = new Map([['', 'd']]);
    let before;
    for (const page of parseParts(payload, get('lengths'))) {
      const lines = page
        .toString()
        .trim()
        .split('\n')
        .slice(1)
        .map((line) => JSON.parse(line));
      for (const { p, t } of lines) {
        if (p === undefined || t === '+') continue;
        const path = Array.isArray(p) ? Buffer.from(p[0], 'base64') : Buffer.from(p);
        const ranked = Buffer.from(path.map((byte) => (byte === 0x2f ? 0 : byte)));
        same(name, `order at ${path}`, before === undefined || before.compare(ranked) < 0, true);
        before = ranked;
        const text = path.toString('latin1');
        same(name, `parent of ${path}`, seen.get(text.slice(0, Math.max(0, text.lastIndexOf('/')))), 'd');
        seen.set(text, t);
      }
    }
  },
  repository(name, get, payload) {
    const file = Buffer.from(get('key'), 'base64');
    const roots =
      file.length === 32
        ? [hex(file)]
        : [...file.toString().matchAll(/^(?:root|old)=(.*)$/gm)].map((match) => match[1]);
    const byKeyid = new Map(roots.map((root) => [label(root, 'keyid').slice(0, 16), root]));
    for (const [object, bytes] of parseObjects(payload)) {
      if (!object.endsWith('.bpk')) continue;
      const keyid = /^keyid=(.*)$/m.exec(bytes.subarray(0, 512).toString('latin1'))[1];
      const { header } = open(`${name} ${object}`, byKeyid.get(keyid), bytes);
      same(name, `id in ${object}`, object.endsWith(`${header.id}.bpk`), true);
    }
  },
  dedup(name, get, payload) {
    const list = parseParts(payload, get('lengths'));
    same(name, 'XXH64', list.map(xxhsum).join(' '), get('out-xxh64'));
    same(name, 'g', list.map((chunk) => gmac(get('in-dedup-key'), chunk)).join(' '), get('out-g'));
  },
};

for (const group of ['kdf', 'container', 'manifest', 'repository', 'dedup']) {
  for (const file of readdirSync(join(top, group)).sort()) {
    const { fields, payload } = parseVector(readFileSync(join(top, group, file)));
    const name = fields.get('name');
    same(name, 'file name', `${group}/${file}`, `${name}.vec`);
    if (fields.get('expect') !== 'accept') continue;
    try {
      TYPES[fields.get('type')]?.(name, (key) => fields.get(key), payload);
    } catch (error) {
      failures++;
      console.log(`${name}: ${error.message}`);
    }
  }
}
rmSync(scratch, { recursive: true, force: true });
console.log(`${checks} checks, ${failures} failures`);
process.exitCode = failures ? 1 : 0;
