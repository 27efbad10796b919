/**
 * Shapes of the JSON objects and lines of a repository and of the config file, as in /schemas (SPEC, "Types used in
 * JSON"). Unknown keys may be present in every object of a repository; lines are exact.
 */

/** Exact bytes of a name: a string when they are UTF-8 without 00-1F and 7F, else one base64 string in an array. */
export type Name = string | readonly [string];
/** Seconds since 1970 rounded down, a dot, nine digits to add: half a second before 1970 is `-1.500000000`. */
export type Time = string;
/** 16 lower-case hex digits of XXH64, seed 0. */
export type Hash = string;
/** 40 lower-case hex digits: id of a container. */
export type ContainerId = string;

/** Keys of the object that a reader must understand, or refuse it (E_NEED). */
interface Needing {
  readonly need?: readonly string[];
}

/** Feature names; an unknown one in `incompat` means refuse, in `roCompat` read only, in `compat` ignore. */
export interface Features {
  readonly incompat: readonly string[];
  readonly roCompat: readonly string[];
  readonly compat: readonly string[];
}

/** `keys/<keyid>-<8 hex>.json`: the root key under a passphrase. */
export interface WrappedKey extends Needing {
  readonly backpack: 'wrapped-key';
  readonly v: 1;
  readonly keyid: string;
  readonly kdf: 'scrypt';
  readonly N: number;
  readonly r: 8;
  readonly p: number;
  /** 16 bytes, hex. */
  readonly salt: string;
  /** 40 bytes, hex. */
  readonly wrapped: string;
}

/** `backpack.json`: a readable hint, never trusted. */
export interface RepositoryFile extends Needing {
  readonly backpack: 'repository';
  readonly v: 1;
  readonly repo: string;
  readonly features: Features;
  readonly keys: readonly string[];
  readonly made: Time;
  /** XXH64 of all bytes of the file before `,"xxh64"`. */
  readonly xxh64: Hash;
}

/** First line of a page. */
export interface PageHead extends Needing {
  readonly backpack: 'page';
  readonly v: 1;
  /** Packs that the extents of this page name, in order of first use. */
  readonly packs: readonly ContainerId[];
}

/**
 * Where content lies: `[k, record, count, length]` whole records of pack k, `[k, record, 1, length, offset]` a part of
 * one, `[-1, 0, 0, length]` a hole, `[-2, 0, 0, length]` zeros that were allocated.
 */
export type Extent =
  | readonly [pack: number, record: number, count: number, length: number]
  | readonly [pack: number, record: number, count: 1, length: number, offset: number];

/** Entry of a page, or (`t` is `+`) more extents of the file before it. What each type has is in the schema. */
export interface PageEntry extends Needing {
  /** Stored path. */
  readonly p: Name;
  /** `f` `d` `l` `p` `s` `b` `c` `+`, or a later type: report and skip. */
  readonly t: string;
  /** Length, bytes. */
  readonly s?: number;
  /** Modification time. */
  readonly m?: Time;
  /** Change time of the inode. */
  readonly c?: Time;
  /** Mode bits 07777, four octal digits. */
  readonly o?: string;
  readonly u?: number;
  readonly g?: number;
  /** Inode, decimal. */
  readonly in?: string;
  /** Equal for all names of one inode in this snapshot. */
  readonly hl?: string;
  readonly un?: string;
  readonly gn?: string;
  /** Birth time. */
  readonly bt?: Time;
  /** Access time. */
  readonly a?: Time;
  /** Target of a symbolic link. */
  readonly l?: Name;
  /** Device major and minor. */
  readonly rd?: readonly [major: number, minor: number];
  /** Extended attributes: name and base64 value, sorted. */
  readonly xa?: readonly (readonly [Name, string])[];
  /** Letters as `lsattr` prints them. */
  readonly fl?: string;
  /** Ancestor of a root. */
  readonly an?: 1;
  /** What went wrong while reading. */
  readonly w?: readonly string[];
  /** XXH64 of all `s` bytes. */
  readonly x?: Hash;
  /** Number of `+` lines that follow. */
  readonly n?: number;
  readonly e?: readonly Extent[];
}

/** Record 0 of a snap container. */
export interface SnapshotRoot extends Needing {
  readonly backpack: 'snapshot';
  readonly v: 1;
  readonly id: ContainerId;
  /** 1 + the highest seq the writer saw. */
  readonly seq: number;
  readonly time: Time;
  readonly end?: Time;
  readonly host: string;
  readonly user?: string;
  readonly set?: string;
  readonly tags?: readonly string[];
  readonly pinned?: boolean;
  readonly roots: readonly Name[];
  readonly parents: readonly ContainerId[];
  /** Last snapshot seen at the start; null when there was none. */
  readonly prev: ContainerId | null;
  readonly known: readonly ContainerId[];
  readonly replaces?: readonly ContainerId[];
  readonly partial: boolean;
  readonly app?: string;
  readonly features?: Features;
  readonly params: {
    readonly dedup: string;
    readonly chunker: string;
    readonly packSize: number;
    /** Keys of entries, beyond what lstat tells, that the writer could fill. */
    readonly metadata?: readonly string[];
  };
  readonly stats: {
    readonly files: number;
    readonly bytes: number;
    readonly stored: number;
    /** Files and folders that could not be read: the number of E lines. */
    readonly errors?: number;
  };
}

/** Pack that a snapshot needs, and its size. */
export type KLine = readonly ['K', pack: ContainerId, size: number];
/** Page of a snapshot: index of its K line, record, number of lines after the head, first and last path. */
export type GLine = readonly ['G', k: number, record: number, entries: number, first: Name, last: Name];
/** Source error. */
export type ELine = readonly ['E', path: Name, code: string];

