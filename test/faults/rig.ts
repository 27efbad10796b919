/**
 * What the fault tests share: a place with a repository, a source and a home of its own, the command as users run it,
 * and judges that share no code with the program: `diff`, `recover.js`, and plain listings of files.
 */
import { spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  appendFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, relative } from 'node:path';

const project = join(import.meta.dirname ?? dirname(new URL(import.meta.url).pathname), '../..');
const product = join(project, 'dist');
const recover = join(project, 'recover/recover.js');

/** Whether the program has been built. */
export const built: boolean = existsSync(join(product, 'cli/main.js'));
export const isRoot: boolean = process.getuid?.() === 0;

/** Whether a tool can be started. */
export function hasTool(name: string): boolean {
  return spawnSync('sh', ['-c', `command -v ${name}`]).status === 0;
}
export const hasGcc: boolean = process.platform === 'linux' && hasTool('gcc');

/** A number from the environment: campaigns run the same tests with larger ones. */
export function setting(name: string, usual: number): number {
  const text = process.env[`FAULTS_${name}`];
  return text === undefined || text === '' ? usual : Number(text);
}

/** The seed of this run; printed with every figure. */
export const seed: number = setting('SEED', 1);

/** Repeatable random numbers (mulberry32). */
export class Dice {
  #state: number;
  constructor(start: number) {
    this.#state = start >>> 0;
  }
  /** From 0 up to, not including, `below`. */
  next(below: number): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let t = this.#state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return Math.floor((((t ^ (t >>> 14)) >>> 0) / 2 ** 32) * below);
  }
  bytes(length: number): Buffer {
    // A stream of its own: fast enough for a large file, and the same everywhere.
    const key = createHash('sha256')
      .update(String(this.next(2 ** 32)))
      .digest();
    const pieces: Buffer[] = [];
    let got = 0;
    for (let i = 0; got < length; i += 1) {
      const piece = createHash('shake256', { outputLength: Math.min(1 << 20, length - got) })
        .update(key)
        .update(String(i))
        .digest();
      pieces.push(piece);
      got += piece.length;
    }
    return Buffer.concat(pieces);
  }
}

/** Writes a line of figures for a campaign, and shows it. */
export function figures(name: string, values: Record<string, unknown>): void {
  const line = JSON.stringify({ name, seed, ...values });
  console.log(line);
  const file = process.env['FAULTS_FIGURES'];
  if (file !== undefined && file !== '') appendFileSync(file, `${line}\n`);
}

/** The end of a command. */
export interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
  readonly ms: number;
}

/** How a command is run. */
export interface RunOptions {
  readonly env?: Readonly<Record<string, string>>;
  /** A signal after some milliseconds. */
  readonly kill?: { readonly afterMs: number; readonly signal: NodeJS.Signals };
  /** Another copy of the program. */
  readonly main?: string;
  /** Words before `node`, such as a tracer. */
  readonly before?: readonly string[];
}

/** A place for one test. */
export class Place {
  readonly dir: string;

  constructor(dir: string = mkdtempSync(join(tmpdir(), 'backpack-faults-'))) {
    this.dir = dir;
    mkdirSync(join(dir, 'home'), { recursive: true });
  }

  get repo(): string {
    return join(this.dir, 'repo');
  }
  get key(): string {
    return join(this.dir, 'key.bin');
  }

  /** A path in the place. */
  at(name: string): string {
    return join(this.dir, name);
  }

