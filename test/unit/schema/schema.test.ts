import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { describe, expect, it } from 'vitest';
import * as compiled from '../../../src/schema/generated/validators.js';
import * as schema from '../../../src/schema/index.ts';
import { examples } from './examples.ts';

const root = new URL('../../../', import.meta.url);
const folder = new URL('schemas/', root);
const schemas = readdirSync(folder).map((name) => JSON.parse(readFileSync(new URL(name, folder), 'utf8')));
const ajv = new Ajv2020({ strict: true, schemas });

describe('schemas', () => {
  it('are compiled and checked in', () => {
    execFileSync(process.execPath, ['scripts/build-schemas.mjs', '--check'], { cwd: root, stdio: 'pipe' });
  });

  it('compile in strict mode, each with an id after its file', () => {
    for (const name of readdirSync(folder)) {
      const id = `backpack:v1/${name.replace('.schema.json', '')}`;
      expect(ajv.getSchema(id), id).toBeTypeOf('function');
    }
  });

  it('have examples for every compiled validator', () => {
    expect(Object.keys(examples).sort()).toEqual(Object.keys(compiled).sort());
  });

  it('compile to code that imports nothing', () => {
    const code = readFileSync(new URL('src/schema/generated/validators.js', root), 'utf8');
    expect(code).not.toMatch(/\b(?:require|import)\b/);
  });
});

const guards = { ...schema };
const validators = { ...compiled };

describe.each(Object.entries(examples))('%s', (name, { valid, invalid }) => {
  const known = name as schema.SchemaName;
  const guard = guards[`is${name[0]?.toUpperCase()}${name.slice(1)}` as 'isPageEntry'];

  it.each(valid.map((value) => [JSON.stringify(value).slice(0, 60), value]))('accepts %s', (_, value) => {
    expect(guard(value) ? '' : schema.schemaError(known)).toBe('');
    expect(schema.schemaError(known)).toBe('');
  });

  it.each(Object.entries(invalid))('rejects %s', (_, value) => {
    expect(guard(value)).toBe(false);
    expect(schema.schemaError(known)).not.toBe('');
  });

  it.each([[undefined], [null], [0], ['x'], [[]], [{ backpack: 'x' }]])('rejects %j', (value) => {
    expect(guard(value)).toBe(false);
  });
});

describe('schemaError', () => {
  it('says where and what, and not what was there', () => {
    expect(schema.isRLine(['R', 512, 100, 0])).toBe(false);
    expect(schema.schemaError('rLine')).toBe('/3 must be >= 1');
  });

  it('names a key that the config schema does not know', () => {
    expect(schema.isConfig({ limits: { thread: 1 } })).toBe(false);
    expect(schema.unknownConfigKey()).toEqual({ path: '/limits', key: 'thread' });
    expect(schema.isConfig({ limits: { threads: 0 } })).toBe(false);
    expect(schema.unknownConfigKey()).toBeUndefined();
  });
});

describe('schemaCode', () => {
  const id = '0'.repeat(40);
  const file = { p: 'a', t: 'f', s: 1, m: '0.000000000', o: '0644', x: '0'.repeat(16), e: [[0, 0, 1, 1]] };
  const wrapped = { backpack: 'wrapped-key', v: 1, keyid: '0'.repeat(16), kdf: 'scrypt' };
  it.each([
    ['pageEntry', { ...file, e: [[0, 0, 0, 1]] }, 'E_EXTENT'],
    ['pageEntry', { ...file, p: 'a'.repeat(65_536) }, 'E_LIMIT'],
    ['pageEntry', { ...file, p: 'a\n' }, 'E_JSON'],
    ['pageEntry', { ...file, x: undefined }, 'E_JSON'],
    ['pageHead', { backpack: 'page', v: 1, packs: Array(16_385).fill(id) }, 'E_LIMIT'],
    ['pageHead', { backpack: 'page', v: 1, packs: ['x'] }, 'E_JSON'],
    ['rLine', ['R', 512, 100, 16_777_217], 'E_LIMIT'],
    ['rLine', ['R', 511, 100, 1], 'E_TABLE'],
    ['cLine', ['C', 0, 1, 'x', 'y'], 'E_TABLE'],
    ['kLine', ['K', 'x', 1], 'E_JSON'],
    [
      'wrappedKey',
      { ...wrapped, N: 3, r: 8, p: 1, salt: '0'.repeat(32), wrapped: '0'.repeat(80) },
      'E_LIMIT',
    ],
    ['wrappedKey', { ...wrapped, kdf: 'argon2id', N: 32768, r: 8, p: 1, salt: '', wrapped: '' }, 'E_NEED'],
  ] as const)('%s %#: %s', (name, value, code) => {
    expect(validators[name](value)).toBe(false);
    expect(schema.schemaCode(name)).toBe(code);
  });
});

describe('schemas of whole line streams', () => {
  it.each([
    ['snapshot-lines', ['kLine', 'gLine', 'eLine']],
    ['table-lines', ['rLine', 'fLine', 'cLine', 'oLine']],
    ['index-lines', ['indexHead', 'pLine', 'rLine', 'cLine']],
    ['marks', ['markHead', 'xLine']],
    ['drop', ['dropHead', 'sLine']],
    ['moved', ['movedHead', 'vLine']],
  ])('%s takes each of its lines', (name, kinds) => {
    const validate = ajv.getSchema(`backpack:v1/${name}`);
    for (const kind of kinds) {
      for (const value of examples[kind]?.valid ?? []) expect(validate?.(value), `${kind}`).toBe(true);
    }
    expect(validate?.(['Z', 1])).toBe(false);
  });
});
