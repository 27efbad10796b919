/** One measured run of one program. */
export interface Run {
  readonly part: string;
  readonly measure: string;
  readonly program: string;
  readonly round: number;
  readonly wallS: number;
  readonly cpuS: number;
  readonly rssBytes: number;
  readonly storedBytes?: number;
}
export interface Row {
  readonly program: string;
  readonly wallS: number;
  readonly walls: readonly number[];
  readonly cpuS: number;
  readonly rssBytes: number;
  readonly storedBytes: number | undefined;
  readonly wallRatio: number | undefined;
  readonly cpuRatio: number | undefined;
}
export function median(values: readonly number[]): number;
export function pairedRatio(
  ours: readonly Run[],
  theirs: readonly Run[],
  field: 'wallS' | 'cpuS' | 'rssBytes',
): number | undefined;
export function grouped(runs: readonly Run[]): Map<string, Map<string, Run[]>>;
export function runsOf(runs: readonly Run[], part: string, measure: string, program: string): Run[];
export function rowsOf(programs: ReadonlyMap<string, readonly Run[]>, base: string): Row[];
