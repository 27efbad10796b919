// What the campaigns share: a file of bytes that no program can compress, times of a process and its children.
import { spawn } from 'node:child_process';
import { randomFillSync } from 'node:crypto';
import { closeSync, openSync, readFileSync, rmSync, writeSync } from 'node:fs';

/** The middle one; of an even number, the lower one of the two. */
export function median(values) {
  return [...values].sort((a, b) => a - b)[Math.floor((values.length - 1) / 2)];
}

/** A file of random bytes; with `half`, every second MiB can be compressed to three quarters. */
export function makeFile(path, sizeMiB, { half = false } = {}) {
  const fd = openSync(path, 'w');
  const noise = Buffer.alloc(1 << 20);
  for (let i = 0; i < sizeMiB; i += 1) {
    randomFillSync(noise);
    if (half && i % 2 === 0) for (let at = 0; at < noise.length; at += 64) noise.copy(noise, at, 0, 48);
    writeSync(fd, noise);
  }
  closeSync(fd);
}

/** Ends processes and removes a folder when this process ends, however it does: @returns the set of the processes */
export function cleanAtEnd(folder) {
  const children = new Set();
  process.once('exit', () => {
    for (const child of children) child.kill('SIGKILL');
    rmSync(folder, { recursive: true, force: true, maxRetries: 3 });
  });
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.once(signal, () => process.exit(1));
  return children;
}

/** Processor time of a running process so far, seconds. */
export function cpuOf(pid) {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

/**
 * Runs a program to its end.
 * @returns seconds, processor seconds (user and system, GNU time), peak memory in MB and what it printed
 */
export function timed(command, args, { env, cwd } = {}) {
  return new Promise((resolve, reject) => {
    const from = process.hrtime.bigint();
    const child = spawn('/usr/bin/time', ['-f', '\n%U %S %M', command, ...args], { env, cwd });
    let [out, err] = ['', ''];
    child.stdout.on('data', (bytes) => {
      out += bytes;
    });
    child.stderr.on('data', (bytes) => {
      err += bytes;
    });
    child.once('error', reject);
    child.once('close', (code) => {
      const seconds = Number(process.hrtime.bigint() - from) / 1e9;
      if (code !== 0) reject(new Error(`${command} ${args.join(' ')}: exit ${code}\n${out}${err}`));
      const [user, system, peak] = err.trimEnd().split('\n').at(-1).split(' ').map(Number);
      resolve({ seconds, cpu: user + system, peakMB: peak / 1024, out });
    });
  });
}
