// Cut, lengthened and tampered containers; trailers that lie. Except where the trailer is the defect, its
// xxh64 fits the bytes as they are, so that only the named check can find the damage.
import { flip, objectName, Random } from '../lib/bytes.mjs';
import { nonce, seal } from '../lib/keys.mjs';
import { frame } from '../lib/lz4.mjs';
import { containerVector, idOf, one } from '../lib/make.mjs';

const reject =
  (expect, what, spec = {}) =>
  (name) =>
    containerVector(name, { what, expect, pad: false, ...(typeof spec === 'function' ? spec(name) : spec) });

const cut = (what, where) =>
  reject('E_TRUNC', what, { change: (bytes, made) => bytes.subarray(0, where(bytes, made)) });

/** Two records of 64 incompressible bytes: sealed, they have one length. */
const twins = (name) => {
  const random = new Random(`${name}/twins`);
  return [one(random.bytes(64)), one(random.bytes(64)), one(random.bytes(64))];
};

const tampered = (what, released, index, at) =>
  reject('E_TAG', what, {
    released,
    sealed: (parts) => ({
      ...parts,
      records: parts.records.map((bytes, i) => (i === index ? flip(bytes, at) : bytes)),
    }),
  });

/** A wrong trailer line: a check reports it, a restore may go on and then releases every record. */
const trailer = (what, lines) =>
  reject('E_TRAILER', what, {
    released: 3,
    restore: 'optional',
    trailer: (fields) => ({ ...fields, ...lines.fields }),
    trailerLines: lines.lines,
  });

const OTHER_ID = '018bcfe56800'.padEnd(40, '7');

