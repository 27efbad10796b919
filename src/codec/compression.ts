/** How much work goes into making records small. Readers need not know: all levels write the same frames. */

/** `none` stores every block as it is, `fast` is LZ4's greedy search, `high` compares many candidates. */
export type Compression = 'none' | 'fast' | 'high';

/** What the kernel is told for each level: see Kernel.frameEncode. */
export const effortOf: Readonly<Record<Compression, number>> = { none: 0, fast: 1, high: 32 };

/** Whether a text names a level. */
export function isCompression(text: string): text is Compression {
  return Object.hasOwn(effortOf, text);
}
