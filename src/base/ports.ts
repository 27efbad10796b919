/** The outside world that tests replace: time and randomness. */
import { randomBytes } from 'node:crypto';

/** Wall clock, milliseconds since 1970. */
export interface Clock {
  now(): number;
}

/** A source of secret random bytes. */
export interface Random {
  bytes(count: number): Buffer;
}

/** The machine's clock. */
export const systemClock: Clock = { now: () => Date.now() };

/** The operating system's random generator. */
export const systemRandom: Random = { bytes: (count) => randomBytes(count) };
