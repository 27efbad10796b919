/**
 * The recovery kit: what every repository carries so that it can be read without this program (SPEC, "Recovery
 * kit"). The storage could replace it, so the key file holds the hash of its list of sums.
 */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { ObjectName } from '../storage/object-name.ts';

/** Objects of the kit and where they come from in this package. README.txt lies at the top of the repository. */
const sources: readonly (readonly [name: ObjectName, file: string])[] = [
  ['README.txt', 'recover/README.txt'],
  ['recover/SPEC.md', 'SPEC.md'],
  ['recover/package.json', 'recover/package.json'],
  ['recover/recover.js', 'recover/recover.js'],
  ['recover/recover.sh', 'recover/recover.sh'],
];

/** A file of the kit. */
export interface KitFile {
  readonly name: ObjectName;
  readonly bytes: Buffer;
}

/** Name of the list of sums. */
export const sumsName: ObjectName = 'recover/SHA256SUMS';

/** The kit of this version: its files, and SHA256SUMS over them as the last one. */
export function kitFiles(): readonly KitFile[] {
  const files = sources.map(([name, file]) => ({
    name,
    bytes: readFileSync(fileURLToPath(new URL(`../../${file}`, import.meta.url))),
  }));
  const lines = files.map(({ name, bytes }) => `${sha256(bytes)}  ${pathInSums(name)}\n`).sort();
  return [...files, { name: sumsName, bytes: Buffer.from(lines.join(''), 'latin1') }];
}

/** Value of `kit=` for a list of sums. */
export function kitSum(sums: Uint8Array): string {
  return sha256(sums);
}

/** Objects and sums that a SHA256SUMS names; undefined when it is not written as specified. */
export function parseSums(sums: Uint8Array): ReadonlyMap<ObjectName, string> | undefined {
  const found = new Map<ObjectName, string>();
  const lines = Buffer.from(sums).toString('latin1').split('\n');
  if (lines.pop() !== '') return undefined;
  for (const line of lines) {
    const match = /^([0-9a-f]{64}) {2}(\.\.\/README\.txt|[A-Za-z0-9._-]+)$/.exec(line);
    if (match === null) return undefined;
    found.set(match[2] === '../README.txt' ? 'README.txt' : `recover/${match[2]}`, match[1]!);
  }
  return found;
}

/** SHA-256 in hex. */
export function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

function pathInSums(name: ObjectName): string {
  return name === 'README.txt' ? '../README.txt' : name.slice('recover/'.length);
}
