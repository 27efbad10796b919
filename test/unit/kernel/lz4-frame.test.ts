/** LZ4 frames: round trips, other encoders and decoders, every rule of the profile in SPEC section 5. */
import fc from 'fast-check';
import { compress, decompress } from 'lz4js';
import { describe, expect, it } from 'vitest';
import { Bench, hasProgram, kinds, MIB, makeFrame, outcome, realText, runOn, sample } from './support.ts';

const bench = new Bench(4 * MIB);
const hasLz4 = hasProgram('lz4');
const abc = Buffer.from('abcdefghijklmnopqrstuvwxyz');
const rawAbc = [{ raw: true, bytes: abc }];
const decodeOutcome = (frame: Uint8Array, capacity?: number): Buffer | string =>
  outcome(() => bench.decode(frame, capacity));
const tableOutcome = (frame: Uint8Array): unknown => {
  bench.kernel.bytes.set(frame, bench.dst);
  let found: unknown;
  const text = outcome(() => {
    found = bench.kernel.tableFrameDecode(bench.dst, frame.length, bench.out, MIB);
    return abc;
  });
  return typeof text === 'string' ? text : found;
};

describe('round trip', () => {
  it('gives back every input of 0 to 300 bytes', () => {
    for (const kind of kinds)
      for (let length = 0; length <= 300; length++) {
        const input = sample(kind, length, length);
        expect(bench.decode(bench.encode(input)).equals(input)).toBe(true);
      }
  });

  it('gives back inputs of any kind and size up to 4 MiB', () => {
    const size = fc.oneof(fc.nat(5000), fc.nat(4 * MIB), fc.constantFrom(262143, 262144, 262145, 4 * MIB));
    fc.assert(
      fc.property(fc.constantFrom(...kinds), size, fc.nat(), (kind, length, seed) => {
        const input = sample(kind, length, seed);
        const frame = bench.encode(input);
        expect(frame.length).toBeLessThanOrEqual(bench.kernel.frameBound(length) - 32);
        expect(bench.decode(frame).equals(input)).toBe(true);
        expect(bench.kernel.frameContentSize(bench.dst, frame.length)).toBe(length);
      }),
      { numRuns: 40 },
    );
  });

  it('stores random data raw: 19 bytes and 4 per block more than the input', () => {
    expect(bench.encode(sample('random', MIB, 1)).length).toBe(MIB + 19 + 4 * 4);
  });

  it('writes the header byte for byte', () => {
    expect(bench.encode(Buffer.alloc(0)).equals(makeFrame([], Buffer.alloc(0)))).toBe(true);
    expect(bench.encode(abc).equals(makeFrame(rawAbc, abc))).toBe(true);
  });

  it('gives equal bytes for equal input, whatever came before', () => {
    const first = bench.encode(realText);
    for (const kind of kinds) bench.encode(sample(kind, 700_000, 3));
    expect(bench.encode(realText).equals(first)).toBe(true);
    const other = new Bench(4 * MIB);
    other.kernel.reserve(64);
    expect(other.encode(realText, false).equals(first)).toBe(true);
  });

  it('takes no positions from an earlier input that happen to be right by content', () => {
    // Short repetitions far apart in random data: the search takes such long steps there that it misses some.
    // Behind a run of zeros it starts with short steps and stores every position, also that of an original.
    // The zeros at the end make the block as a whole worth compressing.
    const input = Buffer.concat([sample('random', 60_000, 1), Buffer.alloc(5000)]);
    for (let at = 3000; at < 60_000; at += 3000) input.copy(input, at, at - 1500, at - 1476);
    const first = bench.encode(input);
    for (let at = 3000; at < 60_000; at += 3000) {
      bench.encode(Buffer.concat([Buffer.alloc(at - 1510), input.subarray(at - 1510)]));
      expect(bench.encode(input).equals(first)).toBe(true);
    }
  });

  it('notices when a block does not decode to its input', () => {
    // The output overwrites the input while it is read, so what verification compares with is no longer the
    // input.
    bench.kernel.bytes.set(realText.subarray(0, 100_000), bench.dst + 10);
    expect(() => bench.kernel.frameEncode(bench.dst + 10, 100_000, bench.dst, true)).toThrowError(
      expect.objectContaining({ code: 'BP_ENCODE_VERIFY', kind: 'internal' }),
    );
  });
});

