export function dice(start: number): (below: number) => number;
export function stateOf(seed: number, length: number): Buffer;
export function isState(bytes: Buffer): boolean;
