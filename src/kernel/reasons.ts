/**
 * Short texts for the negative results of assembly/lz4-frame.ts and assembly/lz4-decode.ts, for
 * `context.reason` of `E_LZ4`. Must never name file content; numbers are internal, only the texts are
 * shown.
 */
const reasons: ReadonlyMap<number, string> = new Map([
  [-1, 'frame is cut short'],
  [-2, 'not an LZ4 frame'],
  [-3, 'unknown frame version'],
  [-4, 'reserved bit is set'],
  [-5, 'blocks depend on each other'],
  [-6, 'dictionary needed'],
  [-7, 'content size missing'],
  [-8, 'unknown block size'],
  [-9, 'header checksum differs'],
  [-10, 'content is larger than allowed'],
  [-11, 'block is larger than announced'],
  [-12, 'block checksum differs'],
  [-13, 'content checksum differs'],
  [-14, 'content is longer than announced'],
  [-15, 'content is shorter than announced'],
  [-16, 'bytes after the frame'],
  [-17, 'padding is not a frame of zeros'],
  [-20, 'block is cut short'],
  [-21, 'literals reach beyond the block'],
  [-22, 'distance reaches before the block'],
  [-23, 'block is longer than allowed'],
  [-24, 'block is too large'],
]);

/** The text for a negative result of the frame decoder. */
export function frameReason(number: number): string {
  return reasons.get(number) ?? `unknown reason ${number}`;
}
