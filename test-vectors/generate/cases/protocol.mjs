// Handshakes and frames of the network protocol (docs/protocol.md). Every value is made here from the text of the
// specification, with node:crypto only.
import { createCipheriv, createHash, createHmac } from 'node:crypto';
import { concat, hex, Random, sha256, text } from '../lib/bytes.mjs';

const MAGIC = text('BACKPACK-WIRE\n');
const u32 = (value) => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
};
const expand = (prk, info) => createHmac('sha512', prk).update(info).update(Buffer.of(1)).digest();

function clientHello(nonce, user, lowest = 1, highest = 1) {
  return concat(
    MAGIC,
    Buffer.of(lowest, highest),
    nonce,
    Buffer.concat([text(user), Buffer.alloc(64)]).subarray(0, 64),
    Buffer.alloc(16),
  );
}

function serverHello(nonce, status = 0) {
  return concat(MAGIC, Buffer.of(1, status), nonce, u32(64), u32(8 << 20), u32(60_000), Buffer.alloc(68));
}

function handshake(what, user, { binding = Buffer.alloc(0), anonymous = false } = {}) {
  return (name) => {
    const random = new Random(name);
    const key = anonymous ? Buffer.alloc(32) : random.bytes(32);
    const hellos = [clientHello(random.bytes(32), user), serverHello(random.bytes(32))];
    const hash = createHash('sha512')
      .update(concat(...hellos, binding))
      .digest();
    const session = expand(key, concat(text('backpack/1 net session'), hash));
    const part = (label) => hex(expand(session, text(`backpack/1 net ${label}`)).subarray(0, 32));
    return {
      what,
      type: 'net-handshake',
      expect: 'accept',
      'in-user': user === '' ? 'none' : user,
      'in-key': hex(key),
      'in-binding': binding.length === 0 ? 'none' : hex(binding),
      'out-client-proof': part('client proof'),
      'out-server-proof': part('server proof'),
      'out-client-frames': part('client frames'),
      'out-server-frames': part('server frames'),
      payload: concat(...hellos),
    };
  };
}

const hello = (what, make) => (name) => ({
  what,
  type: 'net-hello',
  expect: 'BP_PROTOCOL',
  payload: make(new Random(name).bytes(32)),
});

function frame(key, counter, type, stream, payload, length = payload.length, spare = 0) {
  const head = concat(u32(length), Buffer.of(type, 0, 0, spare), u32(stream));
  const nonce = concat(u32(2), u32(0), u32(counter));
  const cipher = createCipheriv('aes-256-gcm', key, nonce, { authTagLength: 16 });
  cipher.setAAD(concat(head, payload));
  cipher.final();
  return concat(head, payload, cipher.getAuthTag());
}

/** Frames of one direction; `change` gets the bytes of each and may damage them. `good`: how many are handed out. */
function frames(what, expect, list, { good = list.length, change = (all) => all } = {}) {
  return (name) => {
    const random = new Random(name);
    const key = random.bytes(32);
    const made = list.map(([type, stream, payload, ...rest], i) => {
      const bytes = typeof payload === 'number' ? random.bytes(payload) : text(payload);
      return { type, stream, bytes, sealed: frame(key, i, type, stream, bytes, ...rest) };
    });
    const shown = made
      .slice(0, good)
      .map(({ type, stream, bytes }) => `${type}/${stream}/${bytes.length}/${sha256(bytes)}`);
    return {
      what,
      type: 'net-frames',
      expect,
      'in-key': hex(key),
      'out-frames': shown.length === 0 ? 'none' : shown.join(' '),
      payload: concat(...change(made.map(({ sealed }) => sealed))),
    };
  };
}

const session = [
  [1, 0, '{"repository":"photos"}'],
  [7, 1, '{"name":"README.txt"}'],
  [3, 2, 7001],
  [5, 2, ''],
  [11, 0, 8],
];
const flip = (i, at) => (all) => {
  const one = all[i];
  one[at < 0 ? one.length + at : at] ^= 1;
  return all;
};

export default {
  'handshake-user': handshake('a user with a key', 'laptop'),
  'handshake-longest-user': handshake('the longest name of a user', `a${'b'.repeat(63)}`),
  'handshake-anonymous': handshake('no key: empty user, 32 zero bytes', '', { anonymous: true }),
  'handshake-tls': handshake('a session bound to a TLS channel', 'laptop', {
    binding: Buffer.alloc(32, 0xa5),
  }),
  'hello-other-magic': hello('another protocol', () =>
    Buffer.concat([text('GET / HTTP/1.1\r\n'), Buffer.alloc(112)]),
  ),
  'hello-bad-user': hello('a user name that cannot be one', (nonce) => clientHello(nonce, '../x')),
  'hello-upper-case': hello('a user name in upper case', (nonce) => clientHello(nonce, 'Laptop')),
  'frames-session': frames('five frames', 'accept', session),
  'frames-too-long': frames('a data frame of one byte too many', 'BP_PROTOCOL', [[3, 1, 10, 1_048_577]], {
    good: 0,
  }),
  'frames-bomb': frames(
    'a frame that announces 4 GiB',
    'BP_PROTOCOL',
    [
      [7, 1, '{}'],
      [3, 1, 10, 0xffffffff],
    ],
    { good: 1 },
  ),
  'frames-long-message': frames('a message of one byte too many', 'BP_PROTOCOL', [[2, 1, 10, 65_537]], {
    good: 0,
  }),
  'frames-unknown-type': frames(
    'an unknown type',
    'BP_PROTOCOL',
    [
      [7, 1, '{}'],
      [99, 1, '{}'],
    ],
    { good: 1 },
  ),
  'frames-spare': frames('a spare byte that is not zero', 'BP_PROTOCOL', [[7, 1, '{}', 2, 1]], { good: 0 }),
  'frames-flip-length': frames('a bit of the length', 'BP_PROTOCOL', session, {
    good: 1,
    change: flip(1, 3),
  }),
  'frames-flip-stream': frames('a bit of the stream', 'BP_PROTOCOL', session, {
    good: 1,
    change: flip(1, 11),
  }),
  'frames-flip-payload': frames('a bit of the payload', 'BP_PROTOCOL', session, {
    good: 2,
    change: flip(2, 5000),
  }),
  'frames-flip-tag': frames('a bit of the tag', 'BP_PROTOCOL', session, { good: 2, change: flip(2, -1) }),
  'frames-repeated': frames('a frame that comes again', 'BP_PROTOCOL', session, {
    good: 2,
    change: ([a, b]) => [a, b, b],
  }),
  'frames-left-out': frames('a frame that is left out', 'BP_PROTOCOL', session, {
    good: 1,
    change: ([a, , c]) => [a, c],
  }),
  'frames-swapped': frames('two frames swapped', 'BP_PROTOCOL', session, {
    good: 0,
    change: ([a, b]) => [b, a],
  }),
};
