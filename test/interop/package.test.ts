/**
 * The package as users get it: packed, installed into an empty folder by npm, and used from there. What is missing from
 * `files`, or is only a development dependency, is found here.
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

const project = join(import.meta.dirname, '../..');
const dir = mkdtempSync(join(tmpdir(), 'backpack-package-'));
const { version } = JSON.parse(readFileSync(join(project, 'package.json'), 'utf8')) as { version: string };
const run = (
  cwd: string,
  command: string,
  ...words: string[]
): { status: number | null; stdout: string; stderr: string } =>
  spawnSync(command, words, { cwd, encoding: 'utf8', timeout: 110_000 });
let offline = '';

beforeAll(() => {
  // Its build is what is tested all around: packing must not build it again.
  const packed = run(project, 'npm', 'pack', '--ignore-scripts', '--json', '--pack-destination', dir);
  expect([packed.status, packed.status === 0 ? '' : packed.stderr]).toEqual([0, '']);
  const [{ filename }] = JSON.parse(packed.stdout) as [{ filename: string }];
  writeFileSync(join(dir, 'package.json'), '{"private":true}');
  const flags = ['--omit=dev', '--ignore-scripts', '--no-audit', '--no-fund', '--prefer-offline'];
  const installed = run(dir, 'npm', 'install', ...flags, join(dir, filename));
  if (/\b(?:ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ENETUNREACH|ENOTCACHED)\b/.test(installed.stderr))
    offline = installed.stderr;
  else expect([installed.status, installed.status === 0 ? '' : installed.stderr]).toEqual([0, '']);
}, 120_000);
afterAll(() => rmSync(dir, { recursive: true, force: true }));

describe('installed from its tarball', () => {
  const backpack = (...words: string[]): string => {
    const main = join(dir, 'node_modules/.bin/backpack');
    const config = join(dir, 'config.json');
    const more =
      words[0] === '--version'
        ? []
        : ['--config', config, '-r', join(dir, 'repo'), '--key', join(dir, 'key.bin')];
    const { status, stdout, stderr } = run(dir, main, ...words, ...more);
    expect([words[0], status, status === 0 ? '' : stderr]).toEqual([words[0], 0, '']);
    return stdout;
  };

  test('init, backup, check, restore', ({ skip }) => {
    if (offline !== '') skip('no package registry can be reached');
    writeFileSync(join(dir, 'config.json'), '{}');
    mkdirSync(join(dir, 'docs'));
    writeFileSync(join(dir, 'docs/one.txt'), 'one\n');
    writeFileSync(join(dir, 'docs/large'), Buffer.alloc(10_000_000, 'large'));
    expect(backpack('--version')).toBe(`${version}\n`);
    backpack('init');
    backpack('backup', 'docs', '--threads', '2');
    backpack('check', '--read-data');
    backpack('restore', 'latest', '--to', 'restored');
    expect(run(dir, 'diff', '-r', 'docs', 'restored/docs').status).toBe(0);
    const recover = ['repo/recover/recover.js', '--key', 'key.bin', 'restore', '--to', 'recovered'];
    expect(run(dir, process.execPath, ...recover).status).toBe(0);
    expect(run(dir, 'diff', '-r', 'docs', 'recovered/docs').status).toBe(0);
  });

  test('every entry point of the package can be imported', ({ skip }) => {
    if (offline !== '') skip('no package registry can be reached');
    const { exports } = JSON.parse(
      readFileSync(join(dir, 'node_modules/backpack-cli/package.json'), 'utf8'),
    ) as {
      exports: Record<string, unknown>;
    };
    // The conformance suite is for test runners, and runs nowhere else.
    const names = Object.keys(exports).filter(
      (name) => !name.includes('json') && !name.includes('conformance'),
    );
    expect(names).toContain('./extension');
    const script = names.map((name) => `await import('backpack-cli${name.slice(1)}');`).join('\n');
    writeFileSync(join(dir, 'imports.mjs'), script);
    const { status, stderr } = run(dir, process.execPath, 'imports.mjs');
    expect([status, stderr]).toEqual([0, '']);
  });
});
