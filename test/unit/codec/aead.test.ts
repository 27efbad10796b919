/** AES-GCM, GMAC and key derivation, against themselves and against openssl (SPEC, "Keys", "Encryption", "Identity"). */
import { spawnSync } from 'node:child_process';
import { createCipheriv, createDecipheriv, createHmac, createSecretKey } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { gmac, open, recordDomain, seal, tableDomain } from '../../../src/codec/aead.ts';
import { containerKeyOf, dedupKeysOf, derive, expand, keyIdOf, sameCommit } from '../../../src/codec/kdf.ts';
import { RecordCodec, slackBytes } from '../../../src/codec/record-codec.ts';
import { formatHeaderStart } from '../../../src/format/header.ts';
import { noise } from '../operations/tree.ts';
import { codeOf, header, keyid, root, runs, temporaryFolder } from '../support.ts';

const raw = Buffer.alloc(32, 0x42);
const key = createSecretKey(raw);
const openssl = spawnSync('openssl', ['version']).status === 0;

function sealed(domain: number, counter: number, plain: Uint8Array): Buffer {
  const pieces: Buffer[] = [];
  seal(key, domain, counter, plain, (piece) => pieces.push(Buffer.from(piece)));
  expect(pieces.at(-1)).toHaveLength(16);
  return Buffer.concat(pieces);
}

describe('a message', () => {
  it('is AES-256-GCM under u32be(domain) || u64be(counter), without associated data', () => {
    for (const [domain, counter] of [
      [recordDomain, 0],
      [recordDomain, 5],
      [recordDomain, 2 ** 32 + 7],
      [recordDomain, 2 ** 32 - 1],
      [tableDomain, 0],
    ] as const) {
      const nonce = Buffer.alloc(12);
      nonce.writeUInt32BE(domain, 0);
      nonce.writeBigUInt64BE(BigInt(counter), 4);
      const plain = noise(200_000, 1);
      const cipher = createCipheriv('aes-256-gcm', raw, nonce, { authTagLength: 16 });
      const expected = Buffer.concat([cipher.update(plain), cipher.final(), cipher.getAuthTag()]);
      expect(sealed(domain, counter, plain).equals(expected)).toBe(true);
    }
  });

  it('of any length comes back', () => {
    fc.assert(
      fc.property(
        fc.oneof(fc.nat(300), fc.constantFrom(65_535, 65_536, 65_537, 200_000)),
        fc.nat(2 ** 31),
        (length, counter) => {
          const plain = noise(length, length);
          const into = Buffer.alloc(length + 5, 7);
          expect(open(key, recordDomain, counter, sealed(recordDomain, counter, plain), into)).toBe(length);
          expect(into.equals(Buffer.concat([plain, Buffer.alloc(5, 7)]))).toBe(true);
        },
      ),
      runs(100),
    );
  });

  it('with one wrong bit anywhere is E_TAG, and nothing of it is left', () => {
    const plain = noise(100, 2);
    const good = sealed(recordDomain, 1, plain);
    for (let at = 0; at < good.length; at += 1) {
      const bad = Buffer.from(good);
      bad[at]! ^= 1 << (at % 8);
      const into = Buffer.alloc(100, 0xee);
      expect(codeOf(() => open(key, recordDomain, 1, bad, into))).toBe('E_TAG');
      expect(into.every((byte) => byte === 0)).toBe(true);
    }
  });

  it('of several pieces is wiped whole', () => {
    const bad = sealed(recordDomain, 1, noise(200_000, 2));
    bad[bad.length - 1]! ^= 1;
    const into = Buffer.alloc(200_010, 0xee);
    expect(codeOf(() => open(key, recordDomain, 1, bad, into))).toBe('E_TAG');
    expect(into.subarray(0, 200_000).every((byte) => byte === 0)).toBe(true);
    expect(into.subarray(200_000).every((byte) => byte === 0xee)).toBe(true);
  });

  it('has its own nonce and key, and a tag of 16 bytes', () => {
    const good = sealed(recordDomain, 1, noise(100, 2));
    const into = Buffer.alloc(100);
    const other = createSecretKey(Buffer.alloc(32, 0x43));
    expect(codeOf(() => open(key, recordDomain, 2, good, into))).toBe('E_TAG');
    expect(codeOf(() => open(key, tableDomain, 1, good, into))).toBe('E_TAG');
    expect(codeOf(() => open(other, recordDomain, 1, good, into))).toBe('E_TAG');
    for (let cut = 1; cut <= 116; cut += 1)
      expect(codeOf(() => open(key, recordDomain, 1, good.subarray(0, 116 - cut), into))).toBe('E_TAG');
    expect(codeOf(() => open(key, recordDomain, 1, good, Buffer.alloc(99)))).toBe('E_TAG');
  });
});

describe('GMAC', () => {
  it('is the tag of nothing with the chunk as associated data', () => {
    const chunk = noise(5000, 3);
    const cipher = createCipheriv('aes-256-gcm', raw, Buffer.alloc(12), { authTagLength: 16 });
    cipher.setAAD(chunk);
    cipher.final();
    expect(gmac(key, chunk)).toEqual(cipher.getAuthTag());
  });

  it.skipIf(!openssl)('is what openssl mac says', () => {
    const folder = temporaryFolder();
    for (const length of [1, 16, 17, 100_000]) {
      writeFileSync(join(folder, 'chunk'), noise(length, length));
      const args = [
        'mac',
        '-cipher',
        'AES-256-GCM',
        '-macopt',
        `hexkey:${raw.toString('hex')}`,
        '-macopt',
        `hexiv:${'00'.repeat(12)}`,
        '-in',
        join(folder, 'chunk'),
        'GMAC',
      ];
      const done = spawnSync('openssl', args, { encoding: 'utf8' });
      expect(done.stdout.trim().toLowerCase()).toBe(gmac(key, noise(length, length)).toString('hex'));
    }
  });
});

