/** The catalog under contention: several real threads insert and look up the same identities at the same time. */
import { Worker } from 'node:worker_threads';
import { expect, it } from 'vitest';

const dist = (file: string): string => new URL(`../../dist/${file}`, import.meta.url).href;

// Each thread goes through the identities in an order of its own. A place depends on the identity and the thread that
// stored it, so whoever finds a place can tell whether it is whole and of the right identity.
const program = `
  const { parentPort, workerData: w } = require('node:worker_threads');
  import(w.module).then(({ Catalog, setIdentity }) => {
    const catalog = new Catalog(w.memory, w.owner);
    const identity = new Int32Array(7);
    const place = { pack: 0, record: 0, offset: 0, whole: false };
    const name = (n) => {
      const g = Buffer.alloc(16);
      g.writeUInt32BE(Math.imul(n + 1, 2654435761) >>> 0, 0);
      g.writeUInt32BE(n, 8);
      const x = Buffer.alloc(8);
      x.writeUInt32BE(n, 4);
      setIdentity(identity, 1 + n, x, g);
    };
    let stored = 0, found = 0, forgotten = 0, wrong = 0;
    const look = (n) => {
      name(n);
      if (!catalog.find(identity, place)) return false;
      if (place.record !== n || place.pack < 0 || place.pack >= w.threads || place.offset !== (n ^ place.pack)) wrong += 1;
      return true;
    };
    Atomics.add(w.gate, 0, 1);
    while (Atomics.load(w.gate, 0) < w.threads);
    const open = [];
    for (let i = 0; i < w.count; i += 1) {
      const n = w.order === 'same' ? i : (i * w.step + w.owner * 7919) % w.count;
      if (look(n)) found += 1;
      else {
        const token = catalog.add(identity, { pack: w.owner, record: n, offset: n ^ w.owner, whole: false });
        if (token < 0) forgotten += 1;
        else stored += 1;
        open.push([n, token]);
        // One's own is found before it is published.
        if (token >= 0 && !look(n)) wrong += 1;
      }
      if (open.length > 30) for (const [, t] of open.splice(0)) catalog.publish(t);
    }
    for (const [, t] of open) catalog.publish(t);
    Atomics.add(w.gate, 1, 1);
    while (Atomics.load(w.gate, 1) < w.threads) Atomics.wait(w.gate, 2, 0, 1);
    let missing = 0;
    for (let n = 0; n < w.count; n += 1) if (!look(n)) missing += 1;
    parentPort.postMessage({ stored, found, forgotten, wrong, missing, size: catalog.size });
  });`;

interface Told {
  stored: number;
  found: number;
  forgotten: number;
  wrong: number;
  missing: number;
  size: number;
}

const slow = process.env['SLOW'] === '1' ? 5 : 1;

it.each([
  ['grows from 1 MiB', 1 << 20, 1 << 28, 'own'],
  ['grows from a few slots, all threads at the same identity', 44 * 8, 1 << 28, 'same'],
  ['is full', 44 * 500, 44 * 4000, 'own'],
] as const)('four threads, a catalog that %s', async (name, first, max, order) => {
  const { createCatalogMemory } = (await import(
    dist('pipeline/catalog.js')
  )) as typeof import('../../src/pipeline/catalog.ts');
  const memory = createCatalogMemory(first, max);
  const threads = 4;
  const count = 20_000 * slow;
  const gate = new Int32Array(new SharedArrayBuffer(12));
  const told = await Promise.all(
    Array.from({ length: threads }, async (_, owner) => {
      const worker = new Worker(program, {
        eval: true,
        workerData: {
          module: dist('pipeline/catalog.js'),
          memory,
          owner,
          threads,
          count,
          gate,
          order,
          step: [1, 7, 11, 13][owner],
        },
      });
      const answer = await new Promise<Told>((resolve, reject) => {
        worker.once('message', resolve);
        worker.once('error', reject);
      });
      await worker.terminate();
      return answer;
    }),
  );
  const sum = (field: keyof Told): number => told.reduce((total, one) => total + one[field], 0);
  expect(sum('wrong')).toBe(0);
  expect(told[0]!.size).toBe(sum('stored'));
  expect(new Set(told.map(({ missing }) => missing)).size).toBe(1);
  if (name === 'is full') {
    expect(sum('forgotten')).toBeGreaterThan(0);
    expect(sum('stored')).toBeLessThanOrEqual(max / 44);
  } else {
    // Every identity is there for everyone; some are stored by several threads at once, by no means all.
    expect({ missing: sum('missing'), forgotten: sum('forgotten') }).toEqual({ missing: 0, forgotten: 0 });
    expect(sum('stored')).toBeGreaterThanOrEqual(count);
    expect(sum('stored')).toBeLessThan(3 * count);
  }
});
