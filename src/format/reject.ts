/** Errors with the reason codes of the specification (SPEC, "Reader's duties"). */
import { BackpackError, type ErrorContext, type ErrorKind } from '../base/errors.ts';

/** Reason codes a reader gives, each with what it says about the input. */
export const reasons: Readonly<Record<string, { readonly kind: ErrorKind; readonly hint: string }>> = {
  E_NAME: { kind: 'damaged', hint: 'the object was renamed or replaced; run backpack check' },
  E_MAGIC: { kind: 'damaged', hint: 'this is not a Backpack container; run backpack check' },
  E_MAJOR: { kind: 'unsupported', hint: 'use a newer Backpack' },
  E_SUITE: { kind: 'unsupported', hint: 'use a newer Backpack' },
  E_KIND: { kind: 'damaged', hint: 'run backpack check' },
  E_FLAG: { kind: 'unsupported', hint: 'use a newer Backpack' },
  E_REPO: { kind: 'key', hint: 'the object belongs to another repository; remove it by hand' },
  E_KEY: { kind: 'key', hint: 'give the key file of this repository with --key FILE' },
  E_COMMIT: { kind: 'damaged', hint: 'the header was changed; run backpack check' },
  E_KEM: { kind: 'damaged', hint: 'run backpack check' },
  E_TRUNC: { kind: 'damaged', hint: 'the object is cut short; run backpack check' },
  E_EXTRA: { kind: 'damaged', hint: 'the object is too long; run backpack check' },
  E_TRAILER: { kind: 'damaged', hint: 'run backpack check' },
  E_TAG: { kind: 'damaged', hint: 'run backpack check --read-data to see what else is damaged' },
  E_TABLE: { kind: 'damaged', hint: 'run backpack check' },
  E_LZ4: { kind: 'damaged', hint: 'run backpack check' },
  E_LIMIT: { kind: 'damaged', hint: 'the input exceeds a limit of the format' },
  E_JSON: { kind: 'damaged', hint: 'run backpack check' },
  E_NEED: { kind: 'unsupported', hint: 'use a newer Backpack' },
  E_ORDER: { kind: 'damaged', hint: 'run backpack check' },
  E_PATH: { kind: 'damaged', hint: 'the path is not allowed in a snapshot; nothing was written for it' },
  E_EXTENT: { kind: 'damaged', hint: 'run backpack check' },
  E_WRITER: { kind: 'damaged', hint: 'a writer names data of another writer; do not trust this snapshot' },
  E_MOVED: { kind: 'damaged', hint: 'run backpack check' },
  E_MISSING: {
    kind: 'damaged',
    hint: 'the storage lost this object; run backpack check to see what it affects',
  },
  E_HASH: { kind: 'damaged', hint: 'run backpack check --read-data' },
  E_ROLLBACK: { kind: 'conflict', hint: 'the storage shows an older state than this machine has seen' },
};

/** An error with a reason code; its kind and next step come from the table. */
export function reject(code: string, message: string, context: ErrorContext = {}): BackpackError {
  const reason = reasons[code];
  return new BackpackError(code, message, {
    kind: reason?.kind ?? 'damaged',
    ...(reason === undefined ? {} : { hint: reason.hint }),
    context,
  });
}
