import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import * as schema from '../../../src/schema/index.ts';
import { example } from './spec-example.ts';

const specFile = new URL('../../../SPEC.md', import.meta.url);
const fence = /^```([^\n]*)\n(.*?)^```$/gms;

/** UPDATE_SPEC=1 writes the computed blocks into SPEC.md instead of only comparing them. */
if (process.env['UPDATE_SPEC'] === '1') {
  const text = readFileSync(specFile, 'utf8');
  const updated = text.replace(fence, (whole, info: string) => {
    const block = example.blocks[info.split(' ').at(-1) ?? ''];
    return block === undefined ? whole : `\`\`\`${info}\n${block}\`\`\``;
  });
  writeFileSync(specFile, updated);
}

const spec = readFileSync(specFile, 'utf8');
const fences = [...spec.matchAll(fence)].map((match) => ({ info: match[1] ?? '', text: match[2] ?? '' }));
const block = (name: string) => fences.find(({ info }) => info.split(' ').at(-1) === name)?.text ?? '';

/** Rows of the first table after a heading, without head and rule. */
function table(heading: string): string[][] {
  const section = spec.slice(spec.indexOf(heading));
  const rows = /(?:^\|.*\n)+/m.exec(section)?.[0].trim().split('\n').slice(2) ?? [];
  return rows.map((row) =>
    row
      .slice(1, -1)
      .split(/(?<!\\)\|/)
      .map((cell) => cell.trim()),
  );
}

