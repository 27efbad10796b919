import { execFileSync, spawnSync } from 'node:child_process';
import crypto from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import xxhash from 'xxhash-wasm';
import { frame, lz4jsBlock, nameOf, recover, temporary } from './writer.ts';

const { h32Raw, h64Raw } = await xxhash();
const hex = (n: bigint) => n.toString(16).padStart(16, '0');
const bytesOf = (n: number, kind: 'random' | 'text' | 'zeros') => {
  if (kind === 'random') return crypto.randomBytes(n);
  const b = Buffer.alloc(n);
  if (kind === 'text') for (let i = 0; i < n; i++) b[i] = 97 + (((i * i) >> 5) % 7);
  return b;
};
const unpack = (bytes: Buffer): Buffer => {
  const { out, length, end } = recover.lz4Frame(bytes, 0, bytes.length, (n: number) => {
    if (n > 32 << 20) throw new recover.Bad('E_LZ4', 'too long');
    return Buffer.alloc(n);
  });
  if (end !== bytes.length) throw new recover.Bad('E_LZ4', 'trailing bytes');
  return out.subarray(0, length);
};
const codeOf = (work: () => unknown): string => {
  try {
    work();
  } catch (e) {
    return (e as { code?: string }).code ?? String(e);
  }
  return 'no error';
};
const hasLz4 = spawnSync('lz4', ['--version']).status === 0;

test('XXH64 and XXH32 equal xxhash-wasm for every short length', () => {
  const data = crypto.randomBytes(300);
  for (let n = 0; n <= data.length; n++) {
    expect(recover.xxh64(data.subarray(0, n))).toBe(hex(h64Raw(data.subarray(0, n))));
    expect(recover.xxh32(data.subarray(0, n))).toBe(h32Raw(data.subarray(0, n)));
  }
  expect(recover.fastStripes).not.toBe(null);
  for (const n of [31, 32, 33, 64, 1000, 65_536, 200_001]) {
    const long = crypto.randomBytes(n);
    expect(new recover.XXH64(null).update(long).hex()).toBe(hex(h64Raw(long)));
    expect(new recover.XXH64().update(long).hex()).toBe(hex(h64Raw(long)));
  }
  expect(recover.xxh64(Buffer.alloc(0))).toBe('ef46db3751d8e999');
});

test('XXH64 does not depend on how the bytes are handed over', () => {
  const data = crypto.randomBytes(70_000);
  const whole = hex(h64Raw(data));
  let runs = 0;
  fc.assert(
    fc.property(fc.array(fc.nat(40_000), { maxLength: 12 }), (steps) => {
      const h = runs++ % 2 ? new recover.XXH64() : new recover.XXH64(null);
      let at = 0;
      for (const step of steps) {
        h.update(data.subarray(at, at + step));
        at = Math.min(data.length, at + step);
      }
      return h.update(data.subarray(at)).hex() === whole;
    }),
    { numRuns: 60 },
  );
  const zeros = new recover.XXH64();
  zeros.zeros(600_001);
  expect(zeros.hex()).toBe(hex(h64Raw(Buffer.alloc(600_001))));
});

test.each(['random', 'text', 'zeros'] as const)('LZ4 blocks of lz4js come back: %s', (kind) => {
  for (const n of [1, 12, 13, 64, 1000, 65_536, 300_000]) {
    for (const blockId of [4, 5, 6, 7]) {
      const plain = bytesOf(n, kind);
      const packed = frame(plain, {
        block: lz4jsBlock,
        blockId,
        blockSums: n % 2 === 1,
        contentSum: n > 100,
      });
      expect(unpack(packed).equals(plain)).toBe(true);
    }
  }
});

test.skipIf(!hasLz4)('frames of the lz4 program come back, all block sizes and checksums', () => {
  const file = path.join(temporary(), 'in');
  for (const kind of ['random', 'text'] as const) {
    const plain = bytesOf(700_001, kind);
    fs.writeFileSync(file, plain);
    for (const size of ['-B4', '-B5', '-B6', '-B7']) {
      for (const more of [['--no-frame-crc'], ['-BX'], ['-BX', '-9'], ['-12', '--no-frame-crc']]) {
        const packed = execFileSync('lz4', ['-c', '-BI', '--content-size', size, ...more, file], {
          maxBuffer: 1 << 24,
        });
        expect(unpack(packed).equals(plain)).toBe(true);
      }
    }
    const linked = execFileSync('lz4', ['-c', '-BD', '--content-size', '-B4', file], { maxBuffer: 1 << 24 });
    expect(codeOf(() => unpack(linked))).toBe('E_LZ4');
    expect(codeOf(() => unpack(execFileSync('lz4', ['-c', file], { maxBuffer: 1 << 24 })))).toBe('E_LZ4');
    expect(codeOf(() => unpack(execFileSync('lz4', ['-c', '-l', file], { maxBuffer: 1 << 24 })))).toBe(
      'E_LZ4',
    );
  }
});

