/** Which packs a check reads whole. */
import { randomInt } from 'node:crypto';
import type { ObjectInfo } from '../storage/storage.ts';

/**
 * Without it the data packs' tables are checked, not their records; everything else is read whole either way. True
 * reads all packs. A fraction `[n, m]` reads the n-th of m parts of the packs: after 1/m to m/m every pack was read. A
 * percentage reads packs chosen at random.
 */
export type ReadData =
  | boolean
  | { readonly fraction: readonly [part: number, of: number] }
  | { readonly percent: number };

/** Names of the packs that are read whole. */
export function chosenPacks(
  packs: readonly ObjectInfo[],
  readData: ReadData | undefined,
): ReadonlySet<string> {
  const names = packs.map(({ name }) => name);
  if (readData === true) return new Set(names);
  if (readData === undefined || readData === false) return new Set();
  if ('fraction' in readData) {
    const [part, of] = readData.fraction;
    // By the random end of the id, so that packs added between two runs do not move the others.
    return new Set(names.filter((name) => Number.parseInt(name.slice(-12, -4), 16) % of === part - 1));
  }
  for (let i = names.length - 1; i > 0; i -= 1) {
    const j = randomInt(i + 1);
    [names[i], names[j]] = [names[j]!, names[i]!];
  }
  return new Set(names.slice(0, Math.ceil((names.length * readData.percent) / 100)));
}
