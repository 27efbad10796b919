/** Which names an object may have (SPEC, "Repository layout"). Storages and servers refuse any other. */
import { BackpackError } from '../base/errors.ts';
import { stampOfMs } from '../base/stamp.ts';

/** Name of an object: the same text as path, S3 key and server name. */
export type ObjectName = string;

const id = '[0-9a-f]{40}';
const snapshot = new RegExp(`^snapshots/(\\d{8}T\\d{6}Z)-(${id})\\.bpk$`);
const allowed = new RegExp(
  `^(?:packs/([0-9a-f]{5})/\\1[0-9a-f]{35}\\.bpk|(?:index|gc|drop)/${id}\\.bpk|` +
    `moved/${id}-${id}\\.bpk|keys/[0-9a-f]{16}-[0-9a-f]{8}\\.json|README\\.txt|backpack\\.json|` +
    '(?:recover|parity)/(?!\\.+$)[A-Za-z0-9._-]{1,200})$',
);
const replaceable = /^(?:README\.txt|backpack\.json|recover\/.*)$/;

/** Whether a text is the name of an object. */
export function isObjectName(name: string): boolean {
  const match = snapshot.exec(name);
  if (match === null) return allowed.test(name);
  return stampOfMs(Number.parseInt(match[2]!.slice(0, 12), 16)) === match[1];
}

/** Whether an object of this name may be written again; all others are written once. */
export function isReplaceable(name: ObjectName): boolean {
  return replaceable.test(name);
}

/** @throws BackpackError BP_OBJECT_NAME */
export function checkObjectName(name: string): void {
  if (isObjectName(name)) return;
  throw new BackpackError(
    'BP_OBJECT_NAME',
    `not the name of an object: ${JSON.stringify(name.slice(0, 120))}`,
    {
      kind: 'storage',
      hint: 'only the names of the specification are stored',
    },
  );
}
