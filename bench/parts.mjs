// The parts of a run. In each round every program does the same once, in an order that moves on from round to round,
// so that what disturbs the machine disturbs all alike. What is not measured (making repositories, deleting, reading
// the source into the page cache) happens in between.
import { existsSync, linkSync, mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { bytesBelow, measure, must } from './measure.mjs';
import { compileFloor } from './programs.mjs';

export const partNames = ['startup', 'floor', 'tree', 'big', 'edit', 'restore-tree', 'restore-big'];
/** Parts that run when they are asked for only. */
export const morePartNames = ['levels', 'files', 'sizes'];

/** One run of the benchmark: `has` tells what an earlier, interrupted one has measured already, `emit` keeps a line. */
export class Bench {
  constructor({ corpora, programs, rounds, quick, emit, has, say }) {
    Object.assign(this, { corpora, programs, rounds, quick, emit, has, say });
    this.work = join(corpora.folder, 'work');
  }

  async run(part) {
    rmSync(this.work, { recursive: true, force: true });
    mkdirSync(this.work, { recursive: true });
    try {
      if (part === 'startup') await this.#startup();
      else if (part === 'floor') await this.#floors();
      else if (part === 'edit') await this.#edit();
      else if (part === 'levels') await this.#levels();
      else if (part === 'files') await this.#files();
      else if (part === 'sizes') await this.#sizes();
      else if (part.startsWith('restore-')) await this.#restores(part, part.slice(8));
      else await this.#backups(part);
    } finally {
      rmSync(this.work, { recursive: true, force: true });
    }
  }

  paths(corpus) {
    if (corpus === 'tree') return this.quick ? this.corpora.quickTree() : [this.corpora.tree()];
    return this.quick ? this.corpora.quickBig() : this.corpora.big();
  }

  #keep(part, name, program, round, result) {
    const { out, ...figures } = result;
    this.emit({ part, measure: name, program, round, ...figures });
    const stored =
      figures.storedBytes === undefined ? '' : `, ${Math.round(figures.storedBytes / 1e6)} MB stored`;
    const rss = Math.round(figures.rssBytes / 1e6);
    this.say(
      `${part}, ${name}, ${program}, round ${round}: ${figures.wallS.toFixed(2)} s, cpu ${figures.cpuS.toFixed(2)} s, ${rss} MB memory${stored}`,
    );
  }

  /** The programs in the order of a round. */
  #turn(round, programs = this.programs) {
    const from = round % programs.length;
    return [...programs.slice(from), ...programs.slice(0, from)];
  }

  #fresh(program, name = program.name) {
    const folder = join(this.work, name.replace(/\W+/g, '-'));
    rmSync(folder, { recursive: true, force: true });
    mkdirSync(folder, { recursive: true });
    must(program.init(folder), { env: program.env(folder) });
    return folder;
  }

  /** Reads the source and lets one program run, unmeasured: page cache, memory of a virtual machine, CPU clock. */
  #warm(paths) {
    must(['sh', '-c', 'find "$@" -type f -print0 | xargs -0 cat > /dev/null', 'sh', ...paths]);
    const [own] = this.programs;
    const folder = this.#fresh(own);
    must(own.backup(folder, paths), { env: own.env(folder) });
    rmSync(folder, { recursive: true });
  }

  /** First backup, then one in which nothing has changed. */
  async #backups(part) {
    const paths = this.paths(part);
    const measures = ({ plain }) => (plain ? ['first'] : ['first', 'unchanged']);
    const done = (program, round) =>
      measures(program).every((name) => this.has(part, name, program.name, round));
    const open = (round) => this.#turn(round).filter((program) => !done(program, round));
    if (this.rounds.every((round) => open(round).length === 0)) return;
    this.#warm(paths);
    for (const round of this.rounds) {
      for (const program of open(round)) {
        const folder = this.#fresh(program);
        const env = program.env(folder);
        for (const name of measures(program)) {
          const result = await measure(program.backup(folder, paths), { env });
          const storedBytes = bytesBelow(join(folder, 'repository'));
          this.#keep(part, name, program.name, round, { ...result, storedBytes });
        }
        rmSync(folder, { recursive: true });
      }
    }
  }

  /** Everything back into an empty folder, from a repository that was made before. */
  async #restores(part, corpus) {
    const paths = this.paths(corpus);
    const programs = this.programs.filter((program) => !program.plain);
    const left = programs.filter(({ name }) =>
      this.rounds.some((round) => !this.has(part, 'restore', name, round)),
    );
    const folders = new Map();
    for (const program of left) {
      const folder = this.#fresh(program);
      must(program.backup(folder, paths), { env: program.env(folder) });
      folders.set(program, folder);
    }
    for (const round of this.rounds) {
      for (const program of this.#turn(round, left)) {
        if (this.has(part, 'restore', program.name, round)) continue;
        const folder = folders.get(program);
        const target = join(this.work, `restored-${round}-${programs.indexOf(program)}`);
        mkdirSync(target);
        const argv = program.restore(folder, target);
        const result = await measure(argv, { env: program.env(folder), cwd: target });
        if (round === this.rounds[0]) compare(paths, target);
        // For minutes after many files were removed, ext4 takes ten times as long to make new ones.
        if (corpus !== 'tree') rmSync(target, { recursive: true });
        this.#keep(part, 'restore', program.name, round, result);
      }
    }
  }

  /** A large file, stored, then edited in many places and stored again: what does that add? */
  async #edit() {
    const { before, after } = this.quick ? this.corpora.quickEdit() : this.corpora.edit();
    const programs = this.programs.filter(
      (program) => !program.plain && !this.has('edit', 'second', program.name, 1),
    );
    const source = join(this.corpora.folder, 'edit');
    for (const program of programs) {
      const folder = this.#fresh(program);
      const env = program.env(folder);
      rmSync(source, { recursive: true, force: true });
      mkdirSync(source);
      linkSync(before, join(source, 'linux.tar'));
      must(program.backup(folder, [source]), { env });
      const first = bytesBelow(join(folder, 'repository'));
      rmSync(join(source, 'linux.tar'));
      linkSync(after, join(source, 'linux.tar'));
      const result = await measure(program.backup(folder, [source]), { env });
      const storedBytes = bytesBelow(join(folder, 'repository')) - first;
      this.#keep('edit', 'second', program.name, 1, { ...result, storedBytes });
      rmSync(folder, { recursive: true });
    }
    rmSync(source, { recursive: true, force: true });
  }

  /** How long the program takes to say its version, beside a bare start of Node.js. */
  async #startup() {
    const [own] = this.programs;
    const commands = {
      node: [process.execPath, '-e', '0'],
      backpack: [process.execPath, own.path, '--version'],
    };
    for (let round = 1; round <= (this.quick ? 7 : 21); round += 1) {
      for (const [name, argv] of Object.entries(commands)) {
        if (this.has('startup', 'version', name, round)) continue;
        const { out, ...figures } = await measure(argv);
        this.emit({ part: 'startup', measure: 'version', program: name, round, ...figures });
      }
    }
  }

  /** Levels of compression, ours and theirs, on the tree. */
  async #levels() {
    const paths = this.paths('tree');
    const [own] = this.programs;
    const restic = this.programs.find(({ name }) => name === 'restic');
    const variants = ['none', 'fast', 'high'].map((level) => [own, level, ['--compression', level]]);
    if (restic !== undefined)
      for (const level of ['off', 'auto', 'max']) variants.push([restic, level, ['--compression', level]]);
    if (this.rounds.some((round) => !this.has('levels', 'first', 'backpack high', round))) this.#warm(paths);
    for (const round of this.rounds) {
      for (const [program, level, options] of variants) {
        const name = `${program.name} ${level}`;
        if (this.has('levels', 'first', name, round)) continue;
        const folder = this.#fresh(program, name);
        const result = await measure([...program.backup(folder, paths), ...options], {
          env: program.env(folder),
        });
        const storedBytes = bytesBelow(join(folder, 'repository'));
        this.#keep('levels', 'first', name, round, { ...result, storedBytes });
        rmSync(folder, { recursive: true });
      }
      for (const level of [1, 9]) {
        const name = `tar, lz4 -${level}`;
        if (this.has('levels', 'first', name, round)) continue;
        const output = join(this.work, 'out.lz4');
        const command = `out=$1; shift; tar -cPf - "$@" | lz4 -${level} -B5 -BI -c - > "$out"`;
        const result = await measure(['sh', '-c', command, 'sh', output, ...paths]);
        this.#keep('levels', 'first', name, round, { ...result, storedBytes: bytesBelow(output) });
        rmSync(output);
      }
    }
  }

  /** Time and memory by number of files; Backpack with two threads alone. */
  async #files() {
    for (const count of this.quick ? [1000, 10_000] : [10_000, 100_000, 1_000_000])
      await this.#grows('files', `${count} files`, () => [this.corpora.many(count)]);
    const pages = join(import.meta.dirname, 'pages.mjs');
    for (const count of this.quick ? [100_000] : [100_000, 1_000_000, 10_000_000]) {
      const label = `lists of ${count} files alone`;
      if (this.has('files', label, 'backpack', 1)) continue;
      const result = await measure([process.execPath, pages, String(count)]);
      this.#keep('files', label, 'backpack', 1, { ...result, storedBytes: JSON.parse(result.out).stored });
    }
  }

  /** Time and memory by amount of data. */
  async #sizes() {
    for (const count of this.quick ? [1] : [1, 10, 20])
      await this.#grows('sizes', `${count} GB`, () => this.corpora.sized(count));
  }

  async #grows(part, label, source) {
    if (this.has(part, `${label}, unchanged`, 'backpack', 1)) return;
    const paths = source();
    const [own] = this.programs;
    // 20 GB are not expected to stay in memory; a million small files are, as those of *tree*.
    if (part === 'files') this.#warm(paths);
    const folder = this.#fresh(own);
    for (const step of ['first', 'unchanged']) {
      const argv = [...own.backup(folder, paths), '--threads', '2'];
      const result = await measure(argv, { env: own.env(folder) });
      const repository = join(folder, 'repository');
      const index = bytesBelow(join(repository, 'index'));
      const storedBytes = bytesBelow(repository);
      this.#keep(part, `${label}, ${step}`, 'backpack', 1, { ...result, storedBytes, indexBytes: index });
    }
    rmSync(folder, { recursive: true });
  }

  /** What C programs need for the same bytes; Backpack's CPU beside it in the same rounds. */
  async #floors() {
    const floor = compileFloor(this.work);
    if (floor === undefined) {
      this.say('no floor: it needs cc, liblz4.so.1, libxxhash.so.0 and libcrypto.so.3');
      return;
    }
    const [own] = this.programs;
    for (const corpus of ['tree', 'big']) {
      const paths = this.paths(corpus);
      const output = join(this.work, 'floor.out');
      const left = this.rounds.filter((round) => !this.has('floor', corpus, own.name, round));
      if (left.length > 0) this.#warm(paths);
      for (const round of left) {
        const runs = corpus === 'big' ? { floor: [], 'floor without holes': ['-s'] } : { floor: [] };
        for (const [name, options] of Object.entries(runs)) {
          const result = await measure([floor, ...options, output, ...paths]);
          this.#keep('floor', corpus, name, round, { ...result, storedBytes: bytesBelow(output) });
          rmSync(output);
        }
        const folder = this.#fresh(own);
        const result = await measure(own.backup(folder, paths), { env: own.env(folder) });
        this.#keep('floor', corpus, own.name, round, {
          ...result,
          storedBytes: bytesBelow(join(folder, 'repository')),
        });
        rmSync(folder, { recursive: true });
      }
    }
  }
}

/** A fast restore of the wrong bytes is worth nothing. */
function compare(paths, target) {
  for (const path of paths) {
    const restored = join(target, path);
    if (!existsSync(restored)) throw new Error(`${path} was not restored`);
    must(['diff', '-rq', '--no-dereference', path, restored]);
  }
}
