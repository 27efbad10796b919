/** Times, extents, padding and key files (SPEC, "Types used in JSON", "Extents", "Padding", "Key files"). */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { MiB } from '../../../src/base/limits.ts';
import { formatExtent, hole, resolveExtents, zeros } from '../../../src/format/extents.ts';
import { formatKeyFile, parseKeyFile } from '../../../src/format/key-file.ts';
import { paddingFor, paddingFrame, padme } from '../../../src/format/padding.ts';
import { formatMs, formatTime, parseTime } from '../../../src/format/time.ts';
import { codeOf, idOf, keyFile, keyid, repo, root, runs } from '../support.ts';

describe('time', () => {
  it.each([
    [0n, '0.000000000'],
    [1n, '0.000000001'],
    [-1n, '-1.999999999'],
    [-500_000_000n, '-1.500000000'],
    [-1_000_000_000n, '-1.000000000'],
    [-1_000_000_001n, '-2.999999999'],
    [1_700_000_000_123_456_789n, '1700000000.123456789'],
    [999_999_999n, '0.999999999'],
  ])('%s ns is %s', (ns, text) => {
    expect(formatTime(ns)).toBe(text);
    expect(parseTime(text)).toBe(ns);
  });

  it('comes back, and is written as the grammar says', () => {
    fc.assert(
      fc.property(fc.bigInt({ min: -(2n ** 80n), max: 2n ** 80n }), (ns) => {
        const text = formatTime(ns);
        expect(text).toMatch(/^(0|-?[1-9]\d*)\.\d{9}$/);
        expect(parseTime(text)).toBe(ns);
      }),
      runs(500),
    );
  });

  it('is rounded down from milliseconds', () => {
    expect(formatMs(1500.9)).toBe('1.500000000');
    expect(formatMs(-0.5)).toBe('-1.999000000');
  });
});

describe('extents', () => {
  const packs = [idOf(1), idOf(2)];

  it('come back', () => {
    const list = [
      [0, 3, 1, 9, 14],
      [1, 0, 7, 100],
      [-1, 0, 0, 5],
      [-2, 0, 0, 6],
      [0, 3, 1, 14],
    ];
    const found = resolveExtents(list, packs);
    expect(found.map((e) => e.pack)).toEqual([idOf(1), idOf(2), hole, zeros, idOf(1)]);
    const text = found.map((e) =>
      formatExtent(e.pack === hole ? -1 : e.pack === zeros ? -2 : packs.indexOf(e.pack), e),
    );
    expect(text.map((line) => JSON.parse(line) as number[])).toEqual(list);
  });

  it.each([
    [[2, 0, 1, 1]],
    [[-3, 0, 0, 1]],
    [[0, 0, 0, 1]],
    [[0, 0, 2, 1, 1]],
    [[0, 0, 2, 1, 0]],
    [[-1, 1, 0, 1]],
    [[-1, 0, 1, 1]],
    [[-2, 0, 0, 1, 0]],
    [[0, 0, 1, 0]],
    [[-1, 0, 0, 0]],
  ])('%j is E_EXTENT', (extent) => {
    expect(codeOf(() => resolveExtents([extent], packs))).toBe('E_EXTENT');
  });
});

