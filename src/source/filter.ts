/**
 * What a backup leaves out, and why: one question for each entry of a walk, with a state for each folder. It decides by
 * names and by what lstat says; the only files it opens are markers, .backpackignore and, when it is wished, those whose
 * flags it looks at. It never changes what is stored.
 */
import { type ByteString, byteStringToText } from '../base/bytes.ts';
import type { Libc } from '../platform/libc.ts';
import { Filesystems } from './filesystems.ts';
import { type IgnoreScope, ignoredBy, ignoreFileName, ignoreScope, type OnIgnored } from './ignore-files.ts';
import { type Marker, markerIn } from './markers.ts';
import { flagsOrThrow, NodumpFlags } from './nodump.ts';
import type { PatternRule } from './pattern.ts';
import { type RuleState, Rules } from './rules.ts';
import type { SourceStat, Whole } from './source-stat.ts';

/** What is left out; plain data, so that it can be posted to a thread. */
export interface FilterOptions {
  /** The last one that matches decides. */
  readonly rules?: readonly PatternRule[];
  /** Whether .backpackignore is looked at; default yes. */
  readonly ignoreFiles?: boolean;
  readonly markers?: readonly Marker[];
  /** Files with more bytes are left out. */
  readonly largerThan?: number;
  readonly oneFileSystem?: boolean;
  /** Whether files and folders with the flag `d` of chattr are left out. */
  readonly nodump?: boolean;
  /** Files and folders that are never stored (the repository, the key), and why. */
  readonly own?: readonly OwnFile[];
  /** Paths that the user named although they are below another one he named: no rule leaves them out. */
  readonly named?: readonly ByteString[];
}

/** A file that is never stored, known by device and inode wherever a path leads to it. */
export interface OwnFile {
  readonly device: number;
  readonly inode: Whole;
  readonly reason: string;
}

/** What the filter may ask of the platform. */
export interface FilterPorts {
  /** Extensions leave out what no rule does: a reason, or undefined. Without one, nothing is asked. */
  readonly decide?: ((stored: ByteString, stat: SourceStat) => string | undefined) | undefined;
  readonly onIgnored?: OnIgnored;
  /** Another look at mounted filesystems, for tests. */
  readonly filesystems?: Pick<Filesystems, 'madeUp'>;
  /** Other flags of files, for tests. */
  readonly flags?: Pick<Libc, 'flags'>;
}

/** Something is left out. */
export interface Verdict {
  /**
   * `rule`: the user wanted it; `own`: never stored; `mount`: another filesystem, stored as an empty folder.
   */
  readonly why: 'rule' | 'own' | 'mount';
  /** For people. */
  readonly reason: string;
  /** The folder has to be walked all the same: something below it may be included, and then it is stored, too. */
  readonly descend: boolean;
}

/** What a folder hands on to what is in it. Opaque. */
export interface FolderState {
  readonly rules: RuleState;
  readonly scope: IgnoreScope | undefined;
  /** Path for .backpackignore, from the root of the backup. */
  readonly path: string;
  readonly marker: Marker | undefined;
  readonly device: number;
  readonly rootDevice: number;
  /** Only what the user named is stored of what is here: a filesystem that is left out, and why. */
  readonly shut: string | undefined;
}

const noRules: RuleState = { steps: [], decided: -1 };

/** See the file's comment. */
export class Filter {
  readonly #o: FilterOptions;
  readonly #ports: FilterPorts;
  readonly #rules: Rules | undefined;
  readonly #own: ReadonlyMap<Whole, OwnFile>;
  readonly #named: ReadonlySet<ByteString>;
  readonly #filesystems: Pick<Filesystems, 'madeUp'>;
  readonly #markers: readonly Marker[];
  readonly #ignoreFiles: boolean;
  readonly #nodump: NodumpFlags | undefined;
  /** Folders on the way to what was named: they are walked whatever the rules say. */
  readonly #onTheWay: ReadonlySet<ByteString>;

  /** @throws BackpackError BP_NO_FLAGS */
  constructor(options: FilterOptions = {}, ports: FilterPorts = {}) {
    this.#o = options;
    this.#ports = ports;
    const { rules = [], own = [], named = [] } = options;
    this.#rules = rules.length === 0 ? undefined : new Rules(rules);
    this.#own = new Map(own.map((one) => [one.inode, one]));
    this.#named = new Set(named);
    this.#onTheWay = new Set(named.flatMap(foldersAbove));
    this.#filesystems = ports.filesystems ?? new Filesystems();
    this.#markers = options.markers ?? [];
    this.#ignoreFiles = options.ignoreFiles ?? true;
    this.#nodump =
      options.nodump === true
        ? new NodumpFlags(ports.flags ?? flagsOrThrow(), ports.onIgnored ?? (() => {}))
        : undefined;
  }

