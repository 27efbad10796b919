import { text } from './bytes.mjs';

/** Bytes that look like text and compress to about a third. */
export function words(random, length) {
  const list = Array.from({ length: 256 }, () =>
    random.bytes(1 + (random.bytes(1)[0] % 7)).toString('base64url'),
  );
  const out = [];
  let have = 0;
  while (have < length) {
    for (const byte of random.bytes(1024)) {
      out.push(`${list[byte]} `);
      have += list[byte].length + 1;
    }
  }
  return text(out.join('')).subarray(0, length);
}
