/** `@TIME`: what it means, and which snapshot it names. */
import { describe, expect, test } from 'vitest';
import { endOfTime } from '../../../src/repo/snapshot-time.ts';
import { findSnapshot, type SnapshotInfo, type SnapshotList } from '../../../src/repo/snapshots.ts';
import { codeOf, idOf } from '../support.ts';

describe('the end of a time', () => {
  test.each([
    ['2026', new Date(2027, 0, 1)],
    ['2026-12', new Date(2027, 0, 1)],
    ['2026-11-01', new Date(2026, 10, 2)],
    ['2024-02-29', new Date(2024, 2, 1)],
    ['2026-11-01T18', new Date(2026, 10, 1, 19)],
    ['2026-11-01 18:59', new Date(2026, 10, 1, 19)],
    ['2026-12-31T23:59:59', new Date(2027, 0, 1)],
    ['2026-11-01Z', new Date('2026-11-02T00:00:00Z')],
    ['2026-11-01T18:30Z', new Date('2026-11-01T18:31:00Z')],
    ['0099-01-01Z', new Date('0099-01-02T00:00:00Z')],
  ])('of %s', (text, end) => {
    expect(endOfTime(text)).toBe(end.getTime());
  });

  test.each([
    '',
    '26',
    '2026-13',
    '2026-02-30',
    '2026-11-01T24',
    '2026-11-01T10:60',
    'yesterday',
    '2026-1-1',
  ])('there is none of "%s"', (text) => {
    expect(endOfTime(text)).toBeUndefined();
  });
});

describe('the snapshot', () => {
  const made = (n: number, time: string, partial = false): SnapshotInfo =>
    ({
      id: idOf(n),
      writer: '0000000000000000',
      object: { name: '', sizeBytes: 0, timeMs: 0 },
      root: { seq: n, time: `${Date.parse(time) / 1000}.000000000`, partial },
    }) as unknown as SnapshotInfo;
  const list: SnapshotList = {
    snapshots: [
      made(1, '2026-10-30T10:00:00Z'),
      made(2, '2026-11-01T10:00:00Z'),
      made(3, '2026-11-01T18:30:00Z'),
      made(4, '2026-11-01T20:00:00Z', true),
      made(5, '2026-11-03T10:00:00Z'),
    ],
    ids: new Set(),
    dropped: new Set(),
    unreadable: [],
  };
  test.each([
    ['@2026-11-01Z', 3],
    ['@2026-11-01T18:29Z', 2],
    ['@2026-11-01T18:30Z', 3],
    ['@2026-11-02Z', 3],
    ['@2026-10-31Z', 1],
    ['@2099', 5],
  ])('%s is what was latest then, and complete', (wanted, n) => {
    expect(findSnapshot(list, wanted).id).toBe(idOf(n));
  });

  test('before the first one there is none, and what is no time is told', () => {
    expect(codeOf(() => findSnapshot(list, '@2025'))).toBe('BP_NO_SNAPSHOT');
    expect(codeOf(() => findSnapshot(list, '@noon'))).toBe('BP_USAGE');
  });
});
