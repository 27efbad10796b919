/** Every byte of a frame damaged: an error or the same plaintext, never other bytes. */
import { expect, it } from 'vitest';
import { seed } from '../../seed.ts';
import { Bench, makeFrame, numbers, outcome, realText } from './support.ts';

const bench = new Bench(1 << 20);
const content = realText.subarray(0, 3000);
const packed = (() => {
  const frame = bench.encode(content);
  return frame.subarray(19, frame.length - 4);
})();
const tail = Buffer.from('some bytes that are stored as they are');
const plain = Buffer.concat([content, tail]);
const blocks = [
  { raw: false, bytes: packed },
  { raw: true, bytes: tail },
];
const masks = [0x01, 0x02, 0x04, 0x08, 0x10, 0x20, 0x40, 0x80, 0xff];

/** Number of mutants that still decode. */
function survivors(frame: Buffer, from: number, to: number): number {
  let same = 0;
  for (let at = from; at < to; at++)
    for (const mask of masks) {
      const bad = Buffer.from(frame);
      bad.writeUInt8(bad.readUInt8(at) ^ mask, at);
      const result = outcome(() => bench.decode(bad));
      if (typeof result === 'string') continue;
      if (!result.equals(plain)) throw new Error(`byte ${at} xor ${mask} gave other plaintext`);
      same++;
    }
  return same;
}

it.each([0x7c, 0x6c, 0x78])('frame with checksums, flags %i: an error or the same plaintext', (flags) => {
  const frame = makeFrame(blocks, plain, { flags });
  expect(outcome(() => bench.decode(frame))).toEqual(plain);
  // Without block checksums a distance may change to an equal match: another encoding of the same content.
  expect(survivors(frame, 0, frame.length)).toBeLessThanOrEqual(flags & 0x10 ? 0 : 10);
});

it('frame without checksums: header, sizes and end mark are all checked', () => {
  const frame = makeFrame(blocks, plain);
  const second = 19 + packed.length;
  expect(survivors(frame, 0, 15)).toBe(0);
  expect(survivors(frame, 15, 19)).toBe(0);
  expect(survivors(frame, second, second + 4)).toBe(0);
  expect(survivors(frame, frame.length - 4, frame.length)).toBe(0);
});

it('random damage never leaves the destination', () => {
  console.log(`lz4 frame fuzz: FUZZ_SEED=${seed}`);
  const next = numbers(seed);
  const { kernel, out, dst } = bench;
  const frames = [makeFrame(blocks, plain, { flags: 0x68 }), makeFrame(blocks, plain, { descriptor: 0x70 })];
  const until = performance.now() + 1500;
  while (performance.now() < until) {
    const frame = Buffer.from(frames[next(2)] as Buffer);
    for (let n = next(4); n >= 0; n--) frame[15 + next(frame.length - 15)] = next(3) ? next(256) : 0xff;
    kernel.bytes.set(frame, dst);
    kernel.bytes.fill(0xa5, out - 64, out);
    kernel.bytes.fill(0xa5, out + plain.length, out + plain.length + 9000);
    const result = outcome(() => bench.decode(frame, plain.length));
    if (typeof result !== 'string') expect(result.length).toBe(plain.length);
    const around = [
      kernel.bytes.subarray(out - 64, out),
      kernel.bytes.subarray(out + plain.length + 32, out + plain.length + 9000),
    ];
    for (const part of around) if (!part.every((byte) => byte === 0xa5)) throw new Error('canary is gone');
  }
});
