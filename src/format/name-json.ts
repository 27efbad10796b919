/**
 * Names in JSON (SPEC, "Types used in JSON"): a string when the bytes are valid UTF-8 without 00-1F and 7F, else an
 * array of one base64 string. In memory a name is a byte string.
 */
import { isUtf8 } from 'node:buffer';
import { type ByteString, isAscii, utf8ToByteString } from '../base/bytes.ts';
import { reject } from './reject.ts';

/** A name as it stands in JSON. */
export type NameJson = string | readonly [string];

// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for
const controls = /[\x00-\x1f\x7f]/;
const plain = /^[\x20\x21\x23-\x5b\x5d-\x7e]*$/;

const surrogate = /\p{Surrogate}/u;

/** JSON text of a name. */
export function nameToJson(name: ByteString): string {
  if (plain.test(name)) return `"${name}"`;
  if (controls.test(name)) return base64Form(name);
  if (isAscii(name)) return JSON.stringify(name);
  const bytes = Buffer.from(name, 'latin1');
  return isUtf8(bytes) ? JSON.stringify(bytes.toString('utf8')) : base64Form(name);
}

function base64Form(name: ByteString): string {
  return `["${Buffer.from(name, 'latin1').toString('base64')}"]`;
}

/**
 * The name's bytes. The form must be the canonical one, so that a name has one spelling.
 * @throws BackpackError E_JSON
 */
export function nameFromJson(value: NameJson): ByteString {
  if (typeof value === 'string') {
    if (controls.test(value) || surrogate.test(value))
      throw reject('E_JSON', 'a name has control characters');
    return utf8ToByteString(value);
  }
  const bytes = Buffer.from(value[0], 'base64');
  if (bytes.toString('base64') !== value[0]) throw reject('E_JSON', 'a name is not base64');
  return bytes.toString('latin1');
}
