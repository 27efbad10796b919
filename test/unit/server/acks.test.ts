/** What is acknowledged when: together what came together, soon, and never so late that a sender has to wait. */
import { setImmediate as soon } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { Acks } from '../../../src/server/acks.ts';
import type { Upload } from '../../../src/server/uploads.ts';

/** Uploads that only count, and what was said of them. */
function bench(windowBytes: number) {
  const said: [number, number][] = [];
  const acks = new Acks((stream, { receivedBytes }) => void said.push([stream, receivedBytes]), windowBytes);
  const received = new Map<number, { receivedBytes: number }>();
  const data = (stream: number, bytes: number): void => {
    const upload = received.get(stream) ?? { receivedBytes: 0 };
    received.set(stream, upload);
    upload.receivedBytes += bytes;
    acks.add(stream, upload as Upload, bytes);
  };
  return { said, acks, data };
}

it('once for all that came at once, without waiting for more', async () => {
  const { said, data } = bench(1000);
  for (let i = 0; i < 8; i += 1) data(1, 10);
  data(2, 7);
  expect(said).toEqual([]);
  await soon();
  expect(said).toEqual([
    [1, 80],
    [2, 7],
  ]);
  data(1, 5);
  await soon();
  await soon();
  expect(said.slice(2)).toEqual([[1, 85]]);
});

it('at once when a quarter of the window is due', async () => {
  const { said, data } = bench(1000);
  for (let i = 0; i < 9; i += 1) data(1, 100);
  expect(said).toEqual([
    [1, 300],
    [1, 600],
    [1, 900],
  ]);
  await soon();
  expect(said.length).toBe(3);
});

it('not when the last answer was given', async () => {
  const { said, acks, data } = bench(1000);
  data(1, 10);
  data(2, 10);
  acks.drop(1);
  await soon();
  expect(said).toEqual([[2, 10]]);
});
