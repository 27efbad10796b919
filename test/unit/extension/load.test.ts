/** Loading extensions: only what is named, from where it may be, and what is refused. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, describe, expect, test } from 'vitest';
import { defineExtension, extensionApiVersion } from '../../../src/extension/define.ts';
import { type Extensions, loadExtensions } from '../../../src/extension/load.ts';

const folder = mkdtempSync(join(tmpdir(), 'backpack-extension-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const config = join(folder, 'config.json');
const write = (name: string, text: string): string => {
  writeFileSync(join(folder, name), text);
  return `./${name}`;
};
const load = (...modules: string[]): Promise<Extensions> =>
  loadExtensions(
    modules.map((module) => ({ module, options: { from: module } })),
    config,
  );
const extension = (name: string, setup: string): string =>
  `export default { name: '${name}', apiVersion: 1, setup(api) { ${setup} } };`;

describe('loadExtensions', () => {
  test('loads what is named, in order, and gives each its options', async () => {
    const one = write(
      'one.mjs',
      extension('one', `api.hooks.backup.before.add(() => { throw new Error(api.options.from); });`),
    );
    const two = write(
      'two.mjs',
      extension(
        'two',
        `api.storage.register('box', './box.mjs', { size: 3 }); api.keys.add(() => undefined);`,
      ),
    );
    const { names, hooks, modules, moduleOptions, keyProviders } = await load(one, join(folder, 'two.mjs'));
    expect(two).toBe('./two.mjs');
    expect(names).toEqual(['one', 'two']);
    expect(modules).toEqual({ box: pathToFileURL(join(folder, 'box.mjs')).href });
    expect(moduleOptions).toEqual({ box: { size: 3 } });
    expect(keyProviders.map(({ by }) => by)).toEqual(['two']);
    expect(hooks.moment('backup.after').noop).toBe(true);
    const call = {
      name: 'backup.before',
      operation: 'backup',
      moment: 'before',
      repository: '',
      startedMs: 0,
      elapsedMs: 0,
    } as const;
    await expect(hooks.moment('backup.before').run(call, () => {})).rejects.toThrow(
      'the hook backup.before of one failed: ./one.mjs',
    );
  });

  test('finds packages beside the config file', async () => {
    const home = join(folder, 'node_modules/backpack-box');
    mkdirSync(home, { recursive: true });
    writeFileSync(
      join(home, 'package.json'),
      '{"name":"backpack-box","type":"module","exports":{".":{"default":"./index.js"}}}',
    );
    writeFileSync(join(home, 'index.js'), extension('box', ''));
    expect((await load('backpack-box')).names).toEqual(['box']);
  });

  test.each([
    ['no such file', './absent.mjs', /absent\.mjs cannot be loaded: there is no such file/],
    ['no such package', 'backpack-absent', /backpack-absent was not found/],
    ['a syntax error', write('syntax.mjs', 'export default {'), /cannot be loaded: /],
    ['no default export', write('none.mjs', 'export const a = 1;'), /has no default export/],
    ['something else', write('other.mjs', 'export default 5;'), /needs a name/],
    [
      'a later version',
      write('later.mjs', `export default { name: 'later', apiVersion: 2, setup() {} };`),
      /later was written for version 2/,
    ],
    [
      'a setup that fails',
      write('throws.mjs', extension('throws', `throw new Error('no')`)),
      /throws could not be set up: no/,
    ],
    [
      'a scheme of the program',
      write('tcp.mjs', extension('tcp', `api.storage.register('tcp', './x.mjs')`)),
      /cannot register tcp/,
    ],
    [
      'what is no function',
      write('fn.mjs', extension('fn', 'api.hooks.entry.add(1)')),
      /adds to entry what is not a function/,
    ],
  ])('refuses %s', async (_, module, message) => {
    await expect(load(module)).rejects.toMatchObject({
      code: 'BP_EXTENSION',
      kind: 'config',
      message: expect.stringMatching(message),
    });
  });

  test('refuses one name twice', async () => {
    const same = write('same.mjs', extension('one', ''));
    await expect(load('./one.mjs', same)).rejects.toThrow('two extensions are called one');
  });
});

test('defineExtension gives back what it checked', () => {
  const extension = { name: 'x', apiVersion: extensionApiVersion, setup: (): void => {} };
  expect(defineExtension(extension)).toBe(extension);
});
