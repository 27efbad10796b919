/** Every line that a command prints with --json is as schemas/events.schema.json and docs/json.md say. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Ajv2020 } from 'ajv/dist/2020.js';
import type { Command } from 'commander';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { buildProgram } from '../../src/cli/program.ts';
import { project, World } from './support.ts';

type Line = { readonly type: string; readonly [key: string]: unknown };

const folder = join(project, 'schemas');
const schemas = readdirSync(folder).map((name) => JSON.parse(readFileSync(join(folder, name), 'utf8')));
const validate = new Ajv2020({ strict: true, schemas }).getSchema('backpack:v1/events')!;

let world: World;
const seen: Line[] = [];
const ran = new Set<string>();

/** Runs a command with --json and checks each line, and that there is nothing else. */
function run(command: string, code = 0): Line[] {
  const { stdout, stderr, code: actual } = world.sh(`backpack ${command} --json`);
  expect({ command, code: actual, stderr }).toEqual({ command, code, stderr: '' });
  expect(stdout.endsWith('\n')).toBe(true);
  const lines = stdout
    .slice(0, -1)
    .split('\n')
    .map((line) => JSON.parse(line) as Line);
  for (const line of lines) {
    expect({ line, errors: validate(line) === true ? null : validate.errors }).toEqual({
      line,
      errors: null,
    });
  }
  const last = lines.at(-1)!;
  expect(['summary', 'error']).toContain(last.type);
  if (last['exitCode'] !== undefined) expect(last['exitCode']).toBe(code);
  expect(lines.slice(0, -1).filter(({ type }) => type === 'summary' || type === 'error')).toEqual([]);
  if (last.type === 'summary') ran.add(last['command'] as string);
  seen.push(...lines);
  // How many of these there are depends on how fast the machine is.
  return lines.filter(({ type }) => type !== 'status');
}

beforeAll(() => {
  world = new World();
  world.sh('mkdir -p src/deep && echo one > src/one && ln -s one src/link && mkfifo src/deep/pipe');
  world.sh('printf x > "src/$(printf \'caf\\351\')"');
  world.sh('head -c 300000 /dev/urandom > src/big && truncate -s 20M src/sparse');
});
afterAll(() => world.remove());

