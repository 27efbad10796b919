/**
 * Hostile snapshots, written with a valid key: what somebody can do who has stolen it, or a program with a fault. A seed
 * decides about the entries, the state of the target and the options of the restore.
 */
import {
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { seeded } from '../unit/operations/sample.ts';
import type { FileSpec } from '../unit/recover/writer.ts';

const secret = Buffer.from('nobody may change this\n');
const evil = Buffer.from('written by the snapshot\n');

/** A folder of its own: the target, and beside it what nothing may touch. */
export interface Box {
  readonly folder: string;
  readonly target: string;
  readonly outside: string;
  /** A place that absolute paths aim at. */
  readonly absolute: string;
}

/** Makes a box with traps in the target: links to what is outside, of every kind. */
export function makeBox(): Box {
  const folder = mkdtempSync(join(tmpdir(), 'backpack-hostile-'));
  const [target, outside] = [join(folder, 'target'), join(folder, 'outside')];
  mkdirSync(join(target, 'home/inner'), { recursive: true });
  mkdirSync(join(outside, 'folder'), { recursive: true });
  writeFileSync(join(outside, 'secret'), secret, { mode: 0o600 });
  writeFileSync(join(outside, 'folder/kept'), 'kept');
  utimesSync(join(outside, 'secret'), 1e9, 1e9);
  for (const below of ['', 'home/']) {
    symlinkSync(outside, join(target, `${below}trap-absolute`));
    symlinkSync(below === '' ? '../outside' : '../../outside', join(target, `${below}trap-folder`));
    symlinkSync(join(outside, 'secret'), join(target, `${below}trap-file`));
    symlinkSync(join(outside, 'not-there'), join(target, `${below}trap-dangling`));
    linkSync(join(outside, 'secret'), join(target, `${below}trap-hard`));
    symlinkSync('trap-folder', join(target, `${below}trap-chain`));
  }
  return { folder, target, outside, absolute: join(folder, 'absolute') };
}

/** Everything about a box that a restore must not change. */
export function outsideOf(box: Box): string[] {
  const lines = [readdirSync(box.folder).sort().join(' '), String(existsSync(box.absolute))];
  const visit = (path: string): void => {
    const stat = lstatSync(path, { bigint: true });
    // The number of links goes down when a trap is replaced: that changes a name in the target only.
    lines.push(`${path} ${stat.mode} ${stat.uid}:${stat.gid} ${stat.mtimeNs} ${stat.size} ${stat.ino}`);
    if (stat.isDirectory()) for (const name of readdirSync(path).sort()) visit(join(path, name));
    else if (stat.isSymbolicLink()) lines.push(readlinkSync(path));
    else lines.push(readFileSync(path, 'latin1'));
  };
  visit(box.outside);
  return lines;
}

/** One hostile snapshot and how it is restored. */
export interface Attack {
  readonly name: string;
  readonly files: readonly FileSpec[];
  /** Lines of pages, changed after they were made. */
  readonly lines?: (lines: string[]) => string[];
  readonly pages: number;
  /** What of the snapshot is restored. */
  readonly path: string;
  readonly overwrite: 'never' | 'if-changed' | 'always';
  readonly deletes: boolean;
  readonly sparse: boolean;
  readonly verify: boolean;
}

type Random = (below: number) => number;
type Family = (box: Box, random: Random, traps: readonly string[]) => readonly FileSpec[];

const d = (path: string | [string], extra: Record<string, unknown> = {}): FileSpec => ({
  path,
  t: 'd',
  extra,
});
const f = (
  path: string | [string],
  content: Buffer = evil,
  extra: Record<string, unknown> = {},
): FileSpec => ({
  path,
  content,
  extra,
});
const l = (path: string, to: string, extra: Record<string, unknown> = {}): FileSpec => ({
  path,
  t: 'l',
  extra: { l: to, ...extra },
});
const base64 = (text: string): [string] => [Buffer.from(text, 'latin1').toString('base64')];
const pick = <T>(random: Random, list: readonly T[]): T => list[random(list.length)]!;

const families: Readonly<Record<string, Family>> = {
  'absolute path': (box) => [f(box.absolute)],
  'absolute folder': (box) => [d(box.absolute), f(`${box.absolute}/x`)],
  dots: (_, random) => [
    f(
      pick(random, [
        '../outside/new',
        '..',
        '.',
        'a/../../outside/new',
        './x',
        'a/./b',
        'a//b',
        'a/',
        '/',
        '../x',
      ]),
    ),
  ],
  'dots in a folder': (_, random) => [
    d('home'),
    f(pick(random, ['home/../../outside/new', 'home/..', 'home/./../x'])),
  ],
  'NUL and control': (_, random) => [
    f(base64(pick(random, ['a\0b', '\0', 'x\n../y', '\x1b[2J', 'a\0/../../outside/new']))),
  ],
  'file through a link of the snapshot': (box, random) => [
    l('x', pick(random, ['../outside', box.outside, '.', '..', '/'])),
    f('x/new'),
  ],
  'link, then a folder of the same name': (box) => [l('x', box.outside), d('x'), f('x/new')],
  'folder, then a link of the same name': (box) => [d('x'), l('x', box.outside), f('x/new')],
  'folder over a trap': (_, random, traps) => {
    const trap = pick(random, traps);
    return [
      d('home'),
      d(trap),
      f(`${trap}/new`),
      f(`${trap}/secret`),
      d(`${trap}/folder`),
      f(`${trap}/folder/kept`),
    ];
  },
  'way through a trap': (_, random, traps) => {
    const trap = pick(random, traps);
    return [d('home', { an: 1 }), d(trap, { an: 1, o: '0777' }), f(`${trap}/secret`, evil, { o: '0777' })];
  },
  'file over a trap': (_, random, traps) => [d('home'), f(pick(random, traps), evil, { o: '4777' })],
  'same file over a trap': (_, random, traps) => [
    d('home'),
    f(pick(random, traps), secret, { o: '0777', u: 12345, g: 12345, m: '1.000000000' }),
  ],
  'link over a trap': (box, random, traps) => [
    d('home'),
    l(pick(random, traps), `${box.outside}/secret`, { u: 1, g: 1 }),
  ],
  'special over a trap': (_, random, traps) => [
    d('home'),
    {
      path: pick(random, traps),
      t: pick(random, ['p', 's', 'c', 'b']),
      extra: { rd: [1, 3], o: '0666', u: 1, g: 1 },
    },
  ],
  'device as parent': (_, random) => [
    { path: 'dev', t: pick(random, ['c', 'b', 'p', 's']), extra: { rd: [1, 3] } },
    f('dev/x'),
  ],
  'hard links of a trap': (_, random, traps) => {
    const [a, b] = [pick(random, traps), 'zz-second'];
    return [d('home'), f(a, secret, { hl: 'h1', o: '0666' }), f(b, secret, { hl: 'h1', o: '0666' })];
  },
  'hard links over traps': (_, random, traps) => [
    d('home'),
    f('a-first', evil, { hl: 'h1' }),
    f(pick(random, traps), evil, { hl: 'h1' }),
  ],
  'hard link of a link': (box) => [
    l('a', `${box.outside}/secret`, { hl: 'h1' }),
    f('b', evil, { hl: 'h1', o: '0777' }),
    f('c', evil, { hl: 'h1' }),
  ],
  'hard link of a damaged file': (_, random, traps) => {
    const trap = pick(
      random,
      traps.filter((path) => !path.includes('/')),
    );
    return [f(trap, evil, { hl: 'h1', x: '0000000000000000' }), f('zz', evil, { hl: 'h1' })];
  },
  'duplicate names': () => [f('a'), f('a', secret), f('b'), d('b')],
  'case twins': () => [d('CASE'), f('CASE/x'), d('case'), f('case/x'), f('Twin'), f('twin')],
  'accents twice': () => [f('\u00e9'), f('e\u0301')],
  'windows names': () => [f('C:x'), f('..\\x'), f('\\\\?\\x'), f('a:stream'), f('nul'), f('end. ')],
  'names of the program': () => [
    f('.backpack-0123456789abcdef.partial'),
    d('__proto__'),
    f('__proto__/x'),
    f('constructor'),
    f('toString'),
  ],
  'long names': (_, random) => [
    f('n'.repeat(pick(random, [255, 256, 1024, 1025]))),
    d('m'.repeat(300)),
    f(`${'m'.repeat(300)}/x`),
  ],
  'deep folders': () => {
    const list: FileSpec[] = [];
    for (let path = 'deep', i = 0; i < 90; i += 1, path += '/d')
      list.push(d(path), l(`${path}/a`, '../../outside'));
    return list;
  },
  'huge and holes': (_, random) => {
    // Its zeros are hashed: more would only take longer.
    const s = pick(random, [2 ** 31, 3_000_000_000, 9_000_000]);
    return [f('huge', evil, { s, e: [[-1, 0, 0, s]], x: '0000000000000000' })];
  },
  'extents that lie': (_, random) => [
    f('lie', evil, {
      e: [
        pick(random, [
          [0, 0, 2 ** 32 - 1, 24],
          [9, 0, 1, 24],
          [0, 7, 1, 24],
          [0, 0, 1, 24, 2 ** 40],
          [-2, 0, 0, 24],
          [-3, 0, 0, 24],
        ]),
      ],
    }),
  ],
  'metadata that lies': (_, random) => [
    f(
      'm',
      evil,
      pick(random, [
        { o: '7777', u: 2 ** 32 - 1, g: 2 ** 32 - 1 },
        { m: '99999999999999.000000000' },
        { m: '-99999999999.999999999' },
        {
          xa: [
            ['trusted.x', 'AAAA'],
            ['user.a', '!!'],
          ],
        },
        { u: -1 },
        { o: '99999' },
      ]),
    ),
  ],
  'unknown types': (_, random) => [
    { path: 'u', t: pick(random, ['x', '', '+', 'dd', '__proto__']), extra: {} },
    f('v'),
  ],
  'folder that hides a trap': (_, random) => [
    d('home', { o: pick(random, ['0000', '7777', '0700']) }),
    d('home/inner'),
    f('home/inner/x'),
    l('home/inner/y', '../../../outside'),
  ],
};

/** The attack of a seed. */
export function attackOf(seed: number, box: Box): Attack {
  const next = seeded(seed);
  const random: Random = (below) => next() % below;
  const names = Object.keys(families);
  const traps = ['', 'home/'].flatMap((below) =>
    ['absolute', 'folder', 'file', 'dangling', 'hard', 'chain'].map((kind) => `${below}trap-${kind}`),
  );
  // Every family in turn; the seed decides about the rest.
  const name = names[seed % names.length]!;
  const files = [...families[name]!(box, random, traps)];
  if (random(3) === 0 && !name.startsWith('unknown'))
    files.push(...families[pick(random, names)]!(box, random, traps));
  const sorted = random(8) === 0 ? files : inOrder(files);
  const path =
    random(3) === 0
      ? pick(
          random,
          files.map((one) => (typeof one.path === 'string' ? one.path : '')),
        )
      : '';
  return {
    name,
    files: sorted,
    pages: 1 + random(3),
    path,
    overwrite: pick(random, ['never', 'if-changed', 'always']),
    deletes: random(4) === 0,
    sparse: random(4) === 0,
    verify: random(4) === 0,
  };
}

/** In the order of the format, so that the attack is not refused for its order alone. */
function inOrder(files: readonly FileSpec[]): FileSpec[] {
  const key = ({ path }: FileSpec): string =>
    (typeof path === 'string' ? Buffer.from(path) : Buffer.from(path[0], 'base64'))
      .toString('latin1')
      .replaceAll('/', '\0');
  const sorted = [...files].sort((a, b) => (key(a) < key(b) ? -1 : key(a) > key(b) ? 1 : 0));
  // Folders that two families have in common.
  return sorted.filter(
    (one, i) => i === 0 || key(one) !== key(sorted[i - 1]!) || one.t !== 'd' || sorted[i - 1]!.t !== 'd',
  );
}