test('a changed or cut frame gives E_LZ4 or the same bytes, never others', () => {
  const plain = bytesOf(3000, 'text');
  const good = frame(plain, { block: lz4jsBlock, contentSum: true });
  for (let i = 0; i < good.length; i++) {
    for (const flip of [1, 0x80, 0xff]) {
      const bad = Buffer.from(good);
      bad[i] = (bad[i] as number) ^ flip;
      let out: Buffer | null = null;
      expect(codeOf(() => (out = unpack(bad)))).toMatch(/E_LZ4|no error/);
      if (out) expect((out as Buffer).equals(plain)).toBe(true);
    }
    expect(codeOf(() => unpack(good.subarray(0, i)))).toBe('E_LZ4');
  }
  expect(codeOf(() => unpack(Buffer.concat([good, Buffer.of(0)])))).toBe('E_LZ4');
});

test('a block cannot reach before its begin or beyond its end, a frame needs its header checksum', () => {
  const block = (...bytes: number[]) => {
    const out = Buffer.alloc(400, 0x5a);
    const code = codeOf(() => recover.lz4Block(Buffer.from(bytes), 0, bytes.length, out, 100, 300));
    expect(out.subarray(300).every((b) => b === 0x5a)).toBe(true);
    return code;
  };
  expect(block(0x10, 97, 1, 0, 0)).toBe('no error');
  expect(block(0x10, 97, 2, 0, 0)).toBe('E_LZ4');
  expect(block(0x10, 97, 0, 0, 0)).toBe('E_LZ4');
  expect(block(0x1f, 97, 1, 0, 180, 0)).toBe('no error');
  expect(block(0x1f, 97, 1, 0, 181, 0)).toBe('E_LZ4');
  const bad = frame(Buffer.from('x'));
  bad[14] = (bad[14] as number) ^ 1;
  expect(codeOf(() => unpack(bad))).toBe('E_LZ4');
});

test('random bytes in a block never make the decoder read or write outside', () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 1, maxLength: 200 }), (block) => {
      const out = Buffer.alloc(400, 0x5a);
      try {
        const end = recover.lz4Block(Buffer.from(block), 0, block.length, out, 100, 300);
        if (end < 100 || end > 300) return false;
      } catch (e) {
        if ((e as { code?: string }).code !== 'E_LZ4') return false;
      }
      return out.subarray(0, 100).every((b) => b === 0x5a) && out.subarray(300).every((b) => b === 0x5a);
    }),
    { numRuns: 3000 },
  );
});

test('JSON: equal to JSON.parse where that is exact, stricter elsewhere', () => {
  const same = (v: unknown) => JSON.stringify(recover.parseJSON(JSON.stringify(v))) === JSON.stringify(v);
  const value = fc
    .jsonValue({ maxDepth: 4, noUnicodeString: false })
    .filter((v) => !/\d[.e]|-0|\\ud/i.test(JSON.stringify(v)));
  fc.assert(fc.property(value, same), { numRuns: 300 });
  expect(Object.entries(recover.parseJSON('{"__proto__":1}'))).toEqual([['__proto__', 1]]);
  expect(Object.getPrototypeOf(recover.parseJSON('{}'))).toBe(null);
  expect(Number.isNaN(recover.parseJSON('1e3'))).toBe(true);
  for (const bad of [
    '{"a":1,"a":2}',
    '{"a":1,}',
    '[1,]',
    '[1',
    '"a',
    '01',
    '1 2',
    '{a:1}',
    "'a'",
    '"\\ud800"',
    '"\\x"',
    'nul',
    '',
    '"\u0007"',
    '+1',
    '-',
  ]) {
    expect(
      codeOf(() => recover.parseJSON(bad)),
      bad,
    ).toBe('E_JSON');
  }
  expect(codeOf(() => recover.parseJSON('['.repeat(17) + ']'.repeat(17)))).toBe('E_LIMIT');
  expect(codeOf(() => recover.parseJSON('['.repeat(1_000_000)))).toBe('E_LIMIT');
});

test('lines are the same however the pieces are cut', () => {
  const text = Buffer.from('{"a":1}\n\u00e4\u00f6\n\nlast\n');
  for (let i = 0; i <= text.length; i++) {
    const pieces = [text.subarray(0, i), text.subarray(i)];
    expect([...recover.linesOf(pieces)].map(String)).toEqual(['{"a":1}', '\u00e4\u00f6', '', 'last']);
  }
  expect(codeOf(() => [...recover.linesOf([Buffer.from('no end')])])).toBe('E_JSON');
  expect(codeOf(() => [...recover.linesOf([Buffer.alloc(1 << 20, 97), Buffer.from('\n')])])).toBe('E_LIMIT');
});

