// Hostile sessions for attack.mjs: valid requests of the protocol, changed by a seed on the wire, in their frames, in
// their fields and in their order, and clients that stop, stay, or take no answers.
import { createSecretKey } from 'node:crypto';
import { connect } from 'node:net';

const dist = new URL('../../dist/', import.meta.url).href;
const { frameType, sealFrame } = await import(`${dist}net/frame.js`);
const { formatClientHello, schedule } = await import(`${dist}net/handshake.js`);
const { formatHeader, formatTrailer, noKem, rootWriter } = await import(`${dist}format/header.js`);
const { xxh64 } = await import(`${dist}codec/xxhash.js`);

const names = Object.entries(frameType);
const requestTypes = names.filter(([, type]) => type < 32).map(([, type]) => type);

/** What a session draws from its seed. */
export function drawer(random) {
  const below = (n) => Math.floor(random() * n);
  const bytes = (n) => Buffer.from(Array.from({ length: n }, () => below(256)));
  return { below, bytes, chance: (p) => random() < p, pick: (list) => list[below(list.length)] };
}

/** A container that a server takes: it looks at the readable ends only. */
export function containerOf(id, kind, sizeBytes, fill) {
  const zeros = (n) => '0'.repeat(n);
  const header = { kind, repo: zeros(32), keyid: zeros(16), writer: rootWriter, id, kem: noKem };
  const made = { ...header, flags: zeros(8), commit: zeros(64) };
  const body = Buffer.alloc(sizeBytes, fill);
  const front = Buffer.concat([formatHeader(made), body, Buffer.alloc(16)]);
  const hint = { tableOffset: 512, tableLength: sizeBytes, records: 0, xxh64: xxh64(front) };
  return Buffer.concat([front, formatTrailer(made, hint)]);
}

export const packOf = (id) => `packs/${id.slice(0, 5)}/${id}.bpk`;

/** An id with 20 random digits. */
function freshId(d) {
  return `019b76daa8${d.bytes(10).toString('hex')}${d.bytes(5).toString('hex')}`;
}

/** Requests as an honest client would send them: frames with the number of the request still open. */
function request(d, { objects, victims, large }) {
  const token = d.bytes(16).toString('hex');
  const name = d.chance(0.2) ? d.pick(victims) : d.chance(0.7) ? d.pick(objects) : packOf(freshId(d));
  const kind = d.pick([
    'put',
    'put',
    'get',
    'get',
    'stat',
    'list',
    'delete',
    'ping',
    'kit',
    'resume',
    'large',
  ]);
  const frame = (type, payload) => ({ type: frameType[type], payload });
  if (kind === 'ping') return [{ type: frameType.ping, payload: d.bytes(d.below(9)), stream: 0 }];
  if (kind === 'get') {
    const range = d.chance(0.5) ? {} : { offset: d.below(3000), length: d.below(3000) };
    return [frame('get', { name, ...range, ...(d.chance(0.3) ? { frameBytes: 8192 } : {}) })];
  }
  if (kind === 'large')
    return Array.from({ length: 1 + d.below(3) }, () => ({ ...frame('get', { name: large }), again: true }));
  if (kind === 'stat' || kind === 'delete') return [frame(kind, { name })];
  if (kind === 'list') {
    const prefix = d.pick(['', 'packs/', 'index/', 'packs/019b7/', 'snapshots/']);
    const nexts = Array.from({ length: d.below(4) }, () => frame('next', Buffer.alloc(0)));
    return [frame('list', { prefix, ...(d.chance(0.3) ? { after: name } : {}) }), ...nexts];
  }
  if (kind === 'kit') {
    const pieces = Array.from({ length: 1 + d.below(18) }, () => frame('data', Buffer.alloc(1 << 20, 'k')));
    return [frame('put', { name: 'recover/recover.js', token, replace: true }), ...pieces];
  }
  const id = freshId(d);
  const container = containerOf(id, d.pick(['data', 'meta']), d.below(200_000), 'h');
  const at = d.below(container.length);
  const put = { name: packOf(id), token, ...(kind === 'resume' ? { resume: true } : {}) };
  const tail = container.subarray(at);
  const end = frame('end', { sizeBytes: container.length });
  const last = d.pick([[end], [end], [], [frame('abort', Buffer.alloc(0))]]);
  return [frame('put', put), frame('data', container.subarray(0, at)), frame('data', tail), ...last];
}

