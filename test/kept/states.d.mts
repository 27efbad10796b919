export function dice(start: number): (below: number) => number;
export function page(version: number, index: number): Buffer;
export function stateOf(version: number, pages: number): Buffer;
export function isState(bytes: Buffer): boolean;
