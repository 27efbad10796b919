/**
 * The line rule of all JSON in the format (SPEC, "Types used in JSON"): one JSON value per line, UTF-8, LF, at most
 * 1 MiB, at most 16 levels, no duplicate keys; `need` and unknown upper-case letters are refused.
 */
import { isUtf8 } from 'node:buffer';
import { jsonDepthMax, lineMax } from '../base/limits.ts';
import { reject } from './reject.ts';

/** Decodes UTF-8 strictly. @throws BackpackError with `code` */
export function decodeText(bytes: Uint8Array, code: 'E_JSON' | 'E_TABLE' = 'E_JSON'): string {
  if (!isUtf8(bytes)) throw reject(code, 'text is not UTF-8');
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8');
}

/** Iterates over the lines of a text that must end with LF. @throws BackpackError E_JSON, E_LIMIT */
export function* linesOf(text: string): Generator<string> {
  let from = 0;
  while (from < text.length) {
    const end = text.indexOf('\n', from);
    if (end < 0) throw reject('E_JSON', 'the last line has no line feed');
    const line = text.slice(from, end);
    // A character has at most 3 bytes, so that only long lines need to be measured.
    if (line.length >= lineMax / 3 && Buffer.byteLength(line) + 1 > lineMax)
      throw reject('E_LIMIT', 'a line is longer than 1 MiB');
    yield line;
    from = end + 1;
  }
}

/** Parses one line. @param need `head` leaves `need` to the caller @throws BackpackError E_JSON, E_LIMIT, E_NEED */
export function parseLine(line: string, need: 'check' | 'head' = 'check'): unknown {
  const keys = scan(line);
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    throw reject('E_JSON', 'a line is not JSON');
  }
  if (typeof value !== 'object' || value === null)
    throw reject('E_JSON', 'a line is neither object nor array');
  if (countKeys(value) !== keys) throw reject('E_JSON', 'a line has a duplicate key');
  if (need === 'check' && !Array.isArray(value)) checkNeed(value);
  return value;
}

/** No key of the format is optional to understand: whatever `need` lists is not known. */
function checkNeed(value: object): void {
  if (!('need' in value)) return;
  const { need } = value;
  if (Array.isArray(need) && need.length === 0) return;
  throw reject('E_NEED', `a line needs ${JSON.stringify(need).slice(0, 200)}`);
}

/**
 * Parses a first line: an object that begins with `"backpack": name` and is of version 1. The version is looked at
 * before the rest, because only it says whether the rest can be understood.
 * @throws BackpackError E_JSON, E_LIMIT, E_NEED
 */
export function parseHead(line: string, name: string): Record<string, unknown> {
  const begin = /^[ \t]*\{[ \t]*"backpack"[ \t]*:[ \t]*"([a-z-]*)"/.exec(line);
  if (begin?.[1] !== name) throw reject('E_JSON', `a first line does not say that this is a ${name}`);
  const value = parseLine(line, 'head') as Record<string, unknown>;
  const v = value['v'];
  if (Number.isSafeInteger(v) && (v as number) > 1)
    throw reject('E_NEED', `version ${v} of ${name} is not known`);
  if (v !== 1) throw reject('E_JSON', `a ${name} names no version`);
  checkNeed(value);
  return value;
}

/** What an array line begins with. @throws BackpackError E_JSON for anything but one letter or a short word */
export function letterOf(line: readonly unknown[]): string {
  const letter = line[0];
  if (typeof letter !== 'string' || letter.length === 0)
    throw reject('E_JSON', 'an array does not begin with a letter');
  return letter;
}

/** Whether a line with an unknown letter may be skipped (lower case). @throws BackpackError E_NEED for upper case */
export function skipUnknown(letter: string): void {
  const first = letter.charCodeAt(0);
  if (first >= 97 && first <= 122) return;
  throw reject(
    'E_NEED',
    `lines of type ${JSON.stringify(letter.slice(0, 20))} are not known to this version`,
  );
}

/** Counts keys outside of strings and checks the depth. */
function scan(line: string): number {
  let keys = 0;
  let depth = 0;
  for (let i = 0; i < line.length; i += 1) {
    const c = line.charCodeAt(i);
    if (c === 34) {
      i = line.indexOf('"', i + 1);
      while (i > 0 && escaped(line, i)) i = line.indexOf('"', i + 1);
      if (i < 0) throw reject('E_JSON', 'a string has no end');
    } else if (c === 58) keys += 1;
    else if (c === 91 || c === 123) {
      depth += 1;
      if (depth > jsonDepthMax) throw reject('E_LIMIT', `JSON is nested deeper than ${jsonDepthMax} levels`);
    } else if (c === 93 || c === 125) depth -= 1;
  }
  return keys;
}

function escaped(line: string, quote: number): boolean {
  let backslashes = 0;
  for (let i = quote - 1; line.charCodeAt(i) === 92; i -= 1) backslashes += 1;
  return backslashes % 2 === 1;
}

function countKeys(value: object): number {
  if (Array.isArray(value)) {
    let sum = 0;
    for (const item of value) if (typeof item === 'object' && item !== null) sum += countKeys(item);
    return sum;
  }
  const keys = Object.keys(value);
  let sum = keys.length;
  for (const key of keys) {
    const item = (value as Record<string, unknown>)[key];
    if (typeof item === 'object' && item !== null) sum += countKeys(item);
  }
  return sum;
}