const raw = (text) => Buffer.from(text, 'utf8');
const oddValues = [
  2 ** 53,
  2 ** 53 - 1,
  2 ** 32,
  -1,
  1e308,
  0.5,
  '',
  null,
  true,
  [],
  {},
  'x'.repeat(60_000),
  '\0',
  '\u202e',
];
const oddPayloads = [
  Buffer.alloc(0),
  raw('[]'),
  raw('{"name":'),
  raw(`${'['.repeat(20_000)}${']'.repeat(20_000)}`),
  raw('{"__proto__":{"role":"admin"},"name":"README.txt"}'),
  raw('{"name":"README.txt","name":"backpack.json"}'),
  Buffer.alloc(65_536, 0xff),
  raw('{"repository":"shared","repository":"victim"}'),
];

/** The frames of several requests in turns, those of each in their order. */
function interleaved(d, steps) {
  const queues = [...new Set(steps.map((step) => step.request))].map((one) =>
    steps.filter((step) => step.request === one),
  );
  const mixed = [];
  while (queues.length > 0) {
    const at = d.below(queues.length);
    mixed.push(queues[at].shift());
    if (queues[at].length === 0) queues.splice(at, 1);
  }
  return mixed;
}

/** Names and repositories of others, and ways that could lead to them. */
function oddName(d, { victims, repositories }) {
  const ways = [
    '../victim/',
    '../../outside/',
    '/',
    './',
    'packs/../../victim/',
    '.backpack-server/',
    'tmp/',
    '%2e%2e/',
  ];
  const way = d.pick(ways);
  const end = d.pick(['README.txt', 'secret', 'users/h-admin.json', d.pick(victims), '', '\0', 'CON', '..']);
  return d.pick([
    way + end,
    d.pick(victims),
    d.pick(repositories),
    `${d.pick(victims)}\0`,
    end.toUpperCase(),
  ]);
}

const oddRepositories = [
  'victim',
  '../victim',
  'victim/',
  'shared/../victim',
  '.backpack-server',
  '',
  '.',
  '*',
  'VICTIM',
];

/** Changes a list of frames in one way. */
function change(d, steps, world) {
  if (steps.length === 0) return;
  const at = d.below(steps.length);
  const step = steps[at];
  const fields = Buffer.isBuffer(step.payload) ? [] : Object.keys(step.payload);
  const ways = {
    field: () => {
      const field = d.pick([...fields, 'offset', 'length', 'name', 'token', 'resume']);
      step.payload = { ...(Buffer.isBuffer(step.payload) ? {} : step.payload), [field]: d.pick(oddValues) };
    },
    name: () => {
      const field = d.pick(['name', 'prefix', 'after', 'repository']);
      step.payload = { ...(Buffer.isBuffer(step.payload) ? {} : step.payload), [field]: oddName(d, world) };
    },
    payload: () => {
      step.payload = d.pick([...oddPayloads, d.bytes(d.below(200))]);
    },
    drop: () => steps.splice(at, 1),
    twice: () => steps.splice(at, 0, { ...step }),
    swap: () => steps.push(...steps.splice(at, 1)),
    type: () => {
      step.type = d.pick([...requestTypes, 0, 12, 32, 37, 200]);
    },
    stream: () => {
      step.stream = d.pick([0, 1, 2, 7, 2 ** 31, 2 ** 32 - 1]);
    },
    flood: () => {
      const count = 1 + d.below(300);
      const own = step.type !== frameType.data && step.type !== frameType.next;
      const more = Array.from({ length: count }, () => ({ ...step, again: own }));
      if (step.payload.length === undefined || step.payload.length < 70_000) steps.splice(at, 0, ...more);
    },
    wire: () => {
      step.wire = d.pick(['length', 'spare', 'flip', 'tag', 'cut', 'counter', 'insert']);
    },
    open: () => steps.splice(at, 0, { type: frameType.open, stream: 0, payload: { repository: 'victim' } }),
  };
  d.pick(Object.values(ways))();
}

