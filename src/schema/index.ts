/**
 * Doors to the validators that scripts/build-schemas.mjs compiles from /schemas (SPEC, "Types used in JSON").
 * They look at one parsed value and change nothing. Duplicate keys, `need`, `v` above 1, line lengths, nesting, byte
 * lengths, path components and rules between lines are the business of format/.
 */
import * as validators from './generated/validators.js';
import type {
  CLine,
  Config,
  DropHead,
  ELine,
  FLine,
  GLine,
  IndexHead,
  KLine,
  MarkHead,
  MovedHead,
  OLine,
  PageEntry,
  PageHead,
  PLine,
  RepositoryFile,
  RLine,
  SLine,
  SnapshotRoot,
  TableHead,
  VLine,
  WrappedKey,
  XLine,
} from './types.ts';

export type * from './types.ts';

/** Names of the compiled schemas, for {@link schemaError}. */
export type SchemaName = keyof typeof validators;

const compiled = { ...validators };

/**
 * The rule that the last call of a validator found broken, as `/e/0/2 must be >= 1`; empty when that call passed.
 * Never quotes the value, because values may be secret.
 */
export function schemaError(name: SchemaName): string {
  const failure = compiled[name].errors?.[0];
  return failure === undefined ? '' : `${failure.instancePath} ${failure.message}`.trim();
}

const tableNames: readonly SchemaName[] = ['tableHead', 'rLine', 'fLine', 'cLine', 'oLine'];

/**
 * Reason code (SPEC, "Reason codes") for the rule that the last call of a validator found broken. The caller has
 * looked at `v`, `need` and unknown letters before, because those are E_NEED.
 */
export function schemaCode(name: SchemaName): 'E_JSON' | 'E_TABLE' | 'E_EXTENT' | 'E_LIMIT' | 'E_NEED' {
  const failure = compiled[name].errors?.[0];
  const at = failure?.instancePath ?? '';
  const limit =
    failure?.keyword === 'maximum' || failure?.keyword === 'maxLength' || failure?.keyword === 'maxItems';
  if (name === 'wrappedKey') return at === '/kdf' ? 'E_NEED' : /^\/[Nrp]$/.test(at) ? 'E_LIMIT' : 'E_JSON';
  if (name === 'pageEntry' && at.startsWith('/e')) return 'E_EXTENT';
  if (name === 'pageEntry' && limit && /^\/[pl]\b/.test(at)) return 'E_LIMIT';
  if (name === 'pageHead' && limit && at === '/packs') return 'E_LIMIT';
  if (name === 'rLine' && limit && (at === '/2' || at === '/3')) return 'E_LIMIT';
  return tableNames.includes(name) ? 'E_TABLE' : 'E_JSON';
}

/** A key that the config schema does not know, and where it is; undefined when the last failure was another one. */
export function unknownConfigKey(): { readonly path: string; readonly key: string } | undefined {
  const failure = validators.config.errors?.[0];
  const key = failure?.params['additionalProperty'];
  return failure !== undefined && typeof key === 'string' ? { path: failure.instancePath, key } : undefined;
}

/** True for keys/*.json. */
export function isWrappedKey(value: unknown): value is WrappedKey {
  return validators.wrappedKey(value);
}

/** True for backpack.json. */
export function isRepositoryFile(value: unknown): value is RepositoryFile {
  return validators.repositoryFile(value);
}

/** True for the first line of a page. */
export function isPageHead(value: unknown): value is PageHead {
  return validators.pageHead(value);
}

/** True for an entry or continuation of a page. */
export function isPageEntry(value: unknown): value is PageEntry {
  return validators.pageEntry(value);
}

/** True for record 0 of a snapshot. */
export function isSnapshotRoot(value: unknown): value is SnapshotRoot {
  return validators.snapshotRoot(value);
}

/** True for a K line of a snapshot. */
export function isKLine(value: unknown): value is KLine {
  return validators.kLine(value);
}

/** True for a G line of a snapshot. */
export function isGLine(value: unknown): value is GLine {
  return validators.gLine(value);
}

/** True for an E line of a snapshot. */
export function isELine(value: unknown): value is ELine {
  return validators.eLine(value);
}

/** True for the first line of a table. */
export function isTableHead(value: unknown): value is TableHead {
  return validators.tableHead(value);
}

/** True for an R line of a table or an index. */
export function isRLine(value: unknown): value is RLine {
  return validators.rLine(value);
}

/** True for an F line of a table. */
export function isFLine(value: unknown): value is FLine {
  return validators.fLine(value);
}

/** True for a C line of a table or an index. */
export function isCLine(value: unknown): value is CLine {
  return validators.cLine(value);
}

/** True for an O line of a table. */
export function isOLine(value: unknown): value is OLine {
  return validators.oLine(value);
}

/** True for the first line of an index. */
export function isIndexHead(value: unknown): value is IndexHead {
  return validators.indexHead(value);
}

/** True for a P line of an index. */
export function isPLine(value: unknown): value is PLine {
  return validators.pLine(value);
}

/** True for the first line of a mark. */
export function isMarkHead(value: unknown): value is MarkHead {
  return validators.markHead(value);
}

/** True for an X line of a mark. */
export function isXLine(value: unknown): value is XLine {
  return validators.xLine(value);
}

/** True for the first line of a drop. */
export function isDropHead(value: unknown): value is DropHead {
  return validators.dropHead(value);
}

/** True for an S line of a drop. */
export function isSLine(value: unknown): value is SLine {
  return validators.sLine(value);
}

/** True for the first line of a moved object. */
export function isMovedHead(value: unknown): value is MovedHead {
  return validators.movedHead(value);
}

/** True for a V line of a moved object. */
export function isVLine(value: unknown): value is VLine {
  return validators.vLine(value);
}

/** True for config.json. */
export function isConfig(value: unknown): value is Config {
  return validators.config(value);
}
