/** The limit on bytes per second, with a clock of its own: exact figures that no load on the machine can change. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createRateLimit, RateLimiter } from '../../../src/base/rate-limiter.ts';
import { runs } from '../support.ts';

/** Limiters of several threads over one limit, and a clock that moves only when somebody waits. */
function world(rate: number, threads: number) {
  const limit = createRateLimit(rate);
  let now = 1_000_000_000n;
  const clock = (): bigint => now;
  const limiters = Array.from({ length: threads }, () => new RateLimiter(limit, clock));
  return {
    limiters,
    seconds: (): number => Number(now - 1_000_000_000n) / 1e9,
    pass: (ms: number): void => {
      now += BigInt(Math.ceil(ms * 1e6));
    },
  };
}

describe('limit on bytes per second', () => {
  it('lets exactly its rate through, however the bytes are divided among threads and calls', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1000, max: 2 ** 31 }),
        fc.array(fc.tuple(fc.nat(3), fc.integer({ min: 1, max: 2 ** 24 })), { minLength: 1, maxLength: 60 }),
        (rate, calls) => {
          const { limiters, seconds, pass } = world(rate, 4);
          let total = 0;
          for (const [thread, bytes] of calls) {
            pass(limiters[thread]!.reserve(bytes));
            total += bytes;
          }
          expect(seconds()).toBeGreaterThanOrEqual(total / rate - 1e-9);
          expect(seconds()).toBeLessThanOrEqual(total / rate + calls.length * 1e-6);
        },
      ),
      runs(200),
    );
  });

  it('makes up for late wake-ups, so that the rate stays within a tenth', () => {
    const { limiters, seconds, pass } = world(10_000_000, 1);
    for (let i = 0; i < 1000; i += 1) pass(limiters[0]!.reserve(100_000) + (i % 3 === 0 ? 8 : 0));
    expect(seconds()).toBeGreaterThanOrEqual(10);
    expect(seconds()).toBeLessThanOrEqual(10.1);
  });

  it('saves no more than a quarter of a second while nothing is moved', () => {
    const { limiters, pass } = world(1000, 2);
    expect(limiters[0]!.reserve(100)).toBe(100);
    pass(3_600_000);
    expect(limiters[1]!.reserve(250)).toBe(0);
    expect(limiters[0]!.reserve(500)).toBe(500);
  });

  it('makes who comes while others wait, wait behind them', () => {
    const { limiters } = world(1000, 3);
    expect(limiters.map((limiter) => limiter.reserve(1000))).toEqual([1000, 2000, 3000]);
  });

  it('ends all waiting when it is lifted', async () => {
    const limit = createRateLimit(1);
    const waiting = new RateLimiter(limit).take(1_000_000);
    new RateLimiter(limit).lift();
    await waiting;
    await new RateLimiter(limit).take(1_000_000);
    new RateLimiter(limit).takeSync(1_000_000);
  });

  it('is nothing when there is no limit', () => {
    expect(RateLimiter.of(undefined)).toBeUndefined();
  });
});
