/** Numbers and words for people. */
import prettyBytes from 'pretty-bytes';
import prettyMs from 'pretty-ms';

/** `2.14 GB` */
export { formatSize as bytes } from '../../base/sizes.ts';

/** A size as somebody set it: `512 MiB` for 512M, `2 MB` for 2 MB. */
export function bytesAsSet(value: number): string {
  return prettyBytes(value, { binary: value % 1024 === 0 });
}

/** `14,006`, as toLocaleString('en-US') has it, which takes 15 ms when it is called first. */
export function count(value: number): string {
  return String(value).replace(/\B(?=(?:\d{3})+$)/g, ',');
}

/** `1 file`, `14,006 files` */
export function counted(value: number, one: string, many = `${one}s`): string {
  return `${count(value)} ${value === 1 ? one : many}`;
}

/** `21 s` */
export function duration(ms: number): string {
  return prettyMs(Math.max(0, ms), ms < 10_000 ? { secondsDecimalDigits: 1 } : { secondsDecimalDigits: 0 });
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is taken out
const controls = /[\x00-\x1f\x7f-\x9f]/g;

/** A name or message for the terminal: control characters, which could command it, are shown as escapes. */
export function safe(text: string): string {
  return text.replace(controls, (c) => `\\x${c.charCodeAt(0).toString(16).padStart(2, '0')}`);
}

/** Local date and time of a snapshot's `time`. */
export function when(time: string): string {
  const date = new Date(Number.parseFloat(time) * 1000);
  if (Number.isNaN(date.getTime())) return safe(time);
  const two = (value: number): string => String(value).padStart(2, '0');
  return (
    `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())} ` +
    `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`
  );
}

/** RFC 3339 time of a snapshot's `time`. */
export function isoTime(time: string): string {
  const date = new Date(Number.parseFloat(time) * 1000);
  // A time that no calendar has must not hide the other snapshots.
  return Number.isNaN(date.getTime()) ? time : date.toISOString();
}

/** Rows in columns of their own width; the last column is not padded. */
export function table(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, i) => Math.max(...rows.map((row) => row[i]!.length)));
  return rows
    .map(
      (row) =>
        `${row.map((cell, i) => (i === row.length - 1 ? cell : cell.padEnd(widths[i]!))).join('  ')}\n`,
    )
    .join('');
}
