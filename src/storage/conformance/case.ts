/**
 * One case of the conformance suite, and what the cases share. Names are made of a fixed id that no program draws, so
 * that what a broken run leaves behind is known.
 */
import { listAll, type Storage } from '../storage.ts';

/** An empty storage, and how to break it. */
export interface Fixture {
  readonly storage: Storage;
  /** Opens the same place again, as another client would. */
  reopen(): Promise<Storage>;
  /** Makes the next request fail in a way that the storage has to survive. Without it, such cases are left out. */
  fault?(kind: FaultKind): void;
}

/**
 * `lost-answer`: the next write happens, and its answer is lost. `busy`: the next request is refused for the moment.
 * `broken-read`: the next answer with content breaks off in the middle. `broken-list`: so does the next page of names.
 */
export type FaultKind = 'lost-answer' | 'busy' | 'broken-read' | 'broken-list';

/** Makes an empty storage for each case. */
export interface StorageFactory {
  create(): Promise<Fixture>;
}

/** One promise of the contract. */
export interface StorageCase {
  readonly name: string;
  /** Whether it needs {@link Fixture.fault}. */
  readonly needsFaults: boolean;
  /** Rejects when the promise is not kept. @returns whether the case could be run */
  run(factory: StorageFactory): Promise<boolean>;
}

/** Makes a case that disposes of its storage. */
export function define(
  name: string,
  run: (storage: Storage, reopen: () => Promise<Storage>) => Promise<void>,
): StorageCase {
  return make(name, false, ({ storage, reopen }) => run(storage, reopen));
}

/** Makes a case that breaks the storage. */
export function defineFault(
  name: string,
  run: (storage: Storage, fault: (kind: FaultKind) => void, reopen: () => Promise<Storage>) => Promise<void>,
): StorageCase {
  return make(name, true, ({ storage, fault, reopen }) => run(storage, fault!, reopen));
}

function make(name: string, needsFaults: boolean, run: (fixture: Fixture) => Promise<void>): StorageCase {
  return {
    name,
    needsFaults,
    run: async (factory) => {
      const fixture = await factory.create();
      const opened: Storage[] = [fixture.storage];
      const reopen = async (): Promise<Storage> => {
        const other = await fixture.reopen();
        if (!opened.includes(other)) opened.push(other);
        return other;
      };
      try {
        if (needsFaults && fixture.fault === undefined) return false;
        await run({ ...fixture, reopen });
        return true;
      } finally {
        for (const storage of opened) await storage[Symbol.asyncDispose]();
      }
    },
  };
}

export const id = (n: number): string => `019b76daa8${n.toString(16).padStart(30, '0')}`;
export const pack = (n: number): string => `packs/019b7/${id(n)}.bpk`;
export const index = (n: number): string => `index/${id(n)}.bpk`;
export const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString('latin1');

/** Names in a listing. */
export async function names(storage: Storage, prefix: string): Promise<string[]> {
  return (await listAll(storage, prefix)).map(({ name }) => name);
}

/** Writes an object in two pieces. */
export async function write(storage: Storage, name: string, content: string): Promise<void> {
  const writer = await storage.create(name);
  const half = Math.ceil(content.length / 2);
  await writer.append([Buffer.from(content.slice(0, half))]);
  await writer.append([Buffer.from(content.slice(half))]);
  await writer.commit();
}

/** Bytes that look like none of their neighbours. */
export function pattern(length: number): Buffer {
  const bytes = Buffer.allocUnsafe(length);
  for (let i = 0; i < length; i += 1) bytes[i] = (i * 31 + (i >> 8)) & 255;
  return bytes;
}

/** Texts that are no names. */
export const refused: readonly string[] = [
  '',
  '/',
  'x',
  '.',
  '..',
  'packs',
  'packs/',
  'tmp/x',
  '../README.txt',
  'packs/../README.txt',
  '/README.txt',
  'readme.txt',
  'README.txt/',
  'README.txt\n',
  'README.txt\0',
  'recover/',
  'recover/..',
  'recover/.',
  'recover/a/b',
  'recover/a b',
  'parity/../x',
  `packs/${id(1)}.bpk`,
  `packs/019B7/${id(1)}.bpk`,
  `packs/019b7/${id(1)}.bpk.bpk`,
  `packs/019b7/${id(1)}.tmp`,
  `packs/019b7/${id(1).toUpperCase()}.bpk`,
  `index/${id(1).slice(1)}.bpk`,
  `index//${id(1)}.bpk`,
  `snapshots/${id(1)}.bpk`,
  `moved/${id(1)}.bpk`,
  'keys/1b6d5acd6262e111.json',
  `lock/${id(1)}.bpk`,
];
/** One name of each kind. */
export const allowed: readonly string[] = [
  pack(1),
  `snapshots/20260101T000000Z-${id(1)}.bpk`,
  index(1),
  `gc/${id(1)}.bpk`,
  `drop/${id(1)}.bpk`,
  `moved/${id(1)}-${id(2)}.bpk`,
  'keys/1b6d5acd6262e111-00000000.json',
  'README.txt',
  'backpack.json',
  'recover/recover.js',
  'recover/SHA256SUMS',
  'parity/group.vol000-01.par2',
];
/** Those that may be written again. */
export const replaceable: readonly string[] = [
  'README.txt',
  'backpack.json',
  'recover/recover.js',
  'recover/SHA256SUMS',
];
export const onceOnly: readonly string[] = allowed.filter((name) => !replaceable.includes(name));
