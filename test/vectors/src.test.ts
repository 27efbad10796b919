/** Every vector through the readers of the program. The inline driver is used, storage is in memory. */
import { createCipheriv, createPrivateKey, createPublicKey, diffieHellman } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { isBackpackError } from '../../src/base/errors.ts';
import { gmac, recordDomain, tableDomain } from '../../src/codec/aead.ts';
import { gearTable, nextCut } from '../../src/codec/chunker.ts';
import { containerKeyOf, dedupKeysOf, derive, keyIdOf } from '../../src/codec/kdf.ts';
import { passphraseKey } from '../../src/codec/key-wrap.ts';
import { xxh64 } from '../../src/codec/xxhash.ts';
import { HeadStore } from '../../src/config/heads.ts';
import { ContainerReader } from '../../src/container/container-reader.ts';
import { baseSecret, Keyring } from '../../src/container/keyring.ts';
import { ReaderMemory } from '../../src/container/reader-memory.ts';
import { EntryStream } from '../../src/format/entry-stream.ts';
import { decodeText, linesOf } from '../../src/format/json-lines.ts';
import { type KeyFile, parseKeyFile, parseWriterFile } from '../../src/format/key-file.ts';
import { reject } from '../../src/format/reject.ts';
import { parseSnapshot } from '../../src/format/snapshot.ts';
import { parseDrop, parseIndex, parseMark, parseMoved } from '../../src/format/streams.ts';
import { openWrappedKey, parseWrappedKey } from '../../src/format/wrapped-key.ts';
import { Kernel } from '../../src/kernel/kernel.ts';
import { check } from '../../src/operations/check.ts';
import { restore } from '../../src/operations/restore.ts';
import { Catalog, createCatalogMemory, setIdentity } from '../../src/pipeline/catalog.ts';
import {
  type ContentReader,
  dropContent,
  indexContent,
  markContent,
  snapshotContent,
} from '../../src/repo/check-content.ts';
import { openRepository } from '../../src/repo/repository.ts';
import { findSnapshot, listSnapshots, type SnapshotList } from '../../src/repo/snapshots.ts';
import { MemoryStorage } from '../../src/storage/memory.ts';
import { isObjectName } from '../../src/storage/object-name.ts';
import type { StorageSpec } from '../../src/storage/open.ts';
import { compareTree, type Listed, parseParts, sha256, type Vector, vectors } from './load.ts';

/** `accept`, or the code of what was thrown. */
async function outcome(run: () => unknown): Promise<string> {
  try {
    await run();
    return 'accept';
  } catch (error) {
    if (isBackpackError(error)) return error.code;
    throw error;
  }
}

/** Never opened: the inline driver is given its storage. */
const spec = { location: 'memory' } as unknown as StorageSpec;

const hex = (v: Vector, key: string): Buffer => Buffer.from(v.get(key), 'hex');

/** Every `out-*` field as this program computes it. */
type Outputs = Record<string, string | undefined>;

function compareOutputs(v: Vector, outputs: Outputs): void {
  for (const key of v.keys('out-')) expect([key, outputs[key.slice(4)]]).toEqual([key, v.get(key)]);
}

