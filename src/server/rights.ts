/**
 * What a role may do (SPEC, "Rights"): by prefix of the object's name, whatever the repository. A thief of an `append`
 * key can add, and can neither overwrite nor delete nor name anything for deletion.
 */
import { BackpackError } from '../base/errors.ts';

/** Roles of users. */
export type Role = 'append' | 'read' | 'write-only' | 'admin';

export const roles: readonly Role[] = ['append', 'read', 'write-only', 'admin'];

/** What a request does to an object. */
export type Action = 'create' | 'replace' | 'read' | 'delete';

const appendable = /^(?:packs|snapshots|index)\//;

/** Whether a role may do something to the object of a name. Everybody may list. */
export function may(role: Role, action: Action, name: string): boolean {
  if (role === 'admin') return true;
  // What write-only may not read of a pack depends on the part of it: see read-guard.ts.
  if (action === 'read') return true;
  return action === 'create' && role !== 'read' && appendable.test(name);
}

/** BP_STORAGE_DENIED: the same for what exists and what does not. */
export function denied(role: Role, action: Action, name: string): BackpackError {
  return new BackpackError('BP_STORAGE_DENIED', `the role ${role} may not ${action} ${name}`, {
    kind: 'storage',
    context: { role, object: name },
    hint: 'use an access key with a role that may: see docs/server.md',
  });
}