describe('SPEC.md', () => {
  it.each(Object.keys(example.blocks))('prints the computed %s', (name) => {
    expect(block(name)).toBe(example.blocks[name]);
  });

  it('says the lengths of the example', () => {
    const { end, table, tableLength, pad, bytes, stored } = example.data;
    const size0 = bytes.length - pad.length;
    expect(bytes.length).toBe(4096);
    expect(end).toBe(512 + (stored[0]?.length ?? 0));
    const words = spec.replace(/\s+/g, ' ');
    expect(words.includes(`The table's plaintext, ${table.length} bytes:`), `${table.length}`).toBe(true);
    const [frame, size, gap] = [tableLength - pad.length, size0, pad.length].map((n) =>
      n.toLocaleString('en-US'),
    );
    const sentence = `As a frame it has ${frame} bytes; the container would have ${size} bytes, and one skippable frame of ${gap} bytes`;
    expect(words.includes(sentence), sentence).toBe(true);
  });

  it('prints a container that is the computed one, byte for byte', () => {
    const body = Buffer.from(
      block('example-body')
        .replace(/^\d{4} {2}/gm, '')
        .replaceAll('\n', ''),
      'hex',
    );
    const printed = [
      Buffer.from(block('example-header'), 'latin1'),
      body,
      Buffer.from(block('example-trailer'), 'latin1'),
    ];
    expect(Buffer.concat(printed).equals(example.data.bytes)).toBe(true);
  });

  it.each([
    ['### 5.2 Header', 512],
    ['### 5.3 Trailer', 512],
  ])('has lines in %s that follow each other and add up to %i', (heading, total) => {
    let offset = 0;
    for (const [at, length] of table(heading)) {
      expect(Number(at)).toBe(offset);
      offset += Number(length);
    }
    expect(offset).toBe(total);
  });

  it('has header lines as long as the tables say', () => {
    const rows = table('### 5.2 Header').map(([, length]) => Number(length));
    expect(
      block('example-header')
        .split(/(?<=\n)/)
        .map((line) => line.length),
    ).toEqual(rows);
    const trailer = table('### 5.3 Trailer').map(([, length]) => Number(length));
    expect(
      block('example-trailer')
        .split(/(?<=\n)/)
        .map((line) => line.length),
    ).toEqual(trailer);
  });

  it('has ABNF whose header and trailer have 512 bytes', () => {
    const abnf = block('abnf').replace(/;.*$/gm, '').replace(/\n +/g, ' ');
    const rules = new Map(
      [...abnf.matchAll(/^([a-z-]+)\s+= (.*)$/gm)].map((match) => [match[1], match[2] ?? '']),
    );
    const length = (text: string): number => {
      const first = text.replace(/\( ([^/)]*)(?:\/[^)]*)?\)/g, '$1');
      return [...first.matchAll(/(\d*)(?:%s)?(?:"([^"]*)"|([A-Za-z-]+))/g)].reduce(
        (sum, [, times, literal, rule]) => {
          const basic: Record<string, number> = { LF: 1, SP: 1, DIGIT: 1, hexdig: 1 };
          const one =
            literal === undefined ? (basic[rule ?? ''] ?? length(rules.get(rule) ?? '')) : literal.length;
          return sum + Number(times || 1) * one;
        },
        0,
      );
    };
    expect(length(rules.get('header') ?? '')).toBe(512);
    expect(length(rules.get('trailer') ?? '')).toBe(512);
  });

  it('has unique reason codes, each with an exit code, and uses no other', () => {
    const rows = table('### 19.1 Reason codes');
    const codes = rows.map(([code]) => code?.replaceAll('`', '') ?? '');
    expect(new Set(codes).size).toBe(codes.length);
    expect(codes.length).toBeGreaterThan(20);
    for (const row of rows) expect(row[3], row[0]).toMatch(/^(?:4|12|15)$/);
    const used = new Set(spec.match(/\bE_[A-Z0-9]{2,}\b/g));
    expect([...used].filter((code) => !codes.includes(code))).toEqual([]);
  });

  it('keeps to 100 columns', () => {
    const long = spec.split('\n').filter((line) => line.length > 100 && !/^pad=-+$/.test(line));
    expect(long).toEqual([]);
  });

  it('has links to headings that exist', () => {
    const anchors = [...spec.matchAll(/^#+ (.*)$/gm)].map(([, title]) =>
      (title ?? '')
        .toLowerCase()
        .replace(/[^\w\- ]/g, '')
        .replaceAll(' ', '-'),
    );
    for (const [, link] of spec.matchAll(/\]\(#([^)]*)\)/g)) expect(anchors).toContain(link);
  });
});

type Guard = (value: unknown) => boolean;
const guards: Readonly<Record<string, Readonly<Record<string, Guard>>>> = {
  repository: { repository: schema.isRepositoryFile },
  'wrapped-key': { 'wrapped-key': schema.isWrappedKey },
  table: {
    table: schema.isTableHead,
    R: schema.isRLine,
    F: schema.isFLine,
    C: schema.isCLine,
    O: schema.isOLine,
  },
  page: { page: schema.isPageHead, entry: schema.isPageEntry },
  snapshot: { snapshot: schema.isSnapshotRoot, K: schema.isKLine, G: schema.isGLine, E: schema.isELine },
  index: { index: schema.isIndexHead, P: schema.isPLine, R: schema.isRLine, C: schema.isCLine },
  moved: { moved: schema.isMovedHead, V: schema.isVLine },
  marks: { mark: schema.isMarkHead, X: schema.isXLine },
  drop: { drop: schema.isDropHead, S: schema.isSLine },
};

describe('JSON in SPEC.md', () => {
  const blocks = fences.filter(({ info }) => info.startsWith('json '));

  it('shows every kind of object', () => {
    const kinds = blocks.map(({ info }) => info.split(' ')[1]);
    expect([...new Set(kinds)].sort()).toEqual(Object.keys(guards).sort());
  });

  it.each(blocks.map(({ info, text }) => [info, text]))('%s fits its schema', (info, text) => {
    const kind = info.split(' ')[1] ?? '';
    for (const line of text.replaceAll('\n ', '').trimEnd().split('\n')) {
      const value: unknown = JSON.parse(line);
      const tag: unknown = Array.isArray(value) ? value[0] : (value as { backpack?: string }).backpack;
      expect(guards[kind]?.[String(tag ?? 'entry')]?.(value), line).toBe(true);
    }
  });
});

describe('the shell recipe of SPEC.md', () => {
  let folder = '';
  const pack = [...example.files.keys()][0] ?? '';
  const run = (args: readonly string[], env = {}) =>
    spawnSync('dash', [...args], { cwd: folder, env: { ...process.env, ...env }, encoding: 'latin1' });

  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'spec-recipe-'));
    for (const name of ['rec.sh', 'file.sh']) writeFileSync(join(folder, name), block(name));
    writeFileSync(join(folder, 'key.bin'), example.keyFile);
    writeFileSync(join(folder, 'crlf.bin'), example.keyFile.replaceAll('\n', '\r\n'));
    writeFileSync(join(folder, 'raw.bin'), Buffer.from(/root=(.*)/.exec(example.keyFile)?.[1] ?? '', 'hex'));
    for (const [name, bytes] of example.files) {
      mkdirSync(dirname(join(folder, name)), { recursive: true });
      writeFileSync(join(folder, name), bytes);
    }
  });

  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  it.each(['key.bin', 'crlf.bin', 'raw.bin'])('opens a record and the table with %s', (key) => {
    for (const mode of ['auth', 'fast']) {
      expect(run(['rec.sh', pack, key, '0', mode])).toMatchObject({
        status: 0,
        stdout: example.plain.toString(),
      });
      expect(run(['rec.sh', pack, key, 't', mode]).stdout).toBe(example.data.table.toString());
    }
  });

  it('opens what a write-only writer wrote', () => {
    writeFileSync(join(folder, 'writer.bpk'), example.writeOnly.bytes);
    for (const mode of ['auth', 'fast']) {
      const result = run(['rec.sh', 'writer.bpk', 'key.bin', '0', mode]);
      expect(result).toMatchObject({ status: 0, stdout: example.plain.toString() });
    }
  });

  it('prints files of the newest snapshot', () => {
    expect(run(['file.sh', '.', 'key.bin', 'greetings/fr.txt'])).toMatchObject({
      status: 0,
      stdout: 'Bonjour.\n',
    });
    expect(run(['file.sh', '.', 'key.bin', 'greetings/en.txt', 'fast']).stdout).toBe('Hello, world!\n');
    for (const path of ['a', 'greetings/it.txt', 'z'])
      expect(run(['file.sh', '.', 'key.bin', path])).toMatchObject({ status: 1, stdout: '' });
  });

  it.each([
    ['header', 360, 'E_COMMIT'],
    ['key id', 190, 'E_KEY'],
    ['record', 520, 'E_TAG 0'],
    ['table', 700, 'E_TAG t'],
  ])('reports a changed %s and prints nothing', (_, at, code) => {
    const bytes = Buffer.from(example.data.bytes);
    bytes[at] = (bytes[at] ?? 0) ^ 1;
    writeFileSync(join(folder, 'bad.bpk'), bytes);
    const result = run(['rec.sh', 'bad.bpk', 'key.bin', '0']);
    expect(result.status).not.toBe(0);
    expect(result.stdout).toBe('');
    expect(result.stderr).toContain(code);
  });

  it('prints the hash that the trailer holds', () => {
    const file = join(folder, pack);
    const head = `head -c $(($(wc -c < '${file}') - 512)) '${file}' | xxhsum -H1`;
    const hash = execFileSync('dash', ['-c', head], { encoding: 'utf8' }).slice(0, 16);
    expect(block('example-trailer')).toContain(`xxh64=${hash}\n`);
  });
});
