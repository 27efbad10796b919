/** What the documents tell people to type works: every block marked `sh` is run, in order, in a small world of its own. */
import { cpSync, existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { exitCodes } from '../../src/cli/context.ts';
import { buildProgram } from '../../src/cli/program.ts';
import { ignoredSettings } from '../../src/config/load.ts';
import { type Config, isConfig } from '../../src/schema/index.ts';
import { project, World } from '../cli/support.ts';

// restore-without-backpack.md has tests of its own, with the tools it needs.
const documents = ['README.md', 'CONTRIBUTING.md', 'docs/config.md', 'docs/json.md', 'docs/limits.md'];
const read = (name: string): string => readFileSync(join(project, name), 'utf8');

/** Blocks of a document with this mark. */
function blocks(text: string, mark: string): string[] {
  return [...text.matchAll(new RegExp(`^\`\`\`${mark}\\n([\\s\\S]*?)^\`\`\`$`, 'gm'))].map(
    ([, body]) => body!,
  );
}

let world: World;
beforeEach(() => {
  world = new World();
  for (const name of ['recover', 'schemas', 'SPEC.md'])
    cpSync(join(project, name), join(world.dir, name), { recursive: true });
  symlinkSync(join(project, 'dist'), join(world.dir, 'dist'));
  symlinkSync(join(project, 'node_modules'), join(world.dir, 'node_modules'));
  for (const folder of ['Documents', 'Pictures']) {
    mkdirSync(join(world.home, folder));
    writeFileSync(join(world.home, folder, 'a.txt'), `${folder}\n`);
  }
});
afterEach(() => world.remove());

describe('commands in', () => {
  test.for(documents)('%s', (name, { skip }) => {
    if (name === 'docs/json.md' && world.sh('command -v jq').code !== 0) skip();
    const script = blocks(read(name), 'sh')
      .map((block) => `set -e\n${block}`)
      .join('\n')
      .replaceAll('/mnt/usb', join(world.base, 'usb'));
    const { stdout, stderr, code } = world.sh(script);
    expect({ code, said: code === 0 ? '' : stdout + stderr }).toEqual({ code: 0, said: '' });
  });
});

describe('README.md', () => {
  const text = read('README.md');

  test('what it restores is what it backed up', () => {
    world.sh(`${blocks(text, 'sh').slice(0, 3).join('\n')}`);
    for (const target of ['restored', 'restored-by-node', 'restored-by-shell']) {
      if (target === 'restored-by-shell' && world.sh('command -v lz4 jq xxhsum openssl').code !== 0) continue;
      expect(world.sh(`cmp SPEC.md ${target}/SPEC.md && diff -r recover ${target}/recover`)).toEqual({
        stdout: '',
        stderr: '',
        code: 0,
      });
    }
  });

  test('names every command of the program', () => {
    const program = buildProgram({} as never, '0', () => {});
    const names = program.commands.flatMap((command) =>
      command.commands.length === 0
        ? [command.name()]
        : command.commands.map((c) => `${command.name()} ${c.name()}`),
    );
    const missing = names.filter((name) => !new RegExp(`^\\| \`backpack ${name}\\b`, 'm').test(text));
    expect(missing).toEqual([]);
    const rows = [...text.matchAll(/^\| `backpack ([a-z]+(?: [a-z]+)?)/gm)].map(([, name]) => name!);
    expect(rows.filter((name) => !names.includes(name))).toEqual([]);
  });

  test('has the exit codes of the program', () => {
    const inText = [...text.matchAll(/^\| (\d+)(?:, 143)? \|/gm)].map(([, code]) => Number(code));
    expect(inText).toEqual(Object.values(exitCodes));
  });
});

test.each(['README.md', 'docs/config.md'])(
  'config files in %s are valid, and every setting in them is used',
  (name) => {
    const configs = blocks(read(name), 'json config').map((text) => JSON.parse(text) as Config);
    expect(configs.length).toBeGreaterThan(0);
    for (const config of configs) {
      expect(isConfig(config)).toBe(true);
      for (const set of Object.keys(config.sets ?? {})) expect(ignoredSettings(config, set)).toEqual([]);
    }
  },
);

test('docs/config.md names every setting of the schema', () => {
  const schema = JSON.parse(read('schemas/config.schema.json'));
  const text = read('docs/config.md');
  const top = Object.keys(schema.properties).filter((name) => !['$schema', 'sets', 'limits'].includes(name));
  const limits = Object.keys(schema.properties.limits.properties).map((name) => `limits.${name}`);
  const sets = Object.keys(schema.$defs.set.properties).map((name) => `sets.NAME.${name}`);
  expect([...top, ...limits, ...sets].filter((name) => !text.includes(`\`${name}\``))).toEqual([]);
});

test('links between documents lead somewhere', () => {
  const broken: string[] = [];
  for (const name of [
    ...documents,
    'docs/architecture.md',
    'docs/errors.md',
    'docs/storage.md',
    'CHANGELOG.md',
    'SECURITY.md',
  ]) {
    for (const [, target] of read(name).matchAll(/\]\((?!https?:)([^)\s]+)\)/g)) {
      const [file = '', anchor] = target!.split('#');
      const path = file === '' ? join(project, name) : join(project, name, '..', file);
      if (!existsSync(path)) broken.push(`${name}: ${target}`);
      else if (anchor !== undefined && !anchors(readFileSync(path, 'utf8')).includes(anchor))
        broken.push(`${name}: ${target}`);
    }
  }
  expect(broken).toEqual([]);
});

/** Anchors of the headings of a document, as they are commonly made. */
function anchors(text: string): string[] {
  return [...text.matchAll(/^#+ (.+)$/gm)].map(([, title]) =>
    title!
      .toLowerCase()
      .replace(/[^\p{L}\p{N} _-]/gu, '')
      .replaceAll(' ', '-'),
  );
}
