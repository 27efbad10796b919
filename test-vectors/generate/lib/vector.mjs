// The vector file: header lines, one empty line, payload bytes. The grammar is in ../../README.md.
import { concat, text } from './bytes.mjs';

export function encode(name, { what, type, expect, payload, ...fields }) {
  const head = { 'backpack-vector': 1, name, what, type, expect, ...fields };
  head.payload = payload === undefined ? 'none' : `raw ${payload.length}`;
  const lines = Object.entries(head)
    .filter(([, value]) => value !== undefined)
    .map(([key, value]) => {
      const shown = String(value);
      if (shown.includes('\n')) throw new Error(`${name}: a line end in ${key}`);
      return `${key}: ${shown}\n`;
    });
  return concat(text(`${lines.join('')}\n`), payload ?? []);
}