export default {
  'e-trunc-empty': cut('an empty file', () => 0),
  'e-trunc-header': cut('100 bytes: cut off in the header', () => 100),
  'e-trunc-after-header': cut('cut off behind the header', () => 512),
  'e-trunc-in-record': cut('cut off in record 1', (_, made) => made.lines[3][1] + 10),
  'e-trunc-after-record': cut('cut off behind record 0', (_, made) => made.lines[3][1]),
  'e-trunc-before-table': cut('cut off before the table', (_, made) => made.fields.tblOff),
  'e-trunc-in-table': cut('cut off in the table', (_, made) => made.fields.tblOff + 20),
  'e-trunc-before-trailer': cut('cut off before the trailer', (bytes) => bytes.length - 512),
  'e-trunc-in-trailer': cut('the last byte is missing', (bytes) => bytes.length - 1),
  'e-trunc-record-removed': reject('E_TRUNC', 'record 1 is missing; header, table and trailer are there', {
    // 103 bytes: the sealed frame of 64 incompressible bytes
    sealed: (parts) => ({ ...parts, records: parts.records.toSpliced(1, 1) }),
    trailer: (fields) => ({ ...fields, tblOff: fields.tblOff + 103 }),
  }),
  'e-extra-appended': reject('E_EXTRA', 'one byte behind the trailer', {
    change: (bytes) => Buffer.concat([bytes, Buffer.from('\n')]),
  }),
  'e-extra-appended-100': reject('E_EXTRA', 'a hundred bytes behind the trailer', {
    change: (bytes) => Buffer.concat([bytes, Buffer.alloc(100, 'x')]),
  }),
  'e-extra-before-trailer': reject('E_EXTRA', 'one byte between table and trailer', {
    sealed: (parts) => ({ ...parts, table: Buffer.concat([parts.table, Buffer.alloc(1)]) }),
    trailer: (fields) => ({ ...fields, tblLen: fields.tblLen - 1 }),
  }),
  'e-extra-table-short': reject('E_EXTRA', 'the trailer gives the table a byte less', {
    trailer: (fields) => ({ ...fields, tblLen: fields.tblLen - 1 }),
  }),
  'e-trunc-table-long': reject('E_TRUNC', 'the trailer gives the table a byte more', {
    trailer: (fields) => ({ ...fields, tblLen: fields.tblLen + 1 }),
  }),
  'e-trailer-table-grammar': reject('E_TRAILER', 'table= holds letters', {
    trailerLines: { table: `table=${'x'.repeat(16)} ${'x'.repeat(12)}` },
  }),
  'e-trailer-magic': trailer('the first line of the trailer', { lines: { magic: 'BACKPACK-TRAILER 2' } }),
  'e-trailer-kind': trailer('kind= of the trailer', { fields: { kind: 'meta' } }),
  'e-trailer-repo': trailer('repo= of the trailer', { fields: { repo: 'f'.repeat(32) } }),
  'e-trailer-keyid': trailer('keyid= of the trailer', { fields: { keyid: 'f'.repeat(16) } }),
  'e-trailer-writer': trailer('writer= of the trailer', { fields: { writer: 'f'.repeat(16) } }),
  'e-trailer-id': trailer('id= of the trailer', { fields: { id: OTHER_ID } }),
  'e-trailer-kem': trailer('kem= of the trailer', { fields: { kem: 'f'.repeat(64) } }),
  'e-trailer-flags': trailer('flags= of the trailer', { fields: { flags: 1 } }),
  'e-trailer-commit': trailer('commit= of the trailer', { fields: { commit: 'f'.repeat(64) } }),
  'e-trailer-records': trailer('records= of the trailer', { fields: { records: 4 } }),
  'e-trailer-xxh64': trailer('xxh64= of the trailer', { fields: { xxh64: '0'.repeat(16) } }),
  'e-trailer-pad': trailer('pad= of the trailer', { lines: { pad: `pad=${'-'.repeat(109)}x` } }),
  'e-trailer-end': trailer('the END line of the trailer', { lines: { end: 'eND' } }),
  'e-tag-table-offset': reject('E_TAG', 'the trailer shifts the table by one byte, the sum being right', {
    trailer: (fields) => ({ ...fields, tblOff: fields.tblOff - 1, tblLen: fields.tblLen + 1 }),
  }),
  'e-tag-in-c': tampered('one bit in the ciphertext of record 1', 1, 1, 20),
  'e-tag-in-c-first': tampered('one bit in the first byte of record 0', 0, 0, 0),
  'e-tag-in-c-last': tampered('one bit in the last ciphertext byte of record 2', 2, 2, -17),
  'e-tag-in-t': tampered('one bit in the tag of record 1', 1, 1, -1),
  'e-tag-in-t-first': tampered('one bit in the first byte of the tag of record 2', 2, 2, -16),
  'e-tag-table-c': reject('E_TAG', 'one bit in the ciphertext of the table', {
    sealed: (parts) => ({ ...parts, table: flip(parts.table, 30) }),
  }),
  'e-tag-table-t': reject('E_TAG', 'one bit in the tag of the table', {
    sealed: (parts) => ({ ...parts, table: flip(parts.table, -1) }),
  }),
  'e-tag-swapped': reject('E_TAG', 'records 1 and 2 change places', (name) => ({
    records: twins(name),
    released: 1,
    sealed: (parts) => ({ ...parts, records: [parts.records[0], parts.records[2], parts.records[1]] }),
  })),
  'e-tag-repeated': reject('E_TAG', 'record 0 stands in the place of record 1 too', (name) => ({
    records: twins(name),
    released: 1,
    sealed: (parts) => ({ ...parts, records: [parts.records[0], parts.records[0], parts.records[2]] }),
  })),
  'e-tag-foreign': reject('E_TAG', 'record 1 comes from another container of the same key', (name) => ({
    records: twins(name),
    released: 1,
    sealed: (parts) => ({
      ...parts,
      records: parts.records.toSpliced(
        1,
        1,
        seal(Buffer.alloc(32, 9), nonce(0, 1), frame(twins(name)[1].plain)),
      ),
    }),
  })),
  'e-tag-table-as-record': reject('E_TAG', 'record 0 is sealed under the nonce of the table', (name) => ({
    records: twins(name),
    sealed: (parts, key) => ({
      ...parts,
      records: parts.records.toSpliced(0, 1, seal(key, nonce(1, 0), frame(twins(name)[0].plain))),
    }),
  })),
  'e-tag-record-as-table': reject('E_TAG', 'the table is sealed under the nonce of record 0', (name) => ({
    kind: 'meta',
    records: [],
    object: objectName('meta', idOf(name)),
    sealed: (parts, key) => ({
      ...parts,
      table: seal(key, nonce(0, 0), frame(Buffer.from('{"backpack":"table","v":1,"records":0,"end":512}\n'))),
    }),
  })),
  'e-tag-short-tag': reject('E_TAG', 'the last record has a tag of 12 bytes, followed by four zero bytes', {
    released: 2,
    sealed: (parts) => ({
      ...parts,
      records: parts.records.with(2, Buffer.concat([parts.records[2].subarray(0, -4), Buffer.alloc(4)])),
    }),
  }),
};
