/**
 * Bytes, hex and byte strings. No domain words, no I/O.
 * A *byte string* is a JavaScript string in which each character is one byte (0 to 255): names of files are
 * kept this way, because a file name is bytes and need not be UTF-8.
 */

declare const byteStringBrand: unique symbol;
/** A string of bytes 0 to 255, one character each (latin1): how names and paths are held in memory. */
export type ByteString = string & { readonly [byteStringBrand]?: true };

/** Lower-case hex of some bytes. */
export function toHex(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('hex');
}

/** Bytes of an even number of hex digits; the caller has checked the grammar. */
export function fromHex(hex: string): Buffer {
  return Buffer.from(hex, 'hex');
}

/** Byte string of some bytes. */
export function toByteString(bytes: Uint8Array): ByteString {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1');
}

/** Byte string of a text, in UTF-8. */
export function utf8ToByteString(text: string): ByteString {
  return isAscii(text) ? text : Buffer.from(text, 'utf8').toString('latin1');
}

/** Bytes of a byte string. */
export function fromByteString(text: ByteString): Buffer {
  return Buffer.from(text, 'latin1');
}

/** The same bytes read as UTF-8, wrong sequences replaced: for people, patterns and messages, never to store. */
export function byteStringToText(text: ByteString): string {
  return isAscii(text) ? text : Buffer.from(text, 'latin1').toString('utf8');
}

/**
 * What Node's file functions take for a byte string: the string itself when it is ASCII (same bytes in UTF-8, and
 * faster), else a Buffer.
 */
export function toFsPath(path: ByteString): string | Buffer {
  return isAscii(path) ? path : Buffer.from(path, 'latin1');
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: the range is ASCII, controls included
const nonAscii = /[^\x00-\x7f]/;

/** Whether all characters are below 128. */
export function isAscii(text: string): boolean {
  return !nonAscii.test(text);
}
