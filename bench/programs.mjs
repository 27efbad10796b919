// Backpack and its peers, each as command lines for the same four steps: init, backup, restore, and what was stored.
// Everything a program keeps (repository, key, cache, configuration) lies in the one folder it is given.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { must, which } from './measure.mjs';

const root = join(import.meta.dirname, '..');
const main = join(root, 'dist/cli/main.js');

/** Variables that every program gets; nothing of the caller's own settings. */
const base = (folder) => ({ PATH: process.env.PATH, HOME: folder, LANG: 'C.UTF-8' });

function backpack(extra) {
  const where = (folder) => ['--repo', join(folder, 'repository'), '--key', join(folder, 'key.bin')];
  return {
    name: 'backpack',
    path: main,
    version: () => JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')).version,
    env: (folder) => ({
      ...base(folder),
      XDG_CONFIG_HOME: join(folder, 'config'),
      XDG_DATA_HOME: join(folder, 'data'),
    }),
    init: (folder) => [process.execPath, main, 'init', ...where(folder)],
    backup: (folder, paths) => [process.execPath, main, 'backup', '-q', ...where(folder), ...extra, ...paths],
    restore: (folder, target) => [
      process.execPath,
      main,
      'restore',
      'latest',
      '-q',
      '--to',
      target,
      ...where(folder),
    ],
  };
}

function restic(path) {
  const where = (folder) => ['-q', '-r', join(folder, 'repository')];
  return {
    name: 'restic',
    path,
    version: () => must([path, 'version']).split(' ')[1],
    env: (folder) => ({
      ...base(folder),
      RESTIC_PASSWORD: 'benchmark',
      RESTIC_CACHE_DIR: join(folder, 'cache'),
    }),
    init: (folder) => [path, ...where(folder), 'init'],
    backup: (folder, paths) => [path, ...where(folder), 'backup', ...paths],
    restore: (folder, target) => [path, ...where(folder), 'restore', 'latest', '--target', target],
  };
}

function borg(path) {
  const counts = new Map();
  const repository = (folder) => join(folder, 'repository');
  return {
    name: 'borg',
    path,
    version: () => must([path, '--version']).trim().split(' ')[1],
    env: (folder) => ({
      ...base(folder),
      BORG_PASSPHRASE: 'benchmark',
      BORG_BASE_DIR: folder,
      BORG_RELOCATED_REPO_ACCESS_IS_OK: 'yes',
    }),
    init: (folder) => [path, 'init', '-e', 'repokey-blake2', repository(folder)],
    backup: (folder, paths) => {
      const count = (counts.get(folder) ?? 0) + 1;
      counts.set(folder, count);
      return [path, 'create', '--compression', 'lz4', `${repository(folder)}::backup-${count}`, ...paths];
    },
    // Its archives are restored into the working folder.
    restore: (folder) => [path, 'extract', `${repository(folder)}::backup-${counts.get(folder)}`],
  };
}

/** Programs without deduplication: what a shell gives. */
function plain() {
  const seal = 'openssl enc -aes-256-ctr -pbkdf2 -pass pass:benchmark';
  const command = `out=$1; shift; tar -cPf - "$@" | lz4 -1 -c - | ${seal} > "$out"`;
  return {
    name: 'tar, lz4, openssl',
    path: which('tar'),
    plain: true,
    version: () => must(['openssl', 'version']).split(' ')[1],
    env: base,
    init: () => ['true'],
    backup: (folder, paths) => ['sh', '-c', command, 'sh', join(folder, 'repository'), ...paths],
    restore: () => undefined,
  };
}

/** The programs that are there; `backpack` first. @param extra options for Backpack's backups */
export function findPrograms({ restic: resticPath = 'restic', borg: borgPath = 'borg', extra = [] } = {}) {
  const found = [backpack(extra)];
  if (which(resticPath) !== undefined) found.push(restic(which(resticPath)));
  if (which(borgPath) !== undefined) found.push(borg(which(borgPath)));
  if (['tar', 'lz4', 'openssl'].every((name) => which(name) !== undefined)) found.push(plain());
  return found;
}

/** The C program of the floor, compiled into a folder; undefined without a compiler or the libraries. */
export function compileFloor(folder) {
  const out = join(folder, 'floor');
  const libraries = ['-l:liblz4.so.1', '-l:libxxhash.so.0', '-l:libcrypto.so.3'];
  try {
    must(['cc', '-O2', join(import.meta.dirname, 'floor/floor.c'), '-o', out, ...libraries]);
    return out;
  } catch {
    return undefined;
  }
}