describe('padding', () => {
  /** Padme written with whole numbers: the lowest bits that floor(log2 L) does not leave are zero. */
  const isPadme = (size: number): boolean => {
    const e = 31 - Math.clz32(size);
    const low = e - (31 - Math.clz32(e)) - 1;
    return low <= 0 || size % 2 ** low === 0;
  };

  it('rounds up to a size of Padme, by at most 12 percent', () => {
    fc.assert(
      fc.property(fc.integer({ min: 2, max: 2 ** 31 - 2 ** 27 }), (size) => {
        const up = padme(size);
        expect(up).toBeGreaterThanOrEqual(size);
        expect(up).toBeLessThanOrEqual(size * 1.12 + 1);
        expect(isPadme(up)).toBe(true);
        expect(padme(up)).toBe(up);
      }),
      runs(2000),
    );
  });

  it('is 0 or at least 8, and makes sizes of at least 4 KiB that Padme allows', () => {
    const check = (size: number): void => {
      const pad = paddingFor(size);
      expect(pad === 0 || pad >= 8, `${size} + ${pad}`).toBe(true);
      expect(size + pad).toBeGreaterThanOrEqual(4096);
      expect(isPadme(size + pad), `${size} + ${pad}`).toBe(true);
      expect(paddingFor(size + pad)).toBe(0);
      expect(pad).toBeLessThanOrEqual(Math.max(4096, size * 0.13 + 64));
    };
    for (let size = 1059; size < 9000; size += 1) check(size);
    fc.assert(fc.property(fc.integer({ min: 1059, max: MiB - 1 }), check), runs(2000));
  });

  it('is not added from 1 MiB on', () => {
    expect(paddingFor(MiB)).toBe(0);
    expect(paddingFor(MiB - 1)).toBeGreaterThan(0);
    expect(paddingFor(12_345_678)).toBe(0);
  });

  it('is one skippable frame of zeros', () => {
    expect(paddingFrame(0)).toHaveLength(0);
    expect(paddingFrame(8).toString('hex')).toBe('502a4d1800000000');
    expect(paddingFrame(300).toString('hex')).toBe(`502a4d1824010000${'00'.repeat(292)}`);
  });
});

describe('key file', () => {
  const text = formatKeyFile({ ...keyFile, kit: ['ab'.repeat(32)] });
  const parse = (content: string): string => codeOf(() => parseKeyFile(Buffer.from(content, 'latin1')));

  it('is written as in the specification, and comes back', () => {
    expect(formatKeyFile(keyFile)).toBe(
      'BACKPACK-KEY 1\nThis file opens the Backpack repository below. Keep copies offline.\n' +
        `repo=${repo}\nkeyid=${keyid}\nroot=${root.toString('hex')}\n`,
    );
    expect(parseKeyFile(Buffer.from(text))).toEqual({ ...keyFile, kit: ['ab'.repeat(32)] });
  });

  it('may have CRLF, unknown lines, several kit= and old= lines, no last LF', () => {
    const odd = `${text}kit=${'cd'.repeat(32)}\nold=${'01'.repeat(32)}\nold=${'02'.repeat(32)}\nnew=12\nroot: no\ndedup=${'03'.repeat(32)}\nchunk=${'04'.repeat(32)}`;
    for (const content of [odd, odd.replaceAll('\n', '\r\n')]) {
      const found = parseKeyFile(Buffer.from(content));
      expect(found.kit).toEqual(['ab'.repeat(32), 'cd'.repeat(32)]);
      expect(found.old.map((old) => old[0])).toEqual([1, 2]);
      expect(found.dedup).toEqual(Buffer.alloc(32, 3));
      expect(found.chunk).toEqual(Buffer.alloc(32, 4));
    }
  });

  it('may be the 32 bytes alone', () => {
    expect(parseKeyFile(root)).toEqual({ ...keyFile, repo: undefined });
    expect(parse('x'.repeat(31))).toBe('E_KEY');
    expect(parse('x'.repeat(33))).toBe('E_KEY');
  });

  it('owns its root: the caller may wipe what was read', () => {
    const bytes = Buffer.from(root);
    const found = parseKeyFile(bytes);
    bytes.fill(0);
    expect(found.root).toEqual(root);
  });

  it.each([
    ['another first line', text.replace('KEY 1', 'LOCK 1')],
    ['an empty first line', `\n${text}`],
    ['a wrong keyid', text.replace('keyid=1b', 'keyid=1c')],
    ['one wrong byte of root', text.replace('root=0001', 'root=0002')],
    ['no root', text.replace('root=', 'roof=')],
    ['two roots', `${text}root=${root.toString('hex')}\n`],
    ['a short root', text.replace('root=00', 'root=')],
    ['upper case in root', text.replace('1e1f\n', '1E1F\n')],
    ['a wrong old', `${text}old=12\n`],
  ])('with %s is refused', (_name, content) => {
    expect(parse(content)).toBe('E_KEY');
  });

  it('finds every single wrong byte of root', () => {
    for (let at = 0; at < 32; at += 1) {
      for (const flip of [1, 0x80, 0xff]) {
        const bytes = Buffer.from(root);
        bytes[at] = (bytes[at] as number) ^ flip;
        expect(parse(text.replace(root.toString('hex'), bytes.toString('hex')))).toBe('E_KEY');
      }
    }
  });
});
