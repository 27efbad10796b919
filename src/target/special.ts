/** FIFOs, sockets and devices. Node cannot make them; the C library's mknod does, relative to a handle of the jail. */
import type { BigIntStats } from 'node:fs';
import { BackpackError } from '../base/errors.ts';
import { libc } from '../platform/libc.ts';
import type { MetadataPolicy } from './metadata.ts';

const types: Readonly<Record<string, { bits: number; what: string; device: boolean }>> = {
  p: { bits: 0o010000, what: 'a FIFO', device: false },
  s: { bits: 0o140000, what: 'a socket', device: false },
  b: { bits: 0o060000, what: 'a block device', device: true },
  c: { bits: 0o020000, what: 'a character device', device: true },
};

/** What an entry's type letter stands for, for people. */
function whatOf(type: string): string {
  return types[type]?.what ?? `an entry of unknown type ${type}`;
}

/**
 * Makes a FIFO, a socket (which nobody listens on) or a device that only its owner may use; never replaces anything.
 * @param path inside the jail
 * @throws BackpackError BP_NOT_RESTORED, and what Node's file functions throw
 */
export function makeNode(
  path: string | Buffer,
  type: string,
  device: readonly [number, number] | undefined,
  policy: MetadataPolicy,
): void {
  const known = types[type];
  if (known === undefined) throw notRestored(type, 'which this version does not know');
  if (known.device && !policy.special) throw notRestored(type, 'left out as wished');
  const calls = libc();
  if (calls === undefined) throw notRestored(type, 'which cannot be made without the optional package koffi');
  try {
    calls.makeNode(path, known.bits | 0o600, known.device ? (device ?? [0, 0]) : [0, 0]);
  } catch (error) {
    if (known.device && (error as NodeJS.ErrnoException).code === 'EPERM')
      throw notRestored(type, 'which only the superuser can make');
    throw error;
  }
}

/** Whether this is already what {@link makeNode} would make. */
export function isNode(
  { mode, rdev }: BigIntStats,
  type: string,
  device: readonly [number, number] | undefined,
): boolean {
  const known = types[type];
  if (known === undefined || (mode & 0o170000n) !== BigInt(known.bits)) return false;
  const major = ((rdev >> 8n) & 0xfffn) | ((rdev >> 32n) & ~0xfffn);
  const minor = (rdev & 0xffn) | ((rdev >> 12n) & 0xffffff00n);
  return !known.device || (major === BigInt(device?.[0] ?? 0) && minor === BigInt(device?.[1] ?? 0));
}

function notRestored(type: string, why: string): BackpackError {
  return new BackpackError('BP_NOT_RESTORED', `is ${whatOf(type)}, ${why}`, { kind: 'target' });
}
