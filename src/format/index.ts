/** Pure readers of the on-disk format, for tools: no I/O, no keys. See SPEC.md. */
export { type Entry, EntryStream } from './entry-stream.ts';
export { type Extent, hole, zeros } from './extents.ts';
export { formatHeader, type Header, parseHeader, parseTrailer, type TrailerHint } from './header.ts';
export { formatKeyFile, type KeyFile, parseKeyFile } from './key-file.ts';
export { type NameJson, nameFromJson, nameToJson } from './name-json.ts';
export { type ContainerName, type Kind, parseContainerName, stampOf, timeOfId } from './names.ts';
export { checkPath, comparePaths } from './path-rules.ts';
export { reasons, reject } from './reject.ts';
export {
  type PackRef,
  type PageRef,
  parseRoot,
  parseSnapshot,
  type Snapshot,
  type SourceErrorLine,
} from './snapshot.ts';
export { type ChunkLine, type PackTable, parseTable, type TableContext } from './table.ts';
export { formatTime, parseTime } from './time.ts';
