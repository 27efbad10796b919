/**
 * What properties begin with, so that the commit tier tries the same values each time: a change is not refused for a
 * value that nobody tried before. Other values are for `FUZZ_SEED=N`, and for SLOW=1, which takes one by the clock.
 */
import fc from 'fast-check';

const first = process.env['SLOW'] === '1' ? Date.now() % 1_000_000_000 : 1;

/** First number of all random values in tests. */
export const seed: number = Number(process.env['FUZZ_SEED'] ?? first);

fc.configureGlobal({ seed });
