// Section 4: the key file, the wrapped key, and section 10's writer file.
import { createCipheriv, scryptSync } from 'node:crypto';
import { concat, hex, text, unhex } from './bytes.mjs';
import { keyidOf, label, writerSecret, x25519Public } from './keys.mjs';

export function keyFile({
  root,
  repo,
  keyid = keyidOf(root),
  kit = [],
  old = [],
  dedup,
  chunk,
  eol = '\n',
  extra = [],
}) {
  const lines = [
    'BACKPACK-KEY 1',
    'This file opens the Backpack repository below. Keep copies offline.',
    `repo=${repo}`,
    `keyid=${keyid}`,
    `root=${hex(root)}`,
    ...kit.map((value) => `kit=${value}`),
    ...old.map((value) => `old=${hex(value)}`),
    ...(dedup ? [`dedup=${hex(dedup)}`] : []),
    ...(chunk ? [`chunk=${hex(chunk)}`] : []),
    ...extra,
  ];
  return text(lines.map((line) => line + eol).join(''));
}

export function wrapKey({ root, passphrase, salt, N = 131072, r = 8, p = 1 }) {
  const kek = scryptSync(text(passphrase), salt, 32, { N, r, p, maxmem: 256 * N * r * p + 1048576 });
  const wrap = createCipheriv('id-aes256-wrap', kek, unhex('a6a6a6a6a6a6a6a6'));
  const wrapped = hex(concat(wrap.update(root), wrap.final()));
  const json = {
    backpack: 'wrapped-key',
    v: 1,
    keyid: keyidOf(root),
    kdf: 'scrypt',
    N,
    r,
    p,
    salt: hex(salt),
    wrapped,
  };
  return { kek, wrapped, json };
}

export function writerFile({ root, repo, writer }) {
  return text(
    [
      'BACKPACK-WRITER 1',
      `repo=${repo}`,
      `keyid=${keyidOf(root)}`,
      `writer=${writer}`,
      `xpub=${hex(x25519Public(label(root, 'x25519')))}`,
      `secret=${hex(writerSecret(root, writer))}`,
      `mark=${hex(label(root, 'mark'))}`,
      '',
    ].join('\n'),
  );
}
