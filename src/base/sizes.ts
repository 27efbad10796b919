/** Sizes as people write them (`10M` and `10 MiB` are 10 * 1024 * 1024, `10 MB` is 10,000,000) and read them. */
import prettyBytes from 'pretty-bytes';

const rule = /^([0-9]{1,15}(?:\.[0-9]{1,6})?) ?(?:([kKMGT])(i?)(B?)|B)?$/;
const powers = 'KMGT';

/** Bytes of a size; undefined when the text is none. */
export function parseSize(text: string): number | undefined {
  const [, number, unit, binary, byte] = rule.exec(text) ?? [];
  if (number === undefined) return undefined;
  const base = binary === '' && byte === 'B' ? 1000 : 1024;
  const bytes =
    unit === undefined ? Number(number) : Number(number) * base ** (powers.indexOf(unit.toUpperCase()) + 1);
  return bytes <= Number.MAX_SAFE_INTEGER ? Math.round(bytes) : undefined;
}

/** `2.14 GB`, in three digits: any other number of them costs 15 ms when it is asked for first. */
export function formatSize(bytes: number): string {
  return prettyBytes(bytes);
}