const functions: Record<string, (v: Vector) => Outputs> = {
  keyid: (v) => ({ keyid: keyIdOf(hex(v, 'in-root')) }),
  'class-keys': (v) =>
    Object.fromEntries(
      v
        .keys('out-')
        .map((key) => [key.slice(4), derive(hex(v, 'in-base'), key.slice(4)).toString('hex', 0, 32)]),
    ),
  'container-key': (v) => {
    const { key, commit } = containerKeyOf(hex(v, 'in-base'), v.get('in-kind'), v.payload);
    return { key: key.export().toString('hex'), commit };
  },
  nonces: (v) =>
    Object.fromEntries(
      v.keys('out-').map((key) => {
        // The nonce is what decrypts: GCM of nothing under it has a known tag only if it is the right one.
        const [name, number] = key.slice(4).split('-');
        return [key.slice(4), nonceOf(name === 'table' ? tableDomain : recordDomain, BigInt(number ?? 0))];
      }),
    ),
  'dedup-and-chunker': (v) => {
    const keys = dedupKeysOf(hex(v, 'in-secret'), { dedup: undefined, chunk: undefined });
    return {
      'dedup-key': keys.dedup.export().toString('hex'),
      dd: keys.dd,
      'chunker-key': keys.chunker.toString('hex'),
    };
  },
  'chunk-identity': (v) => {
    const { dedup } = dedupKeysOf(Buffer.alloc(32), { dedup: hex(v, 'in-dedup-key'), chunk: undefined });
    return { xxh64: xxh64(v.payload), g: gmac(dedup, v.payload).toString('hex') };
  },
  'gear-table': (v) => {
    const table = gearTable(hex(v, 'in-chunker-key'));
    const value = (i: number): string =>
      table
        .readBigUInt64LE(8 * i)
        .toString(16)
        .padStart(16, '0');
    return { first: value(0), last: value(255), sha256: sha256(table) };
  },
  'cut-points': (v) => {
    const [kind, size] = v.get('in-data').split(' ');
    const zeros = Buffer.alloc(Number(size));
    const data =
      kind === 'zeros'
        ? zeros
        : createCipheriv('aes-256-ctr', Buffer.alloc(32), Buffer.alloc(16)).update(zeros);
    expect(sha256(data)).toBe(v.get('in-data-sha256'));
    return { cuts: cutPoints(hex(v, 'in-chunker-key'), data).join(' ') };
  },
  'writer-base': writerBase,
};

function nonceOf(domain: number, counter: bigint): string {
  const bytes = Buffer.alloc(12);
  bytes.writeUInt32BE(domain, 0);
  bytes.writeBigUInt64BE(counter, 4);
  return bytes.toString('hex');
}

function cutPoints(key: Buffer, data: Buffer): number[] {
  const room = 65_536;
  const kernel = Kernel.create(data.length + room * 8 + 4096);
  kernel.gearLoad(gearTable(key));
  const at = kernel.reserve(data.length + 128) + 64;
  const out = kernel.reserve(room * 8);
  kernel.bytes.set(data, at);
  const count = kernel.gearCandidates(at, at + data.length, out, room);
  const pairs = Buffer.from(kernel.bytes.subarray(out, out + count * 8));
  const candidates = {
    count,
    at: (i: number) => pairs.readUInt32LE(8 * i),
    strict: (i: number) => pairs.readUInt32LE(8 * i + 4) === 1,
  };
  const cuts: number[] = [];
  for (let start = 0, from = 0; start < data.length; ) {
    const cut = nextCut(candidates, from, start, data.length, data.length);
    if (cut === 'more') throw new Error('all candidates are known');
    cuts.push(cut.at);
    start = cut.at;
    from = cut.next;
  }
  return cuts;
}

function writerBase(v: Vector): Outputs {
  const root = hex(v, 'in-root');
  const writer = v.get('in-writer');
  const der = (prefix: string, bytes: Uint8Array): Buffer =>
    Buffer.concat([Buffer.from(prefix, 'hex'), bytes]);
  const pair = (secret: Uint8Array) => {
    const key = createPrivateKey({
      key: der('302e020100300506032b656e04220420', secret),
      format: 'der',
      type: 'pkcs8',
    });
    return { key, raw: createPublicKey(key).export({ format: 'der', type: 'spki' }).subarray(-32) };
  };
  const own = pair(derive(root, 'x25519').subarray(0, 32));
  const ephemeral = pair(hex(v, 'in-ephemeral'));
  const secret = derive(root, `writer ${writer}`).subarray(0, 32);
  const base = baseSecret(Keyring.of(parseKeyFile(root)).data.roots[0]!, {
    kind: 'data',
    writer,
    kem: ephemeral.raw.toString('hex'),
  }) as Uint8Array;
  return {
    'x-priv': derive(root, 'x25519').toString('hex', 0, 32),
    'x-pub': own.raw.toString('hex'),
    'writer-secret': secret.toString('hex'),
    psk: derive(secret, 'psk').toString('hex', 0, 32),
    kem: ephemeral.raw.toString('hex'),
    shared: diffieHellman({ privateKey: own.key, publicKey: createPublicKey(ephemeral.key) }).toString('hex'),
    base: Buffer.from(base).toString('hex'),
  };
}

