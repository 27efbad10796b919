/**
 * Names that the target's filesystem refuses. The rule, so that anyone can find a file again: characters that some
 * filesystems refuse (`\ : * ? " < > |`, control characters, dots and spaces at the end) and bytes that are not
 * UTF-8 become `_`; the name is cut to 200 bytes; `~` and the first 8 hex digits of the SHA-256 of its original bytes
 * follow. It is used only after the filesystem has refused the name itself.
 */
import { createHash } from 'node:crypto';
import { type ByteString, byteStringToText, fromByteString, utf8ToByteString } from '../base/bytes.ts';

const keptBytes = 200;

/** Another path for the same entry, beside `path`. */
export function legalPath(path: ByteString): ByteString {
  const slash = path.lastIndexOf('/') + 1;
  return path.slice(0, slash) + legalName(path.slice(slash));
}

/** Another name, allowed everywhere. */
export function legalName(name: ByteString): ByteString {
  const hash = createHash('sha256').update(fromByteString(name)).digest('hex').slice(0, 8);
  let kept = byteStringToText(name)
    .replace(/[\\:*?"<>|\p{Cc}\uFFFD]/gu, '_')
    .replace(/[. ]+$/u, (end) => '_'.repeat(end.length));
  while (Buffer.byteLength(kept) > keptBytes) kept = [...kept].slice(0, -1).join('');
  return utf8ToByteString(`${kept}~${hash}`);
}

/** Whether an error says that the name cannot be: too long, or with bytes that the filesystem does not take. */
export function isNameError(error: unknown): boolean {
  const { code } = error as NodeJS.ErrnoException;
  return code === 'ENAMETOOLONG' || code === 'EILSEQ' || code === 'EINVAL';
}
