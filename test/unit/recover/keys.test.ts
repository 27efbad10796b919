import crypto from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { recover, TestRepository, temporary } from './writer.ts';

const withKey = (r: TestRepository, bytes: string | Buffer, ...more: string[]) => {
  const file = path.join(temporary(), 'key');
  fs.writeFileSync(file, bytes, { mode: 0o600 });
  return r.run('list', '--key', file, ...more);
};
const made = () => {
  const r = new TestRepository();
  r.snapshot([{ path: 'f', content: Buffer.from('x') }]);
  return { r, text: fs.readFileSync(r.keyFile, 'latin1') };
};

test('text with LF or CRLF and unknown lines, raw bytes, old roots', () => {
  const { r, text } = made();
  expect(withKey(r, text)).toMatchObject({ code: 0, err: '' });
  expect(withKey(r, `${text}future=1\n`.replaceAll('\n', '\r\n'))).toMatchObject({ code: 0, err: '' });
  expect(withKey(r, r.root)).toMatchObject({ code: 0, err: '' });
  const other = crypto.randomBytes(32);
  const rotated = `BACKPACK-KEY 1\nkeyid=${recover.keyidOf(other)}\nroot=${other.toString('hex')}\nold=${r.root.toString('hex')}\n`;
  expect(withKey(r, rotated)).toMatchObject({ code: 0, err: '' });
});

test('one wrong byte is found and said, in root, in keyid and in raw keys', () => {
  const { r, text } = made();
  const flipped = Buffer.from(r.root);
  flipped[17] = (flipped[17] as number) ^ 0x40;
  const fixed = withKey(r, text.replace(r.root.toString('hex'), flipped.toString('hex')));
  expect([fixed.code, fixed.err.includes('digits 35 and 36')]).toEqual([0, true]);
  expect(withKey(r, flipped)).toMatchObject({ code: 0 });
  expect(withKey(r, text.replace(r.keyid, '0123456789abcdef')).err).toContain('keyid=');
  flipped[3] = (flipped[3] as number) ^ 1;
  expect(withKey(r, text.replace(r.root.toString('hex'), flipped.toString('hex')))).toMatchObject({
    code: 12,
  });
});

test('wrong keys: one clear error of three lines, exit 12', () => {
  const { r, text } = made();
  const other = new TestRepository();
  for (const key of [
    crypto.randomBytes(32),
    fs.readFileSync(other.keyFile),
    '',
    'BACKPACK-KEY 1\n',
    'BACKPACK-WRITER 1\n',
    text.replace(r.repo, '0'.repeat(32)),
    Buffer.alloc(70_000, 97),
  ]) {
    const { code, err, out } = withKey(r, key);
    expect([code, out, err.trim().split('\n').length], err).toEqual([12, '', 3]);
  }
  expect(withKey(r, 'BACKPACK-KEY 2\n')).toMatchObject({ code: 15 });
});

test('RFC 3394 unwrap, vector 4.6', () => {
  const kek = Buffer.from(Array.from({ length: 32 }, (_, i) => i));
  const wrapped = Buffer.from(
    '28c9f404c4b810f4cbccb35cfb87f8263f5786e2d80ed326cbc7f0e71a99f43bfb988b9b7a02dd21',
    'hex',
  );
  const clear = '00112233445566778899aabbccddeeff000102030405060708090a0b0c0d0e0f';
  expect(recover.unwrapKey(kek, wrapped).toString('hex')).toBe(clear);
  for (let i = 0; i < wrapped.length; i++) {
    const bad = Buffer.from(wrapped);
    bad[i] = (bad[i] as number) ^ 1;
    expect(recover.unwrapKey(kek, bad)).toBe(null);
  }
});

test('passphrase-wrapped keys, bounds of scrypt', () => {
  const { r } = made();
  const salt = crypto.randomBytes(16);
  const kek = crypto.scryptSync('correct horse', salt, 32, { N: 32768, r: 8, p: 1, maxmem: 1 << 26 });
  const aes = crypto.createCipheriv('id-aes256-wrap', kek, Buffer.alloc(8, 0xa6));
  const wrapped = Buffer.concat([aes.update(r.root), aes.final()]).toString('hex');
  const json = (more: object = {}) =>
    JSON.stringify({
      backpack: 'wrapped-key',
      v: 1,
      keyid: r.keyid,
      kdf: 'scrypt',
      N: 32768,
      r: 8,
      p: 1,
      salt: salt.toString('hex'),
      wrapped,
      ...more,
    });
  const phrase = path.join(temporary(), 'phrase');
  fs.writeFileSync(phrase, 'correct horse\n', { mode: 0o600 });
  const options = ['--passphrase-file', phrase];
  expect(withKey(r, json(), ...options)).toMatchObject({ code: 0, err: '' });
  expect(withKey(r, json())).toMatchObject({ code: 2 });
  for (const more of [{ N: 2 ** 21 }, { N: 2 ** 14 }, { N: 40000 }, { r: 9 }, { p: 5 }]) {
    expect(withKey(r, json(more), ...options).err, JSON.stringify(more)).toContain('E_LIMIT');
  }
  for (const more of [
    { N: 2 ** 21 },
    { N: 2 ** 14 },
    { N: 40000 },
    { r: 9 },
    { p: 5 },
    { p: 0 },
    { N: '32768' },
    { salt: '00' },
    { wrapped: wrapped.replace(/^./, 'g') },
    { keyid: '0'.repeat(16) },
  ]) {
    expect(withKey(r, json(more), ...options), JSON.stringify(more)).toMatchObject({ code: 12 });
  }
  fs.writeFileSync(phrase, 'wrong horse');
  expect(withKey(r, json(), ...options)).toMatchObject({ code: 12 });
});
