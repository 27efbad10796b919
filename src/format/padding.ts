/** Padding of small containers (SPEC, "Padding"): sizes below 1 MiB go up to max(4096, Padme), to hide tiny increments. */
import { MiB } from '../base/limits.ts';

/** `size` rounded up as by Padme (PETS 2019): at most 12 % more, and few distinct sizes. */
export function padme(size: number): number {
  if (size < 2) return size;
  const e = Math.floor(Math.log2(size));
  const step = 2 ** Math.max(0, e - Math.floor(Math.log2(e)) - 1);
  return Math.ceil(size / step) * step;
}

/**
 * Length of the padding frame for a container that has `size` bytes without padding: 0, or at least 8.
 * @returns bytes, the 8 of the skippable frame's own head included.
 */
export function paddingFor(size: number): number {
  if (size >= MiB) return 0;
  let target = Math.max(4096, padme(size));
  while (target - size > 0 && target - size < 8) target = padme(target + 1);
  return target - size;
}

/** A skippable LZ4 frame of zeros that takes `length` bytes in all (0 or at least 8). */
export function paddingFrame(length: number): Buffer {
  const frame = Buffer.alloc(length);
  if (length > 0) {
    frame.writeUInt32LE(0x184d2a50, 0);
    frame.writeUInt32LE(length - 8, 4);
  }
  return frame;
}
