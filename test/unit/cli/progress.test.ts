/** A status tells apart what was read and what did not have to be; the rest is guessed from both. */
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import type { Voice } from '../../../src/cli/render/output.ts';
import { Progress } from '../../../src/cli/render/progress.ts';

beforeEach(() => void vi.useFakeTimers({ toFake: ['performance'] }));
afterEach(() => void vi.useRealTimers());

const words = { read: 'read', sent: 'sent', items: 'files' };
const MiB = 2 ** 20;

function run(voice: object): void {
  const progress = new Progress(voice as Voice, words);
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