describe('derivation', () => {
  it('gives the keys of the worked example', () => {
    expect(keyIdOf(root)).toBe(keyid);
    const keys = dedupKeysOf(root, { dedup: undefined, chunk: undefined });
    expect(keys.dd).toBe('2bd2c9b85602c84b');
    expect(keys.dedup.export().toString('hex')).toBe(
      'ecb9865e957a186b604e295597c9aa394f970c31699449879314de4706749ab0',
    );
    expect(keys.chunker.toString('hex')).toBe(
      '07df52bb3fc069da21c161d4c14e689d4a0a14fef71880e29a4d8b9ef4b6b6ac',
    );
    const { key: containerKey, commit } = containerKeyOf(root, 'data', formatHeaderStart(header));
    expect(containerKey.export().toString('hex')).toBe(
      '564295e45bd24c4c6489fa7da141f140d9888a089fa94121a1a8df4065a4d968',
    );
    expect(commit).toBe(header.commit);
  });

  it('is one HMAC', () => {
    const info = Buffer.from('info');
    expect(expand(raw, info)).toEqual(createHmac('sha512', raw).update('info\x01').digest());
    expect(derive(raw, 'x')).toEqual(expand(raw, Buffer.from('backpack/1 x')));
    expect(expand(key, info)).toEqual(expand(raw, info));
  });

  it.skipIf(!openssl)('is what openssl dgst says', () => {
    const done = spawnSync(
      'openssl',
      ['dgst', '-sha512', '-mac', 'HMAC', '-macopt', `hexkey:${root.toString('hex')}`, '-r'],
      { input: 'backpack/1 keyid\x01', encoding: 'utf8' },
    );
    expect(done.stdout.slice(0, 128)).toBe(derive(root, 'keyid').toString('hex'));
  });

  it('uses what a rotated key file carries over', () => {
    const carried = dedupKeysOf(Buffer.alloc(32, 1), {
      dedup: derive(root, 'dedup').subarray(0, 32),
      chunk: derive(root, 'chunker').subarray(0, 32),
    });
    const own = dedupKeysOf(root, { dedup: undefined, chunk: undefined });
    expect(carried.dd).toBe(own.dd);
    expect(carried.chunker).toEqual(own.chunker);
  });

  it('compares commitments', () => {
    expect(sameCommit(header.commit, header.commit)).toBe(true);
    expect(sameCommit(header.commit, header.commit.replace('69', '68'))).toBe(false);
    expect(sameCommit(header.commit, header.commit.slice(1))).toBe(false);
  });
});

describe('a record', () => {
  const codec = new RecordCodec(1 << 20, 1 << 20);
  const into = codec.kernel.reserve((1 << 20) - 64 * slackBytes);
  const write = (plain: Uint8Array, ordinal: number): Buffer => {
    codec.kernel.bytes.set(plain, codec.plain);
    const pieces: Buffer[] = [];
    const length = codec.seal(key, recordDomain, ordinal, codec.plain, plain.length, (piece) =>
      pieces.push(Buffer.from(piece)),
    );
    const all = Buffer.concat(pieces);
    expect(all.length).toBe(length + 16);
    return all;
  };

  it('comes back, compressible or not', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 700_000 }), fc.nat(3), fc.nat(1000), (length, kind, ordinal) => {
        const plain =
          kind === 0
            ? noise(length, length)
            : kind === 1
              ? Buffer.alloc(length)
              : Buffer.from(`${'abc '.repeat(length / 4 + 1)}`.slice(0, length));
        codec.open(key, recordDomain, ordinal, write(plain, ordinal), into, length);
        expect(codec.kernel.bytes.subarray(into, into + length).equals(plain)).toBe(true);
      }),
      runs(40),
    );
  });

  it('with another length than its table says is E_LZ4', () => {
    const record = write(noise(1000, 1), 3);
    expect(codeOf(() => codec.open(key, recordDomain, 3, record, into, 1001))).toBe('E_LZ4');
    expect(codeOf(() => codec.open(key, recordDomain, 3, record, into, 999))).toBe('E_LZ4');
    expect(codeOf(() => codec.open(key, recordDomain, 4, record, into, 1000))).toBe('E_TAG');
    expect(codeOf(() => codec.open(key, recordDomain, 3, record.subarray(0, 15), into, 1000))).toBe('E_TAG');
  });

  it('is one LZ4 frame under GCM for any other program', () => {
    const record = write(Buffer.alloc(1000, 'x'), 9);
    const nonce = Buffer.alloc(12);
    nonce[11] = 9;
    const decipher = createDecipheriv('aes-256-gcm', raw, nonce, { authTagLength: 16 });
    decipher.setAuthTag(record.subarray(-16));
    const frame = Buffer.concat([decipher.update(record.subarray(0, -16)), decipher.final()]);
    expect(frame.readUInt32LE(0)).toBe(0x184d2204);
    expect(frame.readBigUInt64LE(6)).toBe(1000n);
    expect(frame.subarray(-4)).toEqual(Buffer.alloc(4));
  });
});
