// Runs one program and says what it took: wall time by our own clock, CPU and peak memory by GNU time, which counts
// the program with all its threads, and processes it waited for (memory: of the largest one).
import { spawn, spawnSync } from 'node:child_process';
import { lstatSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Path of a program, or undefined. */
export function which(name) {
  if (name.includes('/')) return name;
  return (process.env.PATH ?? '')
    .split(':')
    .map((folder) => join(folder, name))
    .find((path) => lstatSync(path, { throwIfNoEntry: false }) !== undefined);
}

/** Runs something that is not measured. @returns its standard output */
export function must(argv, options = {}) {
  const done = spawnSync(argv[0], argv.slice(1), {
    encoding: 'utf8',
    maxBuffer: 64 << 20,
    stdio: ['ignore', 'pipe', 'pipe'],
    ...options,
  });
  if (done.status !== 0) throw new Error(told(argv, done.status ?? done.signal ?? done.error, done.stderr));
  return done.stdout;
}

/** Runs a program and measures it; fails when it fails. */
export async function measure(argv, { env = process.env, cwd } = {}) {
  const report = join(tmpdir(), `backpack-bench-${process.pid}.time`);
  // What earlier runs have written must not be written back while this one is measured.
  spawnSync('sync');
  const begin = process.hrtime.bigint();
  const child = spawn('/usr/bin/time', ['-f', '%U %S %M', '-o', report, ...argv], {
    env,
    cwd,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let out = '';
  let errors = '';
  child.stdout.on('data', (text) => {
    out += text;
  });
  child.stderr.on('data', (text) => {
    errors = (errors + text).slice(-4000);
  });
  const [code, end] = await new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (status, signal) => resolve([status ?? signal, process.hrtime.bigint()]));
  });
  if (code !== 0) throw new Error(told(argv, code, errors));
  const [user, system, kilobytes] = readFileSync(report, 'utf8')
    .trim()
    .split('\n')
    .at(-1)
    .split(' ')
    .map(Number);
  rmSync(report, { force: true });
  return {
    wallS: Number(end - begin) / 1e9,
    cpuS: user + system,
    userS: user,
    systemS: system,
    rssBytes: kilobytes * 1024,
    out,
  };
}

function told(argv, code, errors) {
  return `${argv.join(' ')} ended with ${code}\n${String(errors ?? '').trimEnd()}`;
}

/** Lengths of all files below a folder (or of one file), added up. */
export function bytesBelow(path) {
  const info = lstatSync(path);
  if (!info.isDirectory()) return info.size;
  return readdirSync(path).reduce((sum, name) => sum + bytesBelow(join(path, name)), 0);
}
