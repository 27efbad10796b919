/**
 * Folders whose content is left out because of a file in them: CACHEDIR.TAG (https://bford.info/cachedir/) and what
 * --exclude-if-present names. The folder and the file that marks it are kept, so that a restored cache is marked, too.
 */
import { type ByteString, utf8ToByteString } from '../base/bytes.ts';
import { BackpackError } from '../base/errors.ts';
import { closeSource, openSource, readAt, stampOf } from './read-file.ts';

/** A file that marks its folder. */
export interface Marker {
  readonly name: ByteString;
  /** With which bytes it must begin. */
  readonly header?: ByteString;
  /** For people. */
  readonly label: string;
}

/** Bytes of a header at most. */
const headerMax = 4096;

/** --exclude-caches */
export const cacheTag: Marker = {
  name: 'CACHEDIR.TAG',
  header: 'Signature: 8a477f597d28d172789f06886806bc55',
  label: '--exclude-caches',
};

/** A marker from `NAME[:HEADER]`. @throws BackpackError BP_USAGE */
export function markerOf(text: string, label: string): Marker {
  const colon = text.indexOf(':');
  const name = utf8ToByteString(colon < 0 ? text : text.slice(0, colon));
  const header = colon < 0 ? '' : utf8ToByteString(text.slice(colon + 1));
  if (name === '' || name.includes('/') || name === '.' || name === '..' || header.length > headerMax) {
    throw new BackpackError('BP_USAGE', `not the name of a marker: ${text}`, {
      kind: 'usage',
      hint: 'give NAME or NAME:HEADER, where NAME is one name without slash',
    });
  }
  return header === '' ? { name, label } : { name, header, label };
}

/** The marker that a folder holds. @param has whether a name is in the folder */
export function markerIn(
  real: ByteString,
  markers: readonly Marker[],
  has: (name: ByteString) => boolean,
): Marker | undefined {
  return markers.find(
    ({ name, header }) =>
      has(name) && (header === undefined || begins(real === '/' ? `/${name}` : `${real}/${name}`, header)),
  );
}

function begins(path: ByteString, header: ByteString): boolean {
  try {
    const fd = openSource(path);
    try {
      stampOf(fd, path);
      const bytes = Buffer.alloc(header.length);
      return (
        readAt(fd, bytes, 0, header.length, 0, path) === header.length && bytes.toString('latin1') === header
      );
    } finally {
      closeSource(fd);
    }
  } catch {
    // What cannot be read marks nothing.
    return false;
  }
}
