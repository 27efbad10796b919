/** A status tells apart what was read and what did not have to be; the rest is guessed from both. */
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import type { Voice } from '../../../src/cli/render/output.ts';
import { Progress, type ProgressWords } from '../../../src/cli/render/progress.ts';

beforeEach(() => void vi.useFakeTimers({ toFake: ['performance'] }));
afterEach(() => void vi.useRealTimers());

const words = { read: 'read', sent: 'sent', items: 'files' };
const MiB = 2 ** 20;

function run(voice: object, called: ProgressWords = words): void {
  const progress = new Progress(voice as Voice, called);
  for (let i = 1; i <= 40; i += 1) {
    vi.advanceTimersByTime(100);
    // 100 MiB a second are unchanged, one is read.
    progress.show({
      bytesDone: i * 10.1 * MiB,
      bytesRead: i * 0.1 * MiB,
      bytesSent: 0,
      filesDone: i,
      bytesTotal: 1010 * MiB,
      filesTotal: 100,
    });
  }
}

it('of an unchanged backup has few bytes read', () => {
  const events: Record<string, number>[] = [];
  run({ json: true, quiet: false, event: (event: Record<string, number>) => events.push(event) });
  expect(events.length).toBeGreaterThan(2);
  for (const { bytesDone, bytesRead, elapsedMs, remainingMs } of events) {
    expect(bytesDone! / bytesRead!).toBeCloseTo(101, 5);
    expect(Math.abs(remainingMs! / (10_000 - elapsedMs!) - 1)).toBeLessThan(0.15);
  }
});

it('on a terminal shows how fast is read, not how fast is passed over', () => {
  let text = '';
  const stderr = { isTTY: true, columns: 200, write: (more: string) => (text = more) };
  run({ json: false, quiet: false, context: { stderr } });
  expect(text).toMatch(/read (?:0\.9\d*|1|1\.0\d) MB\/s/);
});

it('says on a narrow terminal how much is left, and nothing by halves', () => {
  const shown = (columns: number, called?: ProgressWords): string => {
    let text = '';
    const stderr = { isTTY: true, columns, write: (more: string) => (text = more) };
    run({ json: false, quiet: false, context: { stderr } }, called);
    return text.slice(text.indexOf('K') + 1);
  };
  const start = ' {3}40% {2}424 MB of 1\\.06 GB {3}about \\d+s left';
  expect(shown(80)).toMatch(new RegExp(`^${start} {3}read [0-9.]+ MB/s {2}sent 0 B/s$`));
  expect(shown(100)).toMatch(new RegExp(`^${start} {3}read .* {3}40 of 100 files$`));
  expect(shown(50)).toMatch(new RegExp(`^${start}$`));
  expect(shown(100, { read: 'wrote', items: 'files' })).toMatch(/left {3}wrote [0-9.]+ MB\/s {3}40 of/);
});
