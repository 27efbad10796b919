/** Sizes and counts of format v1 (SPEC, "Limits"). Readers check them before they allocate; writers stay inside. */

export const KiB = 1024;
export const MiB: number = 1024 * KiB;
const GiB: number = 1024 * MiB;

/** Length of header and of trailer, bytes. */
export const blockBytes = 512;
/** Length of a GCM tag, bytes. */
export const tagBytes = 16;
export const containerMax: number = 4 * GiB;
export const recordPlainMax: number = 16 * MiB;
export const tablePlainMax: number = 64 * MiB;
export const paddingMax: number = MiB;
export const pagePlainMax: number = 2 * MiB;
export const lineMax: number = MiB;
export const jsonDepthMax = 16;
export const pathMax = 65_535;
export const componentMax = 1024;
export const packsPerPageMax = 16_384;
export const movedChainMax = 8;
export const namesPerMarkMax = 10_000;
export const keyFileMax: number = 64 * KiB;

/** Longest sealed length (without tag) of a record whose plaintext has `length` bytes: 8 per block of 64 KiB, and 32. */
export function sealedMax(length: number): number {
  return length + 8 * Math.ceil(length / (64 * KiB)) + 32;
}
