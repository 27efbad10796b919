// Chunk identity: which of the chunks are stored, which are hits.
import { concat, hex, Random, text } from '../lib/bytes.mjs';
import { dedupId, dedupKey, gmac, ZERO_WRITER } from '../lib/keys.mjs';
import { collidingPair, xxh64hex } from '../lib/xxh.mjs';

/**
 * A writer with K_dedup meets the chunks in order, having loaded `catalog`:
 * [{ length, xxh64, g, dd, writer }]. outcome: one of hit or new per chunk.
 */
function chunks(name, what, list, outcome, { catalog = () => [], writer = ZERO_WRITER } = {}) {
  const kDedup = dedupKey(new Random(name).bytes(32));
  return {
    what,
    type: 'dedup',
    expect: 'accept',
    'in-dedup-key': hex(kDedup),
    'in-writer': writer,
    'in-catalog': JSON.stringify(catalog(kDedup)),
    lengths: list.map((chunk) => chunk.length).join(' '),
    'out-dd': dedupId(kDedup),
    'out-xxh64': list.map(xxh64hex).join(' '),
    'out-g': list.map((chunk) => gmac(kDedup, chunk)).join(' '),
    outcome: outcome.join(' '),
    payload: concat(list),
  };
}

const identity = (kDedup, chunk, more) => ({
  length: chunk.length,
  xxh64: xxh64hex(chunk),
  g: gmac(kDedup, chunk),
  dd: dedupId(kDedup),
  writer: ZERO_WRITER,
  ...more,
});

const A = text('a chunk that is in the catalog');

/** A catalog entry for A with one part changed. */
const against = (what, outcome, change, options) => (name) =>
  chunks(name, what, [A], [outcome], { catalog: (kDedup) => [identity(kDedup, A, change)], ...options });

export default {
  same: (name) => chunks(name, 'the same chunk twice', [A, A], ['new', 'hit']),
  'catalog-hit': against('a chunk the catalog knows', 'hit', {}),
  'xxh64-collision': (name) => {
    const first = new Random(name).bytes(64);
    return chunks(
      name,
      'two chunks of one length and one XXH64: g tells them apart',
      [first, collidingPair(first, 1n)],
      ['new', 'new'],
    );
  },
  'xxh64-collision-many': (name) => {
    const first = text('The victim is going to back up these sixty-four bytes, exactly.\n');
    const list = [first, ...[1n, 2n, 3n].map((lane) => collidingPair(first, lane)), first];
    return chunks(name, 'four chunks of one XXH64, then the first again', list, [
      'new',
      'new',
      'new',
      'new',
      'hit',
    ]);
  },
  'other-dd': against('equal length, XXH64 and g under another dd', 'new', { dd: '0123456789abcdef' }),
  'other-g': against('equal length and XXH64, another g', 'new', { g: '0'.repeat(32) }),
  'other-xxh64': against('equal length and g, another XXH64', 'new', { xxh64: '0'.repeat(16) }),
  'other-length': against('equal XXH64 and g, another length', 'new', { length: A.length + 1 }),
  'other-writer': against('equal identity stored by another writer', 'new', { writer: '00c0ffee00c0ffee' }),
  'own-writer': against(
    'a write-only writer meets its own chunk',
    'hit',
    { writer: '00c0ffee00c0ffee' },
    { writer: '00c0ffee00c0ffee' },
  ),
  'own-writer-root': against(
    'a write-only writer does not use the chunks of the root',
    'new',
    {},
    { writer: '00c0ffee00c0ffee' },
  ),
  'prefix-g': (name) =>
    chunks(name, 'g differs in its last digit only', [A], ['new'], {
      catalog: (kDedup) => {
        const one = identity(kDedup, A);
        return [{ ...one, g: one.g.slice(0, -1) + (Number.parseInt(one.g.at(-1), 16) ^ 1).toString(16) }];
      },
    }),
};
