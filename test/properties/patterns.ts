/** Random patterns, and a slow judge of them: a translation to regular expressions over whole paths. */
import fc from 'fast-check';

/** A rule as a user gives it. */
export interface GivenRule {
  readonly pattern: string;
  readonly include: boolean;
  readonly nocase: boolean;
}

const name = fc.constantFrom(
  'a',
  'b',
  'ab',
  '*',
  '?',
  'a*',
  '*b',
  '.?',
  '[ab]',
  '[!a]',
  '*.*',
  '**',
  '{a,B}',
  '**a',
);
const pattern = fc
  .tuple(
    fc.constantFrom('', '/', './'),
    fc.array(name, { minLength: 1, maxLength: 4 }),
    fc.constantFrom('', '', '/'),
  )
  .map(([start, parts, end]) => start + parts.join('/') + end);

/** Any of them; names are those that the trees of these tests are made of. */
export const anyRule: fc.Arbitrary<GivenRule> = fc.record({
  pattern,
  include: fc.boolean(),
  nocase: fc.boolean(),
});

/** The pattern as a regular expression over a whole path with `/` at the end. */
function slow(text: string, nocase: boolean, root: string): { regexp: RegExp; foldersOnly: boolean } {
  const anchored = text.startsWith('/') || text.startsWith('./');
  const parts = text
    .replace(/^\.?\//, '')
    .split('/')
    .filter((part) => part !== '');
  const source = parts
    .map((part, i) => {
      if (part === '**') return i === parts.length - 1 ? '[^/]+(?:/[^/]+)*/' : '(?:[^/]+/)*';
      const one = part
        .replace(/[.]/g, '\\.')
        .replace(/\[!/g, '[^/')
        .replace(/\*+/g, '[^/]*')
        .replace(/\?/g, '[^/]')
        .replace(/\{(.),(.)\}/g, '(?:$1|$2)');
      return `(?=[^/])${one}/`;
    })
    .join('');
  const start = anchored ? `${root}/` : '/(?:[^/]+/)*';
  const regexp = new RegExp(`^${start}${source}$`, nocase ? 'i' : '');
  return { regexp, foldersOnly: text.endsWith('/') };
}

/**
 * Whether the last rule that matches a path or a folder above it wants it.
 * @param root where the tree lies, for patterns that are anchored
 * @param named names of a path that nothing at or above the named one decides about
 */
export function judge(
  given: readonly GivenRule[],
  root: string,
  named = 0,
): (path: string, folder: boolean) => boolean {
  const judges = given.map(({ pattern: text, nocase, include }) => ({
    ...slow(text, nocase, root),
    include,
  }));
  return (path, folder) => {
    const parts = path.split('/');
    const verdict = judges.findLast(({ regexp, foldersOnly }) =>
      parts.some((_, i) => {
        const isFolder = i < parts.length - 1 || folder;
        if (i < named || (foldersOnly && !isFolder)) return false;
        return regexp.test(`${root}/${parts.slice(0, i + 1).join('/')}/`);
      }),
    );
    return verdict?.include ?? true;
  };
}

/** Paths and the folders that lead to them, sorted. */
export function withFolders(paths: readonly string[]): string[] {
  const all = new Set<string>();
  for (const path of paths)
    for (let up = path; up !== ''; up = up.slice(0, Math.max(0, up.lastIndexOf('/')))) all.add(up);
  return [...all].sort();
}
