// Speed of the kernels beside lz4js, xxhash-wasm and the C program `lz4`, in one run on the same data.
// npm run bench:kernels [-- [--json] [--mib N] [--rounds N] [FILE or FOLDER ...]]    needs a built dist/
// Without paths: source code of node_modules, C headers if there are any, random data, and a mix of both.
// Everything is best of all rounds, in turn, because `lz4 -b` reports its best too. MB is 10^6 bytes, wall time.
// Must never be part of the tests: it measures, it does not judge (the goals are printed, the exit code is 0).
import { spawnSync } from 'node:child_process';
import { randomFillSync } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { cpus, tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { parseArgs } from 'node:util';
import lz4js from 'lz4js';
import xxhash from 'xxhash-wasm';
import { Kernel } from '../dist/kernel/kernel.js';

const MIB = 1 << 20;
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    json: { type: 'boolean', default: false },
    mib: { type: 'string', default: '16' },
    rounds: { type: 'string', default: '5' },
  },
});
const sizeMax = Number(values.mib) * MIB;
const rounds = Number(values.rounds);
const root = join(import.meta.dirname, '..');

/** Up to `sizeMax` bytes of the files below `path` whose names match, largest folders' order left as it is. */
function gather(path, pattern) {
  const parts = [];
  let size = 0;
  const visit = (at) => {
    if (size >= sizeMax) return;
    const info = statSync(at, { throwIfNoEntry: false });
    if (info?.isDirectory()) for (const name of readdirSync(at).sort()) visit(join(at, name));
    else if (info?.isFile() && pattern.test(at)) {
      const bytes = readFileSync(at);
      parts.push(bytes);
      size += bytes.length;
    }
  };
  visit(path);
  return Buffer.concat(parts).subarray(0, sizeMax);
}

function corpora() {
  if (positionals.length > 0) return positionals.map((path) => [basename(path), gather(path, /./)]);
  const source = Buffer.concat([
    gather(join(root, 'node_modules/typescript/lib'), /\.(js|ts)$/),
    gather(join(root, 'node_modules'), /\.(js|mjs|cjs|ts|json|map)$/),
  ]).subarray(0, sizeMax);
  const random = randomFillSync(Buffer.alloc(sizeMax));
  const mixed = Buffer.from(source);
  for (let at = 0; at < mixed.length; at += 2 * MIB) random.copy(mixed, at, at, at + MIB);
  const headers = gather('/usr/include', /\.(h|hpp|c)$/);
  return [
    ['source', source],
    ...(headers.length >= 4 * MIB ? [['headers', headers]] : []),
    ['random', random],
    ['mixed', mixed],
  ];
}

const kernel = Kernel.create(3 * sizeMax + 4 * MIB);
const src = kernel.reserve(sizeMax);
const dst = kernel.reserve(kernel.frameBound(sizeMax) + sizeMax / 1024);
const out = kernel.reserve(MIB);
const pairs = kernel.reserve(MIB);
const copy = kernel.reserve(MIB);
kernel.gearLoad(randomFillSync(Buffer.alloc(2048)));
const { h64Raw } = await xxhash();

const timed = (work, bytes) => {
  const begin = process.hrtime.bigint();
  work();
  return bytes / 1e6 / (Number(process.hrtime.bigint() - begin) / 1e9);
};

/** `lz4 -b1` on a file: encode and decode speed and ratio, or undefined if the program is missing. */
function measureProgram(file) {
  const done = spawnSync('lz4', ['-b1', '-i1', `-B${MIB}`, file], { encoding: 'utf8' });
  if (done.status !== 0) return undefined;
  const found = [
    ...`${done.stdout}${done.stderr}`.matchAll(/\(([\d.]+)\),\s*([\d.]+) MB\/s\s*,\s*([\d.]+) MB\/s/g),
  ];
  const last = found.at(-1);
  return last && { ratio: Number(last[1]), encode: Number(last[2]), decode: Number(last[3]) };
}

/** All ways to treat one corpus in pieces of 1 MiB, each a function that handles the whole of it once. */
function workloads(data) {
  const count = Math.floor(data.length / MIB);
  const pieces = Array.from({ length: count }, (_, i) => data.subarray(i * MIB, (i + 1) * MIB));
  const frames = [];
  const encode = (verify) => () => {
    let at = dst;
    for (let i = 0; i < count; i++) {
      const length = kernel.frameEncode(src + i * MIB, MIB, at, verify);
      frames[i] = [at, length];
      at += length;
    }
  };
  const buffers = pieces.map(() => lz4js.makeBuffer(lz4js.compressBound(MIB)));
  const lengths = [];
  const plain = lz4js.makeBuffer(MIB);
  kernel.bytes.set(data, src);
  return {
    count,
    frames,
    work: {
      encode: encode(false),
      'encode+verify': encode(true),
      decode: () => {
        for (const [at, length] of frames) kernel.frameDecode(at, length, out, MIB);
      },
      'lz4js encode': () => {
        for (let i = 0; i < count; i++) lengths[i] = lz4js.compressFrame(pieces[i], buffers[i]);
      },
      'lz4js decode': () => {
        for (let i = 0; i < count; i++) lz4js.decompressFrame(buffers[i].subarray(0, lengths[i]), plain);
      },
      gear: () => {
        for (let i = 0; i < count; i++)
          kernel.gearCandidates(src + i * MIB + (i === 0 ? 64 : 0), src + (i + 1) * MIB, pairs, MIB / 8);
      },
      xxh64: () => {
        for (let i = 0; i < count; i++) kernel.hashOf(src + i * MIB, MIB);
      },
      'xxhash-wasm': () => {
        for (const piece of pieces) h64Raw(piece);
      },
    },
  };
}

