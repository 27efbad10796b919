// Reads vector files (README.md has the grammar). As a program: node parse.mjs FILE.vec DIR writes the payload
// of a vector to DIR: a repository as files below DIR/repo and its key as DIR/key.bin, anything else as DIR/payload.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';

/** { fields: Map of header lines, payload: Buffer or undefined }. Throws if the file is no vector. */
export function parseVector(bytes) {
  const end = bytes.indexOf('\n\n');
  const lines = end < 0 ? [] : bytes.subarray(0, end).toString('utf8').split('\n');
  if (lines[0] !== 'backpack-vector: 1') throw new Error('no vector of version 1');
  const fields = new Map();
  for (const line of lines) {
    const colon = line.indexOf(': ');
    const key = colon < 0 ? line.replace(/:$/, '') : line.slice(0, colon);
    if (fields.has(key)) throw new Error(`${key} stands there twice`);
    fields.set(key, colon < 0 ? '' : line.slice(colon + 2));
  }
  const payload = bytes.subarray(end + 2);
  const [form, length] = fields.get('payload').split(' ');
  if (payload.length !== Number(length ?? 0)) throw new Error('the payload has another length');
  return { fields, payload: form === 'none' ? undefined : payload };
}

/** The objects of a repository payload: Map of name to bytes. */
export function parseObjects(payload) {
  const objects = new Map();
  let at = 0;
  while (at < payload.length) {
    const end = payload.indexOf(0x0a, at);
    const [name, size] = payload.subarray(at, end).toString('utf8').split(' ');
    objects.set(name, payload.subarray(end + 1, end + 1 + Number(size)));
    at = end + 1 + Number(size);
  }
  if (at !== payload.length) throw new Error('the last object is cut off');
  return objects;
}

/** A payload cut at the numbers of `lengths` (pages, chunks). */
export function parseParts(payload, lengths) {
  let at = 0;
  return (lengths === '' ? [] : lengths.split(' ')).map((length) => {
    at += Number(length);
    return payload.subarray(at - Number(length), at);
  });
}

function unpack(file, dir) {
  const { fields, payload } = parseVector(readFileSync(file));
  const put = (name, bytes) => {
    mkdirSync(dirname(join(dir, name)), { recursive: true });
    writeFileSync(join(dir, name), bytes, { mode: 0o600 });
  };
  if (fields.get('type') === 'repository') {
    put('key.bin', Buffer.from(fields.get('key'), 'base64'));
    for (const [name, bytes] of parseObjects(payload)) put(`repo/${name}`, bytes);
  } else if (payload) {
    put('payload', payload);
  }
  put('fields.json', JSON.stringify(Object.fromEntries(fields), null, 1));
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href)
  unpack(process.argv[2], process.argv[3]);
