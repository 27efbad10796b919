/**
 * Ids and object names (SPEC, "Repository layout"). The same names are paths, S3 keys and server object names;
 * any other name is refused.
 */
import type { Clock, Random } from '../base/ports.ts';
import { stampOfMs } from '../base/stamp.ts';

/** The seven kinds of container. */
export type Kind = 'data' | 'meta' | 'snap' | 'indx' | 'move' | 'mark' | 'drop';

const id = '[0-9a-f]{40}';
const patterns: Readonly<Record<string, RegExp>> = {
  packs: new RegExp(`^packs/([0-9a-f]{5})/(${id})\\.bpk$`),
  snapshots: new RegExp(`^snapshots/(\\d{8}T\\d{6}Z)-(${id})\\.bpk$`),
  index: new RegExp(`^index/(${id})\\.bpk$`),
  moved: new RegExp(`^moved/(${id})-(${id})\\.bpk$`),
  gc: new RegExp(`^gc/(${id})\\.bpk$`),
  drop: new RegExp(`^drop/(${id})\\.bpk$`),
};
const kindsOf: Readonly<Record<string, readonly Kind[]>> = {
  packs: ['data', 'meta'],
  snapshots: ['snap'],
  index: ['indx'],
  moved: ['move'],
  gc: ['mark'],
  drop: ['drop'],
};

/** What a container's object name says. */
export interface ContainerName {
  readonly id: string;
  readonly kinds: readonly Kind[];
  /** moved/ only: the old pack. */
  readonly from?: string;
}

/** Parses the name of a container; undefined for every other name. */
export function parseContainerName(name: string): ContainerName | undefined {
  const folder = name.slice(0, name.indexOf('/'));
  // The name may be anything: `constructor/` is no folder of the list.
  if (!Object.hasOwn(patterns, folder)) return undefined;
  const match = patterns[folder]?.exec(name);
  const allowed = kindsOf[folder];
  if (match === null || match === undefined || allowed === undefined) return undefined;
  if (folder === 'index' || folder === 'gc' || folder === 'drop') return { id: match[1]!, kinds: allowed };
  const found = match[2]!;
  if (folder === 'moved') return { id: found, kinds: allowed, from: match[1]! };
  if (folder === 'packs' && !found.startsWith(match[1]!)) return undefined;
  if (folder === 'snapshots' && stampOf(found) !== match[1]) return undefined;
  return { id: found, kinds: allowed };
}

/** A fresh id: 6 bytes of Unix milliseconds, big-endian, and 14 random bytes, as 40 hex digits. Never reused. */
export function makeId(clock: Clock, random: Random): string {
  const bytes = Buffer.alloc(20);
  bytes.writeUIntBE(clock.now(), 0, 6);
  random.bytes(14).copy(bytes, 6);
  return bytes.toString('hex');
}

/** Unix milliseconds in an id. */
export function timeOfId(idHex: string): number {
  return Number.parseInt(idHex.slice(0, 12), 16);
}

/** `yyyymmddThhmmssZ` of an id: the UTC second in which it was made. */
export function stampOf(idHex: string): string {
  return stampOfMs(timeOfId(idHex));
}

/** The short form shown to people: hex digits 13 to 20. */
export function shortId(idHex: string): string {
  return idHex.slice(12, 20);
}

/** Object name of a pack. */
export function packName(idHex: string): string {
  return `packs/${idHex.slice(0, 5)}/${idHex}.bpk`;
}

/** Object name of a snapshot. */
export function snapshotName(idHex: string): string {
  return `snapshots/${stampOf(idHex)}-${idHex}.bpk`;
}

/** Object name of an index object. */
export function indexName(idHex: string): string {
  return `index/${idHex}.bpk`;
}

/** The first 6 digits of a repository id, for people. */
export function shortRepo(repo: string): string {
  return repo.slice(0, 6);
}
