/** Names as a terminal shows them lead back to the same bytes. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { splitWanted } from '../../../src/cli/commands/ls.ts';
import { spelled, unspelled } from '../../../src/cli/render/names.ts';
import { runs } from '../support.ts';

const bytes = (hex: string): string => Buffer.from(hex, 'hex').toString('latin1');
const utf8 = (text: string): string => Buffer.from(text, 'utf8').toString('latin1');

describe('the spelling of names', () => {
  test('shows what can be shown, and the bytes of the rest', () => {
    const cases: [string, string][] = [
      ['plain name.txt', 'plain name.txt'],
      [utf8('größe \u{1f600}'), 'größe \u{1f600}'],
      [bytes('636166e9'), 'caf\\xe9'],
      [`${utf8('ü')}\xff`, 'ü\\xff'],
      [bytes('eda080'), '\\xed\\xa0\\x80'],
      ['a\nb\x1b[31m\x7f', 'a\\x0ab\\x1b[31m\\x7f'],
      [utf8('\u202egpj.exe'), '\\xe2\\x80\\xaegpj.exe'],
      ['C:\\dir\\file', 'C:\\dir\\file'],
      ['back\\xff', 'back\\x5cxff'],
      ['\\\\x41', '\\\\x5cx41'],
    ];
    for (const [name, text] of cases) {
      expect(spelled(name)).toBe(text);
      expect(unspelled(text)).toBe(name);
    }
  });

  test('leads back, whatever the bytes are; nothing can command the terminal', () => {
    const name = fc.oneof(
      fc.uint8Array({ maxLength: 40 }).map((raw) => Buffer.from(raw).toString('latin1')),
      fc.string({ unit: 'binary' }).map(utf8),
      fc.stringMatching(/^[\\x0-9a-f]{0,12}$/),
    );
    fc.assert(
      fc.property(name, (one) => {
        expect(unspelled(spelled(one))).toBe(one);
        expect(spelled(one)).not.toMatch(/[\p{Cc}\p{Cf}]/u);
      }),
      runs(500),
    );
  });
});

describe('SNAPSHOT[:PATH]', () => {
  test.each([
    ['latest', 'latest', ''],
    ['latest:/etc//x/./y/', 'latest', 'etc/x/y'],
    [':a:b', 'latest', 'a:b'],
    ['latest:caf\\xe9', 'latest', 'caf\xe9'],
    ['@2026-11-01', '@2026-11-01', ''],
    ['@2026-11-01:home', '@2026-11-01', 'home'],
    ['@2026-11-01T18:30:home', '@2026-11-01T18:30', 'home'],
    ['@2026-11-01T18:30:59Z:12', '@2026-11-01T18:30:59Z', '12'],
    ['@2026-11-01T18:home:x', '@2026-11-01T18', 'home:x'],
  ])('%s', (wanted, snapshot, path) => {
    expect(splitWanted(wanted)).toEqual({ snapshot, path });
  });
});