describe('other implementations', () => {
  it('lz4js decodes what we encode', () => {
    for (const kind of kinds) {
      const input = sample(kind, 600_000, 9);
      expect(Buffer.from(decompress(bench.encode(input))).equals(input)).toBe(true);
    }
  });

  it('we decode the blocks of lz4js, but not its frames: they lack the content size', () => {
    for (const kind of kinds) {
      const input = sample(kind, 600_000, 9);
      const frame = Buffer.from(compress(input));
      expect(decodeOutcome(frame)).toBe('blocks depend on each other');
      const size = frame.readUInt32LE(7);
      const block = { raw: size >>> 31 === 1, bytes: frame.subarray(11, 11 + (size & 0x7fffffff)) };
      expect(bench.decode(makeFrame([block], input, { descriptor: 0x70 })).equals(input)).toBe(true);
    }
  });

  it.skipIf(!hasLz4)('the lz4 program decodes what we encode', () => {
    for (const kind of kinds)
      for (const length of [0, 1, 12, 13, 100, 262_144, 262_145, 3_000_000]) {
        const input = sample(kind, length, length);
        expect(runOn('lz4', ['-d', '-c', '{}'], bench.encode(input)).equals(input)).toBe(true);
      }
  });

  it.skipIf(!hasLz4)('we decode what the lz4 program encodes, at each block size and checksum', () => {
    const input = Buffer.concat([realText, sample('mixed', 3_000_000, 5)]);
    for (const block of ['-B4', '-B5', '-B6', '-B7'])
      for (const options of [[], ['-BX'], ['--no-frame-crc'], ['-BX', '--no-frame-crc'], ['-9']]) {
        const args = ['-c', '-BI', '--content-size', block, ...options, '{}'];
        expect(bench.decode(runOn('lz4', args, input)).equals(input)).toBe(true);
      }
    expect(decodeOutcome(runOn('lz4', ['-c', '-BD', '-B4', '--content-size', '{}'], input))).toBe(
      'blocks depend on each other',
    );
    expect(decodeOutcome(runOn('lz4', ['-c', '-BI', '{}'], input))).toBe('content size missing');
    expect(decodeOutcome(runOn('lz4', ['-c', '-l', '{}'], input))).toBe('not an LZ4 frame');
  });
});

describe('profile', () => {
  const flags: [number, string][] = [
    [0x28, 'unknown frame version'],
    [0xa8, 'unknown frame version'],
    [0x6a, 'reserved bit is set'],
    [0x48, 'blocks depend on each other'],
    [0x69, 'dictionary needed'],
    [0x60, 'content size missing'],
  ];
  it.each(flags)('flags %i: %s', (value, reason) => {
    expect(decodeOutcome(makeFrame(rawAbc, abc, { flags: value }))).toBe(reason);
  });

  const descriptors: [number, Buffer | string][] = [
    [0x40, abc],
    [0x50, abc],
    [0x60, abc],
    [0x70, abc],
    [0x00, 'unknown block size'],
    [0x30, 'unknown block size'],
    [0x51, 'reserved bit is set'],
    [0xd0, 'reserved bit is set'],
  ];
  it.each(descriptors)('descriptor %i', (descriptor, expected) => {
    expect(decodeOutcome(makeFrame(rawAbc, abc, { descriptor }))).toEqual(expected);
  });

  it('needs the announced content size exactly', () => {
    expect(decodeOutcome(makeFrame(rawAbc, abc, { contentSize: 25n }))).toBe(
      'content is longer than announced',
    );
    expect(decodeOutcome(makeFrame(rawAbc, abc, { contentSize: 27n }))).toBe(
      'content is shorter than announced',
    );
    expect(decodeOutcome(makeFrame(rawAbc, abc), 25)).toBe('content is larger than allowed');
    for (const contentSize of [1n << 31n, 1n << 32n, (1n << 32n) + 26n, (1n << 64n) - 1n])
      expect(decodeOutcome(makeFrame(rawAbc, abc, { contentSize }))).toBe('content is larger than allowed');
  });

  it('needs the end mark and nothing after it', () => {
    expect(decodeOutcome(makeFrame(rawAbc, abc, { endMark: false }))).toBe('frame is cut short');
    expect(decodeOutcome(makeFrame(rawAbc, abc, { tail: Buffer.alloc(1) }))).toBe('bytes after the frame');
    const padding = Buffer.from('502a4d180000000000', 'hex').subarray(0, 8);
    expect(decodeOutcome(makeFrame(rawAbc, abc, { tail: padding }))).toBe('bytes after the frame');
    expect(decodeOutcome(Buffer.concat([makeFrame(rawAbc, abc), makeFrame(rawAbc, abc)]))).toBe(
      'bytes after the frame',
    );
  });

  it('refuses every prefix of a frame', () => {
    for (const flags of [0x68, 0x7c]) {
      const packed = Buffer.from('1f4101007350aaaaaaaaaa', 'hex');
      const content = Buffer.concat([Buffer.alloc(135, 'A'), Buffer.alloc(5, 0xaa), abc]);
      const frame = makeFrame([{ raw: false, bytes: packed }, ...rawAbc], content, { flags });
      expect(decodeOutcome(frame)).toEqual(content);
      for (let length = 0; length < frame.length; length++)
        expect(typeof decodeOutcome(frame.subarray(0, length))).toBe('string');
    }
  });

  it('checks block and content checksums', () => {
    const frame = makeFrame(rawAbc, abc, { flags: 0x7c });
    expect(decodeOutcome(frame)).toEqual(abc);
    const blockAt = 15 + 4 + abc.length;
    for (const [at, reason] of [
      [19, 'block checksum differs'],
      [blockAt, 'block checksum differs'],
      [blockAt + 8, 'content checksum differs'],
      [14, 'header checksum differs'],
    ] as const) {
      const bad = Buffer.from(frame);
      bad.writeUInt8(bad.readUInt8(at) ^ 1, at);
      expect(decodeOutcome(bad)).toBe(reason);
    }
    const other = makeFrame(rawAbc, Buffer.from(abc).fill(0), { flags: 0x6c });
    expect(decodeOutcome(other)).toBe('content checksum differs');
  });

  it('refuses blocks above the announced maximum', () => {
    const big = Buffer.alloc(65_537, 7);
    const stored = [{ raw: true, bytes: big }];
    expect(decodeOutcome(makeFrame(stored, big, { descriptor: 0x40 }))).toBe(
      'block is larger than announced',
    );
    expect(bench.decode(makeFrame(stored, big)).equals(big)).toBe(true);
    const frame = bench.encode(Buffer.alloc(262_144));
    const packed = [{ raw: false, bytes: frame.subarray(19, frame.length - 4) }];
    expect(bench.decode(makeFrame(packed, Buffer.alloc(262_144))).equals(Buffer.alloc(262_144))).toBe(true);
    expect(decodeOutcome(makeFrame(packed, Buffer.alloc(262_144), { descriptor: 0x40 }))).toBe(
      'block is longer than allowed',
    );
  });
});

