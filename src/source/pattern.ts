/**
 * One pattern of --exclude or --include (docs/choosing.md): where it is anchored, and the names it is made of. Patterns
 * match names as text, so a name that is not UTF-8 is matched by its lossy decoding; what is stored is always its bytes.
 */
import picomatch from 'picomatch';
import { BackpackError } from '../base/errors.ts';

/** A pattern as it was given, made absolute or floating: plain data. */
export interface PatternRule {
  /** Begins with `/` when it is anchored; else it matches at any depth. A `/` at the end: folders only. */
  readonly pattern: string;
  readonly include: boolean;
  /** Whether upper and lower case are the same. */
  readonly nocase: boolean;
  /** For people: the option or file and the pattern. */
  readonly label: string;
}

/** What a pattern is relative to. */
export interface PatternPlace {
  /** Working folder, for `./` and `../`. */
  readonly cwd: string;
  /** For `~/`. */
  readonly home: string;
}

/** Matches one name; `any` is every name, `deep` any number of names. */
export type Part =
  | { readonly kind: 'deep' | 'any' }
  | { readonly kind: 'name' | 'suffix' | 'prefix'; readonly text: string }
  | { readonly kind: 'regexp'; readonly regexp: RegExp };

const patternMax = 65_535;
const alternativesMax = 1000;

/**
 * A rule from what the user wrote.
 * @param include whether it is an --include; a pattern of an --exclude that begins with `!` is one, too
 * @throws BackpackError BP_PATTERN
 */
export function patternRule(
  text: string,
  { include, nocase, label }: Omit<PatternRule, 'pattern'>,
  { cwd, home }: PatternPlace,
): PatternRule {
  const negated = text.startsWith('!');
  if (negated && include) throw wrong(label, 'an include cannot begin with !; write \\! for the character');
  const body = negated ? text.slice(1) : text;
  let pattern = body;
  if (/^~(?:\/|$)/.test(body)) pattern = `${escapePattern(home)}${body.slice(1)}`;
  else if (/^\.\.?(?:\/|$)/.test(body)) pattern = `${escapePattern(cwd)}/${body}`;
  const rule = { pattern: clean(pattern, label), include: include || negated, nocase, label };
  compilePattern(rule);
  return rule;
}

/** The alternatives of a rule as names from the top, `deep` first when it floats. @throws BackpackError BP_PATTERN */
export function compilePattern(rule: PatternRule): { parts: readonly Part[]; foldersOnly: boolean }[] {
  const { pattern, nocase, label } = rule;
  return expandBraces(pattern, label).map((one) => {
    const foldersOnly = one.endsWith('/');
    const names = one.split('/').filter((name) => name !== '');
    const parts = names.map((name) => compileName(name, nocase, label));
    if (!one.startsWith('/')) parts.unshift({ kind: 'deep' });
    return {
      parts: parts.filter((part, i) => part.kind !== 'deep' || parts[i - 1]?.kind !== 'deep'),
      foldersOnly,
    };
  });
}

