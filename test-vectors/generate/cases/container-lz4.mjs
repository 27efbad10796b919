// Authentic records and tables that break the LZ4 profile: record 0 is released, record 1 is the defect.
import { concat, Random, text, u32le } from '../lib/bytes.mjs';
import { compressBlock, frame, legacyFrame, skippable } from '../lib/lz4.mjs';
import { containerVector, one } from '../lib/make.mjs';
import { words } from '../lib/words.mjs';

/** Three records; `make(plain)` gives the frame of record 1. */
const wrong =
  (what, make, length = 400) =>
  (name) => {
    const random = new Random(`${name}/content`);
    const plain = words(random, length);
    const records = [one(text('released\n')), one(plain, make(plain)), one(text('never released\n'))];
    return containerVector(name, { what, expect: 'E_LZ4', pad: false, records, released: 1 });
  };

const wrongTable = (what, tableFrame) => (name) =>
  containerVector(name, { what, expect: 'E_LZ4', pad: false, tableFrame });

const block = (...bytes) => [{ bytes: Buffer.from(bytes.flat()), stored: false }];
const letters = (count) => Array.from({ length: count }, (_, i) => 97 + (i % 26));

export default {
  'e-lz4-magic': wrong('another magic number', () => ({ magic: 0x184d2205 })),
  'e-lz4-legacy': wrong('a legacy frame', legacyFrame),
  'e-lz4-skippable': wrong('a skippable frame before the frame', (plain) =>
    concat(skippable(12), frame(plain)),
  ),
  'e-lz4-only-skippable': wrong('nothing but a skippable frame', () => skippable(100)),
  'e-lz4-version': wrong('frame version 2', () => ({ version: 2 })),
  'e-lz4-reserved': wrong('the reserved bit of FLG', () => ({ reserved: 1 })),
  'e-lz4-dictionary': wrong('a dictionary id', () => ({ dictionary: 1 })),
  'e-lz4-dependent': wrong('block independence 0', () => ({ independent: false })),
  'e-lz4-no-size': wrong('no content size', () => ({ contentSize: null })),
  'e-lz4-size-more': wrong('content size one more than the R line', (plain) => ({
    contentSize: plain.length + 1,
  })),
  'e-lz4-size-less': wrong('content size one less than the R line', (plain) => ({
    contentSize: plain.length - 1,
  })),
  'e-lz4-size-huge': wrong('content size 2^63', () => ({ contentSize: 2n ** 63n })),
  'e-lz4-block-code': wrong('block size code 3', () => ({ blockCode: 3 })),
  'e-lz4-header-checksum': wrong('a wrong header checksum', (plain) => flipAt(frame(plain), 14)),
  'e-lz4-block-checksum': wrong('a wrong block checksum', () => ({ blockChecksum: true, blockSum: 1 })),
  'e-lz4-content-checksum': wrong('a wrong content checksum', () => ({
    contentChecksum: true,
    contentSum: 1,
  })),
  'e-lz4-no-end-mark': wrong('no end mark', () => ({ end: false })),
  'e-lz4-trailing': wrong('a byte behind the end mark', (plain) => concat(frame(plain), Buffer.alloc(1))),
  'e-lz4-two-frames': wrong('two frames, together as long as the R line says', (plain) =>
    concat(frame(plain.subarray(0, 200)), frame(plain.subarray(200))),
  ),
  'e-lz4-padded': wrong('a skippable frame behind the frame of a record', (plain) =>
    concat(frame(plain), skippable(16)),
  ),
  'e-lz4-bomb': wrong(
    'the block decodes to 1 MiB, the R line says 5,000 bytes',
    (plain) => ({
      blocks: [{ bytes: compressBlock(Buffer.alloc(1048576)), stored: false }],
      contentSize: plain.length,
      blockSize: 1048576,
    }),
    5000,
  ),
  'e-lz4-more': wrong('one byte more than the content size', (plain) => ({
    blocks: [{ bytes: concat(plain, Buffer.from('x')), stored: true }],
  })),
  'e-lz4-less': wrong('one byte less than the content size', (plain) => ({
    blocks: [{ bytes: plain.subarray(1), stored: true }],
  })),
  'e-lz4-block-too-long': wrong(
    'a raw block of 65,537 bytes with a maximum of 64 KiB',
    (plain) => ({ blockSize: 65536, blocks: [{ bytes: plain, stored: true }] }),
    65537,
  ),
  'e-lz4-block-past-end': wrong('a block length that leads behind the frame', (plain) => {
    const good = frame(plain, { raw: true });
    return concat(good.subarray(0, 15), u32le((0x80000000 | (plain.length + 100)) >>> 0), good.subarray(19));
  }),
  'e-lz4-offset-zero': wrong('a match with offset 0', () => ({
    blocks: block(0x1f, 97, 0, 0, 255, 120, 0x50, letters(5)),
  })),
  'e-lz4-offset-before-block': wrong('a match that begins before the block', () => ({
    blocks: block(0x1f, 97, 2, 0, 255, 120, 0x50, letters(5)),
  })),
  'e-lz4-offset-other-block': wrong(
    'a match into the block before, though blocks are independent',
    (plain) => ({
      blocks: [
        { bytes: plain.subarray(0, 200), stored: true },
        ...block(0x0f, 100, 0, 176, 0x50, letters(5)),
      ],
    }),
  ),
  'e-lz4-literals-past-end': wrong('more literals than the block holds', () => ({
    blocks: block(0xf0, 255, 130, letters(20)),
  })),
  'e-lz4-block-cut': wrong('a block that ends behind a match offset', () => ({
    blocks: block(0xf4, 5, letters(20), 1),
  })),
  'e-lz4-table-trailing': wrongTable(
    'bytes behind the frame of the table that are no skippable frame',
    (bytes) => concat(bytes, Buffer.alloc(8)),
  ),
  'e-lz4-table-two': wrongTable('two frames in the table', (bytes) => concat(bytes, frame(text('["q"]\n')))),
  'e-lz4-table-padding-cut': wrongTable('a padding frame longer than what is there', (bytes) =>
    concat(bytes, skippable(20).subarray(0, 19)),
  ),
  'e-lz4-table-legacy': wrongTable('a legacy frame', () => legacyFrame(text('{"backpack":"table","v":1}\n'))),
};

function flipAt(bytes, at) {
  const out = Buffer.from(bytes);
  out[at] ^= 1;
  return out;
}
