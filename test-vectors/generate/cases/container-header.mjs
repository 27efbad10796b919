// One defect in name, header or key: nothing is released.
import { hex, objectName, overwrite, Random, text } from '../lib/bytes.mjs';
import { kemBase, label, writerSecret, x25519Public } from '../lib/keys.mjs';
import { containerVector, idOf, rewriteHeader } from '../lib/make.mjs';

const WRITER = '00c0ffee00c0ffee';
const OTHER_ID = '018bcfe56800'.padEnd(40, '7');

const reject =
  (expect, what, spec = {}) =>
  (name) =>
    containerVector(name, { what, expect, pad: false, ...(typeof spec === 'function' ? spec(name) : spec) });

/** A field changed after key and commitment were made. */
const changed = (what, change, more = {}) =>
  reject('E_COMMIT', what, () => ({ ...rewriteHeader(change), shown: change, ...more }));

/** A field in upper-case hex, which means the same number and is still not the grammar. */
const upperCase = (expect, field, more) =>
  reject(expect, `upper-case digits in ${field}=`, () => ({
    ...rewriteHeader((read) => ({ [field]: read[field].toUpperCase() })),
    ...more,
  }));

const lowOrder = Buffer.from('01'.padEnd(64, '0'), 'hex');

export default {
  'e-name-id': reject('E_NAME', 'the id in the name is another one', {
    object: objectName('data', OTHER_ID),
  }),
  'e-name-kind': reject('E_NAME', 'a data container under index/', (name) => ({
    object: objectName('indx', idOf(name)),
  })),
  'e-name-prefix': reject('E_NAME', 'the folder is not the first five digits', (name) => ({
    object: objectName('data', idOf(name)).replace('packs/018bc', 'packs/018bd'),
  })),
  'e-name-upper-case': reject('E_NAME', 'upper-case digits in the name', (name) => ({
    object: `packs/018bc/${idOf(name).toUpperCase()}.bpk`,
  })),
  'e-name-time': reject('E_NAME', 'a snapshot whose name tells another second than its id', (name) => ({
    kind: 'snap',
    records: [],
    object: objectName('snap', idOf(name)).replace('T221320Z', 'T221321Z'),
  })),
  'e-magic-first-line': reject('E_MAGIC', 'first letter of the file is wrong', {
    headerLines: { magic: 'CACKPACK-CONTAINER 1' },
  }),
  'e-magic-note': reject('E_MAGIC', 'one letter of the second line is wrong', {
    headerLines: { note: 'Encrypted backup data. How to read it: README.txt in the top holder.' },
  }),
  'e-magic-pad': reject('E_MAGIC', 'a letter in pad=', { headerLines: { pad: `pad=${'-'.repeat(78)}x` } }),
  'e-magic-line-end': reject('E_MAGIC', 'CR instead of LF behind pad=', {
    change: (bytes) => overwrite(bytes, 439, '\r'),
  }),
  'e-repo-hex': upperCase('E_REPO', 'repo'),
  'e-key-hex': upperCase('E_KEY', 'keyid'),
  'e-flag-hex-writer': upperCase('E_FLAG', 'writer', { writer: WRITER }),
  'e-name-hex-id': upperCase('E_NAME', 'id'),
  'e-flag-hex-kem': upperCase('E_FLAG', 'kem', { writer: WRITER }),
  'e-commit-hex': upperCase('E_COMMIT', 'commit'),
  'e-major': reject('E_MAJOR', 'BACKPACK-CONTAINER 2', { headerLines: { magic: 'BACKPACK-CONTAINER 2' } }),
  'e-suite': reject('E_SUITE', 'suite=2', {
    headerLines: { suite: 'suite=2 HKDF-SHA512 AES-256-GCM LZ4-frames' },
  }),
  'e-suite-text': reject('E_SUITE', 'suite=1 with another text', {
    headerLines: { suite: 'suite=1 HKDF-SHA512 AES-256-GCM LZ5-frames' },
  }),
  'e-kind': reject('E_KIND', 'kind=blob', { fields: { kind: 'blob' } }),
  'e-flag-unknown': reject('E_FLAG', 'an unknown flag bit', { fields: { flags: 2 } }),
  'e-flag-high': reject('E_FLAG', 'the highest flag bit', { fields: { flags: 0x80000000 } }),
  'e-flag-no-writer': reject('E_FLAG', '(0,0,1): the flag without a writer', { fields: { flags: 1 } }),
  'e-flag-writer': reject('E_FLAG', '(w,0,0): a writer without the flag', { fields: { writer: WRITER } }),
  'e-flag-kem': reject('E_FLAG', '(0,E,0): kem without a writer', { fields: { kem: '09'.padEnd(64, '0') } }),
  'e-flag-no-kem': reject('E_FLAG', '(w,0,1) in a data container', {
    writer: WRITER,
    fields: { kem: '0'.repeat(64) },
  }),
  'e-flag-indx-kem': reject('E_FLAG', '(w,E,1) in an index', {
    kind: 'indx',
    records: [],
    writer: WRITER,
    fields: { kem: '09'.padEnd(64, '0') },
  }),
  'e-flag-move': reject('E_FLAG', 'a moved object of a write-only writer', {
    kind: 'move',
    records: [],
    writer: WRITER,
  }),
  'e-flag-mark': reject('E_FLAG', 'a mark of a write-only writer', {
    kind: 'mark',
    records: [],
    writer: WRITER,
  }),
  'e-flag-drop': reject('E_FLAG', 'a drop object of a write-only writer', {
    kind: 'drop',
    records: [],
    writer: WRITER,
  }),
  'e-repo': reject('E_REPO', 'the key file belongs to another repository', { repo: 'f'.repeat(32) }),
  'e-key': reject('E_KEY', 'no root with this key id', { key: '0f'.repeat(32) }),
  'e-commit-kind': changed('kind=data changed to kind=meta', { kind: 'meta' }),
  'e-commit-repo': changed('repo= changed, and the reader does not know the repository id', {
    repo: 'f'.repeat(32),
  }),
  'e-commit-id': changed('id= changed, and the name with it', { id: OTHER_ID }),
  'e-commit-writer': changed(
    'writer= of a write-only container changed',
    { writer: '00c0ffee00c0ffef' },
    { writer: WRITER },
  ),
  'e-commit-kem': changed(
    'kem= replaced by another public key',
    { kem: hex(x25519Public(Buffer.alloc(32, 7))) },
    { writer: WRITER },
  ),
  'e-commit-commit': changed('one bit of the commitment', { commit: '0'.repeat(64) }),
  'e-commit-indx-writer': changed(
    'writer= of an index changed',
    { writer: '00c0ffee00c0ffef' },
    { writer: WRITER, kind: 'indx', records: [] },
  ),
  'e-kem': reject('E_KEM', 'kem= is a point of low order: the shared secret is zero', (name) => {
    const root = new Random(name).bytes(32);
    const xPub = x25519Public(label(root, 'x25519'));
    const base = kemBase(writerSecret(root, WRITER), lowOrder, xPub, Buffer.alloc(32));
    return { writer: WRITER, fields: { kem: hex(lowOrder) }, base };
  }),
  'e-magic-empty-lines': reject('E_MAGIC', '4096 zero bytes', { change: () => Buffer.alloc(4096) }),
  'e-magic-text': reject('E_MAGIC', '4096 bytes of other text', {
    change: () => Buffer.alloc(4096, text('no container\n')),
  }),
};