const runners: Record<string, (v: Vector) => Promise<void> | void> = {
  kdf: (v) => compareOutputs(v, functions[v.get('function')]!(v)),

  keyfile: async (v) => {
    expect(await outcome(() => parseKeyFile(v.payload))).toBe(v.expect);
    if (v.expect !== 'accept') return;
    const key = parseKeyFile(v.payload);
    const dedup = dedupKeysOf(key.root, { dedup: key.dedup, chunk: key.chunk });
    compareOutputs(v, {
      root: key.root.toString('hex'),
      keyid: key.keyid,
      repo: key.repo,
      old: key.old.map((root) => root.toString('hex')).join(' '),
      'old-keyids': key.old.map(keyIdOf).join(' '),
      kit: key.kit.join(' '),
      'dedup-key': dedup.dedup.export().toString('hex'),
      dd: dedup.dd,
      'chunker-key': dedup.chunker.toString('hex'),
    });
  },

  'wrapped-key': async (v) => {
    const passphrase = v.get('in-passphrase');
    expect(await outcome(() => openWrappedKey(v.payload, passphrase))).toBe(v.expect);
    if (v.expect !== 'accept') return;
    const { salt, N, r, p } = parseWrappedKey(v.payload);
    compareOutputs(v, {
      kek: (await passphraseKey(passphrase, Buffer.from(salt, 'hex'), { N, r, p })).toString('hex'),
      root: (await openWrappedKey(v.payload, passphrase)).toString('hex'),
    });
  },

  writerfile: (v) => {
    compareOutputs(v, { ...parseWriterFile(v.payload) });
    const root = hex(v, 'in-root');
    expect(parseWriterFile(v.payload).secret).toBe(
      derive(root, `writer ${v.get('out-writer')}`).toString('hex', 0, 32),
    );
    expect(parseWriterFile(v.payload).mark).toBe(derive(root, 'mark').toString('hex', 0, 32));
  },

  container: runContainer,

  pages: async (v) => {
    const found: unknown[] = [];
    const run = (): void => {
      const stream = new EntryStream(true);
      const add = (entry: ReturnType<EntryStream['end']>): void => {
        if (entry === undefined) return;
        const { json, type, extents } = entry;
        const file = type === 'f' ? { s: json.s, extents: extents.length } : {};
        found.push({ p: json.p, t: type, ...file });
      };
      for (const page of parseParts(v.payload, v.get('lengths')))
        for (const entry of stream.page(decodeText(page))) add(entry);
      add(stream.end());
    };
    expect(await outcome(run)).toBe(v.expect);
    if (v.expect === 'accept') expect(found).toEqual(JSON.parse(v.get('listing')));
  },

  stream: async (v) => {
    const read: Record<string, (text: string) => void> = {
      snap: (text) => parseSnapshot(text, v.get('id')),
      indx: (text) => {
        for (const _ of parseIndex(text));
      },
      move: parseMoved,
      mark: parseMark,
      drop: parseDrop,
    };
    expect(await outcome(() => read[v.get('kind')]!(decodeText(v.payload)))).toBe(v.expect);
    const content: Record<string, () => ContentReader<unknown>> = {
      snap: () => snapshotContent(v.get('id')),
      indx: () => indexContent(() => undefined),
      mark: markContent,
      drop: dropContent,
    };
    const make = content[v.get('kind')];
    if (make !== undefined) {
      const reader = make();
      // Record 0 of a snapshot is its root line; the others end anywhere.
      const cut = v.payload.indexOf(10) + 1;
      const code = await outcome(() => {
        for (const [i, piece] of [v.payload.subarray(0, cut), v.payload.subarray(cut)].entries())
          if (piece.length > 0) reader.sink(i, piece);
        reader.end();
      });
      expect(['streamed', code]).toEqual(['streamed', v.expect]);
    }
    const lines = v.maybe('lines');
    if (lines !== undefined) expect([...linesOf(decodeText(v.payload))].length).toBe(Number(lines));
  },

  names: (v) => {
    for (const line of v.payload.toString('utf8').trimEnd().split('\n')) {
      const space = line.indexOf(' ');
      expect([line, isObjectName(line.slice(space + 1))]).toEqual([line, line.slice(0, space) === 'yes']);
    }
  },

  dedup: (v) => {
    interface Identity {
      readonly length: number;
      readonly xxh64: string;
      readonly g: string;
      readonly dd: string;
      readonly writer: string;
    }
    const keys = dedupKeysOf(Buffer.alloc(32), { dedup: hex(v, 'in-dedup-key'), chunk: undefined });
    const catalog = new Catalog(createCatalogMemory(65_536, 65_536), 0);
    const identity = new Int32Array(7);
    const place = { pack: 0, record: 0, offset: 0, whole: false };
    const fill = (length: number, x: string, g: string): void =>
      setIdentity(identity, length, x, Buffer.from(g.padEnd(32, '0'), 'hex'));
    for (const one of JSON.parse(v.get('in-catalog')) as Identity[]) {
      // What loading an index leaves out: another key or another writer.
      if (one.dd !== keys.dd || one.writer !== v.get('in-writer')) continue;
      fill(one.length, one.xxh64, one.g);
      catalog.publish(catalog.add(identity, place));
    }
    const chunks = parseParts(v.payload, v.get('lengths')).map((chunk) => {
      const x = xxh64(chunk);
      const g = gmac(keys.dedup, chunk).toString('hex');
      fill(chunk.length, x, g);
      const hit = catalog.find(identity, { ...place });
      if (!hit) catalog.publish(catalog.add(identity, place));
      return { x, g, hit };
    });
    expect(chunks.map(({ hit }) => (hit ? 'hit' : 'new')).join(' ')).toBe(v.get('outcome'));
    compareOutputs(v, {
      dd: keys.dd,
      xxh64: chunks.map(({ x }) => x).join(' '),
      g: chunks.map(({ g }) => g).join(' '),
    });
  },

  repository: runRepository,
};