describe('lines of --json', () => {
  test('init', () => {
    run('init repo');
    run('init repo', 11);
  });

  test('backup', () => {
    expect(run('backup src')[0]).toMatchObject({ type: 'warning', code: 'BP_FIRST_RUN' });
    const [summary] = run('backup src --repo repo --tag a');
    expect(summary).toMatchObject({ command: 'backup', files: 4, filesNew: 4, sourceErrors: 0 });
    expect(run('backup . --repo repo').map(({ code }) => code)).toContain('BP_SKIPPED');
    const chosen = run('backup src --repo repo --exclude big --verbose');
    expect(chosen[0]).toEqual({ type: 'excluded', path: 'src/big', rule: '--exclude big' });
    expect(chosen.at(-1)).toMatchObject({ files: 3, excluded: 1, unchanged: false });
    const dry = run('backup src --repo repo --dry-run --host other');
    expect(dry).toContainEqual({
      type: 'would-store',
      path: 'src/big',
      kind: 'f',
      change: 'new',
      bytes: 300_000,
    });
    expect(dry.at(-1)).toMatchObject({ dryRun: true, snapshotId: null, filesNew: 4, stored: 0 });
    run('backup missing', 1);
    run('backup', 2);
    run('backup src --repo absent', 10);
  });

  test('a long backup tells its progress', () => {
    world.sh('mkdir long && head -c 200000000 /dev/urandom > long/file');
    const before = world.env['BACKPACK_THREADS'];
    world.env['BACKPACK_THREADS'] = '1';
    const from = seen.length;
    const [summary] = run('backup long --repo repo');
    const status = seen.slice(from).filter(({ type }) => type === 'status');
    if (before === undefined) delete world.env['BACKPACK_THREADS'];
    // A fast machine is done before the first second is over.
    if ((summary!['elapsedMs'] as number) > 1500) expect(status.length).toBeGreaterThan(0);
    expect(status.map(({ seq }) => seq)).toEqual(status.map((_, i) => i + 1));
  });

  test('list', () => {
    const lines = run('list --repo repo');
    expect(lines.at(-1)).toMatchObject({ snapshots: lines.length - 1 });
    run('list --repo absent', 10);
  });

  test('ls', () => {
    const entries = run('ls latest:src');
    expect(entries.map(({ path }) => path)).toContainEqual(['c3JjL2NhZuk=']);
    expect(new Set(entries.map(({ kind }) => kind))).toEqual(new Set(['d', 'f', 'l', 'p', undefined]));
    run('ls nothing', 1);
  });

  test('restore', () => {
    expect(run('restore latest --to out')[0]).toMatchObject({ type: 'summary', skipped: 0 });
    const actions = run('restore latest --to out --dry-run').map(({ action }) => action);
    expect(new Set(actions)).toEqual(new Set(['keep', undefined]));
    world.sh('for file in out/src/*; do test -f "$file" && echo changed > "$file"; done');
    expect(run('restore latest --to out', 3).map(({ code }) => code)).toContain('BP_TARGET_EXISTS');
    run('restore latest', 2);
  });

  test('check', () => {
    expect(run('check --repo repo')[0]).toMatchObject({ type: 'summary', damaged: 0, records: 0 });
    run('check --repo repo --read-data');
    run('check --repo repo --read-data none', 2);
  });

  test('config show', () => {
    expect(run('config show --origin')).toContainEqual(
      expect.objectContaining({ type: 'config', key: 'repository', origin: 'default' }),
    );
    run('config show --config absent.json', 2);
  });

  test('what the command line does not understand', () => {
    for (const command of ['', 'frobnicate', 'list --frobnicate', 'ls', 'list one']) {
      const { stdout, code } = world.sh(`backpack ${command} --json`);
      expect([command, code]).toEqual([command, 2]);
      const line = JSON.parse(stdout) as Line;
      expect(validate(line)).toBe(true);
      expect(line).toMatchObject({ type: 'error', code: 'BP_USAGE', exitCode: 2 });
    }
  });

  test('damage', () => {
    world.sh(
      'mkdir hurt && head -c 400000 /dev/urandom > hurt/file && backpack init r2 && backpack backup hurt -r r2',
    );
    world.sh('printf X | dd of="$(find r2/packs -size +390k)" bs=1 seek=100000 conv=notrunc');
    expect(run('restore latest --repo r2 --to out2', 4)[0]).toMatchObject({ type: 'damage', code: 'E_TAG' });
    expect(run('check --repo r2 --read-data', 4)[0]).toMatchObject({ type: 'damage', paths: ['hurt/file'] });
    world.sh('for f in r2/snapshots/*; do printf X | dd of="$f" bs=1 seek=600 conv=notrunc; done');
    const listed = run('list --repo r2', 4);
    const copy = expect.stringMatching(/^packs\//);
    expect(listed[0]).toMatchObject({ type: 'snapshot', copy });
    expect(listed[1]).toMatchObject({ copy, type: 'damage' });
  });

  test('a file that cannot be read', ({ skip }) => {
    world.sh('mkdir closed && echo a > closed/a && chmod 000 closed/a');
    const { stdout, code } = world.sh('unprivileged backpack backup closed --repo repo --json');
    if (code !== 3) skip();
    const lines = stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as Line)
      // On a busy machine there is time for one.
      .filter(({ type }) => type !== 'status');
    expect(lines.map((line) => validate(line))).toEqual([true, true]);
    expect(lines[0]).toMatchObject({ type: 'source-error', code: 'EACCES', path: 'closed/a' });
    seen.push(...lines);
  });

  test('storage test, serve user, serve tls', () => {
    world.sh('mkdir root');
    expect(run('storage test empty').at(-1)).toMatchObject({ failed: 0, left: 0 });
    run('serve user add laptop --root root');
    expect(run('serve user list --root root')[0]).toMatchObject({ user: 'laptop', role: 'append' });
    run('serve user remove laptop --root root');
    run('serve tls init');
  });

  test('every command was run, and docs/json.md names every type and key', () => {
    const leaves = (commands: readonly Command[], above: string): string[] =>
      commands.flatMap((command) =>
        command.commands.length === 0
          ? [above + command.name()]
          : leaves(command.commands, `${above}${command.name()} `),
      );
    const names = leaves(buildProgram({} as never, '0', () => {}).commands, '');
    expect([...ran].sort()).toEqual(names.sort());
    const text = readFileSync(join(project, 'docs/json.md'), 'utf8');
    const rows = new Map(
      [...text.matchAll(/^\| `([a-z -]+)` \|(.+)\|$/gm)].map(([, name, rest]) => [name!, rest!]),
    );
    for (const line of seen) {
      const row = rows.get(line.type === 'summary' ? (line['command'] as string) : line.type);
      const absent = Object.keys(line).filter(
        (key) => !['type', 'command'].includes(key) && row?.includes(`\`${key}\``) !== true,
      );
      expect({ line: line.type, command: line['command'], absent }).toMatchObject({ absent: [] });
    }
  });
});
