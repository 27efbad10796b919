/**
 * Names of files as people read and type them. What a terminal cannot show (bytes that are no UTF-8, control and
 * format characters) is spelled `\xNN`, byte for byte, and can be typed the same way; a name that really has such
 * text in it is spelled with `\x5c` for its backslash. So each name has one spelling, and it leads back to the name.
 */
import { type ByteString, utf8ToByteString } from '../../base/bytes.ts';

/** One UTF-8 sequence, or one byte that belongs to none, of a byte string. */
const sequence =
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are bytes
  /[\x00-\x7f]|[\xc2-\xdf][\x80-\xbf]|\xe0[\xa0-\xbf][\x80-\xbf]|[\xe1-\xec\xee\xef][\x80-\xbf]{2}|\xed[\x80-\x9f][\x80-\xbf]|\xf0[\x90-\xbf][\x80-\xbf]{2}|[\xf1-\xf3][\x80-\xbf]{3}|\xf4[\x80-\x8f][\x80-\xbf]{2}|[\x80-\xff]/g;
const plain = /^[ -[\]-~]*$/;
const unprintable = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u;
const escapes = /\\x([0-9a-f]{2})/gi;

/** A name or path for a person. */
export function spelled(name: ByteString): string {
  if (plain.test(name)) return name;
  return name.replace(sequence, (bytes, at: number) => {
    if (bytes === '\\') return /^x[0-9a-f]{2}/i.test(name.slice(at + 1, at + 4)) ? '\\x5c' : bytes;
    const text = Buffer.from(bytes, 'latin1').toString('utf8');
    const shown = (bytes.length > 1 || bytes < '\x80') && !unprintable.test(text);
    return shown
      ? text
      : `\\x${Buffer.from(bytes, 'latin1')
          .toString('hex')
          .replace(/..(?=.)/g, '$&\\x')}`;
  });
}

/** The name that a person means: what {@link spelled} shows, or simply the name. */
export function unspelled(text: string): ByteString {
  return utf8ToByteString(text).replace(escapes, (_, hex: string) =>
    String.fromCharCode(Number.parseInt(hex, 16)),
  );
}
