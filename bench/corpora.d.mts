export function noise(seed: string): (length: number) => Buffer;
export function numbers(seed: string): (below: number) => number;
export function edit(
  source: string,
  target: string,
  seed: string,
  insertions: number,
  overwrites: number,
): void;
