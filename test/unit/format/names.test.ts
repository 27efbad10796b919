/** Names of files in JSON, and names and ids of objects (SPEC, "Types used in JSON" and "Names"). */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  byteStringToText,
  fromByteString,
  toByteString,
  toFsPath,
  utf8ToByteString,
} from '../../../src/base/bytes.ts';
import { type NameJson, nameFromJson, nameToJson } from '../../../src/format/name-json.ts';
import {
  indexName,
  makeId,
  packName,
  parseContainerName,
  shortId,
  snapshotName,
  stampOf,
  timeOfId,
} from '../../../src/format/names.ts';
import { isObjectName } from '../../../src/storage/object-name.ts';
import { codeOf, runs } from '../support.ts';

const bytesOf = (value: NameJson): string => fromByteString(nameFromJson(value)).toString('hex');

describe('names in JSON', () => {
  it.each([
    ['plain', '"plain"'],
    ['a "quote" \\ and ü', '"a \\"quote\\" \\\\ and ü"'],
    ['line\nfeed', '["bGluZQpmZWVk"]'],
    ['\x7f', '["fw=="]'],
    ['\u2028', '"\u2028"'],
    ['', '""'],
  ])('%j', (text, json) => {
    expect(nameToJson(utf8ToByteString(text))).toBe(json);
    expect(byteStringToText(nameFromJson(JSON.parse(json) as NameJson))).toBe(text);
  });

  it('use base64 for what is not UTF-8', () => {
    expect(nameToJson(toByteString(Buffer.from('636166e9', 'hex')))).toBe('["Y2Fm6Q=="]');
    expect(nameToJson(toByteString(Buffer.from('eda080', 'hex')))).toBe('["7aCA"]');
    expect(nameToJson(toByteString(Buffer.from('c080', 'hex')))).toBe('["wIA="]');
  });

  it('are taken from either form', () => {
    expect(bytesOf(['YWJj'])).toBe('616263');
    expect(bytesOf('abc')).toBe('616263');
  });

  it.each(['Y2Fm6Q=', 'Y2Fm6Q', 'Y2Fm6R==', ' Y2Fm6Q==', 'Y2Fm6Q==\n', 'Y2Fm6-==', 'Y2F', '=', 'Y'])(
    'refuse base64 %j',
    (text) => {
      expect(codeOf(() => nameFromJson([text]))).toBe('E_JSON');
    },
  );

  it.each(['a\nb', '\x00', '\x1f', '\x7f', '\ud800', 'a\udc00', '\udc00\ud800'])(
    'refuse the string %j',
    (text) => {
      expect(codeOf(() => nameFromJson(text))).toBe('E_JSON');
    },
  );

  it('of any bytes come back, in one line, in their only form', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.uint8Array({ maxLength: 40 }),
          fc.string({ unit: 'binary' }).map((s) => Buffer.from(s)),
        ),
        (bytes) => {
          const name = toByteString(bytes);
          const json = nameToJson(name);
          expect(json).not.toContain('\n');
          expect(nameFromJson(JSON.parse(json) as NameJson)).toBe(name);
          const path = toFsPath(name);
          expect(Buffer.from(path as string)).toEqual(Buffer.from(bytes));
        },
      ),
      runs(500),
    );
  });
});

describe('ids', () => {
  const clock = { now: () => Date.UTC(2026, 0, 1, 23, 59, 59, 999) };
  const id = makeId(clock, { bytes: (n) => Buffer.alloc(n, 0xab) });

  it('hold the time and 14 random bytes', () => {
    expect(id).toMatch(/^[0-9a-f]{12}(ab){14}$/);
    expect(timeOfId(id)).toBe(clock.now());
    expect(stampOf(id)).toBe('20260101T235959Z');
    expect(shortId(id)).toBe('abababab');
  });

  it('name objects that storages accept, and are read back from them', () => {
    for (const name of [packName(id), snapshotName(id), indexName(id), `gc/${id}.bpk`, `drop/${id}.bpk`]) {
      expect(isObjectName(name), name).toBe(true);
      expect(parseContainerName(name)?.id).toBe(id);
    }
    expect(parseContainerName(`moved/${'0'.repeat(40)}-${id}.bpk`)).toEqual({
      id,
      kinds: ['move'],
      from: '0'.repeat(40),
    });
  });

  it.each([
    `packs/00000/${id}.bpk`,
    `packs/${id}.bpk`,
    `${packName(id)}x`,
    packName(id).toUpperCase(),
    snapshotName(id).replace('235959', '235958'),
    `snapshots/${id}.bpk`,
    `snapshots/0000-${id}.bpk`,
    `index/${id.slice(1)}.bpk`,
    'README.txt',
    `keys/1b6d5acd6262e111-00000000.json`,
    `constructor/${id}.bpk`,
    `__proto__/${id}.bpk`,
    '',
    '/',
  ])('%s is not the name of a container', (name) => {
    expect(parseContainerName(name)).toBeUndefined();
  });

  it('beyond the year 9999 have no stamp', () => {
    expect(stampOf(`ffffffffffff${'0'.repeat(28)}`)).toBe('');
    expect(parseContainerName(`snapshots/-ffffffffffff${'0'.repeat(28)}.bpk`)).toBeUndefined();
  });
});
