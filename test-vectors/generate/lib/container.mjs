// Sections 3 and 5: container = header, sealed records, sealed table, trailer.
import { concat, overwrite, text } from './bytes.mjs';
import { containerKeys, dedupKey, gmac, nonce, seal } from './keys.mjs';
import { frame, skippable } from './lz4.mjs';
import { xxh64hex } from './xxh.mjs';

const hex8 = (flags) => (flags >>> 0).toString(16).padStart(8, '0');
const dec = (value, width) => String(value).padStart(width, '0');

/** The first 440 bytes of a header. Any line can be replaced by name through `lines`. */
export function headerText(fields, lines = {}) {
  const all = {
    magic: 'BACKPACK-CONTAINER 1',
    note: 'Encrypted backup data. How to read it: README.txt in the top folder.',
    suite: 'suite=1 HKDF-SHA512 AES-256-GCM LZ4-frames',
    kind: `kind=${fields.kind}`,
    repo: `repo=${fields.repo}`,
    keyid: `keyid=${fields.keyid}`,
    writer: `writer=${fields.writer}`,
    id: `id=${fields.id}`,
    kem: `kem=${fields.kem}`,
    flags: `flags=${hex8(fields.flags)}`,
    pad: `pad=${'-'.repeat(79)}`,
    ...lines,
  };
  const out = text(
    Object.values(all)
      .map((line) => `${line}\n`)
      .join(''),
  );
  if (out.length !== 440) throw new Error(`header of ${out.length} bytes`);
  return out;
}

/** The 512 bytes of a trailer. */
export function trailerText(fields, lines = {}) {
  const all = {
    magic: 'BACKPACK-TRAILER 1',
    kind: `kind=${fields.kind}`,
    repo: `repo=${fields.repo}`,
    keyid: `keyid=${fields.keyid}`,
    writer: `writer=${fields.writer}`,
    id: `id=${fields.id}`,
    kem: `kem=${fields.kem}`,
    flags: `flags=${hex8(fields.flags)}`,
    commit: `commit=${fields.commit}`,
    table: `table=${dec(fields.tblOff, 16)} ${dec(fields.tblLen, 12)}`,
    records: `records=${dec(fields.records, 10)}`,
    xxh64: `xxh64=${fields.xxh64}`,
    pad: `pad=${'-'.repeat(110)}`,
    end: 'END',
    ...lines,
  };
  const out = text(
    `\n${Object.values(all)
      .map((line) => `${line}\n`)
      .join('')}`,
  );
  if (out.length !== 512) throw new Error(`trailer of ${out.length} bytes`);
  return out;
}

export const padme = (size) => {
  const e = Math.floor(Math.log2(size));
  const step = 2 ** (e - Math.floor(Math.log2(e)) - 1);
  return Math.ceil(size / step) * step;
};

/** The padding frame for a container that would have `size` bytes without it. */
export function paddingFor(size) {
  if (size >= 1048576) return Buffer.alloc(0);
  let target = Math.max(4096, padme(size));
  while (target - size > 0 && target - size < 8) target = padme(target + 1);
  return target === size ? Buffer.alloc(0) : skippable(target - size);
}

/** NDJSON of an array of values. */
export const ndjson = (values) => text(values.map((value) => `${JSON.stringify(value)}\n`).join(''));

/**
 * The usual table of a container.
 * records: [{ plain, sealed, origin?, chunks: [{ offset, bytes, hint?, file?, at? }] }]; `hint` is the F
 * line that stands before a chunk, `origin` the O line that stands before a record.
 */
export function tableLines(records, { kDedup, dd }) {
  let offset = 512;
  const lines = [];
  let hasChunks = false;
  for (const record of records) {
    if (record.origin) lines.push(record.origin);
    lines.push(['R', offset, record.sealed.length - 16, record.plain.length]);
    for (const chunk of record.chunks ?? []) {
      hasChunks = true;
      if (chunk.hint) lines.push(chunk.hint);
      const line = ['C', chunk.offset, chunk.bytes.length, xxh64hex(chunk.bytes), gmac(kDedup, chunk.bytes)];
      if (chunk.file !== undefined) line.push(chunk.file, chunk.at);
      lines.push(line);
    }
    offset += record.sealed.length;
  }
  const head = { backpack: 'table', v: 1, records: records.length, end: offset };
  if (hasChunks) head.dd = dd;
  head.app = 'test-vectors 1';
  return [head, ...lines];
}

/**
 * Builds one container.
 *
 * author, kind, id, random: who writes what under which id; random gives the ephemeral key.
 * records: [{ plain, chunks?, origin?, frame?: options or finished bytes }]
 * Everything below is optional and mostly there to make exactly one thing wrong:
 * table(lines) -> lines or Buffer     the table's plaintext, before compression
 * tableFrame(frame) -> Buffer         the table's LZ4 frame, with the padding
 * pad: false                          no padding
 * headerLines, fields                 other header lines or values; key and commitment follow them
 * base                                another base secret
 * sealed(parts) -> parts              changes { header, records: [C||T], table: C||T } after sealing
 * trailer(fields) -> fields, trailerLines   what the trailer says
 */
export function container(spec) {
  return build(spec).bytes;
}

/** The same, with the table's lines and the container key. */
export function build(spec) {
  const { author, kind, id, random, records = [] } = spec;
  const { kem, base } = author.base(kind, random);
  const fields = {
    kind,
    repo: author.repo,
    keyid: author.keyid,
    writer: author.writer,
    id,
    kem,
    flags: author.flags,
    ...spec.fields,
  };
  const top = headerText(fields, spec.headerLines);
  const { key, commit } = containerKeys(spec.base ?? base, fields.kind, top);
  fields.commit = commit.toString('hex');

  const sealedRecords = records.map((record, i) => {
    const bytes = Buffer.isBuffer(record.frame) ? record.frame : frame(record.plain, record.frame);
    return { ...record, sealed: seal(key, nonce(0, i), bytes) };
  });
  let lines = tableLines(sealedRecords, { kDedup: author.kDedup ?? dedupKey(author.root), dd: author.dd });
  if (spec.table) lines = spec.table(lines);
  const tablePlain = Buffer.isBuffer(lines) ? lines : ndjson(lines);
  let tableBytes = spec.tableFrame ? spec.tableFrame(frame(tablePlain)) : frame(tablePlain);
  const stored = sealedRecords.map((record) => record.sealed);
  const body = stored.reduce((sum, one) => sum + one.length, 0);
  if (spec.pad !== false) {
    tableBytes = concat(tableBytes, paddingFor(512 + body + tableBytes.length + 16 + 512));
  }
  let parts = {
    header: concat(top, text(`commit=${fields.commit}\n`)),
    records: stored,
    table: seal(key, nonce(1, 0), tableBytes),
  };
  if (spec.sealed) parts = spec.sealed(parts, key);

  const above = concat(parts.header, parts.records, parts.table);
  const trailerFields = {
    ...fields,
    tblOff: 512 + parts.records.reduce((sum, one) => sum + one.length, 0),
    tblLen: parts.table.length - 16,
    records: records.length,
    xxh64: xxh64hex(above),
  };
  const shown = spec.trailer ? spec.trailer(trailerFields) : trailerFields;
  return {
    bytes: concat(above, trailerText(shown, spec.trailerLines)),
    lines,
    tablePlain,
    fields: trailerFields,
  };
}

/** A changed container whose trailer has the XXH64 of the changed bytes. */
export function fitTrailer(bytes) {
  return overwrite(bytes, bytes.length - 512 + 376, xxh64hex(bytes.subarray(0, -512)));
}
