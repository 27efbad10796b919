/** With a limit of 40 open files the program's own parts cannot be loaded, which was called a fault in it. */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';

const main = join(import.meta.dirname, '../../dist/cli/main.js');

it.runIf(existsSync(main))('says what to do', () => {
  const command = [
    '-c',
    'ulimit -n 40; exec "$@"',
    'sh',
    process.execPath,
    main,
    'restore',
    'latest',
    '-r',
    '/nowhere',
    '--to',
    '/nowhere',
  ];
  const { status, stderr } = spawnSync('sh', command, { encoding: 'utf8' });
  expect(stderr).not.toContain('fault');
  // Where the parts are loaded one after the other, there is only no repository.
  if (stderr.includes('/nowhere')) return;
  expect(stderr).toContain('too many open files');
  expect(stderr).toContain('ulimit -n 1024');
  expect(status).not.toBe(0);
});
