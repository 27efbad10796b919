/** Which paths are allowed, and their order (SPEC, "Order and paths"). */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { checkPath, comparePaths, parentOf } from '../../../src/format/path-rules.ts';
import { codeOf, runs } from '../support.ts';

/** Few bytes on both sides of `/`, so that the order is put to the test. */
const component = fc.string({
  unit: fc.constantFrom('a', 'b', '.', '-', '\x01', ' ', '0', '\xff', '~'),
  minLength: 1,
  maxLength: 4,
});
const name = component.filter((text) => text !== '.' && text !== '..');
const path = fc.array(name, { minLength: 1, maxLength: 4 }).map((parts) => parts.join('/'));

describe('order', () => {
  it('is that of the bytes with / replaced by 00', () => {
    fc.assert(
      fc.property(path, path, (a, b) => {
        const key = (text: string): Buffer => Buffer.from(text.replaceAll('/', '\0'), 'latin1');
        expect(Math.sign(comparePaths(a, b))).toBe(Buffer.compare(key(a), key(b)));
      }),
      runs(2000),
    );
  });

  it('is that of a walk: a folder, then its content, names sorted by bytes', () => {
    fc.assert(
      fc.property(fc.array(path, { maxLength: 30 }), (paths) => {
        const all = new Set(
          paths.flatMap((one) => one.split('/').map((_, i, parts) => parts.slice(0, i + 1).join('/'))),
        );
        const walk = (folder: string): string[] => {
          const names = [...all].filter((one) => (parentOf(one) ?? '') === folder);
          return names
            .sort((a, b) => Buffer.compare(Buffer.from(a, 'latin1'), Buffer.from(b, 'latin1')))
            .flatMap((one) => [one, ...walk(one)]);
        };
        expect(walk('')).toEqual([...all].sort(comparePaths));
      }),
      runs(300),
    );
  });

  it('is that of tr and sort for names without 01', () => {
    const list = ['a', 'a-b', 'a/b', 'a.b', 'a/b/c', 'a b', 'ab', 'a\xff', 'A'];
    expect([...list].sort(comparePaths)).toEqual([
      'A',
      'a',
      'a/b',
      'a/b/c',
      'a b',
      'a-b',
      'a.b',
      'ab',
      'a\xff',
    ]);
  });
});

describe('a path', () => {
  it.each(['a', 'a/b', '...', '.a', 'a.', '..a', 'a/..b/c', '-', '\xff', ' ', 'a\\b', '\n'])(
    '%j is allowed',
    (text) => {
      expect(codeOf(() => checkPath(text))).toBe('ok');
    },
  );

  it.each([
    '',
    '/',
    '/a',
    'a/',
    'a//b',
    '.',
    '..',
    './a',
    'a/.',
    'a/./b',
    '../a',
    'a/..',
    'a/../b',
    'a\0',
    '\0',
  ])('%j is E_PATH', (text) => {
    expect(codeOf(() => checkPath(text))).toBe('E_PATH');
  });

  it('has bounds', () => {
    expect(codeOf(() => checkPath('x'.repeat(1024)))).toBe('ok');
    expect(codeOf(() => checkPath('x'.repeat(1025)))).toBe('E_LIMIT');
    expect(codeOf(() => checkPath(`a/${'x'.repeat(1025)}/b`))).toBe('E_LIMIT');
    const long = `${`${'x'.repeat(1023)}/`.repeat(63)}${'y'.repeat(1023)}`;
    expect(long.length).toBe(65_535);
    expect(codeOf(() => checkPath(long))).toBe('ok');
    expect(codeOf(() => checkPath(`${long}z`))).toBe('E_LIMIT');
  });

  it('is allowed exactly when its components are', () => {
    const piece = fc.constantFrom('', '.', '..', 'a', '...', 'b\0', '-');
    fc.assert(
      fc.property(fc.array(piece, { minLength: 1, maxLength: 4 }), (parts) => {
        const good = parts.every(
          (part) => part !== '' && part !== '.' && part !== '..' && !part.includes('\0'),
        );
        expect(codeOf(() => checkPath(parts.join('/'))) === 'ok').toBe(good);
      }),
      runs(500),
    );
  });
});
