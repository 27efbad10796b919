import { expect, it } from 'vitest';
import { TextBuffer } from '../../../src/base/text-buffer.ts';

it('writes what the same strings would be, however often it has to grow', () => {
  const buffer = new TextBuffer(1);
  let text = '';
  const numbers = [0, 9, 10, 11, 99, 100, 1000, 4_294_967_296, 1e12 - 1, 1e15, 2 ** 53 - 1];
  for (let i = 0; i < 500; i += 1) {
    const number = numbers[i % numbers.length]!;
    const hash = Uint8Array.from({ length: 8 }, (_, j) => (i * 31 + j * 97) & 0xff);
    const name = `näme ✓ ${'x'.repeat(i % 50)}`;
    buffer.add(`["C",`);
    buffer.addNumber(number);
    buffer.addHex(hash);
    buffer.addUtf8(name);
    buffer.add('a'.repeat(i % 70));
    text += `["C",${number}${Buffer.from(hash).toString('hex')}${name}${'a'.repeat(i % 70)}`;
  }
  expect(buffer.view.toString()).toBe(text);
  expect(buffer.length).toBe(Buffer.byteLength(text));
  const other = new TextBuffer();
  other.add('before');
  other.addAll(buffer, 5);
  expect(Buffer.from(other.take()).toString()).toBe(`before${text.slice(5)}`);
  // A million files have 75 MB of such lines: they are not to be there twice when a thread hands them on.
  expect(other.take().buffer).toBeInstanceOf(SharedArrayBuffer);
  buffer.clear();
  expect(buffer.view.length).toBe(0);
});