/** First line of a table. */
export interface TableHead extends Needing {
  readonly backpack: 'table';
  readonly v: 1;
  readonly records: number;
  /** Offset of the table. */
  readonly end: number;
  /** Names the key behind every `g` of this table. */
  readonly dd?: string;
  readonly app?: string;
}

/** Record: offset, sealed length without tag, plaintext length. */
export type RLine = readonly ['R', offset: number, sealed: number, length: number];
/** File hint: ordinal in the table, path, size, mtime. */
export type FLine = readonly ['F', ordinal: number, path: Name, size: number, mtime: Time];
/** Chunk in the last record: offset, length, XXH64, g and, where known, file ordinal and file offset. */
export type CLine =
  | readonly ['C', offset: number, length: number, hash: Hash, g: string]
  | readonly ['C', offset: number, length: number, hash: Hash, g: string, file: number, fileOffset: number];
/** The next `count` records were records `first`, ... of the old pack. */
export type OLine = readonly ['O', pack: ContainerId, first: number, count: number];

/** First line of an index object. */
export interface IndexHead extends Needing {
  readonly backpack: 'index';
  readonly v: 1;
}

/** Pack of an index object: its size and the `dd` of its table. */
export type PLine = readonly ['P', pack: ContainerId, size: number, dd: string];

/** First line of a mark object. */
export interface MarkHead extends Needing {
  readonly backpack: 'mark';
  readonly v: 1;
  readonly why: 'unreferenced' | 'compacted';
}

/** Object that is about to be deleted. */
export type XLine = readonly ['X', name: string];

/** First line of a drop object. */
export interface DropHead extends Needing {
  readonly backpack: 'drop';
  readonly v: 1;
  readonly time: Time;
  readonly why: string;
}

/** Id of a forgotten snapshot. */
export type SLine = readonly ['S', snapshot: ContainerId];

/** First line of a moved object. */
export interface MovedHead extends Needing {
  readonly backpack: 'moved';
  readonly v: 1;
  readonly from: ContainerId;
  readonly writer: string;
}

/** Records first to first + count - 1 of the old pack are now records newFirst, ... of the new one. */
export type VLine = readonly ['V', first: number, count: number, pack: ContainerId, newFirst: number];

/** A program that runs at a moment of a command. */
export interface CommandHook {
  readonly command: readonly string[];
  /** Seconds. */
  readonly timeout?: number;
  readonly onFailure?: 'abort' | 'warn' | 'ignore';
}

/** Commands by the name of their hook, as `backup.before`. */
export type CommandHooks = Readonly<Record<string, readonly CommandHook[]>>;

/** An extension to load. */
export interface ExtensionConfig {
  readonly module: string;
  readonly options?: Readonly<Record<string, unknown>>;
}

/** A named backup set of the config file. */
export interface ConfigSet {
  readonly paths?: readonly string[];
  readonly exclude?: readonly string[];
  readonly iexclude?: readonly string[];
  readonly excludeFiles?: readonly string[];
  readonly iexcludeFiles?: readonly string[];
  readonly include?: readonly string[];
  readonly iinclude?: readonly string[];
  readonly excludeCaches?: boolean;
  readonly excludeIfPresent?: readonly string[];
  /** Bytes, or text such as `512 MiB`. */
  readonly excludeLargerThan?: number | string;
  readonly excludeNodump?: boolean;
  readonly ignoreFiles?: boolean;
  readonly oneFileSystem?: boolean;
  readonly filesFrom?: readonly string[];
  readonly filesFromNul?: readonly string[];
  readonly skipIfUnchanged?: boolean;
  /** Program and arguments whose output is stored as one file. */
  readonly command?: readonly string[];
  readonly stdinName?: string;
  readonly tags?: readonly string[];
  readonly host?: string;
  readonly repository?: string;
  readonly key?: string;
  readonly keyCommand?: readonly string[];
  readonly hooks?: CommandHooks;
  readonly compression?: 'none' | 'fast' | 'high' | 'lz4';
}

/** `config.json`. Keys that begin with `//` are comments and not named here. */
export interface Config {
  readonly $schema?: string;
  readonly repository?: string;
  readonly key?: string;
  readonly keyCommand?: readonly string[];
  /** Access key file for `tcp://` and `tls://`. */
  readonly accessKey?: string;
  readonly cache?: boolean;
  readonly s3?: {
    readonly endpoint?: string;
    readonly region?: string;
    readonly addressing?: 'path' | 'virtual';
    readonly storageClass?: string;
    readonly encryption?: { readonly algorithm: 'AES256' | 'aws:kms'; readonly kmsKeyId?: string };
    readonly retention?: { readonly mode: 'GOVERNANCE' | 'COMPLIANCE'; readonly days: number };
  };
  readonly compression?: 'none' | 'fast' | 'high' | 'lz4';
  readonly sets?: Readonly<Record<string, ConfigSet>>;
  readonly limits?: {
    readonly threads?: number;
    /** Bytes, or text such as `512 MiB`; so are the rates, per second. */
    readonly memory?: number | string;
    readonly readRate?: number | string;
    readonly writeRate?: number | string;
    readonly uploadRate?: number | string;
    readonly downloadRate?: number | string;
    readonly connections?: number;
    /** Seconds. */
    readonly timeout?: number;
  };
  readonly retention?: Readonly<Record<string, unknown>>;
  readonly hooks?: CommandHooks;
  readonly extensions?: readonly ExtensionConfig[];
}
