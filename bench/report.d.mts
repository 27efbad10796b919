import type { Run } from './statistics.mjs';
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string;
export function report(runs: readonly Run[]): string;
export function targets(runs: readonly Run[]): string;
