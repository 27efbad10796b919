/** Header and trailer (SPEC, "Container"): every field changed gives the code of its line. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  formatHeader,
  formatHeaderStart,
  formatTrailer,
  noKem,
  parseHeader,
  parseTrailer,
  rootWriter,
} from '../../../src/format/header.ts';
import type { Kind } from '../../../src/format/names.ts';
import { codeOf, header, runs } from '../support.ts';

const text = formatHeader(header).toString('latin1');
const kinds: readonly Kind[] = ['data', 'meta', 'snap', 'indx', 'move', 'mark', 'drop'];
const writer = '00000000000000aa';
const kem = 'ab'.repeat(32);

function changed(from: string, to: string): string {
  expect(text).toContain(from);
  return codeOf(() => parseHeader(Buffer.from(text.replace(from, to), 'latin1')));
}

describe('header', () => {
  it('has the offsets of the specification', () => {
    const offsets = {
      suite: 90,
      kind: 133,
      repo: 143,
      keyid: 181,
      writer: 204,
      id: 228,
      kem: 272,
      flags: 341,
      pad: 356,
      commit: 440,
    };
    expect(text).toHaveLength(512);
    for (const [name, offset] of Object.entries(offsets)) expect(text.indexOf(`\n${name}=`) + 1).toBe(offset);
    expect(formatHeaderStart(header).toString('latin1')).toBe(text.slice(0, 440));
  });

  it('is read as it was written, also from the middle of a larger buffer', () => {
    const wide = Buffer.concat([Buffer.alloc(7, 1), formatHeader(header), Buffer.alloc(9, 2)]);
    expect(parseHeader(wide.subarray(7))).toEqual(header);
  });

  it.each([
    ['BACKPACK-CONTAINER 1', 'BACKPACK-CONTAINER 2', 'E_MAJOR'],
    ['BACKPACK-CONTAINER 1', 'BACKPACK-CONTAINER 0', 'E_MAGIC'],
    ['BACKPACK-CONTAINER', 'BACKPACK_CONTAINER', 'E_MAGIC'],
    ['Encrypted backup data.', 'Encrypted backup date.', 'E_MAGIC'],
    ['suite=1', 'suite=2', 'E_SUITE'],
    ['suite=1', 'swite=1', 'E_SUITE'],
    ['kind=data', 'kind=Data', 'E_KIND'],
    ['kind=data', 'kind=pack', 'E_KIND'],
    ['kind=data', 'kinD=data', 'E_KIND'],
    ['repo=2021', 'repo=202g', 'E_REPO'],
    ['repo=202122232425262728292a', 'repo=202122232425262728292A', 'E_REPO'],
    ['keyid=1b', 'keyid=1B', 'E_KEY'],
    ['writer=00', 'writer=0 ', 'E_FLAG'],
    ['id=019b', 'id=019B', 'E_NAME'],
    ['kem=00', 'kem=0x', 'E_FLAG'],
    ['flags=00000000', 'flags=0000000 ', 'E_FLAG'],
    ['flags=00000000', 'flags=00000002', 'E_FLAG'],
    ['flags=00000000', 'flags=80000000', 'E_FLAG'],
    ['pad=-', 'pad=+', 'E_MAGIC'],
    ['commit=69', 'commit=6X', 'E_COMMIT'],
  ])('%s -> %s is %s', (from, to, code) => {
    expect(changed(from, to)).toBe(code);
  });

  it('checks the grammar of every line before any value', () => {
    const two = text.replace('flags=00000000', 'flags=00000001').replace('commit=69', 'commit=6X');
    expect(codeOf(() => parseHeader(Buffer.from(two, 'latin1')))).toBe('E_COMMIT');
  });

  it('finds every changed byte, or reads a header that differs in that field', () => {
    for (let at = 0; at < 512; at += 1) {
      const bytes = formatHeader(header);
      bytes[at] = (bytes[at] as number) ^ 1;
      let read: unknown;
      if (codeOf(() => (read = parseHeader(bytes))) === 'ok') expect(read).not.toEqual(header);
    }
  });

  it('is never shorter', () => {
    for (const length of [0, 1, 511])
      expect(codeOf(() => parseHeader(formatHeader(header).subarray(0, length)))).toBe('E_TRUNC');
  });

  it('allows only three combinations of writer, kem and flags', () => {
    const valid: string[] = [];
    for (const kind of kinds) {
      for (const w of [rootWriter, writer]) {
        for (const k of [noKem, kem]) {
          for (const flags of ['00000000', '00000001', '00000003']) {
            const bytes = formatHeader({ ...header, kind, writer: w, kem: k, flags });
            const code = codeOf(() => parseHeader(bytes));
            if (code === 'ok')
              valid.push(`${kind} ${w === writer ? 'w' : '-'}${k === kem ? 'k' : '-'}${flags[7]}`);
            else expect(code).toBe('E_FLAG');
          }
        }
      }
    }
    const own = kinds.map((kind) => `${kind} --0`);
    expect(valid.sort()).toEqual([...own, 'data wk1', 'indx w-1', 'meta wk1', 'snap wk1'].sort());
  });
});

describe('trailer', () => {
  const hint = { tableOffset: 700, tableLength: 300, records: 3, xxh64: '4dff150962f67f11' };
  const size = 700 + 300 + 16 + 512;
  const trailer = formatTrailer(header, hint).toString('latin1');
  const read = (bytes: string, objectSize = size): string =>
    codeOf(() => parseTrailer(Buffer.from(bytes, 'latin1'), objectSize));

  it('has 512 bytes at the offsets of the specification', () => {
    expect(trailer).toHaveLength(512);
    for (const [at, start] of [
      [1, 'BACKPACK'],
      [20, 'kind='],
      [243, 'commit='],
      [315, 'table='],
      [351, 'records='],
      [370, 'xxh64='],
      [393, 'pad='],
      [508, 'END\n'],
    ] as const)
      expect(trailer.slice(at).startsWith(start), start).toBe(true);
    expect(parseTrailer(Buffer.from(trailer, 'latin1'), size)).toEqual(hint);
  });

  it('tells a cut object from one with bytes behind it', () => {
    expect(read(trailer, size - 1)).toBe('E_TRUNC');
    expect(read(trailer, size + 1)).toBe('E_EXTRA');
    expect(read(`${trailer.slice(5)}abcde`)).toBe('E_EXTRA');
    expect(read(`${'x'.repeat(40)}${trailer.slice(0, 472)}`)).toBe('E_TRUNC');
    expect(read('x'.repeat(512))).toBe('E_TRUNC');
  });

  it.each([
    ['table=0000000000000700', 'table=000000000000070x', 'E_TRAILER'],
    ['records=0000000003', 'records= 000000003', 'E_TRAILER'],
    ['xxh64=4d', 'xxh64=4D', 'E_TRAILER'],
    ['pad=-', 'pad=_', 'E_TRAILER'],
    ['table=0000000000000700', 'table=0000000000000511', 'E_TRUNC'],
    ['table=0000000000000700', 'table=9999999999999999', 'E_TRUNC'],
    ['table=0000000000000700', 'table=0000000000000699', 'E_EXTRA'],
    ['000000000300\n', '999999999999\n', 'E_TRUNC'],
  ])('%s -> %s is %s', (from, to, code) => {
    expect(trailer).toContain(from);
    expect(read(trailer.replace(from, to))).toBe(code);
  });

  it('needs an object that can hold header, table and trailer', () => {
    for (const objectSize of [0, 512, 1024, 1058]) expect(read(trailer, objectSize)).toBe('E_TRUNC');
  });

  it('never gives numbers that leave the object', () => {
    fc.assert(
      fc.property(fc.nat({ max: 511 }), fc.nat({ max: 255 }), (at, value) => {
        const bytes = Buffer.from(trailer, 'latin1');
        bytes[at] = value;
        try {
          const found = parseTrailer(bytes, size);
          expect(found.tableOffset + found.tableLength + 16 + 512).toBe(size);
          expect(found.tableOffset).toBeGreaterThanOrEqual(512);
        } catch (error) {
          expect((error as { code: string }).code).toMatch(/^E_(TRUNC|EXTRA|TRAILER)$/);
        }
      }),
      runs(500),
    );
  });
});
