/** What a peer made by a test has received. */
import type { Frame, FrameReader } from '../../../src/net/frame.ts';

/** Gives bytes to a reader; @returns the frames that they complete, for keeps */
export function framesIn(reader: FrameReader, bytes: Uint8Array): Frame[] {
  const found: Frame[] = [];
  reader.take(bytes);
  for (let one = reader.next(); one !== undefined; one = reader.next()) {
    found.push({ ...one, payload: Buffer.from(one.payload) });
  }
  return found;
}