/** Opens a container as a full check does; what is released comes from records in order. */
async function runContainer(v: Vector): Promise<void> {
  const storage = new MemoryStorage();
  const name = v.get('object');
  storage.objects.set(name, v.payload);
  const root = hex(v, 'key');
  const keyring = Keyring.of({ ...parseKeyFile(root), repo: v.maybe('repo') });
  const context = { storage, keyring, memory: new ReaderMemory() };
  const released: Buffer[] = [];
  let reader: ContainerReader | undefined;
  const code = await outcome(async () => {
    reader = await ContainerReader.open(context, name, { want: 'all' });
    for (let i = 0; i < reader.records; i += 1) released.push(await reader.read(i));
    const fits = reader.trailerFits && xxh64(v.payload.subarray(0, -512)) === reader.trailer.xxh64;
    if (!fits) throw reject('E_TRAILER', 'the trailer does not belong to the container');
  });
  expect(code).toBe(v.expect);
  const optional = v.maybe('restore') === 'optional' && released.length === 0;
  const hash = v.maybe('released');
  if (hash !== undefined && !optional) {
    expect(sha256(Buffer.concat(released))).toBe(hash);
    expect(released.length).toBe(Number(v.get('released-records')));
  }
  if (v.expect !== 'accept') return;
  expect(reader!.records).toBe(Number(v.get('records')));
}

