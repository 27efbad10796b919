/** Points in time as two numbers instead of one too large for exact arithmetic. */

const billion = 1_000_000_000n;

/** Seconds of a time given in nanoseconds since 1970, rounded down. */
export function secondsOf(ns: bigint): number {
  return Number((ns - BigInt(nanosecondsOf(ns))) / billion);
}

/** The nanoseconds after {@link secondsOf}. */
export function nanosecondsOf(ns: bigint): number {
  return Number(((ns % billion) + billion) % billion);
}

/** The time of both. */
export function joinNanoseconds(seconds: number, nanoseconds: number): bigint {
  return BigInt(seconds) * billion + BigInt(nanoseconds);
}
