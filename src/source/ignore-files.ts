/**
 * `.backpackignore`: rules for what is in and below the folder that holds the file, written as in gitignore. Deeper
 * files come after those above them. The file belongs to whoever may write to the folder, so it can only leave out what
 * lies below itself, is read with limits, and lines that could take for ever to match are not used.
 */
import ignore, { type Ignore } from 'ignore';
import { type ByteString, byteStringToText } from '../base/bytes.ts';
import { KiB } from '../base/limits.ts';
import { closeSource, openSource, readAt, stampOf } from './read-file.ts';

/** Name of the file. */
export const ignoreFileName: ByteString = '.backpackignore';

const bytesMax: number = 256 * KiB;
const linesMax = 4096;
const lineMax = 4096;
/** Wildcards in one line that stand for any length: matching takes time to this power. */
const starsMax = 6;

/** Tells that a line or a file is not used. */
export type OnIgnored = (path: ByteString, message: string) => void;

/** The rules that are in force in one folder. */
export interface IgnoreScope {
  /** A copy of its own for each folder: it remembers every path it was asked about. */
  readonly rules: Ignore;
  /** Path of the folder from the root of the backup, with `/` at the end; empty for the root. */
  readonly path: string;
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
  const rules = ignore({ ignorecase: false, allowRelativePaths: true });
  if (above !== undefined) rules.add(above.rules);
  if (has) {
    const file = real === '/' ? `/${ignoreFileName}` : `${real}/${ignoreFileName}`;
    const label = `${path}${ignoreFileName}`;
    const lines = linesOf(file, onIgnored);
    rules.add(lines.map((line) => ({ pattern: below(path, line), mark: `${label}: ${line}` })));
  }
  return { rules, path };
}

/** The rule that leaves a name out, for people; undefined to keep it. */
export function ignoredBy({ rules, path }: IgnoreScope, name: string, folder: boolean): string | undefined {
  const { ignored, rule } = rules.test(`${path}${name}${folder ? '/' : ''}`);
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
    .filter((line) => line.trim() !== '' && !line.startsWith('#'));
  const usable = lines.filter((line) => line.length <= lineMax && stars(line) <= starsMax).slice(0, linesMax);
  if (usable.length < lines.length)
    onIgnored(file, `${lines.length - usable.length} of its rules are too long or too many and not used`);
  return usable;
}

function stars(line: string): number {
  return line.match(/\*+/g)?.length ?? 0;
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

/** Path of a folder for {@link ignoreScope}. */
export function scopePath(above: string, name: ByteString): string {
  return `${above}${byteStringToText(name)}/`;
}
