// Checks a folder with the readers of dist/: `npm run vectors:check -- DIR [--key FILE]`.
// DIR is a folder of vector files (*.vec, also in folders below), or a repository. With --key a repository is checked
// in full; without, everything that needs no key: names, headers, trailers, XXH64, sums of the recovery kit.
// One line per failure and a count at the end. Exit: 0 all is right, 4 something is not, 2 usage.
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { xxh64 } from '../dist/codec/xxhash.js';
import { ContainerReader } from '../dist/container/container-reader.js';
import { Keyring } from '../dist/container/keyring.js';
import { ReaderMemory } from '../dist/container/reader-memory.js';
import { EntryStream } from '../dist/format/entry-stream.js';
import { formatTrailer, parseHeader, parseTrailer } from '../dist/format/header.js';
import { decodeText } from '../dist/format/json-lines.js';
import { parseKeyFile, parseWriterFile } from '../dist/format/key-file.js';
import { parseContainerName } from '../dist/format/names.js';
import { reject } from '../dist/format/reject.js';
import { parseSnapshot } from '../dist/format/snapshot.js';
import { parseDrop, parseIndex, parseMark, parseMoved } from '../dist/format/streams.js';
import { openWrappedKey } from '../dist/format/wrapped-key.js';
import { check } from '../dist/operations/check.js';
import { parseSums, sha256, sumsName } from '../dist/repo/kit.js';
import { openRepository } from '../dist/repo/repository.js';
import { FsStorage } from '../dist/storage/fs.js';
import { MemoryStorage } from '../dist/storage/memory.js';
import { isObjectName } from '../dist/storage/object-name.js';
import { parseObjects, parseParts, parseVector } from '../test-vectors/parse.mjs';

let failures = 0;
const fail = (line) => {
  failures += 1;
  process.stdout.write(`${line}\n`);
};

/** Codes of what is wrong; empty when nothing is. */
async function codesOf(run) {
  try {
    return (await run()) ?? [];
  } catch (error) {
    if (typeof error.code === 'string' && error.code.startsWith('E_')) return [error.code];
    throw error;
  }
}

const streams = {
  snap: (v) => parseSnapshot(decodeText(v.payload), v.fields.get('id')),
  indx: (v) => [...parseIndex(decodeText(v.payload))],
  move: (v) => parseMoved(decodeText(v.payload)),
  mark: (v) => parseMark(decodeText(v.payload)),
  drop: (v) => parseDrop(decodeText(v.payload)),
};

const runners = {
  keyfile: (v) => void parseKeyFile(v.payload),
  writerfile: (v) => void parseWriterFile(v.payload),
  'wrapped-key': async (v) => void (await openWrappedKey(v.payload, v.fields.get('in-passphrase'))),
  container: async (v) => {
    const name = v.fields.get('object');
    const storage = new MemoryStorage();
    storage.objects.set(name, v.payload);
    const key = { ...parseKeyFile(Buffer.from(v.fields.get('key'), 'hex')), repo: v.fields.get('repo') };
    const context = { storage, keyring: Keyring.of(key), memory: new ReaderMemory() };
    const reader = await ContainerReader.open(context, name, { want: 'all' });
    for (let i = 0; i < reader.records; i += 1) await reader.read(i);
    const sum = xxh64(v.payload.subarray(0, -512));
    if (!reader.trailerFits || sum !== reader.trailer.xxh64)
      throw reject('E_TRAILER', 'the trailer is wrong');
  },
  pages: (v) => {
    const stream = new EntryStream(true);
    for (const page of parseParts(v.payload, v.fields.get('lengths')))
      for (const _ of stream.page(decodeText(page)));
    stream.end();
  },
  stream: (v) => void streams[v.fields.get('kind')](v),
  names: (v) => {
    const wrong = v.payload
      .toString('utf8')
      .trimEnd()
      .split('\n')
      .filter((line) => isObjectName(line.slice(line.indexOf(' ') + 1)) !== line.startsWith('yes '));
    return wrong.length > 0 ? ['E_NAME'] : [];
  },
  repository: async (v) => {
    const storage = new MemoryStorage();
    for (const [name, bytes] of parseObjects(v.payload))
      if (isObjectName(name)) storage.objects.set(name, bytes);
    const wrapped = [...storage.objects.keys()].find((name) => name.startsWith('keys/'));
    const passphrase = v.fields.get('passphrase');
    const secret =
      passphrase && wrapped ? await openWrappedKey(storage.objects.get(wrapped), passphrase) : undefined;
    return checkRepository(storage, secret ?? Buffer.from(v.fields.get('key'), 'base64'), () => {});
  },
};

