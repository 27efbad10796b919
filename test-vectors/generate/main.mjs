// node main.mjs            writes every vector again, bit for bit the same
// node main.mjs --check    compares what is on disk with what would be written; exit code 1 if it differs
// node main.mjs --list     one line per vector: expectation, name
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { allVectors, GROUPS } from './all.mjs';

const top = join(dirname(fileURLToPath(import.meta.url)), '..');
const mode = process.argv[2];
const wanted = new Map();
for (const { name, expect, bytes } of allVectors()) {
  wanted.set(`${name}.vec`, bytes);
  if (mode === '--list') console.log(expect.padEnd(12), name);
}

const present = GROUPS.flatMap((group) =>
  existsSync(join(top, group)) ? readdirSync(join(top, group)).map((file) => `${group}/${file}`) : [],
);
const stale = present.filter((file) => !wanted.has(file));

if (mode === '--check') {
  const differing = [...wanted].filter(
    ([file, bytes]) => !existsSync(join(top, file)) || !readFileSync(join(top, file)).equals(bytes),
  );
  for (const [file] of differing) console.log(`differs: ${file}`);
  for (const file of stale) console.log(`not generated: ${file}`);
  console.log(`${wanted.size} vectors, ${differing.length} differ, ${stale.length} unknown`);
  process.exitCode = differing.length + stale.length === 0 ? 0 : 1;
} else if (mode === undefined) {
  for (const file of stale) rmSync(join(top, file));
  for (const [file, bytes] of wanted) {
    mkdirSync(dirname(join(top, file)), { recursive: true });
    writeFileSync(join(top, file), bytes);
  }
  console.log(`${wanted.size} vectors written`);
}