test('paths are ordered as a walk that sorts each folder by bytes', () => {
  const component = fc.constantFrom('a', 'b', 'a!', 'a-b', 'a.', '\u00e4', '0', '~', 'ab');
  const paths = fc.array(fc.array(component, { minLength: 1, maxLength: 4 }), { maxLength: 30 });
  const reference = (a: string[], b: string[]): number => {
    for (let i = 0; i < Math.min(a.length, b.length); i++) {
      const d = Buffer.compare(Buffer.from(a[i] as string), Buffer.from(b[i] as string));
      if (d) return d;
    }
    return a.length - b.length;
  };
  fc.assert(
    fc.property(paths, (list) => {
      const sorted = [...list].sort(reference).map((p) => p.join('/'));
      const own = list
        .map((p) => Buffer.from(p.join('/')))
        .sort(recover.comparePaths)
        .map(String);
      return JSON.stringify(sorted) === JSON.stringify(own);
    }),
  );
  const order = ['a', 'a/b', 'a!', 'a-b'].map((p) => Buffer.from(p));
  expect([...order].reverse().sort(recover.comparePaths)).toEqual(order);
});

test('path rules', () => {
  const code = (p: string | Buffer) => codeOf(() => recover.checkPath(Buffer.from(p as string)));
  for (const p of ['', '/', '/a', 'a/', 'a//b', '.', '..', 'a/..', '../a', 'a/./b', './a', 'a\0b'])
    expect(code(p), p).toBe('E_PATH');
  for (const p of ['a', '...', 'a/..b', 'a\\..\\b', 'C:x', ' ', '\u2024', '.hidden', 'a:b'])
    expect(code(p), p).toBe('no error');
  expect(code(Buffer.of(0xff, 0xfe))).toBe('no error');
  expect(code('x'.repeat(1024))).toBe('no error');
  expect(code('x'.repeat(1025))).toBe('E_LIMIT');
  expect(code(`${'x/'.repeat(32_767)}x`)).toBe('no error');
  expect(code(`${'x/'.repeat(32_768)}x`)).toBe('E_LIMIT');
});

test('names: exact bytes, base64 only as written by Node', () => {
  fc.assert(
    fc.property(fc.uint8Array(), (b) => recover.nameBytes(nameOf(Buffer.from(b))).equals(Buffer.from(b))),
  );
  for (const bad of [['!'], ['YQ'], ['YQ==', 'x'], 5, null, [], [5], 'a\nb', '\u007f']) {
    expect(
      codeOf(() => recover.nameBytes(bad)),
      JSON.stringify(bad),
    ).toBe('E_JSON');
  }
});

test('extents: forms and bounds', () => {
  const code = (x: unknown) => codeOf(() => recover.checkExtent(x, ['p0', 'p1']));
  for (const ok of [
    [0, 0, 1, 5],
    [1, 3, 7, 9],
    [0, 0, 1, 5, 2],
    [-1, 0, 0, 4],
    [-2, 0, 0, 4],
  ])
    expect(code(ok)).toBe('no error');
  for (const bad of [
    [2, 0, 1, 5],
    [-3, 0, 0, 5],
    [0, 0, 0, 5],
    [0, 0, 1, 0],
    [0, 0, 2, 5, 0],
    [0, -1, 1, 5],
    [0, 0, 1, 2 ** 53],
    [0, 0, 2 ** 32, 5],
    [-1, 1, 0, 5],
    [-1, 0, 0, 5, 0],
    [0, 0, 1],
    'x',
    null,
    [0, 0, 1, 1.5],
    [0, 0, 1, Number.NaN],
  ]) {
    expect(code(bad), JSON.stringify(bad)).toBe('E_EXTENT');
  }
});

test('names for people carry no control characters', () => {
  expect(recover.printable(Buffer.from('a\u001b[31mb\n\u202e\u009b'))).toBe('a\\x1b[31mb\\x0a\\u{202e}\\x9b');
  expect(recover.printable(Buffer.of(0x61, 0xff, 0x1b))).toBe('a\\xff\\x1b');
  expect(recover.printable(Buffer.from('gr\u00fc\u00df'))).toBe('gr\u00fc\u00df');
});

test('times: floor seconds plus nanoseconds, to the microsecond in Node', () => {
  expect(recover.secondsOf('-1.500000000')).toBe(-0.5);
  const file = path.join(temporary(), 'f');
  fs.writeFileSync(file, '');
  for (const [time, want] of [
    ['-1.500000000', -500_000_000n],
    ['1700000000.123456789', 1_700_000_000_123_456_000n],
    ['1700000000.999999999', 1_700_000_000_999_999_000n],
    ['0.000001000', 1000n],
    ['-2.999999000', -1_000_001_000n],
  ] as const) {
    const t = recover.timeForNode(time);
    fs.utimesSync(file, t, t);
    const off = fs.lstatSync(file, { bigint: true }).mtimeNs - want;
    expect(off >= 0n && off < 1000n, `${time}: ${off}`).toBe(true);
  }
});