  /** Whether a root is left out. No rule leaves out what was named; what comes from a list is asked like any other. */
  root(real: ByteString, stat: SourceStat, listed: boolean, stored: ByteString): Verdict | undefined {
    if (!listed) return this.#isOwn(stat);
    return this.decide(this.#aboveListed(real, stat), real, lastName(real), stat, stored);
  }

  /** State of a root that is a folder. @param names what is in it, sorted */
  enterRoot(real: ByteString, stat: SourceStat, names: readonly ByteString[], listed: boolean): FolderState {
    if (listed) return this.enter(this.#aboveListed(real, stat), real, lastName(real), stat, names);
    const { dev } = stat;
    const found = this.#found(real, undefined, '', names);
    return {
      ...found,
      rules: this.#rulesAt(namesOf(real)),
      path: '',
      device: dev,
      rootDevice: dev,
      shut: undefined,
    };
  }

  /** State of a folder in a folder. @param names what is in it, sorted */
  enter(
    above: FolderState,
    real: ByteString,
    name: ByteString,
    stat: SourceStat,
    names: readonly ByteString[],
  ): FolderState {
    if (this.#named.has(real)) return this.enterRoot(real, stat, names, false);
    // Fields one by one: spreading an object takes longer than all else that is done here.
    const text = this.#rules !== undefined || this.#ignoreFiles ? byteStringToText(name) : '';
    const rules =
      this.#rules?.enter(above.rules, text, this.#rules.decide(above.rules, text, true)) ?? noRules;
    const path = this.#ignoreFiles ? `${above.path}${text}/` : '';
    const mount = stat.dev === above.device ? undefined : this.#atMount(above, real, stat);
    const shut = mount?.reason ?? above.shut;
    const { scope, marker } = this.#found(real, above.scope, path, names);
    return { scope, marker, rules, path, device: stat.dev, rootDevice: above.rootDevice, shut };
  }

  /** Whether an entry of a folder is left out; undefined to store it. */
  decide(
    above: FolderState,
    real: ByteString,
    name: ByteString,
    stat: SourceStat,
    stored: ByteString,
  ): Verdict | undefined {
    const own = this.#isOwn(stat);
    if (own !== undefined) return own;
    if (this.#named.size > 0 && this.#named.has(real)) return undefined;
    const folder = stat.type === 'd';
    const rule = this.#byRule(above, real, name, stat);
    if (rule !== undefined) {
      const onTheWay = folder && this.#onTheWay.has(real);
      return onTheWay ? { ...rule, descend: true } : rule;
    }
    const reason = this.#ports.decide?.(stored, stat);
    if (reason !== undefined) return leftOut(reason);
    if (!folder || stat.dev === above.device) return undefined;
    return this.#atMount(above, real, stat);
  }

  #byRule(above: FolderState, real: ByteString, name: ByteString, stat: SourceStat): Verdict | undefined {
    const folder = stat.type === 'd';
    const { marker, scope, shut } = above;
    if (shut !== undefined) return leftOut(shut);
    if (marker !== undefined && name !== marker.name) return leftOut(marker.label);
    const { largerThan } = this.#o;
    if (this.#rules !== undefined || scope !== undefined) {
      const text = byteStringToText(name);
      if (this.#rules !== undefined) {
        const rule = this.#rules.decide(above.rules, text, folder);
        if (this.#rules.excludes(rule)) {
          const descend = folder && this.#rules.mayInclude(this.#rules.enter(above.rules, text, rule));
          return { why: 'rule', reason: this.#rules.label(rule), descend };
        }
      }
      const line = scope === undefined ? undefined : ignoredBy(scope, text, folder);
      if (line !== undefined) return leftOut(line);
    }
    if (largerThan !== undefined && stat.size > largerThan && stat.type === 'f')
      return leftOut('--exclude-larger-than');
    if (this.#nodump?.has(real, stat) === true) return leftOut('--exclude-nodump');
    return undefined;
  }

  #rulesAt(names: readonly ByteString[]): RuleState {
    return this.#rules?.named(names.map(byteStringToText)) ?? noRules;
  }

  /** State of the folder above a path that comes from a list: the patterns are known there, its files are not. */
  #aboveListed(real: ByteString, { dev }: SourceStat): FolderState {
    const rules = this.#rulesAt(namesOf(real).slice(0, -1));
    const nothing = { scope: undefined, marker: undefined, shut: undefined };
    return { ...nothing, rules, path: '', device: dev, rootDevice: dev };
  }

  #atMount(above: FolderState, real: ByteString, stat: SourceStat): Verdict | undefined {
    const descend = this.#onTheWay.has(real);
    if (this.#o.oneFileSystem === true && stat.dev !== above.rootDevice)
      return { why: 'mount', reason: 'it is another filesystem', descend };
    const name = this.#filesystems.madeUp(stat.dev, real);
    if (name === undefined) return undefined;
    return { why: 'mount', reason: `${name} holds no files; name it to store it`, descend };
  }

  #isOwn(stat: SourceStat): Verdict | undefined {
    const found = this.#own.get(stat.ino);
    if (found === undefined || found.device !== stat.dev) return undefined;
    return { why: 'own', reason: found.reason, descend: false };
  }

  /** What the files in a folder say about it. */
  #found(
    real: ByteString,
    above: IgnoreScope | undefined,
    path: string,
    names: readonly ByteString[],
  ): Pick<FolderState, 'scope' | 'marker'> {
    const has = (name: ByteString): boolean => isIn(names, name);
    const scope = this.#ignoreFiles
      ? ignoreScope(real, path, above, has(ignoreFileName), this.#ports.onIgnored ?? (() => {}))
      : undefined;
    const marker = this.#markers.length === 0 ? undefined : markerIn(real, this.#markers, has);
    return { scope, marker };
  }
}

function leftOut(reason: string): Verdict {
  return { why: 'rule', reason, descend: false };
}

function namesOf(path: ByteString): ByteString[] {
  return path.split('/').filter((name) => name !== '');
}

function lastName(path: ByteString): ByteString {
  return path.slice(path.lastIndexOf('/') + 1);
}

function foldersAbove(path: ByteString): ByteString[] {
  const found: ByteString[] = [];
  for (let at = path.lastIndexOf('/'); at > 0; at = path.lastIndexOf('/', at - 1))
    found.push(path.slice(0, at));
  return found;
}

/** Whether a name is in a sorted list. */
function isIn(names: readonly ByteString[], name: ByteString): boolean {
  let from = 0;
  let to = names.length;
  while (from < to) {
    const middle = (from + to) >>> 1;
    if (names[middle]! < name) from = middle + 1;
    else to = middle;
  }
  return names[from] === name;
}