/** A full check. @returns the codes of its findings, but for the replaceable text files and a wrong index */
async function checkRepository(storage, key, say) {
  const codes = new Set();
  const repository = await openRepository({ location: storage.location }, storage, parseKeyFile(key));
  await check(repository, { readData: true, threads: 0 }, (event) => {
    if (event.type !== 'damage' && event.type !== 'unreadable') return;
    say(`${event.code} ${event.object}: ${event.message}`);
    const hint = /^(README|backpack|recover)/.test(event.object);
    if (!hint && !(event.code === 'E_TABLE' && event.object.startsWith('index/'))) codes.add(event.code);
  });
  return [...codes];
}

/** What a check of a repository does not do: putting files together (L6), and remembering what was seen before. */
const notHere = (v) => v.fields.has('seen') || /\/e-hash(-swapped)?$/.test(v.fields.get('name'));

async function vectorFolder(files) {
  let run = 0;
  for (const file of files) {
    let v;
    try {
      v = parseVector(readFileSync(file));
    } catch (error) {
      fail(`${file}: ${error.message}`);
      continue;
    }
    const type = v.fields.get('type');
    const expected = v.fields.get('expect');
    if (runners[type] === undefined || notHere(v)) continue;
    run += 1;
    const codes = await codesOf(() => runners[type](v));
    const right = expected === 'accept' ? codes.length === 0 : codes.includes(expected);
    if (!right) fail(`${file}: expected ${expected}, found ${codes.join(' ') || 'accept'}`);
  }
  return `${run} vectors`;
}

/** Everything that can be known without the key. */
async function withoutKey(dir, files) {
  let run = 0;
  for (const file of files) {
    const name = file.slice(dir.length + 1);
    if (name.startsWith('tmp/')) continue;
    run += 1;
    if (!isObjectName(name)) {
      fail(`E_NAME ${name}: not the name of an object`);
      continue;
    }
    const named = parseContainerName(name);
    if (named === undefined) continue;
    const bytes = readFileSync(file);
    const codes = await codesOf(() => {
      const header = parseHeader(bytes);
      if (header.id !== named.id || !named.kinds.includes(header.kind)) throw reject('E_NAME', name);
      const found = bytes.subarray(-512);
      const hint = parseTrailer(found, bytes.length);
      const rebuilt = formatTrailer(header, { ...hint, xxh64: xxh64(bytes.subarray(0, -512)) });
      if (!rebuilt.equals(found)) throw reject('E_TRAILER', name);
    });
    for (const code of codes) fail(`${code} ${name}`);
  }
  const sums = join(dir, sumsName);
  const listed = existsSync(sums) ? parseSums(readFileSync(sums)) : new Map();
  if (listed === undefined) fail(`E_KIT ${sumsName}: not written as specified`);
  for (const [name, sum] of listed ?? []) {
    const there = existsSync(join(dir, name));
    if (!there || sha256(readFileSync(join(dir, name))) !== sum) fail(`E_KIT ${name}: not as in ${sumsName}`);
  }
  return `${run} objects`;
}

const words = process.argv.slice(2);
const at = words.indexOf('--key');
const [keyFile] = at < 0 ? [] : words.splice(at, 2).slice(1);
const dir = words[0]?.replace(/\/+$/, '');
if (words.length !== 1 || !existsSync(dir) || !statSync(dir).isDirectory()) {
  process.stderr.write('usage: npm run vectors:check -- DIR [--key FILE]\n');
  process.exit(2);
}
const walk = (folder) =>
  readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    return entry.isDirectory() ? walk(path) : [path];
  });
const files = walk(dir).sort();
const vectors = files.filter((file) => file.endsWith('.vec'));
let what;
if (vectors.length > 0) what = await vectorFolder(vectors);
else if (keyFile === undefined) what = await withoutKey(dir, files);
else {
  const codes = await codesOf(() => checkRepository(new FsStorage(dir), readFileSync(keyFile), fail));
  if (failures === 0) for (const code of codes) fail(code);
  what = `${files.length} files`;
}
process.stdout.write(`${what} checked, ${failures} failures\n`);
process.exitCode = failures > 0 ? 4 : 0;
