// Page streams: the plaintext of all pages of one snapshot, in order.
import { concat, text } from '../lib/bytes.mjs';
import { ndjson } from '../lib/container.mjs';
import { name as nameOf } from '../lib/pages.mjs';

const PACKS = ['018bcfe56800'.padEnd(40, '5'), '018bcfe56801'.padEnd(40, '6')];
const HASH = '0123456789abcdef';

const head = (more) => ({ backpack: 'page', v: 1, packs: PACKS, ...more });
const dir = (p, more) => ({ p: nameOf(p), t: 'd', m: '1700000000.000000000', o: '0755', ...more });
const file = (p, s = 0, e = undefined, more = {}) => ({
  p: nameOf(p),
  t: 'f',
  s,
  m: '1700000000.000000000',
  o: '0644',
  ...more,
  ...(s > 0 ? { x: HASH } : {}),
  ...(e ? { e } : {}),
});
const plus = (p, e) => ({ p: nameOf(p), t: '+', e });
const link = (p, l) => ({ p: nameOf(p), t: 'l', m: '1700000000.000000000', o: '0777', l: nameOf(l) });

/** The entries a reader must find: everything except `+` lines, with the lengths of all extents. */
function listing(pages) {
  const out = [];
  for (const page of pages) {
    for (const { p, t, e, ...rest } of page.slice(1).filter((line) => !Array.isArray(line))) {
      const extents = (e ?? []).length;
      if (t === '+') out.at(-1).extents += extents;
      else out.push({ p, t, ...(rest.s === undefined ? {} : { s: rest.s, extents }) });
    }
  }
  return JSON.stringify(out);
}

/** pages: one array of values per page, head first; or bytes for pages no JSON writer would make. */
const stream = (what, expect, ...pages) => {
  const bytes = pages.map((page) => (Buffer.isBuffer(page) ? page : ndjson(page)));
  return {
    what,
    type: 'pages',
    expect,
    lengths: bytes.map((page) => page.length).join(' '),
    listing: expect === 'accept' ? listing(pages) : undefined,
    payload: concat(bytes),
  };
};

const ok =
  (what, ...entries) =>
  () =>
    stream(what, 'accept', [head(), ...entries]);
const okPages =
  (what, ...pages) =>
  () =>
    stream(what, 'accept', ...pages.map((entries) => [head(), ...entries]));
const bad =
  (expect, what, ...entries) =>
  () =>
    stream(what, expect, [head(), ...entries]);
const badPages =
  (expect, what, ...pages) =>
  () =>
    stream(what, expect, ...pages.map((entries) => [head(), ...entries]));
const badText =
  (expect, what, ...lines) =>
  () =>
    stream(
      what,
      expect,
      concat(
        ndjson([head()]),
        lines.map((line) => (Buffer.isBuffer(line) ? line : text(line))),
      ),
    );

const line = (entry) => `${JSON.stringify(entry)}\n`;
const without = (entry, key) => {
  const { [key]: _, ...rest } = entry;
  return rest;
};
const whole = (s) => [[0, 0, 1, s]];
const nested = (depth) => '['.repeat(depth) + ']'.repeat(depth);

