import type { Run } from './statistics.mjs';
export function plot(runs: readonly Run[], title: string): string;
