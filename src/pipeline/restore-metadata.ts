/** From an entry to what the target can do: its metadata, and making of what has no content. */
import { lstatSync, readlinkSync, symlinkSync } from 'node:fs';
import { fromByteString } from '../base/bytes.ts';
import type { Entry } from '../format/entry-stream.ts';
import { nameFromJson } from '../format/name-json.ts';
import { type Metadata, type MetadataPolicy, setLinkMetadata, setNodeMetadata } from '../target/metadata.ts';
import { isNode, makeNode } from '../target/special.ts';

/** What an entry says about itself. */
export function metadataOf(json: Entry['json']): Metadata {
  return {
    mode: json.o ?? '0600',
    mtime: json.m ?? '0.000000000',
    atime: json.a,
    uid: json.u,
    gid: json.g,
    user: json.un,
    group: json.gn,
    xattrs: json.xa?.map(([name, value]) => [nameFromJson(name), value] as const),
    flags: json.fl,
  };
}

/**
 * Makes a link, FIFO, socket or device; never replaces anything.
 * @param at path inside the jail
 * @returns what of its metadata could not be set
 * @throws BackpackError BP_NOT_RESTORED, and what Node's file functions throw
 */
export function makeSpecial(
  at: string | Buffer,
  { type, json }: Entry,
  metadata: Metadata,
  policy: MetadataPolicy,
): string[] {
  if (type === 'l') {
    symlinkSync(fromByteString(nameFromJson(json.l as string)), at);
    return setLinkMetadata(at, metadata, policy);
  }
  makeNode(at, type, json.rd, policy);
  return setNodeMetadata(at, metadata, policy);
}

/** Whether this is what {@link makeSpecial} would make. @param at path inside the jail, of something that is there */
export function isSpecial(at: string | Buffer, { type, json }: Entry): boolean {
  const stat = lstatSync(at, { bigint: true });
  if (type !== 'l') return isNode(stat, type, json.rd);
  if (!stat.isSymbolicLink()) return false;
  return readlinkSync(at, { encoding: 'buffer' }).equals(fromByteString(nameFromJson(json.l as string)));
}