  /** Runs the command in the place's folder. */
  run(args: readonly string[], options: RunOptions = {}): Promise<Ended> {
    const started = performance.now();
    const command = [
      ...(options.before ?? []),
      process.execPath,
      options.main ?? join(product, 'cli/main.js'),
      ...args,
    ];
    const child = spawn(command[0]!, command.slice(1), {
      cwd: this.dir,
      env: { PATH: process.env['PATH'] ?? '', HOME: this.at('home'), ...options.env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let stdout = '';
    let stderr = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      stdout += text;
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      stderr += text;
    });
    const timer =
      options.kill === undefined
        ? undefined
        : setTimeout(() => child.kill(options.kill!.signal), options.kill.afterMs);
    return new Promise((resolve, reject) => {
      child.on('error', reject);
      child.on('close', (code, signal) => {
        clearTimeout(timer);
        resolve({ code, signal, stdout, stderr, ms: performance.now() - started });
      });
    });
  }

  /** Runs a command on the place's repository. */
  backpack(args: readonly string[], options: RunOptions = {}): Promise<Ended> {
    return this.run([...args, '--repo', this.repo, '--key', this.key], options);
  }

  /** Runs a command that has to succeed. */
  async must(args: readonly string[], options: RunOptions = {}): Promise<Ended> {
    const ended = await this.backpack(args, options);
    if (ended.code !== 0) throw new Error(`${args.join(' ')}: ${describe(ended)}`);
    return ended;
  }

  async init(): Promise<void> {
    const ended = await this.run(['init', this.repo, '--key', this.key]);
    if (ended.code !== 0) throw new Error(`init: ${describe(ended)}`);
  }

  /** Backs a folder of the place up. @returns the summary */
  async backup(folder: string, options: RunOptions & { args?: readonly string[] } = {}): Promise<Summary> {
    const ended = await this.must(['backup', folder, '--json', ...(options.args ?? [])], options);
    return summaryOf(ended)!;
  }

  /** Ids of the snapshots, oldest first. */
  async list(options: RunOptions = {}): Promise<string[]> {
    const ended = await this.must(['list', '--json'], options);
    return lines(ended.stdout)
      .filter(({ type }) => type === 'snapshot')
      .map(({ snapshotId }) => String(snapshotId));
  }

  /** What `recover.js verify` says; undefined when it finds nothing wrong. */
  verify(): string | undefined {
    const args = [recover, '--key', this.key, '--repo', this.repo, 'verify'];
    const ended = spawnSync(process.execPath, args, { encoding: 'utf8', cwd: this.dir });
    return ended.status === 0 ? undefined : `verify: exit ${ended.status}\n${ended.stdout}${ended.stderr}`;
  }

  /** Restores a snapshot and compares it with a folder. @returns what differs, or undefined */
  async differs(snapshot: string, folder: string): Promise<string | undefined> {
    const to = this.at('restored');
    rmSync(to, { recursive: true, force: true });
    const ended = await this.backpack(['restore', snapshot, '--to', to]);
    if (ended.code !== 0) return `restore of ${snapshot}: ${describe(ended)}`;
    const found = spawnSync(
      'diff',
      ['-r', '--no-dereference', this.at(folder), join(to, this.stored(folder))],
      {
        encoding: 'utf8',
      },
    );
    rmSync(to, { recursive: true, force: true });
    return found.status === 0
      ? undefined
      : `restored ${snapshot} differs: ${found.stdout.slice(0, 2000)}${found.stderr}`;
  }

  /** Where a folder of the place lies in a snapshot. */
  stored(folder: string): string {
    return folder;
  }

  /** Files in the repository's folder for temporary files. */
  temporary(): string[] {
    const folder = join(this.repo, 'tmp');
    return existsSync(folder) ? readdirSync(folder) : [];
  }

  /** Makes temporary files look as old as the rule wants before they are removed. */
  ageTemporary(): void {
    const old = new Date(Date.now() - 25 * 3600 * 1000);
    for (const name of this.temporary()) utimesSync(join(this.repo, 'tmp', name), old, old);
  }

  /** A copy of the repository, to go back to. */
  save(name: string): void {
    for (const part of ['repo', 'home']) {
      rmSync(this.at(`${name}-${part}`), { recursive: true, force: true });
      cpSync(this.at(part), this.at(`${name}-${part}`), { recursive: true, preserveTimestamps: true });
    }
  }
  goBackTo(name: string): void {
    for (const part of ['repo', 'home']) {
      rmSync(this.at(part), { recursive: true, force: true });
      cpSync(this.at(`${name}-${part}`), this.at(part), { recursive: true, preserveTimestamps: true });
    }
  }

  remove(): void {
    rmSync(this.dir, { recursive: true, force: true });
  }
}

/** The parts of a summary that the tests use. */
export interface Summary {
  readonly snapshotId: string;
  readonly stored: number;
  readonly files: number;
}

/** The summary event of a run, if it got that far. */
export function summaryOf(ended: Ended): Summary | undefined {
  return lines(ended.stdout).find(({ type }) => type === 'summary') as Summary | undefined;
}

/** The error event of a run with --json. */
export function errorOf(ended: Ended): { code: string; exitCode: number; kind: string } | undefined {
  return lines(ended.stdout).find(({ type }) => type === 'error') as
    | { code: string; exitCode: number; kind: string }
    | undefined;
}

/** Lines of JSON; a last line that was cut is left out. */
export function lines(text: string): Record<string, unknown>[] {
  return text
    .split('\n')
    .slice(0, -1)
    .filter((line) => line.startsWith('{'))
    .map((line) => JSON.parse(line) as Record<string, unknown>);
}

export function describe(ended: Ended): string {
  return `exit ${ended.code ?? ended.signal}\n${ended.stdout.slice(-1500)}${ended.stderr.slice(-1500)}`;
}

/** Every file below a folder with its hash: for comparing a repository before and after. */
export function fingerprint(folder: string): Record<string, string> {
  const found: Record<string, string> = {};
  for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath ?? entry.path, entry.name);
    const name = relative(folder, path);
    found[name] = entry.isFile() ? createHash('sha256').update(readFileSync(path)).digest('hex') : 'folder';
  }
  return found;
}

