/**
 * Names of users and groups, from /etc/passwd and /etc/group; what is not there is asked of `getent`, which also
 * knows directories of the network. Each number and each name is looked up once.
 */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';

/** What is looked up. */
export type Who = 'user' | 'group';

interface Table {
  readonly names: Map<number, string | undefined>;
  readonly ids: Map<string, number | undefined>;
}

const files: Readonly<Record<Who, { path: string; database: string }>> = {
  user: { path: '/etc/passwd', database: 'passwd' },
  group: { path: '/etc/group', database: 'group' },
};
/** A name that may stand in a line of JSON and in these files. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is refused
const nameRule = /^[^\x00-\x1f\x7f:\ufffd]{1,255}$/;
/** Each takes some milliseconds: a tree with a million owners must not take hours. */
const asksMax = 64;

/** See the file's comment. */
export class Owners {
  readonly #tables = new Map<Who, Table>();
  #asks = 0;

  /** Name of a user or group; undefined when it has none. */
  nameOf(who: Who, id: number): string | undefined {
    const { names } = this.#table(who);
    if (!names.has(id)) names.set(id, this.#ask(who, String(id))?.name);
    return names.get(id);
  }

  /** Number of a user or group; undefined when there is none of that name. */
  idOf(who: Who, name: string): number | undefined {
    const { ids } = this.#table(who);
    if (!ids.has(name)) {
      // A name of digits would be understood as a number.
      const askable = nameRule.test(name) && !/^[0-9-]/.test(name);
      ids.set(name, askable ? this.#ask(who, name)?.id : undefined);
    }
    return ids.get(name);
  }

  #table(who: Who): Table {
    const found = this.#tables.get(who);
    if (found !== undefined) return found;
    const table: Table = { names: new Map(), ids: new Map() };
    for (const { name, id } of parseLines(read(files[who].path))) {
      // The first one of a number or name counts, as for the C library.
      if (!table.names.has(id)) table.names.set(id, name);
      if (!table.ids.has(name)) table.ids.set(name, id);
    }
    this.#tables.set(who, table);
    return table;
  }

  #ask(who: Who, key: string): { name: string; id: number } | undefined {
    if (this.#asks >= asksMax) return undefined;
    this.#asks += 1;
    const done = spawnSync('getent', [files[who].database, key], {
      env: { PATH: '/usr/bin:/bin' },
      timeout: 5000,
      maxBuffer: 1 << 20,
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    // Without such a program, or without an answer in time, asking again would only take more of it.
    if (done.error !== undefined) this.#asks = asksMax;
    return parseLines(done.status === 0 ? done.stdout.toString('utf8') : '')[0];
  }
}

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}

function parseLines(text: string): { name: string; id: number }[] {
  const found: { name: string; id: number }[] = [];
  for (const line of text.split('\n')) {
    const [name = '', , number = ''] = line.split(':');
    if (nameRule.test(name) && /^[0-9]{1,10}$/.test(number)) found.push({ name, id: Number(number) });
  }
  return found;
}