/** Changes the bytes of one frame on the wire. */
function onWire(d, bytes, how) {
  const changed = Buffer.from(bytes);
  if (how === 'length')
    changed.writeUInt32BE(d.pick([0, 1, 65_537, 2 ** 20 + 1, 2 ** 31, 2 ** 32 - 1, d.below(2 ** 20)]), 0);
  if (how === 'spare') changed[5 + d.below(3)] = 1 + d.below(255);
  if (how === 'flip') changed[d.below(changed.length)] ^= 1 << d.below(8);
  if (how === 'tag') changed[changed.length - 1 - d.below(16)] ^= 1 << d.below(8);
  if (how === 'cut') return changed.subarray(0, d.below(changed.length));
  if (how === 'insert') return Buffer.concat([d.bytes(1 + d.below(40)), changed]);
  return changed;
}

/** Bytes of a hello that is wrong in one way, and whether its session must not be opened. */
function oddHello(d, hello) {
  const bytes = Buffer.from(hello);
  const how = d.pick(['magic', 'version', 'user', 'zeros', 'short', 'long', 'http']);
  if (how === 'magic') bytes[d.below(14)] ^= 1;
  if (how === 'version') bytes.set([d.below(256), d.below(256)], 14);
  if (how === 'user')
    bytes.write(d.pick(['../h-admin', 'victim', 'H-ADMIN', 'h-admin\0x', '__proto__']), 48, 'latin1');
  if (how === 'zeros') bytes[112 + d.below(16)] = 1;
  if (how === 'short') return bytes.subarray(0, d.below(128));
  if (how === 'long') return Buffer.concat([bytes, d.bytes(500)]);
  if (how === 'http') return raw('GET / HTTP/1.1\r\nHost: victim\r\n\r\n');
  return bytes;
}

/** Takes the frames out of what a server sends; their tags are the business of honest clients. */
function framesOf(take) {
  let pending = Buffer.alloc(0);
  return (bytes) => {
    pending = Buffer.concat([pending, bytes]);
    while (pending.length >= 28) {
      const length = 28 + pending.readUInt32BE(0);
      if (pending.length < length) return;
      const payload = pending.subarray(12, length - 16);
      take({ type: pending[4], stream: pending.readUInt32BE(8), payload });
      pending = pending.subarray(length);
    }
  };
}

/**
 * Runs one hostile session.
 * @param who user, key and what he may open; `wrongKey` for one who must not get in
 * @param world what there is: objects, names of others, `recorded` sessions
 * @param judge is told of each answer: `frame({ type, stream, payload }, state)`
 * @returns `{ end }`, which ends what stays open
 */
