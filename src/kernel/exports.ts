/**
 * What assembly/index.ts exports, as TypeScript sees it. Must be kept equal to that file by hand; only
 * kernel.ts and the tests of the kernels may use it. Everything is u32 or i32 except the length of
 * `hashZeros` (f64).
 */
export interface KernelExports {
  arenaStart(): number;
  clearTable(): void;
  decodeBlock(src: number, length: number, dst: number, capacity: number): number;
  encodeBlock(src: number, length: number, dst: number): number;
  encodeBlockHigh(src: number, length: number, dst: number, depth: number): number;
  equal(left: number, right: number, length: number): number;
  frameBound(length: number): number;
  frameBytes(): number;
  frameContentSize(src: number, length: number): number;
  frameDecode(src: number, length: number, dst: number, capacity: number, padded: number): number;
  frameEncode(src: number, length: number, dst: number, verify: number, effort: number): number;
  gearCandidates(start: number, end: number, out: number, max: number): number;
  gearTable(): number;
  hashDigest(state: number): void;
  hashInit(state: number): void;
  hashOnce(src: number, length: number): void;
  hashResult(): number;
  hashStateBytes(): number;
  hashUpdate(state: number, src: number, length: number): void;
  hashZeros(state: number, length: number): void;
  isZero(address: number, length: number): number;
  lz4Table(): number;
  scratch(): number;
  scratchBytes(): number;
  slackBytes(): number;
  stagingState(): number;
  xxh32(src: number, length: number): number;
}
