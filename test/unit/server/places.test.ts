/** Places that many want. */
import { expect, it } from 'vitest';
import { Places } from '../../../src/server/places.ts';

it('go to users in turn, and to those of one user in order', async () => {
  const places = new Places(1);
  await places.take('first');
  const order: string[] = [];
  const want = (user: string, name: string): void =>
    void places.within(user, async () => {
      order.push(name);
    });
  for (let i = 0; i < 4; i += 1) want('greedy', `greedy ${i}`);
  want('honest', 'honest 0');
  want('other', 'other 0');
  want('honest', 'honest 1');
  expect(places.wanted).toBe(true);
  places.giveBack();
  for (let i = 0; i < 50; i += 1) await Promise.resolve();
  const wanted = 'greedy 0, honest 0, other 0, greedy 1, honest 1, greedy 2, greedy 3';
  expect(order.join(', ')).toBe(wanted);
  expect(places.wanted).toBe(false);
});

it('are never more than there are', async () => {
  const places = new Places(3);
  let [now, most] = [0, 0];
  const work = async (): Promise<void> => {
    now += 1;
    most = Math.max(most, now);
    await new Promise((resolve) => setTimeout(resolve, 1));
    now -= 1;
  };
  await Promise.all(Array.from({ length: 60 }, (_, i) => places.within(`${i % 7}`, work)));
  expect([now, most]).toEqual([0, 3]);
});
