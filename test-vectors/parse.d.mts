/** { fields, payload } of a vector file. */
export function parseVector(bytes: Uint8Array): {
  readonly fields: ReadonlyMap<string, string>;
  readonly payload: Buffer | undefined;
};
/** The objects of a repository payload: name to bytes. */
export function parseObjects(payload: Uint8Array): Map<string, Buffer>;
/** A payload cut at the numbers of `lengths`. */
export function parseParts(payload: Uint8Array, lengths: string): Buffer[];