const results = [];
const report = (corpus, name, mbPerSecond, more = {}) => {
  const result = { bench: 'kernels', corpus, kernel: name, mbPerSecond: Math.round(mbPerSecond), ...more };
  results.push(result);
  if (values.json) console.log(JSON.stringify(result));
};
const ratio = (a, b) => (a && b ? Math.round((a / b) * 100) / 100 : undefined);

function measureCorpus(name, data, folder) {
  const { count, frames, work } = workloads(data);
  const file = join(folder, 'corpus');
  writeFileSync(file, data.subarray(0, count * MIB));
  const best = {};
  let program;
  const keep = (key, value) => {
    best[key] = Math.max(best[key] ?? 0, value);
  };
  for (const run of Object.values(work)) run();
  for (let round = 0; round < rounds; round++) {
    for (const [key, run] of Object.entries(work)) keep(key, timed(run, count * MIB));
    program = measureProgram(file);
    if (program) {
      keep('C encode', program.encode);
      keep('C decode', program.decode);
    }
  }
  const stored = frames.reduce((sum, [, length]) => sum + length, 0);
  const peers = (kind) => ({
    program: best[`C ${kind}`],
    lz4js: best[`lz4js ${kind}`] && Math.round(best[`lz4js ${kind}`]),
  });
  for (const key of ['encode', 'encode+verify', 'decode']) {
    const peer = peers(key === 'decode' ? 'decode' : 'encode');
    report(name, key, best[key], {
      mib: count,
      compression: Math.round(((count * MIB) / stored) * 1000) / 1000,
      programCompression: program?.ratio,
      programMbPerSecond: peer.program,
      toProgram: ratio(best[key], peer.program),
      lz4jsMbPerSecond: peer.lz4js,
      toLz4js: ratio(best[key], peer.lz4js),
    });
  }
  report(name, 'gear', best['gear'], { mib: count });
  report(name, 'xxh64', best['xxh64'], {
    mib: count,
    xxhashWasmMbPerSecond: Math.round(best['xxhash-wasm']),
    toXxhashWasm: ratio(best['xxh64'], best['xxhash-wasm']),
  });
}

/** What does not depend on content; 1 MiB, so from the cache. */
function measureRest() {
  const times = 256;
  const state = kernel.reserve(kernel.hashStateBytes);
  kernel.bytes.fill(0, out, out + MIB);
  kernel.bytes.fill(0, copy, copy + MIB);
  kernel.hashInit(state);
  const work = {
    'zero test': () => kernel.isZero(out, MIB),
    equal: () => kernel.equal(out, copy, MIB),
    'xxh64 of a hole': () => kernel.hashZeros(state, MIB),
  };
  for (const [name, once] of Object.entries(work)) {
    const many = () => {
      for (let i = 0; i < times; i++) once();
    };
    many();
    let best = 0;
    for (let round = 0; round < rounds; round++) best = Math.max(best, timed(many, times * MIB));
    report('zeros', name, best, { mib: 1 });
  }
}

function printTable() {
  const cell = (value, unit = '') => (value === undefined ? '-' : `${value}${unit}`);
  const rows = [['data', 'kernel', 'MB/s', 'C lz4 -1', 'x C', 'lz4js', 'x lz4js', 'other', 'ratio (C)']];
  for (const r of results)
    rows.push([
      r.corpus,
      r.kernel,
      cell(r.mbPerSecond),
      cell(r.programMbPerSecond && Math.round(r.programMbPerSecond)),
      cell(r.toProgram),
      cell(r.lz4jsMbPerSecond),
      cell(r.toLz4js),
      r.toXxhashWasm === undefined ? '-' : `xxhash-wasm ${r.xxhashWasmMbPerSecond}, x ${r.toXxhashWasm}`,
      r.compression === undefined ? '-' : `${r.compression} (${cell(r.programCompression)})`,
    ]);
  const widths = rows[0].map((_, i) => Math.max(...rows.map((row) => row[i].length)));
  for (const row of rows)
    console.log(
      row
        .map((text, i) => text.padEnd(widths[i]))
        .join('  ')
        .trimEnd(),
    );
  console.log(
    `\n${cpus()[0]?.model}, Node ${process.versions.node}, best of ${rounds} rounds, ${new Date().toISOString()}`,
  );
  const [goal] = results;
  console.log(`goals on ${goal.corpus}: x C >= 0.8: ${goal.toProgram}; x lz4js >= 2.5: ${goal.toLz4js}`);
}

const folder = mkdtempSync(join(tmpdir(), 'backpack-bench-'));
try {
  for (const [name, data] of corpora()) {
    if (data.length < MIB) console.error(`${name}: less than 1 MiB, left out`);
    else measureCorpus(name, data, folder);
  }
  measureRest();
  if (!values.json) printTable();
} finally {
  rmSync(folder, { recursive: true });
}