export async function attack({ port, random, who, world, judge }) {
  const d = drawer(random);
  const socket = connect({ port, host: '127.0.0.1', noDelay: true });
  socket.on('error', () => {});
  const closed = new Promise((resolve) => socket.once('close', resolve));
  const pause = (ms) => Promise.race([closed, new Promise((resolve) => setTimeout(resolve, ms))]);
  const sent = [];
  const write = (bytes) => {
    sent.push(bytes);
    if (!socket.destroyed) socket.write(bytes);
  };
  const end = () => socket.destroy();
  await Promise.race([closed, new Promise((resolve) => socket.once('connect', resolve))]);

  if (world.recorded.length > 0 && d.chance(0.04)) {
    socket.on('data', (bytes) => judge.replayed(bytes));
    for (const bytes of d.pick(world.recorded)) write(bytes);
    await pause(200);
    return { end, kind: 'replay' };
  }
  const hello = formatClientHello(who.user, d.bytes(32));
  if (d.chance(0.06)) {
    write(oddHello(d, hello));
    await pause(150);
    return { end, kind: 'hello' };
  }
  write(hello);
  if (d.chance(0.03)) return { end, kind: 'half open' };
  const answer = await new Promise((resolve) => {
    let all = Buffer.alloc(0);
    const take = (bytes) => {
      all = Buffer.concat([all, bytes]);
      if (all.length >= 160) resolve(all);
    };
    socket.on('data', take);
    void pause(5000).then(() => {
      socket.off('data', take);
      resolve(all);
    });
  });
  if (answer.length < 160) return { end, kind: 'refused' };
  socket.removeAllListeners('data');
  const keys = schedule(who.key, hello, answer.subarray(0, 128), Buffer.alloc(0));
  const proof = Buffer.from(keys.clientProof);
  const wrongProof = d.chance(0.04);
  if (wrongProof) proof[d.below(32)] ^= 1 << d.below(8);
  write(proof);

  const take = framesOf((frame) => judge.frame(frame, state));
  const state = { named: [], wrongProof };
  socket.on('data', take);

  const repository = d.chance(0.1) ? d.pick(oddRepositories) : d.pick(who.repositories);
  let steps = Array.from({ length: 1 + d.below(5) }, (_, i) =>
    request(d, world).map((step) => ({ request: i, ...step })),
  ).flat();
  // Requests at the same time, each in its order; or none at all.
  if (d.chance(0.5)) steps = interleaved(d, steps);
  else if (d.chance(0.1)) steps.sort(() => random() - 0.5);
  if (d.chance(0.7)) for (let i = 1 + d.below(3); i > 0; i -= 1) change(d, steps, world);
  if (!d.chance(0.03))
    steps.unshift({ type: frameType.open, stream: 0, payload: { repository, app: 'attack' } });
  const behaviour = d.pick([
    'read',
    'read',
    'read',
    'unread',
    'stay',
    'stay unread',
    'half',
    'reset',
    'drip',
  ]);
  if (behaviour.includes('unread')) socket.pause();
  let counter = 0;
  const numbers = new Map();
  let next = 1;
  for (const step of steps) {
    if (socket.destroyed) break;
    if (step.stream === undefined && (step.again || !numbers.has(step.request)))
      numbers.set(step.request, next++);
    const stream = step.stream ?? numbers.get(step.request) ?? 0;
    let payload = step.payload;
    if (step.type === frameType.open) state.named.push(payload.repository);
    if (!Buffer.isBuffer(payload)) payload = raw(JSON.stringify(payload));
    if (step.wire === 'counter') counter += 1 + d.below(3);
    let bytes = Buffer.concat(sealFrame(keys.clientFrames, counter, step.type, stream, [payload]));
    counter += 1;
    if (step.wire) bytes = onWire(d, bytes, step.wire);
    if (behaviour !== 'drip') write(bytes);
    else {
      for (let at = 0; at < Math.min(bytes.length, 4000); at += 400)
        write(bytes.subarray(at, Math.min(at + 400, 4000)));
      write(bytes.subarray(4000));
    }
  }
  if (sent.length < 20 && world.recorded.length < 50 && !wrongProof && !who.wrongKey)
    world.recorded.push([...sent]);
  if (behaviour.startsWith('stay')) return { end, kind: behaviour };
  if (behaviour === 'half') socket.end();
  if (behaviour === 'reset') {
    await pause(d.below(30));
    socket.resetAndDestroy();
  }
  await pause(200 + d.below(400));
  end();
  return { end, kind: behaviour };
}

/** A key that nobody has. */
export const wrongKey = createSecretKey(Buffer.alloc(32, 'w'));
