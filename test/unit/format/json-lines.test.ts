/** The line rule of all JSON (SPEC, "Types used in JSON"). */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { lineMax } from '../../../src/base/limits.ts';
import { decodeText, letterOf, linesOf, parseLine, skipUnknown } from '../../../src/format/json-lines.ts';
import { codeOf, runs } from '../support.ts';

const parse = (line: string): string => codeOf(() => parseLine(line));

describe('a line', () => {
  it.each([
    ['{"a":1,"a":1}', 'E_JSON'],
    ['{"a":1,"\\u0061":2}', 'E_JSON'],
    ['{"a":{"b":1,"b":2}}', 'E_JSON'],
    ['[[{"b":1,"b":2}]]', 'E_JSON'],
    ['{"__proto__":1,"__proto__":2}', 'E_JSON'],
    ['{"a":1', 'E_JSON'],
    ['{"a":"x', 'E_JSON'],
    ["{'a':1}", 'E_JSON'],
    ['{"a":01}', 'E_JSON'],
    ['{"a":1,}', 'E_JSON'],
    ['', 'E_JSON'],
    ['1', 'E_JSON'],
    ['null', 'E_JSON'],
    ['"text"', 'E_JSON'],
    ['\uFEFF{"a":1}', 'E_JSON'],
    ['{"a":1} {"b":2}', 'E_JSON'],
    ['{"a":"{[:\\":\\\\"}', 'ok'],
    ['{"a":"\\\\","b":":"}', 'ok'],
    ['{"__proto__":{"x":1},"constructor":1,"toString":2}', 'ok'],
    ['{"need":[]}', 'ok'],
    ['{"need":["sparse"]}', 'E_NEED'],
    ['["K",{"need":["not here"]}]', 'ok'],
    ['{"a":{"a":{"a":1}},"b":{"a":1}}', 'ok'],
  ])('%s is %s', (line, code) => {
    expect(parse(line)).toBe(code);
  });

  it('does not let a key reach the prototype of objects', () => {
    const value = parseLine('{"__proto__":{"polluted":1}}') as object;
    expect(Object.keys(value)).toEqual(['__proto__']);
    expect(({} as Record<string, unknown>)['polluted']).toBeUndefined();
  });

  it('is nested at most 16 deep', () => {
    expect(parse('['.repeat(16) + ']'.repeat(16))).toBe('ok');
    expect(parse('['.repeat(17) + ']'.repeat(17))).toBe('E_LIMIT');
    expect(parse('['.repeat(100_000))).toBe('E_LIMIT');
    expect(parse(`["${'['.repeat(50)}"]`)).toBe('ok');
  });

  it('keeps every value that has no duplicate key', () => {
    fc.assert(
      fc.property(fc.json({ maxDepth: 6 }), (text) => {
        const value: unknown = JSON.parse(text);
        fc.pre(typeof value === 'object' && value !== null && !('need' in value));
        expect(parseLine(JSON.stringify(value))).toEqual(value);
      }),
      runs(500),
    );
  });

  it('finds a duplicate key wherever it is', () => {
    const key = fc.string({ minLength: 1, maxLength: 4, unit: 'binary' });
    fc.assert(
      fc.property(fc.uniqueArray(key, { minLength: 1, maxLength: 6 }), fc.nat(), (keys, which) => {
        fc.pre(!keys.includes('need'));
        const again = [...keys, keys[which % keys.length] as string];
        const line = (list: readonly string[]): string =>
          `[{"x":[{${list.map((name) => `${JSON.stringify(name)}:0`).join(',')}}]}]`;
        expect(parse(line(keys))).toBe('ok');
        expect(parse(line(again))).toBe('E_JSON');
      }),
      runs(300),
    );
  });
});

describe('lines', () => {
  it('end with LF, each of them', () => {
    expect([...linesOf('a\nb\n')]).toEqual(['a', 'b']);
    expect([...linesOf('')]).toEqual([]);
    expect([...linesOf('\n\n')]).toEqual(['', '']);
    expect(codeOf(() => [...linesOf('a\nb')])).toBe('E_JSON');
  });

  it('have at most 1 MiB with their LF, counted in bytes', () => {
    expect(codeOf(() => [...linesOf(`${'x'.repeat(lineMax - 1)}\n`)])).toBe('ok');
    expect(codeOf(() => [...linesOf(`${'x'.repeat(lineMax)}\n`)])).toBe('E_LIMIT');
    expect(codeOf(() => [...linesOf(`a\n${'é'.repeat(lineMax / 2)}\n`)])).toBe('E_LIMIT');
    expect(codeOf(() => [...linesOf(`a\n${'é'.repeat(lineMax / 2 - 1)}x\n`)])).toBe('ok');
  });
});

describe('letters', () => {
  it('in lower case may be skipped, others not', () => {
    expect(codeOf(() => skipUnknown('z'))).toBe('ok');
    for (const letter of ['Z', '1', '_', 'É'])
      expect(
        codeOf(() => skipUnknown(letter)),
        letter,
      ).toBe('E_NEED');
    for (const line of [[], [1], [''], [null], [['K']]]) expect(codeOf(() => letterOf(line))).toBe('E_JSON');
  });
});

describe('UTF-8', () => {
  it.each([
    ['c3a9', 'ok'],
    ['ff', 'E_JSON'],
    ['c3', 'E_JSON'],
    ['c080', 'E_JSON'],
    ['eda080', 'E_JSON'],
    ['f4908080', 'E_JSON'],
    ['efbbbf', 'ok'],
  ])('%s is %s', (hex, code) => {
    expect(codeOf(() => decodeText(Buffer.from(hex, 'hex')))).toBe(code);
  });

  it('keeps a byte order mark, which no line begins with', () => {
    expect(decodeText(Buffer.from('efbbbf5b5d', 'hex'))).toBe('\uFEFF[]');
  });
});
