// What the container vectors share: an author, three small records, and the fields a reader compares.
import { concat, hex, objectName, Random, sha256 } from './bytes.mjs';
import { build, headerText } from './container.mjs';
import { Author } from './keys.mjs';
import { words } from './words.mjs';

/** A record that is one chunk. */
export const one = (plain, frame) => ({ plain, frame, chunks: [{ offset: 0, bytes: plain }] });

/** Two compressible records and, between them, one that does not shrink. */
export function three(random) {
  return [one(words(random, 300)), one(random.bytes(64)), one(words(random, 200))];
}

/**
 * A container vector. Besides the fields of build(): what, expect, released (number of records released; all
 * when accepted, none otherwise), object (its name), repo (what the key file says), key, writer, change(bytes)
 * for a change to the finished file, made(fields) for more header lines.
 */
export function containerVector(name, spec) {
  const random = new Random(name);
  const root = random.bytes(32);
  const author = new Author({ root, repo: hex(random.bytes(16)), writer: spec.writer });
  const id = random.id(1700000000000);
  const kind = spec.kind ?? 'data';
  const records = spec.records === undefined ? three(random) : spec.records;
  const made = build({ ...spec, author, id, kind, random, records });
  const expect = spec.expect ?? 'accept';
  const released = records.slice(0, spec.released ?? (expect === 'accept' ? records.length : 0));
  const shown = { kind, id, ...spec.shown };
  return {
    what: spec.what,
    type: 'container',
    expect,
    key: spec.key ?? hex(root),
    repo: spec.repo === true ? author.repo : spec.repo,
    object: spec.object ?? objectName(shown.kind, shown.id, '018bcfe56800'.padEnd(40, '5')),
    restore: spec.restore,
    records: expect === 'accept' ? records.length : undefined,
    table: expect === 'accept' ? sha256(made.tablePlain) : undefined,
    released: sha256(concat(released.map((record) => record.plain))),
    'released-records': released.length,
    payload: spec.change ? spec.change(made.bytes, made) : made.bytes,
  };
}

/** Hooks that change header fields (an object, or a function of the fields) after key and commitment were made from the old ones; the trailer agrees. */
export function rewriteHeader(change, lines) {
  let made;
  return {
    sealed(parts) {
      const read = Object.fromEntries(
        parts.header
          .toString('latin1')
          .split('\n')
          .filter((line) => line.includes('='))
          .map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]),
      );
      made = typeof change === 'function' ? change(read) : change;
      const fields = { ...read, flags: Number.parseInt(read.flags, 16), ...made };
      const commit = parts.header.subarray(440);
      return {
        ...parts,
        header: concat(
          headerText(fields, lines),
          made.commit ? Buffer.from(`commit=${made.commit}\n`) : commit,
        ),
      };
    },
    trailer: (all) => ({ ...all, ...made }),
  };
}

/** The id the container of a vector gets: root and repository id are drawn first. */
export function idOf(name) {
  const random = new Random(name);
  random.bytes(48);
  return random.id(1700000000000);
}
