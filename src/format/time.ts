/** Times in JSON (SPEC, "Types used in JSON"): `<sec>.<9 digits>`, the seconds rounded down. */

const billion = 1_000_000_000n;

/** Text of a time given in nanoseconds since 1970. */
export function formatTime(ns: bigint): string {
  if (ns >= 0n) {
    const digits = ns.toString().padStart(10, '0');
    return `${digits.slice(0, -9)}.${digits.slice(-9)}`;
  }
  const rest = ((ns % billion) + billion) % billion;
  return `${(ns - rest) / billion}.${rest.toString().padStart(9, '0')}`;
}

/** Text of a time given in seconds since 1970, rounded down, and the nanoseconds after them. */
export function formatSeconds(seconds: number, nanoseconds: number): string {
  return `${seconds}.${(nanoseconds + 1e9).toString().slice(1)}`;
}

/** Nanoseconds of a time's text, which has been checked against the schema. */
export function parseTime(text: string): bigint {
  const dot = text.indexOf('.');
  return BigInt(text.slice(0, dot)) * billion + BigInt(text.slice(dot + 1));
}

/** Text of a time given in milliseconds. */
export function formatMs(ms: number): string {
  return formatTime(BigInt(Math.floor(ms)) * 1_000_000n);
}