/** Text that as a pattern means itself. */
function escapePattern(text: string): string {
  return text.replace(/[\\*?[\]{},!#]/g, '\\$&');
}

/** Without empty, `.` and `..` parts. */
function clean(pattern: string, label: string): string {
  if (pattern.length > patternMax) throw wrong(label, 'it is too long');
  const parts: string[] = [];
  for (const part of pattern.replaceAll('\\/', '/').split('/')) {
    if (part === '' || part === '.') continue;
    if (part !== '..') parts.push(part);
    else if (!pattern.startsWith('/') || parts.at(-1) === '**') throw wrong(label, '.. has no meaning there');
    else parts.pop();
  }
  if (parts.length === 0) throw wrong(label, 'it names nothing');
  if (parts.length === 1 && parts[0] === '**' && !pattern.startsWith('/')) parts[0] = '*';
  return `${pattern.startsWith('/') ? '/' : ''}${parts.join('/')}${pattern.endsWith('/') ? '/' : ''}`;
}

function compileName(name: string, nocase: boolean, label: string): Part {
  if (name === '**') return { kind: 'deep' };
  if (/^\*+$/.test(name)) return { kind: 'any' };
  const fold = (text: string): string => (nocase ? text.toLowerCase() : text);
  const plain = plainText(name);
  if (plain !== undefined) return { kind: 'name', text: fold(plain) };
  const after = name.startsWith('*') ? plainText(name.slice(1)) : undefined;
  if (after !== undefined) return { kind: 'suffix', text: fold(after) };
  const before = name.endsWith('*') && !/\\\*$/.test(name) ? plainText(name.slice(0, -1)) : undefined;
  if (before !== undefined) return { kind: 'prefix', text: fold(before) };
  const regexp = picomatch.makeRe(protect(name), {
    dot: true,
    nobrace: true,
    noextglob: true,
    nonegate: true,
    posix: true,
    // They want a character after the point of `*.*`, which a shell does not.
    fastpaths: false,
    nocase,
  });
  if (regexp === false || !/[*?[]/.test(name)) throw wrong(label, 'it cannot be understood');
  return { kind: 'regexp', regexp: withoutRetries(regexp) };
}

/** What picomatch makes of `*`. */
const star = '[^/]*?';

/**
 * With three `*` or more, a name that does not match would be tried in every way, and some would take for ever. What is
 * between two `*` may as well match where it first can, for good: nothing that comes later would match less.
 */
function withoutRetries(regexp: RegExp): RegExp {
  const [start = '', ...rest] = regexp.source.split(star);
  const end = rest.pop();
  if (end === undefined || rest.length < 2) return regexp;
  const middle = rest.map((text, i) => `(?=(?<s${i}>${star}${text}))\\k<s${i}>`);
  return new RegExp(start + middle.join('') + star + end, regexp.flags);
}

/** What a name without wildcards stands for; undefined when it has some. */
function plainText(name: string): string | undefined {
  let text = '';
  for (let i = 0; i < name.length; i += 1) {
    const c = name[i]!;
    if (c === '*' || c === '?' || (c === '[' && closes(name, i) > 0)) return undefined;
    if (c === '\\' && i + 1 < name.length) i += 1;
    text += name[i]!;
  }
  return text;
}

/** Characters that mean something to picomatch and nothing here are escaped: `(`, `+`, quotes and the like. */
function protect(name: string): string {
  let text = '';
  for (let i = 0; i < name.length; i += 1) {
    const c = name[i]!;
    const end = c === '[' ? closes(name, i) : 0;
    // Several in a row are one; picomatch would take the point of `***.` for any character.
    if (c === '*' && name[i + 1] === '*') continue;
    if (end > 0) {
      text += name.slice(i, end + 1);
      i = end;
    } else if (c === '\\' && i + 1 < name.length) {
      i += 1;
      text += `\\${name[i]!}`;
    } else text += /[*?\p{L}\p{N}_. -]/u.test(c) || c > '\u007f' ? c : `\\${c}`;
  }
  return text;
}

/** Where the bracket that opens at `from` closes; 0 when it does not. */
function closes(name: string, from: number): number {
  let i = from + 1;
  if (name[i] === '!' || name[i] === '^') i += 1;
  if (name[i] === ']') i += 1;
  for (; i < name.length; i += 1) {
    if (name[i] === '\\') i += 1;
    else if (name.startsWith('[:', i)) i = Math.max(i, name.indexOf(':]', i) + 1);
    else if (name[i] === ']') return i;
  }
  return 0;
}

/** `{a,b}` as one pattern each; a brace without comma or without end is itself. */
function expandBraces(pattern: string, label: string): string[] {
  const done: string[] = [];
  const open = [pattern];
  while (open.length > 0) {
    const text = open.pop()!;
    const found = firstBrace(text);
    if (found === undefined) done.push(text);
    else for (const one of found.choices) open.push(text.slice(0, found.from) + one + text.slice(found.to));
    if (done.length + open.length > alternativesMax) throw wrong(label, 'its braces make too many patterns');
  }
  return done;
}

function firstBrace(text: string): { from: number; to: number; choices: string[] } | undefined {
  for (let from = 0; from < text.length; from += 1) {
    if (text[from] === '\\') from += 1;
    else if (text[from] === '{') {
      const found = choicesAt(text, from);
      if (found !== undefined) return found;
    }
  }
  return undefined;
}

function choicesAt(text: string, from: number): { from: number; to: number; choices: string[] } | undefined {
  const choices: string[] = [];
  let depth = 0;
  let start = from + 1;
  for (let i = from; i < text.length; i += 1) {
    const c = text[i];
    if (c === '\\') i += 1;
    else if (c === '{') depth += 1;
    else if (c === ',' && depth === 1) {
      choices.push(text.slice(start, i));
      start = i + 1;
    } else if (c === '}') {
      depth -= 1;
      if (depth > 0) continue;
      choices.push(text.slice(start, i));
      return choices.length < 2 ? undefined : { from, to: i + 1, choices };
    }
  }
  return undefined;
}

function wrong(label: string, why: string): BackpackError {
  return new BackpackError('BP_PATTERN', `not a pattern: ${label}: ${why}`, {
    kind: 'usage',
    hint: 'docs/choosing.md tells what patterns are',
  });
}