describe('table frames', () => {
  const frame = makeFrame(rawAbc, abc);
  const skippable = (size: number, fill = 0, magic = 0x50): Buffer =>
    Buffer.concat([
      Buffer.from([magic, 0x2a, 0x4d, 0x18, size & 255, size >> 8, 0, 0]),
      Buffer.alloc(size, fill),
    ]);

  it('reports where the frame ends', () => {
    const expected = { length: 26, frameBytes: frame.length };
    expect(tableOutcome(frame)).toEqual(expected);
    expect(tableOutcome(Buffer.concat([frame, skippable(0)]))).toEqual(expected);
    expect(tableOutcome(Buffer.concat([frame, skippable(1000), skippable(3, 0, 0x5f)]))).toEqual(expected);
  });

  it('does not follow a padding size beyond the input', () => {
    // Nothing but zeros behind it up to the end of the memory: reading on would run out of it.
    const fresh = new Bench(4096);
    for (const size of [1, 0x7fffffff, 0xffffffff]) {
      const tail = skippable(0);
      tail.writeUInt32LE(size, 4);
      const table = Buffer.concat([frame, tail]);
      fresh.kernel.bytes.set(table, fresh.out);
      const decode = () => fresh.kernel.tableFrameDecode(fresh.out, table.length, fresh.src, 4096);
      expect(decode).toThrowError(expect.objectContaining({ code: 'E_LZ4' }));
    }
  });

  it('refuses any other tail', () => {
    const reason = 'padding is not a frame of zeros';
    for (let size = 1; size < 8; size++)
      expect(tableOutcome(Buffer.concat([frame, Buffer.alloc(size)]))).toBe(reason);
    expect(tableOutcome(Buffer.concat([frame, skippable(9, 1)]))).toBe(reason);
    expect(tableOutcome(Buffer.concat([frame, skippable(9, 0, 0x60)]))).toBe(reason);
    expect(tableOutcome(Buffer.concat([frame, skippable(9).subarray(0, 16)]))).toBe(reason);
    expect(tableOutcome(Buffer.concat([frame, frame]))).toBe(reason);
    const hole = skippable(100);
    hole[107] = 1;
    expect(tableOutcome(Buffer.concat([frame, hole]))).toBe(reason);
  });
});
