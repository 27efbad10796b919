/** A restore is stopped by a signal also in its last loops, which wait for nothing: links, and metadata of folders. */
import { existsSync, linkSync, mkdirSync, readdirSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { temporaryFolder } from '../support.ts';
import { backUp, newRepository, restoreTo } from './tree.ts';

const many = 300;
const old = 1_500_000_000;

/** Each look at the clock takes 10 ms: a loop takes its turn of the event loop after few steps. */
function slowClock(): void {
  let now = performance.now();
  vi.spyOn(performance, 'now').mockImplementation(() => {
    now += 10;
    return now;
  });
}

afterEach(() => {
  vi.restoreAllMocks();
});

const name = (letter: string, i: number): string => `${letter}${String(i).padStart(4, '0')}`;

/** Restores, and aborts when `moment` has come. @returns the error */
async function stoppedAt(
  source: string,
  target: string,
  moment: () => boolean,
  more: object = {},
): Promise<unknown> {
  const repository = await newRepository();
  await backUp(repository, source);
  const controller = new AbortController();
  const reason = new Error('stopped');
  const timer = setInterval(() => {
    if (moment()) controller.abort(reason);
  }, 0);
  slowClock();
  try {
    await restoreTo(repository, { target, signal: controller.signal, ...more });
    return undefined;
  } catch (error) {
    return error === reason ? 'stopped' : error;
  } finally {
    clearInterval(timer);
  }
}

describe('a signal is heard', () => {
  it('while hard links are made', async () => {
    const source = temporaryFolder();
    writeFileSync(join(source, 'a'), 'x');
    for (let i = 0; i < many; i += 1) linkSync(join(source, 'a'), join(source, name('h', i)));
    const target = temporaryFolder();
    expect(await stoppedAt(source, target, () => existsSync(join(target, name('h', 0))))).toBe('stopped');
    expect(existsSync(join(target, name('h', many - 1)))).toBe(false);
  });

  it('while folders get their metadata', async () => {
    const source = temporaryFolder();
    for (let i = 0; i < many; i += 1) {
      mkdirSync(join(source, name('d', i)));
      utimesSync(join(source, name('d', i)), old, old);
    }
    const target = temporaryFolder();
    const isDone = (i: number): boolean => statSync(join(target, name('d', i))).mtimeMs === old * 1000;
    const last = join(target, name('d', many - 1));
    expect(await stoppedAt(source, target, () => existsSync(last) && isDone(many - 1))).toBe('stopped');
    expect(isDone(0)).toBe(false);
  });

  it('while a tree of extras is removed', async () => {
    const source = temporaryFolder();
    mkdirSync(join(source, 'd'));
    const target = temporaryFolder();
    mkdirSync(join(target, 'd/extra'), { recursive: true });
    for (let i = 0; i < many; i += 1) writeFileSync(join(target, 'd/extra', name('f', i)), '');
    const left = (): number => readdirSync(join(target, 'd/extra')).length;
    const more = { confirmDelete: async () => true };
    expect(await stoppedAt(source, target, () => left() < many, more)).toBe('stopped');
    expect(left()).toBeGreaterThan(0);
  });
});
