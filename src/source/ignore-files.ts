/**
 * `.backpackignore`: rules for what is in and below the folder that holds the file, written as in gitignore. Deeper
 * files come after those above them. The file belongs to whoever may write to the folder, so it can only leave out what
 * lies below itself, is read with limits, and lines that could take for ever to match are not used.
 */
import ignore, { type Ignore } from 'ignore';
import type { ByteString } from '../base/bytes.ts';
import { KiB } from '../base/limits.ts';
import { LineEnds } from './line-ends.ts';
import { closeSource, openSource, readAt, stampOf } from './read-file.ts';

/** Name of the file. */
export const ignoreFileName: ByteString = '.backpackignore';

const bytesMax: number = 256 * KiB;
const linesMax = 4096;
const lineMax = 4096;
/** Wildcards in one line that stand for any length: matching takes time to this power of a name's length, or depth. */
const starsMax = 3;
const deepMax = 2;

/** Tells that a line or a file is not used. */
export type OnIgnored = (path: ByteString, message: string) => void;

/** The rules that are in force in one folder. */
export class IgnoreScope {
  /** Path of the folder from the root of the backup, with `/` at the end; empty for the root. */
  readonly path: string;
  readonly ends: LineEnds;
  /** Whether no rule leaves out the folder itself. */
  readonly isClean: boolean;
  readonly #above: IgnoreScope | undefined;
  readonly #own: readonly { readonly pattern: string; readonly mark: string }[];
  /** A copy of its own for each folder: it remembers every path it was asked about. Made when it is needed. */
  #rules: Ignore | undefined;

  /** @param lines of the folder's own file */
  constructor(path: string, above: IgnoreScope | undefined, lines: readonly string[]) {
    this.path = path;
    this.#above = above;
    const label = `${path}${ignoreFileName}`;
    this.#own = lines.map((line) => ({ pattern: below(path, line), mark: `${label}: ${line}` }));
    this.ends = LineEnds.of(lines, above?.ends);
    this.isClean =
      above === undefined || ignoredBy(above, path.slice(above.path.length, -1), true) === undefined;
  }

  get rules(): Ignore {
    if (this.#rules === undefined) {
      this.#rules = ignore({ ignorecase: false, allowRelativePaths: true });
      if (this.#above !== undefined) this.#rules.add(this.#above.rules);
      this.#rules.add(this.#own);
    }
    return this.#rules;
  }
}

/**
 * The rules in force in a folder.
 * @param above those of the folder that it is in
 * @param has whether it holds a file of rules
 */
export function ignoreScope(
  real: ByteString,
  path: string,
  above: IgnoreScope | undefined,
  has: boolean,
  onIgnored: OnIgnored,
): IgnoreScope | undefined {
  if (above === undefined && !has) return undefined;
  const file = real === '/' ? `/${ignoreFileName}` : `${real}/${ignoreFileName}`;
  return new IgnoreScope(path, above, has ? linesOf(file, onIgnored) : []);
}

/** The rule that leaves a name out, for people; undefined to keep it. */
export function ignoredBy(scope: IgnoreScope, name: string, folder: boolean): string | undefined {
  // The library takes 5 microseconds for each path, and most names are like the end of no line.
  if (scope.isClean && !scope.ends.mayMatch(name)) return undefined;
  const { ignored, rule } = scope.rules.test(`${scope.path}${name}${folder ? '/' : ''}`);
  return ignored ? (rule?.mark ?? ignoreFileName) : undefined;
}

/** Lines with rules. What cannot be read is no reason to leave anything out. */
function linesOf(file: ByteString, onIgnored: OnIgnored): string[] {
  let text: string;
  try {
    const fd = openSource(file);
    try {
      const { size } = stampOf(fd, file);
      if (size > bytesMax) {
        onIgnored(file, 'it is longer than 256 KiB; its rules are not used');
        return [];
      }
      const bytes = Buffer.alloc(size);
      text = bytes.toString('utf8', 0, readAt(fd, bytes, 0, size, 0, file));
    } finally {
      closeSource(fd);
    }
  } catch {
    onIgnored(file, 'it cannot be read; its rules are not used');
    return [];
  }
  const lines = text
    .replace(/^\ufeff/, '')
    .split(/\r?\n/)
    .filter((line) => line.trim() !== '' && !line.startsWith('#'))
    .map(oneDeep);
  const usable = lines.filter((line) => line.length <= lineMax && isQuick(line)).slice(0, linesMax);
  if (usable.length < lines.length)
    onIgnored(file, `${lines.length - usable.length} of its rules are too long or too many and not used`);
  return usable;
}

/** Several `**` one after the other mean what one means, and take longer. */
function oneDeep(line: string): string {
  return line.replace(/(^!?|\/)(?:\*\*\/){2,}/g, '$1**/');
}

/** Whether no path takes long to be compared with a line. `**` at the end takes no time. */
function isQuick(line: string): boolean {
  const parts = line.split('/');
  const stars = parts.map((part) => (part === '**' ? 0 : (part.match(/\*+/g)?.length ?? 0)));
  const deep = parts.filter((part, i) => /^!?\*{2,}$/.test(part) && i < parts.length - 1);
  return Math.max(...stars) <= starsMax && deep.length <= deepMax;
}

/** A rule of a folder as a rule of the root: what has no slash but at its end matches at any depth below the folder. */
function below(path: string, line: string): string {
  if (path === '') return line;
  const negative = line.startsWith('!') ? '!' : '';
  const body = line.slice(negative.length).replace(/^\\(?=[!#])/, '');
  const folder = path.replace(/[\\*?[\]]/g, '\\$&');
  const slash = body.indexOf('/');
  const floats = slash < 0 || /^[^/]*\/\s*$/.test(body);
  return `${negative}/${folder}${floats ? '**/' : ''}${slash === 0 ? body.slice(1) : body}`;
}