export default {
  order: ok(
    '`a`, `a/b`, `a!`, `a-b`: the slash ranks below every other byte',
    dir('a'),
    file('a/b'),
    file('a!'),
    file('a-b'),
  ),
  'order-bytes': ok(
    'bytes decide, not letters: upper case first, UTF-8 behind ASCII, high bytes last',
    file('B'),
    file('a'),
    file(Buffer.from([0x7e])),
    file('\u00e9'),
    file('\u{1f600}'),
    file(Buffer.from([0xff])),
  ),
  'order-utf16': ok('U+FFFD before U+10000: bytes, not UTF-16 units', file('\ufffd'), file('\u{10000}')),
  'order-prefix': ok(
    'a directory before what is in it, a longer name behind',
    dir('a'),
    dir('a/a'),
    file('a/a/a'),
    file('a/aa'),
    file('aa'),
  ),
  'empty-file': ok('a file of length 0 has neither x nor e', file('a')),
  'names-base64': ok(
    'names that are no UTF-8 or hold control bytes are base64',
    file(Buffer.from([0x01])),
    file(Buffer.from([0x61, 0xff])),
    file(Buffer.from([0x62, 0x7f])),
    file('line\nbreak'),
    file(Buffer.from([0xc0, 0xaf])),
  ),
  'names-base64-plain': ok(
    'base64 of a name that could be a string means the same name',
    { ...file('a'), p: ['YQ=='] },
    { ...file('b'), p: ['Yg=='] },
  ),
  'names-plain': ok(
    'quotes, backslash, spaces and a leading minus are ordinary',
    file(' '),
    file('"'),
    file("'"),
    file('-'),
    file('\\'),
    file('~'),
  ),
  'names-dots': ok('`...`, `..a`, `.a` are ordinary', file('...'), file('..a'), file('.a')),
  'name-component-max': ok('a component of 1,024 bytes', file('n'.repeat(1024))),
  'time-negative': ok(
    'times before 1970',
    file('a', 0, undefined, { m: '-1.500000000' }),
    file('b', 0, undefined, { m: '-1.000000000' }),
    file('c', 0, undefined, { m: '-62135596800.000000000' }),
  ),
  'time-far': ok('a time behind the year 9999', file('a', 0, undefined, { m: '253402300800.999999999' })),
  'int-max': ok('a hole of 2^53-1 bytes', file('a', 2 ** 53 - 1, [[-1, 0, 0, 2 ** 53 - 1]])),
  'extent-forms': ok(
    'whole records, a part, a part with offset, hole, zeros',
    file('a', 1000, [
      [0, 0, 3, 400],
      [1, 7, 1, 100],
      [0, 2, 1, 100, 50],
      [-1, 0, 0, 300],
      [-2, 0, 0, 100],
    ]),
  ),
  'plus-lines': ok(
    'two + lines',
    file('a', 300, whole(100), { n: 2 }),
    plus('a', [[0, 1, 1, 100]]),
    plus('a', [[1, 0, 1, 100]]),
    file('b'),
  ),
  'plus-across-pages': okPages(
    'a + line is the first of the next page',
    [file('a', 200, whole(100), { n: 1 })],
    [plus('a', [[0, 1, 1, 100]]), file('b')],
  ),
  'plus-over-three-pages': okPages(
    '+ lines on two further pages',
    [file('a', 300, whole(100), { n: 2 })],
    [plus('a', [[0, 1, 1, 100]])],
    [plus('a', [[0, 2, 1, 100]])],
  ),
  'hl-across-pages': okPages(
    'two names of one inode on two pages',
    [file('a', 5, whole(5), { hl: '1:9' })],
    [file('b', 5, whole(5), { hl: '1:9' })],
  ),
  'parent-on-earlier-page': okPages('the parent is on the page before', [dir('a')], [file('a/b')]),
  'all-types': ok(
    'every type and every key',
    { ...dir('.'.padEnd(3, 'a')), an: 1 },
    { p: 'b', t: 'b', m: '0.000000000', o: '0660', rd: [8, 1] },
    { p: 'c', t: 'c', m: '0.000000000', o: '0660', rd: [4095, 1048575] },
    {
      p: 'f',
      t: 'f',
      s: 3,
      m: '0.000000001',
      c: '0.000000002',
      o: '6755',
      u: 0,
      g: 4294967295,
      in: '18446744073709551615',
      hl: '2049:18446744073709551615',
      un: 'root',
      gn: 'wheel',
      bt: '0.000000003',
      a: '0.000000004',
      xa: [['user.note', 'aGVsbG8=']],
      fl: 'i',
      w: ['torn'],
      x: HASH,
      e: whole(3),
    },
    link('l', '../outside\n'),
    { p: 'p', t: 'p', m: '0.000000000', o: '0644' },
    { p: 's', t: 's', m: '0.000000000', o: '0755' },
  ),
  'type-unknown': ok(
    'an entry of an unknown type is reported and skipped',
    { p: 'a', t: 'q', m: '0.000000000', o: '0644' },
    file('b'),
  ),
  'key-unknown': ok('an unknown key is ignored', { ...file('a'), colour: 'green' }),
  'line-lower-case': ok('an unknown array with a lower-case letter is skipped', ['q', 1], file('a')),
  'depth-16': () =>
    stream('an unknown key nested to the depth of 16', 'accept', [
      head(),
      { ...file('a'), q: JSON.parse(nested(15)) },
    ]),

  'e-order-descending': bad('E_ORDER', 'b before a', file('b'), file('a')),
  'e-order-slash': bad(
    'E_ORDER',
    'a! between a and a/b: sorted with the slash as an ordinary byte',
    dir('a'),
    file('a!'),
    file('a/b'),
  ),
  'e-order-duplicate': bad('E_ORDER', 'the same path twice', file('a'), file('a')),
  'e-order-duplicate-base64': bad('E_ORDER', 'the same path twice, the second time as base64', file('a'), {
    ...file('a'),
    p: ['YQ=='],
  }),
  'e-order-across-pages': badPages(
    'E_ORDER',
    'a page that begins before the end of the page before',
    [file('b')],
    [file('a')],
  ),
  'e-order-missing-parent': bad('E_ORDER', 'a/b without a', file('a/b')),
  'e-order-missing-middle': bad('E_ORDER', 'a/b/c without a/b', dir('a'), file('a/b/c')),
  'e-order-parent-file': bad('E_ORDER', 'the parent is a file', file('a'), file('a/b')),
  'e-order-parent-link': bad(
    'E_ORDER',
    'the parent is a symlink: an escape from the target',
    link('a', '/etc'),
    file('a/b'),
  ),
  'e-order-plus-other': bad(
    'E_ORDER',
    'a + line with the path of another entry',
    file('a', 200, whole(100), { n: 1 }),
    plus('b', [[0, 1, 1, 100]]),
  ),
  'e-order-plus-first': bad('E_ORDER', 'a + line without an entry before it', plus('a', whole(100))),
  'e-order-plus-dir': bad('E_ORDER', 'a + line behind a directory', dir('a'), plus('a', whole(100))),
  'e-path-dotdot': bad('E_PATH', 'the path `..`', file('..')),
  'e-path-dotdot-inside': bad('E_PATH', 'the path `a/../b`', dir('a'), file('a/../b')),
  'e-path-dot': bad('E_PATH', 'the path `.`', dir('.')),
  'e-path-empty': bad('E_PATH', 'an empty path', file('')),
  'e-path-absolute': bad('E_PATH', 'the path `/a`', file('/a')),
  'e-path-double-slash': bad('E_PATH', 'the path `a//b`', dir('a'), file('a//b')),
  'e-path-slash-end': bad('E_PATH', 'the path `a/`', dir('a/')),
  'e-path-nul': bad('E_PATH', 'a NUL in a base64 path', file(Buffer.from([0x61, 0x00, 0x62]))),
  'e-path-empty-target': bad('E_PATH', 'a symlink with an empty target', link('a', '')),
  'e-path-base64-dotdot': bad('E_PATH', '`..` as base64', { ...file('a'), p: ['Li4='] }),
  'e-limit-component': bad('E_LIMIT', 'a component of 1,025 bytes', file('n'.repeat(1025))),
  'e-limit-target': () => {
    const parts = Array.from({ length: 65 }, (_, i) => 'd'.repeat(i === 64 ? 512 : 1000)).join('/');
    return stream('a symlink target of more than 65,535 bytes', 'E_LIMIT', [
      head(),
      link('a', `${parts}/${'t'.repeat(1000)}`),
    ]);
  },
  'e-limit-depth': () =>
    stream('an unknown key nested to the depth of 17', 'E_LIMIT', [
      head(),
      { ...file('a'), q: JSON.parse(nested(16)) },
    ]),
  'e-extent-short': bad('E_EXTENT', 'extents add up to one byte less than s', file('a', 101, whole(100))),
  'e-extent-long': bad('E_EXTENT', 'extents add up to one byte more than s', file('a', 99, whole(100))),
  'e-extent-plus-missing': bad(
    'E_EXTENT',
    'the + line that n announces is missing, and its bytes with it',
    file('a', 200, whole(100), { n: 1 }),
    file('b'),
  ),
  'e-extent-sum': bad(
    'E_EXTENT',
    'two holes of 2^52 and 2^52 bytes: the sum is 2^53',
    file('a', 2 ** 53 - 1, [
      [-1, 0, 0, 2 ** 52],
      [-1, 0, 0, 2 ** 52],
    ]),
  ),
  'e-extent-k': bad('E_EXTENT', 'k is not in the pack list', file('a', 5, [[2, 0, 1, 5]])),
  'e-extent-k-negative': bad('E_EXTENT', 'k is -3', file('a', 5, [[-3, 0, 0, 5]])),
  'e-extent-count-zero': bad('E_EXTENT', 'count 0 in a pack', file('a', 5, [[0, 0, 0, 5]])),
  'e-extent-offset-count': bad('E_EXTENT', 'an offset with count 2', file('a', 5, [[0, 0, 2, 5, 1]])),
  'e-extent-hole-record': bad('E_EXTENT', 'a hole with a record number', file('a', 5, [[-1, 1, 0, 5]])),
  'e-extent-length-zero': bad(
    'E_EXTENT',
    'an extent of length 0',
    file('a', 5, [
      [0, 0, 1, 0],
      [0, 1, 1, 5],
    ]),
  ),
  'e-extent-three': bad('E_EXTENT', 'an extent of three numbers', file('a', 5, [[0, 0, 1]])),
  'e-extent-empty-file': bad('E_EXTENT', 'e in a file of length 0', { ...file('a'), e: whole(5) }),
  'e-json-duplicate-key': badText(
    'E_JSON',
    'a key twice',
    `{"p":"a","t":"f","s":0,"m":"0.000000000","o":"0644","s":0}\n`,
  ),
  'e-json-duplicate-escaped': badText(
    'E_JSON',
    'a key twice, once with an escape',
    `{"p":"a","\\u0070":"b","t":"f","s":0,"m":"0.000000000","o":"0644"}\n`,
  ),
  'e-json-syntax': badText('E_JSON', 'a line that is no JSON', `{"p":"a",}\n`),
  'e-json-two-values': badText('E_JSON', 'two values on one line', line(dir('a')).trimEnd(), line(dir('b'))),
  'e-json-utf8': badText(
    'E_JSON',
    'a line that is no UTF-8',
    Buffer.from(
      '7b2270223a2261ff222c2274223a2264222c226d223a22302e303030303030303030222c226f223a2230373535227d0a',
      'hex',
    ),
  ),
  'e-json-surrogate': badText(
    'E_JSON',
    'a lone surrogate in a name',
    `{"p":"\\ud800","t":"d","m":"0.000000000","o":"0755"}\n`,
  ),
  'e-json-bom': () =>
    stream('a byte order mark', 'E_JSON', concat(Buffer.from('efbbbf', 'hex'), ndjson([head(), dir('a')]))),
  'e-json-empty-line': badText('E_JSON', 'an empty line', '\n', line(dir('a'))),
  'e-json-no-line-end': badText('E_JSON', 'the last line has no LF', line(dir('a')).trimEnd()),
  'e-json-scalar': badText('E_JSON', 'a line that is a number', '7\n'),
  'e-json-head': () =>
    stream('the first line is no page head', 'E_JSON', [{ backpack: 'index', v: 1 }, dir('a')]),
  'e-json-head-missing': () => stream('the first line is missing', 'E_JSON', [dir('a')]),
  'e-json-empty': () => stream('a page of no bytes', 'E_JSON', Buffer.alloc(0)),
  'e-json-pack-id': () =>
    stream('a pack id of 39 digits', 'E_JSON', [head({ packs: [PACKS[0].slice(1)] }), dir('a')]),
  'e-json-int-2-53': bad(
    'E_JSON',
    's is 2^53',
    file('a', 2 ** 53, [
      [-1, 0, 0, 2 ** 52],
      [-1, 0, 0, 2 ** 52],
    ]),
  ),
  'e-json-int-fraction': bad('E_JSON', 's is 5.5', file('a', 5.5, whole(5))),
  'e-json-int-negative': bad('E_JSON', 's is -1', { ...file('a'), s: -1 }),
  'e-json-int-text': bad('E_JSON', 's is a string', { ...file('a'), s: '0' }),
  'e-json-time': bad('E_JSON', 'a time of three decimals', file('a', 0, undefined, { m: '1700000000.000' })),
  'e-json-time-number': bad('E_JSON', 'a time as number', file('a', 0, undefined, { m: 1700000000 })),
  'e-json-mode': bad('E_JSON', 'a mode of three digits', file('a', 0, undefined, { o: '644' })),
  'e-json-mode-octal': bad('E_JSON', 'a mode that is not octal', file('a', 0, undefined, { o: '0698' })),
  'e-json-hash': bad('E_JSON', 'x in upper case', { ...file('a', 5, whole(5)), x: 'ABCDEF0123456789' }),
  'e-json-base64': bad('E_JSON', 'a name that is no base64', { ...file('a'), p: ['*'] }),
  'e-json-base64-bits': bad('E_JSON', 'base64 with stray bits at the end', { ...file('a'), p: ['YR=='] }),
  'e-json-base64-padding': bad('E_JSON', 'base64 without its padding', { ...file('a'), p: ['YQ'] }),
  'e-json-name-control': bad('E_JSON', 'a string name with a control character', {
    ...file('a'),
    p: 'a\u0001',
  }),
  'e-json-name-delete': bad('E_JSON', 'a string name with U+007F', { ...file('a'), p: 'a\u007f' }),
  'e-json-time-zero': bad(
    'E_JSON',
    'a time with a leading zero',
    file('a', 0, undefined, { m: '01.000000000' }),
  ),
  'e-json-time-minus-zero': bad('E_JSON', 'the time -0', file('a', 0, undefined, { m: '-0.500000000' })),
  'e-json-time-plus': bad(
    'E_JSON',
    'a time with a plus sign',
    file('a', 0, undefined, { m: '+1.000000000' }),
  ),
  'e-json-no-p': bad('E_JSON', 'no p', without(dir('a'), 'p')),
  'e-json-no-t': bad('E_JSON', 'no t', without(dir('a'), 't')),
  'e-json-no-m': bad('E_JSON', 'no m', without(dir('a'), 'm')),
  'e-json-no-o': bad('E_JSON', 'no o', without(dir('a'), 'o')),
  'e-json-no-s': bad('E_JSON', 'a file without s', without(file('a'), 's')),
  'e-json-no-x': bad('E_JSON', 'a file of 5 bytes without x', without(file('a', 5, whole(5)), 'x')),
  'e-json-no-e': bad('E_JSON', 'a file of 5 bytes without e', without(file('a', 5, whole(5)), 'e')),
  'e-json-no-l': bad('E_JSON', 'a symlink without l', without(link('a', 'b'), 'l')),
  'e-json-no-rd': bad('E_JSON', 'a device without rd', { p: 'a', t: 'c', m: '0.000000000', o: '0644' }),
  'e-need-head': () =>
    stream('the page head needs an unknown feature', 'E_NEED', [
      head({ need: ['colour'], colour: 1 }),
      dir('a'),
    ]),
  'e-need-entry': bad('E_NEED', 'an entry needs an unknown feature', {
    ...dir('a'),
    need: ['colour'],
    colour: 1,
  }),
  'e-need-line': bad('E_NEED', 'an unknown array with an upper-case letter', ['Q', 1], dir('a')),
  'e-need-v': () => stream('v is 2', 'E_NEED', [head({ v: 2 }), dir('a')]),
};
