/**
 * A small world for tests of the built command: a temporary folder, a home of its own, and `backpack`, `npx` and `npm`
 * on the PATH that lead to this build. Nothing of the user's environment gets in.
 */
import { spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Root of this project. */
export const project: string = join(import.meta.dirname, '../..');
const main = join(project, 'dist/cli/main.js');

/** What a command left behind. */
export interface Ran {
  readonly stdout: string;
  readonly stderr: string;
  readonly code: number;
}

/** See the file's comment. */
export class World {
  readonly base: string;
  readonly dir: string;
  readonly home: string;
  readonly env: Record<string, string> = {};

  constructor() {
    this.base = realpathSync(mkdtempSync(join(tmpdir(), 'backpack-')));
    this.dir = join(this.base, 'work');
    this.home = join(this.base, 'home');
    const bin = join(this.base, 'bin');
    for (const folder of [this.dir, this.home, bin]) mkdirSync(folder);
    const shim = (name: string, text: string): void => {
      writeFileSync(join(bin, name), `#!/bin/sh\n${text}\n`);
      chmodSync(join(bin, name), 0o755);
    };
    const node = `exec '${process.execPath}' '${main}'`;
    shim('backpack', `${node} "$@"`);
    shim('npx', `test "$1" = backpack || exit 99\nshift\nnpm_command=exec ${node} "$@"`);
    // Documents tell people to install and to test: that is what happens around this test.
    shim('npm', 'case "$1" in ci|test|run) exit 0;; esac\nexit 99');
    // The superuser may read everything, unless he gives up his capabilities.
    shim(
      'unprivileged',
      'if [ "$(id -u)" = 0 ]; then exec setpriv --bounding-set=-all --inh-caps=-all "$@"; fi\nexec "$@"',
    );
    Object.assign(this.env, {
      PATH: `${bin}:${process.env['PATH']}`,
      HOME: this.home,
      LC_ALL: 'C.UTF-8',
      TZ: 'UTC',
    });
  }

  /** Runs a shell command in the world's folder. */
  sh(command: string, stdin = ''): Ran {
    const options = {
      cwd: this.dir,
      env: this.env,
      input: stdin,
      encoding: 'utf8',
      timeout: 50_000,
    } as const;
    const { stdout, stderr, status, error } = spawnSync('sh', ['-c', command], options);
    if (error !== undefined) throw error;
    return { stdout, stderr, code: status ?? -1 };
  }

  /** Removes everything, also what the tests made unreadable. */
  remove(): void {
    spawnSync('chmod', ['-R', 'u+rwX', this.base]);
    rmSync(this.base, { recursive: true, force: true });
  }
}