/** What a client remembers, which commands compare before they believe a repository. */
function checkSeen(v: Vector, repo: string, list: SnapshotList): void {
  const [id, seq] = v.maybe('seen')?.split(' ') ?? [];
  if (id === undefined) return;
  const folder = mkdtempSync(join(tmpdir(), 'backpack-vector-'));
  try {
    const heads = new HeadStore(folder);
    heads.remember(repo, 'memory', { id, seq: Number(seq) });
    const last = list.snapshots.at(-1);
    const head = last === undefined ? undefined : { id: last.id, seq: last.root.seq };
    heads.check(repo, 'memory', { ids: list.ids, dropped: list.dropped, head });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** The XXH64 of whole files (level L6) is found by whoever puts them together. */
const byRestore = ['repository/e-hash', 'repository/e-hash-swapped'];

/** Codes of all findings of a full check, but for the text files that it only reports. */
async function checkCodes(storage: MemoryStorage, key: KeyFile): Promise<string[]> {
  const codes = new Set<string>();
  const code = await outcome(async () => {
    const repository = await openRepository(spec, storage, key);
    await check(repository, { readData: true, threads: 0 }, (event) => {
      if (event.type !== 'damage' || /^(README|backpack|recover)/.test(event.object)) return;
      // An index that says otherwise than the packs is found, and is no defect of the repository.
      if (event.code !== 'E_TABLE' || !event.object.startsWith('index/')) codes.add(event.code);
    });
  });
  if (code !== 'accept') codes.add(code);
  return [...codes];
}

async function runRepository(v: Vector): Promise<void> {
  const storage = new MemoryStorage();
  for (const [name, bytes] of v.objects) if (isObjectName(name)) storage.objects.set(name, bytes);
  const passphrase = v.maybe('passphrase');
  const [wrapped] = [...storage.objects].filter(([name]) => name.startsWith('keys/'));
  const key = parseKeyFile(
    passphrase !== undefined && wrapped !== undefined ? await openWrappedKey(wrapped[1], passphrase) : v.key,
  );
  const target = mkdtempSync(join(tmpdir(), 'backpack-vector-'));
  try {
    const codes = new Set<string>();
    let ids = 'none';
    const checked = await checkCodes(storage, key);
    if (v.expect === 'accept') expect(checked).toEqual([]);
    else if (!byRestore.includes(v.name) && v.maybe('seen') === undefined)
      expect(checked).toContain(v.expect);
    const wanted = v.maybe('snapshot') ?? 'latest';
    const expected =
      v.maybe('restore') === 'accept' || v.maybe('candidates') !== undefined ? 'accept' : v.expect;
    const code = await outcome(async () => {
      const repository = await openRepository(spec, storage, key);
      const list = await listSnapshots(repository);
      for (const { error } of list.unreadable) codes.add(error.code);
      checkSeen(v, repository.repo, list);
      const latest = v.maybe('latest') ?? 'none';
      if (latest !== 'none') expect(findSnapshot(list, 'latest').id).toBe(latest);
      ids =
        list.snapshots
          .map(({ id }) => id)
          .sort()
          .join(' ') || 'none';
      const options = { snapshot: wanted, path: '', target, threads: 0 } as const;
      await restore(repository, options, (event) => {
        if (event.type === 'problem') codes.add(event.code);
      });
    });
    if (code !== 'accept') codes.add(code);
    if (v.expect === 'accept') expect(ids).toBe(v.get('snapshots'));
    if (v.maybe('candidates') !== undefined || v.maybe('latest') === 'none') {
      // What cannot be read is named; what is not there is not.
      expect([...codes]).toEqual([v.expect === 'accept' ? 'BP_NO_SNAPSHOT' : v.expect]);
      return;
    }
    codes.delete('BP_NOT_RESTORED');
    if (expected === 'accept') expect([...codes]).toEqual([]);
    else expect([...codes]).toContain(expected);
    const listing = JSON.parse(v.get('listing')) as Listed[];
    expect(compareTree(target, listing, expected === 'accept')).toEqual([]);
  } finally {
    rmSync(target, { recursive: true, force: true });
  }
}

test.each(vectors().map((v) => [v.name, v] as const))('%s', async (_, v) => {
  const run = runners[v.type];
  if (run === undefined) throw new Error(`vectors of type ${v.type} are not run`);
  await run(v);
});