/** Total size of the objects below a folder of the repository, by name. */
export function sizes(folder: string): Map<string, number> {
  const found = new Map<string, number>();
  if (!existsSync(folder)) return found;
  for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath ?? entry.path, entry.name);
    if (entry.isFile()) found.set(relative(folder, path), statSync(path).size);
  }
  return found;
}

/** Writes a source: many small files in folders, and one large one. */
export function makeSource(folder: string, dice: Dice, size: { files: number; largeBytes: number }): void {
  const smallBytes = dice.bytes(1 << 20);
  for (let i = 0; i < size.files; i += 1) {
    const parent = join(folder, `d${Math.floor(i / 100)}`);
    if (i % 100 === 0) mkdirSync(parent, { recursive: true });
    const length = dice.next(6000);
    const from = dice.next(smallBytes.length - length);
    writeFileSync(
      join(parent, `f${i}`),
      Buffer.concat([smallBytes.subarray(from, from + length), Buffer.from(`${i}`)]),
    );
  }
  if (size.largeBytes > 0) writeFileSync(join(folder, 'large'), dice.bytes(size.largeBytes));
}

/** Compiles a library that stands between a program and the C library: `failn` or `fold`. @returns its path */
export function compile(place: Place, name: 'failn' | 'fold'): string {
  const library = place.at(`${name}.so`);
  const source = join(import.meta.dirname ?? dirname(new URL(import.meta.url).pathname), `${name}.c`);
  const ended = spawnSync('gcc', ['-O1', '-shared', '-fPIC', '-o', library, source, '-ldl'], {
    encoding: 'utf8',
  });
  if (ended.status !== 0) throw new Error(ended.stderr);
  return library;
}

/** Numbered calls of a counter's log. */
export function callsOf(log: string): { name: string; path: string }[] {
  return readFileSync(log, 'utf8')
    .trim()
    .split('\n')
    .map((line) => {
      const [, name, ...path] = line.split(' ');
      return { name: name!, path: path.join(' ') };
    });
}

/** A copy of the program with a fault planted in it: what a test must be able to find. @returns its main file */
export function plant(
  place: Place,
  changes: Readonly<Record<string, readonly (readonly [string, string])[]>>,
): string {
  const copy = place.at(`planted-${Object.keys(changes).join('-').replaceAll('/', '_')}`);
  mkdirSync(copy);
  for (const part of ['dist', 'recover', 'schemas', 'package.json', 'SPEC.md'])
    if (existsSync(join(project, part))) cpSync(join(project, part), join(copy, part), { recursive: true });
  symlinkSync(join(project, 'node_modules'), join(copy, 'node_modules'));
  for (const [file, pairs] of Object.entries(changes)) {
    const path = join(copy, 'dist', file);
    let text = readFileSync(path, 'utf8');
    for (const [from, to] of pairs) {
      if (!text.includes(from)) throw new Error(`cannot plant a fault: ${file} has no ${from}`);
      text = text.replaceAll(from, to);
    }
    writeFileSync(path, text);
  }
  return join(copy, 'dist/cli/main.js');
}

/** A repository with one snapshot, kept as `base`, and a source for the runs that are disturbed. */
export interface Disturbed {
  /** The library that counts calls and lets one fail. */
  readonly counter: string;
  readonly first: string;
  readonly base: Record<string, string>;
}

/** Makes {@link Disturbed}. @param largeBytes length of the source's large file */
export async function disturbed(place: Place, largeBytes: number): Promise<Disturbed> {
  const counter = compile(place, 'failn');
  const dice = new Dice(seed);
  makeSource(place.at('one'), dice, { files: 20, largeBytes: 0 });
  makeSource(place.at('source'), dice, { files: 40, largeBytes });
  await place.init();
  const first = (await place.backup('one')).snapshotId;
  const base = fingerprint(place.repo);
  place.save('base');
  return { counter, first, base };
}
