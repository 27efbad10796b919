/**
 * Which files a backup chooses, from the options of the command and a set of the config file: the set's come first, so
 * that of two rules that match the one on the command line decides.
 */
import { readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { resolve } from 'node:path';
import { type ByteString, utf8ToByteString } from '../base/bytes.ts';
import { BackpackError, systemReason } from '../base/errors.ts';
import { parseSize } from '../base/sizes.ts';
import { expandHome } from '../config/load.ts';
import type { GivenPath } from '../operations/roots.ts';
import type { ConfigSet } from '../schema/index.ts';
import type { FilterOptions } from '../source/filter.ts';
import { cacheTag, markerOf } from '../source/markers.ts';
import { type PatternPlace, type PatternRule, patternRule } from '../source/pattern.ts';

/** Options with patterns; their order on the command line counts. */
export type RuleOption = 'exclude' | 'iexclude' | 'include' | 'iinclude' | 'exclude-file' | 'iexclude-file';

/** One of them, as it was given. */
export interface RuleArgument {
  readonly option: RuleOption;
  readonly value: string;
}

/** Options of `backup` that choose files. */
export interface ChoosingOptions {
  readonly rules?: readonly RuleArgument[];
  readonly excludeCaches?: boolean;
  readonly excludeIfPresent?: readonly string[];
  readonly excludeLargerThan?: string;
  readonly excludeNodump?: boolean;
  readonly oneFileSystem?: boolean;
  /** False with --no-ignore-files. */
  readonly ignoreFiles?: boolean;
  readonly filesFrom?: readonly string[];
  readonly filesFromNul?: readonly string[];
  readonly stdin?: boolean;
  readonly stdinName?: string;
  /** The paths are a program and its arguments. */
  readonly command?: boolean;
}

/** What is left out. @param where the config file, for messages @throws BackpackError BP_PATTERN, BP_USAGE, BP_LIST */
export function filterOptions(
  options: ChoosingOptions,
  set: ConfigSet | undefined,
  cwd: string,
): Omit<FilterOptions, 'own' | 'named'> {
  const place: PatternPlace = { cwd, home: homedir() };
  const rules = [...rulesOfSet(set, place), ...rulesOf(options.rules ?? [], '--', place)];
  mustHaveEffect(rules);
  const markers = [...(set?.excludeIfPresent ?? []), ...(options.excludeIfPresent ?? [])].map((text) =>
    markerOf(text, `--exclude-if-present ${text}`),
  );
  const size = options.excludeLargerThan ?? set?.excludeLargerThan;
  const caches = options.excludeCaches ?? set?.excludeCaches ?? false;
  return {
    rules,
    markers: caches ? [cacheTag, ...markers] : markers,
    ...(size === undefined ? {} : { largerThan: sizeOf(size) }),
    nodump: options.excludeNodump ?? set?.excludeNodump ?? false,
    oneFileSystem: options.oneFileSystem ?? set?.oneFileSystem ?? false,
    ignoreFiles: options.ignoreFiles !== false && (set?.ignoreFiles ?? true),
  };
}

/**
 * What a restore chooses of a snapshot. Unlike a backup, which must not leave out everything else by accident, one that
 * begins with an include restores nothing else.
 * @param top path in the snapshot that the user named, for patterns that begin with `./`
 */
export function restoreRules(given: readonly RuleArgument[], top: string, cwd: string): PatternRule[] {
  const place: PatternPlace = { cwd: `/${top}`, home: homedir() };
  const rules = rulesOf(given, '--', place, cwd);
  if (rules[0]?.include !== true) return rules;
  return [patternRule('*', { include: false, nocase: false, label: 'nothing else' }, place), ...rules];
}

/** Whether the command line says what to back up, so that no set has to. */
export function namesPaths(
  paths: readonly string[],
  { filesFrom, filesFromNul, stdin }: ChoosingOptions,
): boolean {
  return paths.length > 0 || stdin === true || filesFrom !== undefined || filesFromNul !== undefined;
}

/** Paths of the arguments, or of the set when there are none, and of all lists. @throws BackpackError BP_LIST */
export function* givenPaths(
  paths: readonly string[],
  options: ChoosingOptions,
  set: ConfigSet | undefined,
  cwd: string,
): Generator<GivenPath> {
  const lists = [
    ...(options.filesFrom ?? []).map((file) => ({ file, separator: '\n' })),
    ...(options.filesFromNul ?? []).map((file) => ({ file, separator: '\0' })),
  ];
  const fromSet = !namesPaths(paths, options);
  if (fromSet) {
    lists.push(...(set?.filesFrom ?? []).map((file) => ({ file: expandHome(file), separator: '\n' })));
    lists.push(...(set?.filesFromNul ?? []).map((file) => ({ file: expandHome(file), separator: '\0' })));
  }
  for (const path of fromSet ? (set?.paths ?? []).map(expandHome) : paths)
    yield { path: utf8ToByteString(path), listed: false };
  for (const { file, separator } of lists) {
    for (const path of readList(file, cwd).split(separator)) if (path !== '') yield { path, listed: true };
  }
}

function rulesOfSet(set: ConfigSet | undefined, place: PatternPlace): PatternRule[] {
  if (set === undefined) return [];
  const { exclude, iexclude, excludeFiles, iexcludeFiles, include, iinclude } = set;
  const given: RuleArgument[] = [];
  const add = (option: RuleOption, values: readonly string[] | undefined): void => {
    for (const value of values ?? []) given.push({ option, value });
  };
  add('exclude', exclude);
  add('iexclude', iexclude);
  add('exclude-file', excludeFiles?.map(expandHome));
  add('iexclude-file', iexcludeFiles?.map(expandHome));
  add('include', include);
  add('iinclude', iinclude);
  return rulesOf(given, 'config ', place);
}

/** @param cwd working folder, where files of patterns are looked for */
function rulesOf(
  given: readonly RuleArgument[],
  prefix: string,
  place: PatternPlace,
  cwd: string = place.cwd,
): PatternRule[] {
  return given.flatMap(({ option, value }) => {
    const nocase = option.startsWith('i') && option !== 'include';
    if (option.endsWith('-file')) return rulesOfFile(value, nocase, place, cwd);
    const label = `${prefix}${option} ${value}`;
    return [patternRule(value, { include: option.endsWith('include'), nocase, label }, place)];
  });
}

/** A pattern on each line; empty ones and those that begin with # are passed over. */
function rulesOfFile(file: string, nocase: boolean, place: PatternPlace, cwd: string): PatternRule[] {
  const text = Buffer.from(readList(file, cwd), 'latin1')
    .toString('utf8')
    .replace(/^\ufeff/, '');
  return text.split(/\r?\n/).flatMap((line, i) => {
    const pattern = line.replace(/(?<!\\)[ \t]+$/, '');
    if (pattern === '' || pattern.startsWith('#')) return [];
    return [patternRule(pattern, { include: false, nocase, label: `${file}:${i + 1}: ${pattern}` }, place)];
  });
}

/** An include brings back what a rule before it left out: without one it would do nothing, which nobody means. */
function mustHaveEffect(rules: readonly PatternRule[]): void {
  const first = rules[0];
  if (first?.include !== true) return;
  throw new BackpackError('BP_USAGE', `nothing is excluded before: ${first.label}`, {
    kind: 'usage',
    hint: "to store some files only, give --exclude '*' first",
  });
}

function readList(file: string, cwd: string): ByteString {
  try {
    return readFileSync(file === '-' ? 0 : resolve(cwd, file), 'latin1');
  } catch (error) {
    throw new BackpackError('BP_LIST', `cannot read the list ${file}: ${systemReason(error)}`, {
      kind: 'usage',
      cause: error,
      hint: 'give the path of a file, or - for standard input; nothing was stored',
    });
  }
}

function sizeOf(value: string | number): number {
  const size = typeof value === 'number' ? value : parseSize(value);
  if (size !== undefined) return size;
  throw new BackpackError('BP_USAGE', `not a size: ${value}`, {
    kind: 'usage',
    hint: 'give a number of bytes, or a size such as 500M or 1.5 GiB',
  });
}
