/** Times in names. */

/** `yyyymmddThhmmssZ` of Unix milliseconds, rounded down to a second; empty when no such date has four digits of year. */
export function stampOfMs(ms: number): string {
  const date = new Date(ms);
  if (Number.isNaN(date.getTime()) || date.getUTCFullYear() > 9999) return '';
  return `${date.toISOString().slice(0, 19).replaceAll('-', '').replaceAll(':', '')}Z`;
}
